"""The one error type users see: what was expected, what came, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

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

#: What is not printed: control characters and marks that turn the direction of text.
UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")
#: What scripts and clients of the API tell errors apart by (the table in docs/guides/serving.md).
Code = Literal[
    "bad_input", "unknown_name", "missing_file", "bad_data", "bad_picture", "bad_config",
    "bad_results", "bad_model", "missing_extra", "unavailable", "run_failed",
    # of the API alone
    "bad_form", "bad_field", "no_form", "unauthorized", "unknown_address", "wrong_method",
    "too_slow", "too_large", "busy", "not_ready", "server_fault",
]  # fmt: skip
#: How files begin that downloads leave in another's place.
_BEGINNINGS = (
    (
        b"version https://git-lfs.github.com/",
        "is a Git LFS pointer, not the file itself: fetch that with `git lfs pull`",
    ),
    (b"<!doctype", "is a web page: its download failed, download it again"),
    (b"<html", "is a web page: its download failed, download it again"),
    (b"<?xml", "is an XML file, as failed downloads leave it: download it again"),
    (b"\x89hdf\r\n\x1a\n", "is an HDF5 file, as Keras writes them"),
)
_LONGEST = 64


class FerBenchError(Exception):
    """Something the user can mend; shown as one sentence, never as a traceback.

    Attributes:
        code: what kind of error it is; the same in every release, unlike the sentence.
        exit_code: of a command that it ends.
        expected: how its sentence ends; whoever shows it may say the same more shortly.

    Args:
        sentence: without what was expected, where that is given.
        code: where it is another one than the class's.
    """

    code: Code = "bad_input"
    exit_code = 2
    #: Whether every process of a run raises it (`fer_bench.distributed`).
    shared = False

    def __init__(self, sentence: str, *, code: Code | None = None, expected: str = "") -> None:
        super().__init__(sentence)
        self.code = code or self.code
        self.expected = expected

    def __str__(self) -> str:
        return printable(": ".join(filter(None, (super().__str__(), self.expected))))


class RunFailed(FerBenchError):
    """The work itself failed (not its input): exit code 1."""

    code: Code = "run_failed"
    exit_code = 1


@contextmanager
def coded(code: Code) -> Iterator[None]:
    """A block or function whose errors have this code, but for those that have one of their own.

    Raises:
        FerBenchError: what the block raised.
    """
    try:
        yield
    except FerBenchError as error:
        if error.code == FerBenchError.code:
            error.code = code
        raise


def missing_extra(error: ModuleNotFoundError) -> FerBenchError | None:
    """What to install where a package is missing that an extra brings; None for any other."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return FerBenchError(
                f"this needs the package {package}, which is not installed: "
                f"pip install 'fer-bench[{extra}]'",
                code="missing_extra",
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


def printable(text: str) -> str:
    """Foreign text without line breaks, control characters and marks of direction."""
    return UNPRINTED.sub(" ", text)


def one_line(text: str) -> str:
    """As `printable`, with single spaces only."""
    return " ".join(printable(text).split())


def unknown_name(what: str, name: str, known: Iterable[str]) -> FerBenchError:
    """The error of an unknown name, with the near ones.

    Args:
        what: is named so, such as `model`.
    """
    sentence = f"unknown {what} {name!r:.160}: {suggest(name, known)}"
    return FerBenchError(sentence, code="unknown_name")


def cannot_read(path: object, error: OSError) -> FerBenchError:
    """The error of a file or folder that the system does not give."""
    sentence = f"cannot read {path}: {error.strerror or error}"
    if isinstance(error, FileNotFoundError) and isinstance(path, Path):
        sentence = "; ".join(filter(None, (sentence, near_names(path))))
    return FerBenchError(sentence, code="missing_file")


def near_names(path: Path) -> str:
    """`did you mean 'faces.zip'?` of what stands in a missing file's folder; empty for none near.

    A folder that is missing itself is named.
    """
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except FileNotFoundError:
        return f"there is no folder {path.parent.name}"
    except OSError:
        return ""
    return _did_you_mean(path.name, names)


def wrong_kind(path: Path) -> str | None:
    """What a file plainly is instead of data, and what to do: `is empty: ...`; None for others."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST)
    except OSError:
        return None
    if not start:
        return "is empty: copy or download it again"
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((words for begins, words in _BEGINNINGS if start.startswith(begins)), None)


def suggest(name: str, known: Iterable[str]) -> str:
    """A tail for "unknown name" errors: the near names, or all of them when none is near."""
    names = sorted(known)
    return _did_you_mean(name, names) or f"known: {', '.join(names)}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""
