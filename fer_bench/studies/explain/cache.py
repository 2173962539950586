"""Arrays that took long to compute, cached by what they were computed from.

A cache that cannot be read or written costs time, never a result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.settings import cache_dir
from fer_bench.storage import write_atomically

#: Raised whenever something cached is computed in another way, so that old files are not used.
SCHEMA = 2

Arrays = Mapping[str, NDArray[Any]]


def cached_arrays(kind: str, facts: Sequence[object], compute: Callable[[], Arrays]) -> Arrays:
    """The arrays that `compute` gives, from the cache where it has them.

    One `.npz` per entry, never pickled, renamed into place when it is whole; its checksums are
    compared when it is read, and a damaged one is computed again.

    Args:
        kind: what it is, part of the file's name.
        facts: everything that the arrays depend on, as JSON knows it.
    """
    key = hashlib.sha256(json.dumps([SCHEMA, *facts]).encode()).hexdigest()[:32]
    file = cache_dir() / "explain" / f"{kind}-{key}.npz"
    try:
        # Read whole: an archive's members are checked only as they are read.
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        arrays = compute()
    content = BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically({file: content.getvalue()})
    return arrays


def digest_of(*arrays: NDArray[Any]) -> str:
    """SHA-256 over arrays' types, shapes and values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
