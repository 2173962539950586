"""Garbage collection rests while a command imports, and only then."""

from __future__ import annotations

import gc

import pytest

from fer_bench.cli.imports import quick_imports


def test_collection_rests_during_imports_and_goes_on_after_them() -> None:
    with quick_imports():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collection_goes_on_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), quick_imports():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
