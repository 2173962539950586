"""What a file is that is not of the kind asked for, by how it begins."""

from __future__ import annotations

from pathlib import Path

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
