"""`serve` as its users start, ask and stop it: a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from api_fixtures import BACKEND, api_results
from command_fixtures import Fer
from face_fixtures import SAMPLE
from model_fixtures import DEFAULT_RUN, save_models
from waiting_fixtures import PATIENCE_S, wait_until

from fer_bench.api import server
from fer_bench.api.settings import ServeSettings
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS

__all__ = ["api_results"]  # fixtures

ROOT = Path(__file__).parents[3]
COMMAND = (
    sys.executable,
    "-m",
    "fer_bench",
    "serve",
    "--backend",
    BACKEND,
    "--port",
    "0",
    "--json",
)


@contextmanager
def started(results: Path, *words: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of a ready server and its process, killed if it is still there at the end."""
    process = subprocess.Popen(
        [*COMMAND, "--results", str(results), *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        address = json.loads(said)["address"]
        wait_until(
            lambda: requests.get(f"{address}/healthz", timeout=60).status_code == 200, "healthy"
        )
        yield address, process
    finally:
        process.kill()
        process.communicate(timeout=60)


def ask(address: str, **headers: str) -> requests.Response:
    with SAMPLE.open("rb") as file:
        return requests.post(
            f"{address}/v1/predict", files={"files": file}, headers=headers, timeout=60
        )


def test_a_server_answers_and_sigterm_ends_it_with_exit_code_0(api_results):
    with started(api_results, FER_BENCH_TOKEN="secret") as (address, process):
        assert ask(address).status_code == 401
        answer = ask(address, Authorization="Bearer secret")
        assert answer.status_code == 200
        assert answer.json()["model"] == DEFAULT_RUN
        assert len(answer.json()["results"][0]["faces"]) == 1
        with requests.Session() as session:  # a connection that stays open holds nothing up
            session.get(f"{address}/healthz", timeout=60)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == f"serving at {address}; Ctrl-C ends it"
    assert any("POST /v1/predict 200" in line for line in lines)
    assert "Traceback" not in err
    assert "127.0.0.1" not in "".join(lines[1:])
    assert SAMPLE.name not in err


@pytest.fixture
def serve(fer: Fer) -> Fer:
    """Runs `python -m fer_bench serve ...` in this process; gives exit code, stdout and stderr."""
    return lambda *words: fer("serve", *words)


def test_a_port_in_use_is_a_sentence(serve, api_results):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = serve("--results", api_results, "--port", port)
    assert (code, out) == (2, "")
    assert f"cannot listen at 127.0.0.1, port {port}: Address already in use" in err
    assert err.count("\n") == 1


def test_answers_are_not_held_back_by_nagles_algorithm():
    with server.listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--run", "defualt"), "did you mean 'default'"),
        (("--detector", "har"), "did you mean 'haar'"),
        (("--host", "no.such.host.invalid"), "cannot listen at no.such.host.invalid"),
        (("--token", ""), "the token is empty"),
    ],
)
def test_wrong_words_are_a_sentence(serve, api_results, words, said):
    code, _, err = serve("--results", api_results, "--port", 0, *words)
    assert code == 2
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err


def test_weights_that_cannot_be_opened_end_the_server_with_a_sentence(tmp_path):
    save_models(tmp_path)
    (tmp_path / DEFAULT_RUN / WEIGHTS).write_bytes(b"broken")
    words = [*COMMAND, "--results", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "token", "warned"),
    [("0.0.0.0", None, True), ("0.0.0.0", "secret", False), ("127.0.0.1", None, False)],
)
def test_an_open_door_is_warned_of(serve, api_results, monkeypatch, host, token, warned):
    monkeypatch.setattr(server, "serve_until_stopped", lambda app, listener: None)
    words = ["--token", token] if token else []
    code, _, err = serve("--results", api_results, "--port", 0, "--host", host, *words)
    assert code == 0
    assert ("warning: whoever reaches" in err) is warned
    assert "secret" not in err


def test_settings_do_not_show_the_token(api_results):
    assert "secret" not in repr(ServeSettings(store=ResultsStore(api_results), token="secret"))


def test_help_answers_without_torch():
    code = (
        "import sys; sys.argv = ['fer_bench', 'serve', '--help']\n"
        "from fer_bench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "curl -F files=@photo.jpg" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
