"""Several commands that add to one run at once: every report is there afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import damage_examples as examples
import pytest
from latency_fixtures import make_report
from record_fixtures import make_record
from robustness_fixtures import make_robustness, make_transfer

from fer_bench.results.reports.exports import Export, ExportsFile, add_export, read_exports
from fer_bench.results.reports.latency_files import add_report, read_latency
from fer_bench.results.reports.robustness import add_robustness, read_robustness
from fer_bench.results.reports.transfer import add_transfer, read_transfer

AT_ONCE, EACH = 6, 5


def an_export() -> Export:
    texts = [text for files in examples.documents() for name, text in files.items()]
    (text,) = [text for text in texts if "exports" in json.loads(text)]
    (export,) = ExportsFile.model_validate_json(text).exports
    return export


def transfer(folder: Path, number: int) -> None:
    result = make_transfer(make_record())
    on = result.tested_on.model_copy(update={"limit": number + 1})
    add_transfer(folder, result.model_copy(update={"tested_on": on}))


def robustness(folder: Path, number: int) -> None:
    add_robustness(folder, make_robustness(make_record(), seed=number))


def latency(folder: Path, number: int) -> None:
    add_report(folder, make_report(cpu=f"CPU {number}"))


def export(folder: Path, number: int) -> None:
    add_export(folder, an_export().model_copy(update={"format": f"onnx{number}"}))


#: How each is added, and how many there are.
KINDS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], int]]] = {
    "robustness.json": (robustness, lambda folder: len(read_robustness(folder))),
    "transfer.json": (transfer, lambda folder: len(read_transfer(folder))),
    "latency.json": (latency, lambda folder: len(read_latency(folder))),
    "exports.json": (export, lambda folder: len(read_exports(folder))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_report_of_many_threads_is_kept(tmp_path: Path, kind: str) -> None:
    add, count = KINDS[kind]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: add(tmp_path, number), range(AT_ONCE * EACH)))
    assert count(tmp_path) == AT_ONCE * EACH
    assert [path.name for path in tmp_path.iterdir()] == [kind]


ADDING = """
import sys
from pathlib import Path
from test_reports_at_once import EACH, robustness
print("ready", flush=True)
sys.stdin.readline()
for number in range(EACH):
    robustness(Path(sys.argv[1]), EACH * int(sys.argv[2]) + number)
"""


def test_every_report_of_two_processes_is_kept(tmp_path: Path) -> None:
    importable = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, str(tmp_path), str(number)],
            env={"PYTHONPATH": importable, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert len(read_robustness(tmp_path)) == 2 * EACH
