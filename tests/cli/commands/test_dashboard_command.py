"""The commands `app` and `live`: what is started, who gets in, and by which certificate."""

from __future__ import annotations

import json
import os
import re
import runpy
import ssl
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_fixtures import Fer
from cryptography import x509
from model_fixtures import SECOND_RUN, save_models
from numpy.typing import NDArray
from page_fixtures import APP
from streamlit.testing.v1 import AppTest

from fer_bench.api import sharing
from fer_bench.cli import main as cli
from fer_bench.environment import dashboard_folder
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.inference.live.window import watch
from fer_bench.inference.load import load

ROOT = Path(__file__).parents[3]
LAN = "192.168.7.9"
Start = Callable[..., tuple[list[str], str, str]]


@pytest.fixture
def start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Runs `app WORDS` without a server; gives Streamlit's command line, stdout and stderr."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    for name in ("FER_BENCH_RESULTS", "FER_BENCH_TOKEN", "FER_BENCH_ADDRESS"):
        monkeypatch.setenv(name, "")  # restored afterwards, whatever the command sets
        monkeypatch.delenv(name)
    monkeypatch.setattr(sharing, "lan_address", lambda: LAN)
    started: list[str] = []
    monkeypatch.setattr(runpy, "run_module", lambda *_, **__: started.extend(sys.argv))

    def call(*words: str) -> tuple[list[str], str, str]:
        monkeypatch.setattr(sys, "argv", ["fer_bench", "app", *words])
        with pytest.raises(SystemExit):
            cli.main()
        return started, *capsys.readouterr()

    return call


# What is started


def test_the_dashboard_is_for_this_machine_unless_it_is_asked_otherwise(start: Start) -> None:
    command, text, _ = start("--port", "8599")
    assert command[:3] == ["streamlit", "run", str(ROOT / "app.py")]
    assert {"--server.address=localhost", "--server.port=8599"} <= set(command)
    assert text == "dashboard      http://localhost:8599\n"
    assert "FER_BENCH_TOKEN" not in os.environ


def test_other_devices_need_the_token_and_find_it_in_the_code(start: Start) -> None:
    command, text, _ = start("--lan", "--https", "--port", "8599")
    assert "--server.address=0.0.0.0" in command
    token = os.environ["FER_BENCH_TOKEN"]
    assert len(token) >= 16
    shared = f"https://{LAN}:8599/?token={token}"
    assert os.environ["FER_BENCH_ADDRESS"] == shared
    assert f"dashboard      https://localhost:8599/?token={token}\n" in text
    assert f"other devices  {shared}\n" in text
    assert sum("█" in line or "▀" in line or "▄" in line for line in text.splitlines()) > 15


def test_without_https_other_devices_have_no_camera_and_it_is_said(start: Start) -> None:
    _, text, _ = start("--lan", "--port", "8599")
    assert "without --https, they cannot use their cameras" in text


def test_a_given_token_is_taken(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FER_BENCH_TOKEN", "from the variable")
    start("--token", "mine", "--port", "8599")
    assert os.environ["FER_BENCH_TOKEN"] == "mine"


def test_json_says_where_it_is(start: Start) -> None:
    _, text, _ = start("--lan", "--https", "--port", "8599", "--token", "mine", "--json")
    document = json.loads(text)
    assert document["address"] == "https://localhost:8599/?token=mine"
    assert document["shared"] == f"https://{LAN}:8599/?token=mine"
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", document["fingerprint"])


def test_without_results_the_shipped_ones_are_shown(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    start("--port", "8599")
    assert os.environ["FER_BENCH_RESULTS"] == str(dashboard_folder() / "results")
    (tmp_path / "results").mkdir()
    monkeypatch.delenv("FER_BENCH_RESULTS")
    start("--port", "8599")
    assert os.environ["FER_BENCH_RESULTS"] == str(tmp_path / "results")


def test_a_taken_port_is_one_sentence(start: Start) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        command, _, err = start("--port", str(taken.getsockname()[1]))
    assert command == []
    assert "choose another with --port" in err


def test_a_machine_in_no_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "ELSEWHERE", ("127.0.0.1", 9))
    with pytest.raises(FerBenchError, match="is in no network: join one, or leave --lan out"):
        sharing.lan_address()


# The certificate


def test_a_certificate_is_for_its_addresses_and_is_used_again(tmp_path: Path) -> None:
    first = sharing.make_certificate(("localhost", LAN), tmp_path)
    assert stat.S_IMODE(first.key.stat().st_mode) == 0o600
    known = x509.load_pem_x509_certificate(first.certificate.read_bytes())
    names = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", LAN]
    assert sharing.make_certificate(("localhost", LAN), tmp_path) == first
    assert sharing.make_certificate(("localhost",), tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize("damaged", ["certificate", "key"])
def test_a_damaged_certificate_is_made_again(damaged: str, tmp_path: Path) -> None:
    first = sharing.make_certificate(("localhost",), tmp_path)
    getattr(first, damaged).write_bytes(b"damaged")
    second = sharing.make_certificate(("localhost",), tmp_path)
    assert second.fingerprint != first.fingerprint
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(second.certificate, second.key)


def test_a_certificate_that_cannot_be_kept_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FerBenchError, match="set FER_BENCH_CACHE to another folder"):
        sharing.make_certificate(("localhost",), tmp_path / "file")


# Who gets in


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.setenv("FER_BENCH_TOKEN", "secret")
    return AppTest.from_file(APP, default_timeout=120)


def titles(app: AppTest) -> list[str]:
    return [title.value for title in (*app.title, *app.header)]


def test_a_visitor_without_the_token_sees_nothing_but_the_question(guarded: AppTest) -> None:
    guarded.run()
    assert titles(guarded) == ["This dashboard asks for a token"]
    guarded.text_input[0].set_value("wrong").run()
    assert titles(guarded) == ["This dashboard asks for a token"]
    assert "That is not the token" in guarded.error[0].value
    guarded.text_input[0].set_value("secret").run()
    assert titles(guarded)[0] == "FER Bench"


@pytest.mark.parametrize(("token", "is_in"), [("secret", True), ("wrong", False), ("é", False)])
def test_the_token_may_stand_in_the_address(token: str, is_in: bool, guarded: AppTest) -> None:
    guarded.query_params["token"] = token
    guarded.run()
    assert ("FER Bench" in titles(guarded)) == is_in
    assert bool(guarded.error) == (not is_in)


# The window


class Recorded:
    """Three frames, and what was shown."""

    def __init__(self, wanted: int) -> None:
        self.frames = [np.full((120, 160, 3), value, np.uint8) for value in (10, 90, 200)]
        self.shown: list[NDArray[np.uint8]] = []
        self._wanted = wanted

    def read(self) -> NDArray[np.uint8] | None:
        return self.frames.pop(0) if self.frames else None

    def show(self, image: NDArray[np.uint8]) -> bool:
        self.shown.append(image)
        return len(self.shown) < self._wanted


def test_the_window_shows_frames_until_it_is_closed(tmp_path: Path) -> None:
    save_models(tmp_path, SECOND_RUN)
    predictor = load(results=tmp_path, backend="torch-fp32")
    window = Recorded(wanted=2)
    watch(window, predictor, mirror=False)
    assert [image[-1, -1].tolist() for image in window.shown] == [[10] * 3, [90] * 3]
    with pytest.raises(RunFailed, match="the camera sends no more pictures"):
        watch(Recorded(wanted=9), predictor, mirror=False)


def test_without_windows_the_page_is_named(fer: Fer) -> None:
    code, _, err = fer("live")
    assert code == 2
    assert "use `python -m fer_bench app` and its page Live" in err
