"""The fetching of detectors' networks, from a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from command_fixtures import Fer

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.network_file import NETWORK_FILES, NetworkFile

CONTENT = bytes(range(256)) * 200


class Server:
    """Answers every request on this machine with `content`, of which `sent` bytes arrive."""

    def __init__(self, content: bytes) -> None:
        self.content, self.sent, self.status, self.requests = content, len(content), 200, 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                self.send_response(server.status)
                self.send_header("Content-Length", str(len(server.content)))
                self.end_headers()
                self.wfile.write(server.content[: server.sent])

            def log_message(self, *_: object) -> None:
                """Tests stay quiet."""

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/network"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    here = Server(CONTENT)
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    thread = threading.Thread(target=here.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield here
    here.http.shutdown()
    thread.join(60)
    assert not thread.is_alive(), "the server did not end"
    here.http.server_close()


@pytest.fixture(params=NETWORK_FILES)
def file(request: pytest.FixtureRequest, server: Server) -> NetworkFile:
    """Each published file, with the server's content pinned in its place."""
    return replace(
        NETWORK_FILES[request.param],
        url=server.url,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )


def left_behind(file: NetworkFile) -> list[str]:
    return [path.name for path in file.path.parent.glob("*")]


def test_fetched_once_and_then_used(server: Server, file: NetworkFile) -> None:
    figures: list[tuple[int, int]] = []

    path = file.fetch(lambda stage, done, total, named: figures.append((done, total)))

    assert path == file.path
    assert file.fetch() == path
    assert server.requests == 1
    assert figures[-1] == (len(server.content), len(server.content))
    assert left_behind(file) == [file.file_name]
    assert file.read() == CONTENT


def test_a_changed_file_is_fetched_again(server: Server, file: NetworkFile) -> None:
    file.fetch().write_bytes(b"changed")
    assert file.fetch().read_bytes() == server.content


@pytest.mark.parametrize(
    "other",
    [lambda right: right[:-1] + b"?", lambda right: right + b"more"],
    ids=["same size", "longer"],
)
def test_another_file_is_not_kept(server: Server, file: NetworkFile, other: object) -> None:
    server.content = other(server.content)  # type: ignore[operator]
    server.sent = len(server.content)
    with pytest.raises(FerBenchError, match="sent another file than expected"):
        file.fetch()
    assert left_behind(file) == []


def test_half_a_file_is_not_kept(server: Server, file: NetworkFile) -> None:
    server.sent //= 2
    with pytest.raises(FerBenchError, match=r"(ended after|could not be fetched)"):
        file.fetch()
    assert left_behind(file) == []


def test_an_error_of_the_server_is_told(server: Server, file: NetworkFile) -> None:
    server.status = 404
    with pytest.raises(FerBenchError, match=r"could not be fetched from .*Not Found; check"):
        file.fetch()


def test_no_connection_is_told(file: NetworkFile) -> None:
    unused = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    unused.server_close()
    file = replace(file, url=f"http://127.0.0.1:{unused.server_port}/network")
    with pytest.raises(FerBenchError, match=r"could not be fetched from .*refused; check"):
        file.fetch()


def test_a_place_that_cannot_be_written_is_told(
    server: Server, file: NetworkFile, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match=r"cannot keep .*'s network at .*FER_BENCH_CACHE"):
        file.fetch()


def test_the_command_fetches_and_says_where(
    file: NetworkFile, monkeypatch: pytest.MonkeyPatch, fer: Fer
) -> None:
    monkeypatch.setitem(NETWORK_FILES, file.detector, file)
    assert fer(*file.command.split()[3:])[:2] == (0, f"{file.path}\n")


def test_an_unknown_file_is_answered_with_near_names(fer: Fer) -> None:
    code, _, err = fer("fetch", "yunnet")
    assert code == 2
    assert "did you mean 'yunet'" in err


def test_a_missing_file_is_told_with_its_command(file: NetworkFile) -> None:
    with pytest.raises(FerBenchError, match=rf"needs its network, .*`{file.command}`"):
        file.read()


def test_pins_are_the_publishers() -> None:
    """The digest and size in the OpenCV zoo's Git LFS pointer, and of MediaPipe's version 1."""
    pins = {name: (file.sha256, file.size) for name, file in NETWORK_FILES.items()}
    assert pins == {
        "yunet": ("8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4", 232_589),
        "mediapipe": ("b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f", 229_746),
    }
    assert all(file.url.startswith("https://") for file in NETWORK_FILES.values())
    assert all(file.url.endswith(f"/{file.file_name}") for file in NETWORK_FILES.values())
