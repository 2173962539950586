"""The machine behind a number, described on systems of every kind."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

import fer_bench
from fer_bench import environment
from fer_bench.environment import capture, share_cores


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


@pytest.mark.parametrize(("chosen", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_a_server_leaves_the_cores_to_others_unless_its_user_chose_otherwise(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, policy: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", chosen or "")
    if chosen is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == policy


def test_a_checkout_without_git_has_no_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".git").touch()
    monkeypatch.setattr(fer_bench, "__file__", str(tmp_path / "fer_bench" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.git_commit() is None
