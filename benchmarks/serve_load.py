"""`serve` under load, against a plain FastAPI endpoint with one eager forward per request.

Both serve the same run as processes of their own with the same number of threads, read pictures
and find faces by the same functions, and are asked in turns by one light client. Two kinds of
requests: `whole` sends crops of faces (48 px PNGs, drawn), where the network and the server itself
take the time; `haar` sends 640x480 JPEGs of one face, where looking for it takes most.

Prints one JSON line. Run it from the repository's root: `python -m benchmarks.serve_load`.
`--soak 20000` sends so many requests to `serve` alone and prints its memory before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from PIL import Image

from benchmarks.harness.dashboard import ROOT
from benchmarks.harness.load_client import Outcome, load
from benchmarks.webcam_frame import camera_frames
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.environment import capture

CONCURRENCY = (1, 8, 32)
DETECTORS = ("whole", "haar")
STARTS_WITHIN = 120.0
#: A server's first requests, which are not measured; in a soak they fill caches and pools.
WARM_UP, SOAK_WARM_UP = 64, 2000


@dataclass(frozen=True, kw_only=True)
class Side:
    """A server that runs."""

    address: str
    pid: int

    def memory(self) -> float:
        """Resident memory, MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1e3

    def cpu_seconds(self) -> float:
        """Processor time that it has used, all threads together."""
        numbers = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(words: Sequence[str], threads: int) -> Iterator[Side]:
    """A server's process, which says its address first; ended with the block."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "http://" not in said:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{' '.join(words)} did not start")
            said += line
        address = "http://" + said.partition("http://")[2].split('"')[0].strip()
        yield Side(address=address, pid=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


def ours(run: str, results: Path, detector: str, queue: int = 64) -> list[str]:
    words = ["fer_bench", "serve", "--json", "--port", "0", "--run", run]
    words += ["--results", str(results), "--detector", detector]
    return [*words, "--max-queue", str(queue)]


def theirs(run: str, results: Path, detector: str) -> list[str]:
    return ["benchmarks.harness.plain_endpoint", run, str(results), detector]


def wait_until_ready(side: Side) -> None:
    """Returns when it answers; a 404 counts, as the plain endpoint has no health."""
    deadline = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{side.address}/healthz", timeout=STARTS_WITHIN):
                return
        except URLError as error:
            if getattr(error, "code", None) == 404:
                return
            time.sleep(0.1)
    raise RuntimeError(f"{side.address} is not ready")


def pictures(detector: str) -> list[bytes]:
    """Encoded pictures of one face each: crops for `whole`, camera frames for others."""
    rng = np.random.default_rng(0)
    if detector == "whole":
        return [_encoded(draw_face(one, size=48, rng=rng), "PNG") for one in FER2013 * 8]
    return [_encoded(frame, "JPEG") for frame in camera_frames(32)]


def _encoded(image: np.ndarray, kind: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, kind, quality=92)
    return buffer.getvalue()


def backend_of(side: Side) -> str:
    """What `serve` runs its default model on."""
    with urlopen(f"{side.address}/v1/models", timeout=STARTS_WITHIN) as reply:
        backend: str = json.load(reply)["models"][0]["backend"]
    return backend


def figures(outcome: Outcome, cpu_seconds: float) -> dict[str, float]:
    """Throughput and latency; processor time per request, which other jobs hardly change."""
    milliseconds = np.asarray(outcome.latencies) * 1000
    return {
        "requests_per_second": round(outcome.statuses[200] / outcome.seconds, 1),
        "ms_p50": round(float(np.percentile(milliseconds, 50)), 1),
        "ms_p99": round(float(np.percentile(milliseconds, 99)), 1),
        "cpu_ms_per_request": round(cpu_seconds * 1000 / outcome.statuses.total(), 1),
        "errors": outcome.errors,
    }


def compare(asked: argparse.Namespace, detector: str) -> dict[str, object]:
    """Both sides at each concurrency, in turns."""
    sent = pictures(detector)
    found: dict[str, dict[str, dict[str, float]]] = {"theirs": {}, "ours": {}}
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(
                started(words(asked.run, asked.results, detector), asked.threads)
            )
            for name, words in (("theirs", theirs), ("ours", ours))
        }
        for side in sides.values():
            wait_until_ready(side)
            asyncio.run(load(side.address, sent, concurrency=32, requests=WARM_UP))
        backend = backend_of(sides["ours"])
        for concurrency in CONCURRENCY:
            for name, side in sides.items():
                used = side.cpu_seconds()
                outcome = asyncio.run(
                    load(side.address, sent, concurrency=concurrency, seconds=asked.seconds)
                )
                one = figures(outcome, side.cpu_seconds() - used)
                found[name][str(concurrency)] = one
                print(f"{detector} {concurrency} {name} {one}", file=sys.stderr)
    throughput, cost = (
        {n: {side: found[side][n][figure] for side in found} for n in found["ours"]}
        for figure in ("requests_per_second", "cpu_ms_per_request")
    )
    return {
        "ratio": {n: round(one["ours"] / one["theirs"], 2) for n, one in throughput.items()},
        "cpu_ratio": {n: round(one["theirs"] / one["ours"], 2) for n, one in cost.items()},
        "backend": backend,
        **found,
    }


def soak(asked: argparse.Namespace) -> dict[str, object]:
    """Memory of `serve` after a warm-up and after so many more requests."""
    sent = pictures("whole")
    with started(ours(asked.run, asked.results, "whole"), asked.threads) as side:
        wait_until_ready(side)
        asyncio.run(load(side.address, sent, concurrency=32, requests=SOAK_WARM_UP))
        before, used = side.memory(), side.cpu_seconds()
        outcome = asyncio.run(load(side.address, sent, concurrency=32, requests=asked.soak))
        after, used = side.memory(), side.cpu_seconds() - used
    return {
        "requests": asked.soak,
        "mb_before": round(before, 1),
        "mb_after": round(after, 1),
        "growth": round(after / before - 1, 4),
        **figures(outcome, used),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", default="default")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each server")
    parser.add_argument("--seconds", type=float, default=2.5, help="for each of 12 measurements")
    parser.add_argument("--soak", type=int, default=0, help="requests to send to `serve` alone")
    asked = parser.parse_args()
    asked.results = asked.results.resolve()
    if asked.soak:
        found: dict[str, object] = soak(asked)
    else:
        found = {detector: compare(asked, detector) for detector in DETECTORS}
    seen = capture()
    print(
        json.dumps(
            {
                "benchmark": "serve_load",
                "threads": asked.threads,
                **found,
                "cpu": seen.processor,
                "packages": seen.packages,
            }
        )
    )


if __name__ == "__main__":
    main()
