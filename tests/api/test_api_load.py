"""The API under more than it can take: batches, a full queue, no time, a stop."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from api_fixtures import (
    SENT,
    Gate,
    Refusal,
    api_results,
    gate,
    opened,
    refusal,
    served,
    settings_for,
)
from fastapi.testclient import TestClient
from waiting_fixtures import wait_until

from fer_bench.api import model_pool
from fer_bench.api.app import create_app
from fer_bench.api.batching import part_sizes

__all__ = ["api_results", "gate", "refusal"]  # fixtures


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def ask(client: TestClient):
    return client.post("/upload/", files={"file": ("a.jpg", SENT)})


def waiting(client: TestClient) -> int:
    """Requests at work or waiting."""
    (length,) = re.findall(r"^fer_bench_queue_length (\d+)", client.get("/metrics").text, re.M)
    return int(length)


def batches(client: TestClient) -> tuple[int, int]:
    """Calls of the network, and the faces in them."""
    text = client.get("/metrics").text
    (calls,) = re.findall(r"^fer_bench_batch_faces_count (\d+)", text, re.M)
    (faces,) = re.findall(r"^fer_bench_batch_faces_sum (\d+)", text, re.M)
    return int(calls), int(faces)


def test_faces_of_concurrent_requests_go_through_the_network_together(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    with opened(api_results) as client:
        alone = ask(client).json()
        gate.close()
        first = threads.submit(ask, client)
        gate.wait_for_entry()
        others = [threads.submit(ask, client) for _ in range(8)]
        service = client.app.state.service
        wait_until(
            lambda: waiting(client) == 9 and not service.detection.n_detecting,
            "all but those at work wait",
        )
        gate.open.set()
        answers = [one.result().json() for one in (first, *others)]
        assert batches(client) == (3, 10)
    for answer in answers:
        (face,), (expected,) = answer["faces"], alone["faces"]
        assert face["emotion"] == expected["emotion"]
        assert face["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_a_batch_is_of_max_batch_faces_at_most(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    with opened(api_results, max_batch=4) as client:
        gate.close()
        first = threads.submit(ask, client)
        gate.wait_for_entry()
        others = [threads.submit(ask, client) for _ in range(8)]
        service = client.app.state.service
        wait_until(
            lambda: waiting(client) == 9 and not service.detection.n_detecting,
            "all but those at work wait",
        )
        gate.open.set()
        assert {one.result().status_code for one in (first, *others)} == {200}
        assert batches(client) == (3, 9)


@pytest.mark.parametrize(
    ("n", "most", "sizes"),
    [
        (1, 32, [1]),
        (13, 32, [8, 4, 1]),
        (63, 32, [32, 16, 8, 4, 2, 1]),
        (70, 24, [16] * 4 + [4, 2]),
    ],
)
def test_the_network_sees_batches_of_few_sizes(n: int, most: int, sizes: list[int]) -> None:
    assert part_sizes(n, most) == sizes


def test_two_models_never_share_a_batch(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    def ask_small() -> dict:
        form = {"model": "expressio-full-finetune-5-4-classes-s0"}
        return client.post("/upload/", files={"file": ("a.jpg", SENT)}, data=form).json()

    with opened(api_results) as client:
        assert len(ask_small()["faces"][0]["probabilities"]) == 4  # it is open now
        gate.close()
        plain, small = threads.submit(ask, client), threads.submit(ask_small)
        gate.wait_for_entry()
        gate.open.set()
        assert len(plain.result().json()["faces"][0]["probabilities"]) == 7
        assert len(small.result()["faces"][0]["probabilities"]) == 4
        assert batches(client) == (3, 3)


def test_a_full_queue_is_429_and_takes_requests_again_later(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor, refusal: Refusal
) -> None:
    with opened(api_results, max_queue=2) as client:
        gate.close()
        at_work = [threads.submit(ask, client) for _ in range(2)]
        wait_until(lambda: waiting(client) == 2, "all but those at work wait")
        refused = ask(client)
        assert refusal(refused) == (429, "busy")
        assert refused.headers["retry-after"] == "1"
        gate.open.set()
        assert [one.result().status_code for one in at_work] == [200, 200]
        assert ask(client).status_code == 200


def test_a_request_out_of_time_is_503_and_leaves_its_place(
    api_results: Path, gate: Gate, refusal: Refusal
) -> None:
    with opened(api_results, time_limit=0.5, max_queue=1) as client:
        gate.close()
        assert refusal(ask(client)) == (503, "not_ready")
        gate.open.set()
        wait_until(lambda: ask(client).status_code == 200, "there is room again")


def test_before_its_model_is_open_the_server_is_not_healthy_and_requests_wait(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor
) -> None:
    gate.close()
    with TestClient(create_app(settings_for(api_results))) as client:
        gate.wait_for_entry()
        unready = client.get("/healthz")
        assert (unready.status_code, unready.json()) == (503, {"status": "loading"})
        early = threads.submit(ask, client)
        wait_until(lambda: waiting(client) == 1, "all but those at work wait")
        gate.open.set()
        assert early.result().status_code == 200
        assert client.get("/healthz").json() == {"status": "ready"}


def test_a_stopping_server_finishes_what_is_at_work_and_refuses_the_rest(
    api_results: Path, gate: Gate, threads: ThreadPoolExecutor, refusal: Refusal
) -> None:
    client = TestClient(create_app(settings_for(api_results)))
    client.__enter__()
    service = client.app.state.service
    wait_until(lambda: service.status == "ready", "ready")
    gate.close()
    at_work = threads.submit(ask, client)
    gate.wait_for_entry()
    stopped = threads.submit(client.__exit__, None, None, None)
    wait_until(lambda: service.status == "stopping", "stopping")
    assert refusal(ask(client)) == (503, "not_ready")
    assert client.get("/healthz").status_code == 503
    assert not stopped.done()
    gate.open.set()
    assert at_work.result().status_code == 200
    stopped.result()


def test_a_network_without_numbers_is_a_500_with_its_reason_and_the_next_batch_runs(
    api_results: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    plain, ill = model_pool.open_classifier, [False]

    def open_ill(*given):
        classifier = plain(*given)

        def forward(faces):
            found = classifier.backend.forward(faces)
            return torch.full_like(found, torch.nan) if ill[0] else found

        return replace(classifier, backend=replace(classifier.backend, forward=forward))

    monkeypatch.setattr(model_pool, "open_classifier", open_ill)
    with opened(api_results) as client:
        ill[0] = True
        assert refusal(ask(client)) == (500, "run_failed")
        ill[0] = False
        assert ask(client).status_code == 200


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def head(length: int) -> bytes:
    """The beginning of a request whose body has so many bytes."""
    return (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )


def test_a_real_server_refuses_a_large_body_before_it_is_sent_and_does_not_wait_for_a_slow_one(
    api_results: Path,
) -> None:
    with served(create_app(settings_for(api_results, time_limit=0.5, max_queue=1))) as address:
        assert _announced_too_large(address).startswith(b"HTTP/1.1 413 ")
        with connected(address) as slow:
            slow.sendall(head(1000) + b"--b\r\n")
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        with connected(address) as gone:
            gone.sendall(head(1000) + b"--b\r\n")
        # When the server has noticed, its place is free: nobody is told that the queue is full.
        wait_until(lambda: _announced_too_large(address).startswith(b"HTTP/1.1 413 "), "refused")


def _announced_too_large(address: str) -> bytes:
    with connected(address) as large:
        large.sendall(head(10**12))
        return large.recv(100)
