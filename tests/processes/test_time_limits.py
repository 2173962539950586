"""A test that never ends fails alone: its fixtures are given up too, and the run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HANGING = """
import time
import pytest

@pytest.fixture(scope="module")
def shared():
    yield
    print("the module's fixture ended")

@pytest.fixture
def first(shared):
    yield
    while True:
        time.sleep(0.01)

@pytest.fixture
def second(first):
    yield
    while True:
        time.sleep(0.01)

def test_waits(second):
    while True:
        time.sleep(0.01)

def test_goes_on():
    pass
"""


def test_a_hanging_test_and_its_fixtures_leave_the_run(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING)
    tests = Path(__file__).parents[1]
    words = ["-n", "0", "-p", "no:cacheprovider", "-p", "time_limits", "-s", "--timeout", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "PYTHONPATH": str(tests / "fixtures")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "1 failed, 1 passed, 1 error" in done.stdout
    assert "the module's fixture ended" in done.stdout
