"""A system that people use, scored on FER2013 by our runs' rules and timed next to them.

The system runs in an environment of its own (`--environment`), which is made at the first run, and
sees the 48 px crops as they are: its own face detector is no part of the score. Its answers become
a CSV file, and `fer_bench score` makes the records of PrivateTest (`official`) and of the merged
test (`kaggle`). Times are the processor's for one face after another on one thread: the system's,
and those of our default in the same run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fer_bench.backends.fidelity import compare
from fer_bench.backends.select import open_backend
from fer_bench.data.dataset import FaceDataset
from fer_bench.data.load import load_dataset
from fer_bench.environment import capture
from fer_bench.evaluation.external_predictions import template
from fer_bench.inference.classifier import FaceClassifier, load_run_model
from fer_bench.models.flops import count_parameters
from fer_bench.results.reports.latency import LatencyReport, Measurement, Percentiles, Precision
from fer_bench.results.reports.latency_files import add_report, read_latency
from fer_bench.results.store import ResultsStore
from fer_bench.settings import cache_dir
from fer_bench.specs.run import ExternalSpec, Protocol
from fer_bench.studies.latency.stages import percentiles
from fer_bench.types import Split

HERE = Path(__file__).parent
#: What of ours is timed, and how often.
OURS, OUR_BACKENDS, OUR_FACES = "default", ("torch-fp32", "openvino-fp32"), 200
PROCESSOR_TIME = "processor time, one face after another"
#: Which images are answered: on val the temperature and the prediction sets are fitted.
ANSWERED: dict[Protocol, tuple[Split, ...]] = {"official": ("val", "test"), "kaggle": ("test",)}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What is run, and what its records say of it.

    Attributes:
        spec: as `score` takes it.
        backend, precision, input_size, size_mib: of its network.
        install: makes its environment in a folder, once.
        command: environment, faces (uint8 `(N, 48, 48)`) and answers to the words that run it; it
            writes `classes`, `parameters`, `probabilities` and `milliseconds` as JSON.
    """

    spec: ExternalSpec
    backend: str
    precision: Precision
    input_size: int
    size_mib: float
    install: Callable[[Path], None]
    command: Callable[[Path, Path, Path], Sequence[str | Path]]


def run(words: Sequence[str | Path]) -> None:
    """A program that must end well, or this one ends; what it prints is shown."""
    try:
        subprocess.run([str(word) for word in words], check=True)
    except FileNotFoundError:
        sys.exit(f"{words[0]} is not installed: see benchmarks/peers/README.md")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{words[0]} failed with exit code {error.returncode}: it says why above")


def install_npm(environment: Path) -> None:
    """The versions of `package.json`."""
    (environment / "package.json").write_bytes((HERE / "package.json").read_bytes())
    run(["npm", "install", "--no-audit", "--no-fund", "--prefix", environment])


def main(peer: Peer) -> None:
    """The command of a peer's script."""
    parser = argparse.ArgumentParser(description=f"Score {peer.spec.external} on FER2013.")
    parser.add_argument("--data", required=True, help="FER2013 as Kaggle serves it")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--environment", type=Path, help="where its packages are, or will be")
    given = parser.parse_args()
    name = Path(sys.argv[0]).stem
    environment = (given.environment or cache_dir() / "peers" / name).resolve()
    if not environment.exists():
        environment.mkdir(parents=True)
        try:
            peer.install(environment)
        except BaseException:  # half an environment would pass for a whole one
            shutil.rmtree(environment)
            raise
    sets = {protocol: load_dataset(given.data, protocol=protocol) for protocol in ANSWERED}
    ours = time_ours(given.results, sets["official"])
    answers = ask(peer, environment, list(sets.values()))
    for protocol, dataset in sets.items():
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.csv"
            splits = ANSWERED[protocol]
            wanted = template(dataset, splits)[["id"]]
            wanted.merge(answers.table, on="id", validate="1:1").to_csv(file, index=False)
            run([*score_words(peer.spec, file, protocol), "--data", given.data,
                 "--results", given.results])  # fmt: skip
    save_times(peer, given.results, answers, ours)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A peer's: `id` and a probability per emotion; the times of one call on one face."""

    table: pd.DataFrame
    milliseconds: Percentiles
    parameters: int


