"""The dashboard as a visitor meets it: a fresh server, and Chromium without a window."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
#: Only the page under test may speak: no updates, no telemetry, no QUIC past the proxy.
CHROMIUM_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SERVER_STARTS_WITHIN = 120.0
#: Seconds that a process has to end after it was told to, and again after it was killed.
ENDS_WITHIN = 20.0
#: How much of what a server said stands in the sentence about its end.
LAST_WORDS = 2000
#: Drawn for good: nothing runs, nothing waits, nothing of an earlier run is still shown.
SETTLED = """() => {
    const app = document.querySelector('[data-testid="stApp"]');
    return app?.dataset.testScriptState === 'notRunning'
        && document.querySelector('h1')
        && !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]');
}"""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True, kw_only=True)
class Server:
    """A dashboard's process; what it said so far lies in an open file."""

    address: str
    process: subprocess.Popen[bytes]
    said: IO[str]

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def require_alive(self) -> None:
        """What everyone who waits for a server looks at meanwhile.

        Raises:
            RuntimeError: it has ended; says how, and its last words.
        """
        code = self.process.poll()
        if code is not None:
            words = self.output()[-LAST_WORDS:].strip()
            raise RuntimeError(f"the dashboard {how_it_ended(code)}; its last words: {words}")

    def output(self) -> str:
        """What it said on stdout and stderr."""
        size = os.fstat(self.said.fileno()).st_size
        return os.pread(self.said.fileno(), size, 0).decode(errors="replace")


def how_it_ended(code: int) -> str:
    """A process's exit status in words: `ended with exit code 1`, `was killed by SIGSEGV`."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"was killed by {signal.Signals(-code).name}"


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[str]:
    """A fresh `streamlit run app.py` with these variables; yields its address, ends with the block.

    Raises:
        RuntimeError: the server ended, or did not answer in time; with what it said.
    """
    with running(environment) as server:
        yield server.address


@contextmanager
def running(environment: Mapping[str, str], module: str = "streamlit") -> Iterator[Server]:
    """As `serving`; `module` may be another that takes Streamlit's arguments.

    Raises:
        RuntimeError: the server ended, or did not answer in time; with what it said.
    """
    port = free_port()
    command = [sys.executable, "-m", module, "run", "app.py"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}", "--server.headless=true"]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=said, stderr=said
        )
        try:
            server = Server(address=f"http://127.0.0.1:{port}", process=process, said=said)
            _wait_for_answer(server)
            yield server
        finally:
            _end(process)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=ENDS_WITHIN)
    except subprocess.TimeoutExpired:  # seen once in some forty, on a busy machine
        server.kill()
        server.wait(timeout=ENDS_WITHIN)


def _wait_for_answer(server: Server) -> None:
    deadline = time.monotonic() + SERVER_STARTS_WITHIN
    while time.monotonic() < deadline:
        server.require_alive()
        try:
            with urlopen(f"{server.address}/_stcore/health", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(
        f"the dashboard did not answer within {SERVER_STARTS_WITHIN:.0f} s; it said: "
        f"{server.output()[-LAST_WORDS:].strip()}"
    )


def find_chromium() -> str | None:
    """Where Chromium lies; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """A fresh Chromium process without a window, with more arguments if need be.

    Raises:
        RuntimeError: Chromium is not installed.
    """
    program = find_chromium()
    if program is None:
        raise RuntimeError("Chromium is missing: install the package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=[*CHROMIUM_ARGUMENTS, *arguments]
        )
        try:
            yield browser
        finally:
            browser.close()


def settle(page: Page) -> None:
    """Waits until the page's script has run and everything of it is drawn."""
    page.wait_for_function(SETTLED)
