"""What every test shares: its own cache folder and one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

# Read when torch is first imported, here and in the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FER_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