def ask(peer: Peer, environment: Path, sets: Sequence[FaceDataset]) -> Answers:
    """Every image that some protocol wants answered, once."""
    faces: dict[str, NDArray[np.uint8]] = {}
    for protocol, dataset in zip(ANSWERED, sets, strict=True):
        for split in ANSWERED[protocol]:
            for index in dataset.indices(split):
                faces[str(dataset.ids[index])] = dataset.images[index]
    with TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "faces.bin", Path(folder) / "answers.json"
        np.stack(list(faces.values())).tofile(asked)
        run(peer.command(environment, asked, answered))
        said = json.loads(answered.read_text(encoding="utf-8"))
    table = pd.DataFrame(said["probabilities"], columns=said["classes"])
    table.insert(0, "id", list(faces))
    return Answers(
        table=table,
        milliseconds=percentiles(said["milliseconds"]),
        parameters=said["parameters"],
    )


def score_words(spec: ExternalSpec, file: Path, protocol: Protocol) -> list[str | Path]:
    """`score` and what is known of the system."""
    options = {
        "--name": spec.external,
        "--version": spec.version,
        "--origin": spec.source,
        "--licence": spec.licence,
        "--trained-on": spec.trained_on,
        "--training": spec.training,
        "--preprocessing": spec.preprocessing,
        "--protocol": protocol,
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "-m", "fer_bench", "score", file, *words, "--force"]


def time_ours(results: Path, dataset: FaceDataset) -> LatencyReport:
    """Our default on a crop, as a peer is timed, by back end; those that answer as fp32 does."""
    model = load_run_model(ResultsStore(results).find(OURS))
    crops = [dataset.images[index] for index in dataset.indices("test")[:OUR_FACES]]
    reference = None
    measurements = []
    for name in OUR_BACKENDS:
        backend = open_backend(name, model, threads=1)
        classifier = FaceClassifier(name=OURS, model=model, backend=backend)
        logits = torch.cat([classifier.logits([crop]) for crop in crops])
        reference = logits if reference is None else reference
        measurements.append(
            Measurement(
                backend=name,
                precision="fp32",
                threads=1,
                batch=1,
                milliseconds=percentiles([timed(classifier, crop) for crop in crops]),
                agreement=compare(logits, reference, dataset.name),
                note=PROCESSOR_TIME,
            )
        )
    parameters, _ = count_parameters(model)
    return report_of(
        measurements,
        input_size=model.input_spec.size,
        parameters=parameters,
        size_mib=parameters * 4 / 2**20,
    )


def timed(classifier: FaceClassifier, crop: NDArray[np.uint8]) -> float:
    """Milliseconds of the processor for one face."""
    start = time.process_time()
    classifier.probabilities([crop])
    return (time.process_time() - start) * 1000


def report_of(
    measurements: Sequence[Measurement], *, input_size: int, parameters: int, size_mib: float
) -> LatencyReport:
    """What was measured of one network here; the last measurement is the one that is used."""
    return LatencyReport(
        measured_at=datetime.now(UTC),
        environment=capture(),
        weights="trained",
        input_size=input_size,
        parameters=parameters,
        flops=None,
        size_mib=size_mib,
        gemm_gflops={},
        chosen={1: measurements[-1].backend},
        measurements=list(measurements),
    )


def save_times(peer: Peer, results: Path, answers: Answers, ours: LatencyReport) -> None:
    """`latency.json` next to the peer's records; prints them next to ours.

    Ours is stored too where this machine has no report of the default yet: `latency default`
    measures more.
    """
    beside = ", ".join(
        f"{one.milliseconds.median:.2f} ms on {one.backend}"
        for one in ours.measurements
        if one.milliseconds
    )
    measurement = Measurement(
        backend=peer.backend,
        precision=peer.precision,
        threads=1,
        batch=1,
        milliseconds=answers.milliseconds,
        note=f"{PROCESSOR_TIME}; in the same run FER Bench's default took {beside}",
    )
    report = report_of(
        [measurement],
        input_size=peer.input_size,
        parameters=answers.parameters,
        size_mib=peer.size_mib,
    )
    for protocol in ANSWERED:
        spec = peer.spec.model_copy(update={"protocol": protocol})
        add_report(results / "fer2013" / spec.name, report)
    folder = ResultsStore(results).find(OURS).folder
    if ours.machine not in {one.machine for one in read_latency(folder)}:
        add_report(folder, ours)
    print(f"one face, one thread: {answers.milliseconds.median:.2f} ms on {peer.backend}; {beside}")
