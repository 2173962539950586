"""The one error type users see: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

#: Packages that only an extra brings, by the name that is imported (pyproject.toml).
EXTRAS = {
    "dashboard": ("streamlit", "streamlit_webrtc", "segno"),
    "serve": (
        "cryptography",
        "fastapi",
        "fastapi_offline",
        "multipart",
        "prometheus_client",
        "python_multipart",
        "starlette",
        "uvicorn",
    ),
    "fast": ("nncf", "onnx", "onnxruntime", "onnxscript", "openvino"),
    "explain": ("cleanlab",),
    "scale": ("mlflow", "ray", "s3fs", "tensorboard", "wandb"),
}


class FerBenchError(Exception):
    """Something the user can mend; shown as one sentence, never as a traceback."""

    exit_code = 2
    #: Whether every process of a run raises it (`fer_bench.distributed`).
    shared = False


class RunFailed(FerBenchError):
    """The work itself failed (not its input): exit code 1."""

    exit_code = 1


def missing_extra(error: ModuleNotFoundError) -> FerBenchError | None:
    """What to install where a package is missing that an extra brings; None for any other."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return FerBenchError(
                f"this needs the package {package}, which is not installed: "
                f"pip install 'fer-bench[{extra}]'"
            )
    return None


@contextmanager
def extra_needed() -> Iterator[None]:
    """Around the imports of what an extra brings.

    Raises:
        FerBenchError: it is not installed; says which extra to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from None


def one_line(text: str) -> str:
    """A text that came from a file, without its line breaks, for the middle of a sentence."""
    return " ".join(text.split())


def suggest(name: str, known: Iterable[str]) -> str:
    """A tail for "unknown name" errors: the near names, or all of them when none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(repr(n) for n in near)}?"
    return f"known: {', '.join(names)}"
