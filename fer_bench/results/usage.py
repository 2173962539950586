"""What one can do with a trained run, each as something to copy with the run's name filled in."""

from __future__ import annotations

import shlex
from typing import NamedTuple


class Usage(NamedTuple):
    """One way to use a run: what it is for, and the lines to copy."""

    purpose: str
    code: str
    language: str = "bash"


def fer_bench_command(words: str, results: str | None = None) -> str:
    """`python -m fer_bench WORDS`, on the results at a location that is not the usual one."""
    where = f" --results {shlex.quote(results)}" if results else ""
    return f"python -m fer_bench {words}{where}"


def usages(run: str, results: str | None = None) -> list[Usage]:
    """The ways to use the run called `run` by commands.

    Args:
        results: the results folder or URL, where it is not the one that commands look into unasked.
    """
    name = shlex.quote(run)
    loaded = f"{run!r}, results={results!r}" if results else repr(run)

    def command(words: str) -> str:
        return fer_bench_command(words, results)

    return [
        Usage("Name the faces in pictures and videos", command(f"predict {name} photo.jpg")),
        Usage(
            "From Python",
            "import fer_bench\n\n"
            f"predictor = fer_bench.load({loaded})\n"
            'for face in predictor.predict("photo.jpg").faces:\n'
            '    print(face.emotion, f"{face.score:.0%}")\n',
            "python",
        ),
        Usage("Behind an address", command(f"serve --run {name}")),
        Usage("As an ONNX file", command(f"export {name} --format onnx --out model.onnx")),
        Usage(
            "As a page that runs in the browser", command(f"export {name} --format web --out page")
        ),
        Usage("As a small Python program", command(f"export {name} --format python --out program")),
        Usage("How fast it is here", command(f"latency {name} --threads 1,2 --batch 1,8")),
        Usage(
            "How it does on your data", command(f"evaluate {name} --data YOUR_DATA --split test")
        ),
    ]
