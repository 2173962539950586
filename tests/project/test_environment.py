"""The machine behind a number, described on systems of every kind."""

from __future__ import annotations

import os

import psutil
import pytest

from fer_bench import environment
from fer_bench.environment import capture


def test_memory_is_told_where_the_system_has_no_sysconf(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where every record would break."""
    monkeypatch.delattr(os, "sysconf")
    found = capture.__wrapped__()
    assert found.memory_gib == round(psutil.virtual_memory().total / 2**30, 1)


def test_without_cpuinfo_the_processor_has_its_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.Path, "exists", lambda path: False)
    monkeypatch.setattr(environment.platform, "processor", lambda: "Intel64 Family 6")
    found = environment.read_cpu()
    assert (found.name, found.flags, found.design) == ("Intel64 Family 6", frozenset(), None)
