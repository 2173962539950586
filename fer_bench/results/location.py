"""Where results are: a folder, or a URL that a folder follows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.results.remote import RemoteResults
from fer_bench.storage import write_atomically
from fer_bench.urls import is_url, shown, split_addresses

#: By folder: paths are what the rest of the program hands around.
_mirrors: dict[Path, RemoteResults] = {}


def local_folder(address: str, cache: Path, *, every: float = 0) -> Path:
    """The folder of the results at a path or a URL; of a URL, with what is new there.

    Args:
        cache: where the folders lie that follow URLs.
        every: a URL is not asked again within so many seconds.

    Raises:
        FerBenchError: a URL that cannot be opened or read.
    """
    if not is_url(address):
        return Path(address)
    if address.startswith(("file://", "local://")):
        return Path(address.partition("://")[2])
    words = re.sub(r"[^A-Za-z0-9]+", "-", shown(address)).strip("-")[:60]
    digest = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:12]
    folder = cache.resolve() / f"{words}-{digest}"
    if folder not in _mirrors:
        _mirrors[folder] = RemoteResults(address, folder)
    _mirrors[folder].pull(every=every)
    return folder


def mirror_of(path: Path) -> RemoteResults | None:
    """The mirror whose folder a path lies in or is; None for a plain path."""
    return next((m for folder, m in _mirrors.items() if path.is_relative_to(folder)), None)


def address_of(folder: Path) -> str:
    """The URL that a results folder follows, else its absolute path; to be opened elsewhere."""
    mirror = mirror_of(folder)
    return mirror.url if mirror else str(folder.resolve())


def local_folders(addresses: str, cache: Path, *, every: float = 0) -> list[Path]:
    """The folders of several addresses with `os.pathsep` between them, as `local_folder` of each.

    Raises:
        FerBenchError: as `local_folder`.
    """
    several = [addresses] if Path(addresses).exists() else split_addresses(addresses)
    return [local_folder(one, cache, every=every) for one in several or [addresses]]


def shown_location(folder: Path) -> str:
    """What messages call a results folder: the URL that it follows, else its path."""
    mirror = mirror_of(folder)
    return shown(mirror.url) if mirror else str(folder)


def is_stored(path: Path) -> bool:
    """Whether a file is there, perhaps at the URL only."""
    mirror = mirror_of(path)
    return path.is_file() or (mirror is not None and mirror.has(path))


def fetch(paths: Iterable[Path]) -> None:
    """Brings files that are at the URL only.

    Raises:
        FerBenchError: the URL cannot be read.
    """
    for path in paths:
        mirror = mirror_of(path)
        if mirror is not None:
            mirror.fetch(path)


def discard(path: Path) -> None:
    """Removes a file, if it is there, at the URL too.

    Raises:
        OSError: it cannot be removed.
        FerBenchError: the URL cannot be written.
    """
    mirror = mirror_of(path)
    if mirror is None:
        path.unlink(missing_ok=True)
    else:
        mirror.discard(path)


@contextmanager
def publishing(files: Mapping[Path, Path]) -> Iterator[None]:
    """See `RemoteResults.publishing`; of plain paths, the block alone.

    Args:
        files: all of one results folder.
    """
    mirror = next((m for m in map(mirror_of, files) if m is not None), None)
    if mirror is None:
        yield
    else:
        with mirror.publishing(files):
            yield


@contextmanager
def saving_results(
    what: str, folder: Path, way_out: str = "choose another results folder"
) -> Iterator[None]:
    """A block that writes to a results folder, and says in words why a disk refuses.

    Args:
        what: the file or the run that is saved.
        way_out: what helps besides more space.

    Raises:
        FerBenchError: a disk that is full or not writable.
    """
    try:
        yield
    except OSError as error:
        raise FerBenchError(
            f"could not save {what} in {folder}: {error.strerror}; free some space or {way_out}, "
            "then run it again"
        ) from None


def write_results(files: Mapping[Path, bytes]) -> None:
    """Writes files of one results folder whole; those of a URL go there before they are renamed.

    Raises:
        OSError: a disk that is full or not writable; the old files are all as they were.
        FerBenchError: likewise, where the URL cannot be written.
    """
    write_atomically(files, publishing, parents=True)
