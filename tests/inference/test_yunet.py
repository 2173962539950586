"""YuNet by a stand-in network with its inputs and outputs, and the fetching of its file."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import face_fixtures
import numpy as np
import pytest
from numpy.typing import NDArray

from fer_bench.cli import main as cli
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors import yunet
from fer_bench.inference.detectors.base import DetectedFace
from fer_bench.inference.detectors.yunet import YuNetDetector, fetch_yunet


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_fixtures.write_stand_in(tmp_path_factory.mktemp("yunet"))


def with_block(
    left: int, top: int, *, side: int = 32, colour: tuple[int, int, int] = (0, 0, 255),
    size: tuple[int, int] = (320, 256),
) -> NDArray[np.uint8]:  # fmt: skip
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[top : top + side, left : left + side] = colour
    return image


#: The square with the area of 32 x 64 about (96, 64).
BLOCK_BOX = (73, 41, 45, 45)


def test_yunet_boxes_are_squared_and_have_scores_and_eyes(stand_in: Path) -> None:
    found = YuNetDetector(stand_in).detect(with_block(96, 64))
    assert found == [
        DetectedFace(box=BLOCK_BOX, score=pytest.approx(1.0), eyes=((88.0, 64.0), (104.0, 72.0)))
    ]


def test_yunet_gets_blue_green_red(stand_in: Path) -> None:
    assert YuNetDetector(stand_in).detect(with_block(96, 64, colour=(255, 255, 0))) == []


def test_yunet_takes_gray(stand_in: Path) -> None:
    (face,) = YuNetDetector(stand_in).detect(with_block(96, 64)[..., 2])
    assert face.box == BLOCK_BOX


def test_yunet_scales_back_to_a_large_image(stand_in: Path) -> None:
    image = with_block(384, 256, side=128, size=(2560, 2048))
    (face,) = YuNetDetector(stand_in).detect(image)
    assert face.box == tuple(4 * value for value in BLOCK_BOX)
    assert face.eyes == ((352.0, 256.0), (416.0, 288.0))


def test_yunet_takes_frames_of_changing_size(stand_in: Path) -> None:
    detector = YuNetDetector(stand_in)
    sizes = [(320, 256), (200, 130), (100, 290), (320, 256)]
    assert [len(detector.detect(with_block(32, 64, size=size))) for size in sizes] == [1, 1, 1, 1]


def test_yunet_drops_faint_faces(stand_in: Path) -> None:
    detector = YuNetDetector(stand_in)
    scores = [
        [face.score for face in detector.detect(with_block(96, 64, colour=(0, 0, blue)))]
        for blue in (170, 204)
    ]
    assert scores == [[], [pytest.approx(0.8)]]


def test_yunet_gives_several_faces_without_overlap(stand_in: Path) -> None:
    image = np.maximum(with_block(32, 64), with_block(256, 192))
    image[96:128, 32:64] = (0, 0, 210)  # below the first, and fainter
    found = YuNetDetector(stand_in).detect(image)
    assert [face.box[:2] for face in found] == [(9, 41), (233, 169)]


def test_yunet_says_where_its_network_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    with pytest.raises(
        FerBenchError, match=r"needs its network, expected at .*fer_bench fetch yunet"
    ):
        YuNetDetector()


def test_yunet_refuses_a_changed_file_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stand_in: Path
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path))
    file = yunet.yunet_file()
    file.parent.mkdir()
    file.write_bytes(stand_in.read_bytes())
    with pytest.raises(FerBenchError, match=r"is not the network that was fetched .* fetch it"):
        YuNetDetector()


def test_yunet_says_that_a_given_path_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FerBenchError, match=r"none\.onnx cannot be read: No such file"):
        YuNetDetector(tmp_path / "none.onnx")


@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_yunet_says_that_a_given_file_is_damaged(
    tmp_path: Path, stand_in: Path, damage: str
) -> None:
    whole = stand_in.read_bytes()
    content = {"empty": b"", "text": b"not a network", "half": whole[: len(whole) // 2]}[damage]
    file = tmp_path / "bad.onnx"
    file.write_bytes(content)
    with pytest.raises(FerBenchError, match=r"in .*bad\.onnx, got a file that OpenCV"):
        YuNetDetector(file)


# Fetching YuNet


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
        self.url = f"http://127.0.0.1:{self.http.server_port}/yunet.onnx"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stand_in: Path) -> Iterator[Server]:
    """A server of the stand-in, which is pinned in YuNet's place."""
    content = stand_in.read_bytes()
    here = Server(content)
    monkeypatch.setattr(yunet, "URL", here.url)
    monkeypatch.setattr(yunet, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(yunet, "SIZE", len(content))
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    thread = threading.Thread(target=here.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield here
    here.http.shutdown()
    thread.join(60)
    assert not thread.is_alive(), "the server did not end"
    here.http.server_close()


def left_behind() -> list[str]:
    return [file.name for file in yunet.yunet_file().parent.glob("*")]


def test_fetched_once_and_then_used(server: Server) -> None:
    figures: list[tuple[int, int]] = []

    file = fetch_yunet(lambda stage, done, total, named: figures.append((done, total)))

    assert file == yunet.yunet_file()
    assert fetch_yunet() == file
    assert server.requests == 1
    assert figures[-1] == (len(server.content), len(server.content))
    assert left_behind() == [yunet.FILE_NAME]
    assert [face.box for face in YuNetDetector().detect(with_block(96, 64))] == [BLOCK_BOX]


def test_a_changed_file_is_fetched_again(server: Server) -> None:
    fetch_yunet().write_bytes(b"changed")
    assert fetch_yunet().read_bytes() == server.content


@pytest.mark.parametrize(
    "other",
    [lambda right: right[:-1] + b"?", lambda right: right + b"more"],
    ids=["same size", "longer"],
)
def test_another_file_is_not_kept(server: Server, other: object) -> None:
    server.content = other(server.content)  # type: ignore[operator]
    server.sent = len(server.content)
    with pytest.raises(FerBenchError, match="sent another file than expected"):
        fetch_yunet()
    assert left_behind() == []


def test_half_a_file_is_not_kept(server: Server) -> None:
    server.sent //= 2
    with pytest.raises(FerBenchError, match=r"(ended after|could not be fetched)"):
        fetch_yunet()
    assert left_behind() == []


def test_an_error_of_the_server_is_told(server: Server) -> None:
    server.status = 404
    with pytest.raises(FerBenchError, match=r"could not be fetched from .*Not Found; check"):
        fetch_yunet()


def test_no_connection_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    unused = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    unused.server_close()
    monkeypatch.setattr(yunet, "URL", f"http://127.0.0.1:{unused.server_port}/yunet.onnx")
    with pytest.raises(FerBenchError, match=r"could not be fetched from .*refused; check"):
        fetch_yunet()


def test_a_place_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match=r"cannot keep YuNet's network at .*FER_BENCH_CACHE"):
        fetch_yunet()


def fer(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fer_bench", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_fetches_and_says_where(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fer(monkeypatch, *yunet.FETCH.split()[3:]) == 0
    assert capsys.readouterr().out == f"{yunet.yunet_file()}\n"
    assert fer(monkeypatch, "fetch", "yunnet") == 2
    assert "did you mean 'yunet'" in capsys.readouterr().err


def test_the_pin_is_opencv_zoos() -> None:
    """The digest and size in the zoo's Git LFS pointer."""
    assert yunet.SHA256 == "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
    assert yunet.SIZE == 232_589
    assert yunet.URL.startswith("https://")
