"""Arrays that took long to compute, cached by what they were computed from.

A cache that cannot be read or written costs time, never a result.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.settings import cache_dir
from fer_bench.storage import key_of, write_if_possible

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
    file = cache_dir() / "explain" / f"{kind}-{key_of([SCHEMA, *facts])}.npz"
    try:
        # Read whole: an archive's members are checked only as they are read.
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        arrays = compute()
    content = BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    write_if_possible(file, content.getvalue())
    return arrays
