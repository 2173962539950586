"""Several commands that add to one run at once: every report is there afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from report_fixtures import REPORT_WRITERS

from fer_bench.results.reports.exports import read_exports
from fer_bench.results.reports.latency_files import read_latency
from fer_bench.results.reports.robustness import read_robustness
from fer_bench.results.reports.transfer import read_transfer

AT_ONCE, EACH = 6, 5


READERS = {
    "robustness.json": read_robustness,
    "transfer.json": read_transfer,
    "latency.json": read_latency,
    "exports.json": read_exports,
}


@pytest.mark.parametrize("kind", REPORT_WRITERS)
def test_every_report_of_many_threads_is_kept(tmp_path: Path, kind: str) -> None:
    add = REPORT_WRITERS[kind]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: add(tmp_path, number), range(AT_ONCE * EACH)))
    assert len(READERS[kind](tmp_path)) == AT_ONCE * EACH
    assert [path.name for path in tmp_path.iterdir()] == [kind]


ADDING = """
import sys
from pathlib import Path
from report_fixtures import another_robustness
print("ready", flush=True)
sys.stdin.readline()
for number in range(5):
    another_robustness(Path(sys.argv[1]), 5 * int(sys.argv[2]) + number)
"""


def test_every_report_of_two_processes_is_kept(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ADDING, str(tmp_path), str(number)],
            env={"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
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
