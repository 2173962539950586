"""The dashboard's server: what it says when it starts and when it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from camera_fixtures import Watched

from benchmarks.harness.dashboard import ROOT, Server, free_port, how_it_ended


def test_on_a_desktop_the_first_start_asks_for_nothing(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}"]
    desktop = {"HOME": str(tmp_path), "DISPLAY": ":0", "BROWSER": "true"}
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | desktop, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            said = [line for line, _ in zip(process.stdout, range(4), strict=False)]
        finally:
            process.kill()
    assert " ".join("".join(said).split()) == (
        f"You can now view your Streamlit app in your browser. URL: http://localhost:{port}"
    )


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("print('so long', flush=True); raise SystemExit(3)", "ended with exit code 3"),
        ("import os; print('so long', flush=True); os.abort()", "was killed by SIGABRT"),
    ],
)
def test_who_waits_for_a_server_that_has_ended_hears_how(script: str, expected: str) -> None:
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-c", script], stdout=said, stderr=said)
        process.wait(timeout=60)
        server = Server(address="http://127.0.0.1:1", process=process, said=said)
        watched = Watched(page=None, visit=None, server=server)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match=f"{expected}; its last words: so long"):
            watched.wait_for_workers(1)


WORKING = """
import signal, threading, time
from benchmarks.harness.loopback import say_threads
signal.signal(signal.SIGUSR1, say_threads)
threading.Thread(target=time.sleep, args=(600,), name="live", daemon=True).start()
busy = [threading.Thread(target=lambda: [sum(range(99)) for _ in iter(int, 1)], daemon=True)]
busy[0].start()
print("ready", flush=True)
time.sleep(600)
"""


def test_workers_are_counted_a_hundred_times_beside_a_busy_thread() -> None:
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([sys.executable, "-c", WORKING], stdout=said, stderr=said)
        try:
            server = Server(address="http://127.0.0.1:1", process=process, said=said)
            watched = Watched(page=None, visit=None, server=server)  # type: ignore[arg-type]
            while "ready" not in server.output():
                server.require_alive()
            assert {watched.workers() for _ in range(100)} == {1}
            server.require_alive()
        finally:
            process.kill()
            process.wait(timeout=60)
        assert how_it_ended(process.returncode) == "was killed by SIGKILL"
