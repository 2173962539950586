"""The REST API: its routes, that it says what `predict` says, and what it refuses."""

from __future__ import annotations

import base64
import json
import logging
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from api_fixtures import BACKEND, SENT, api_results, opened, png, refusal, settings_for
from damaged_kinds import KINDS
from face_fixtures import SAMPLE, crowd
from fastapi.testclient import TestClient
from model_fixtures import DEFAULT_RUN, SECOND_RUN, SMALL_RUN, save_models
from PIL import Image
from table_fixtures import table

from fer_bench.api.app import create_app
from fer_bench.api.schemas import STATUS
from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.errors import Code, FerBenchError, RunFailed
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import WEIGHTS

__all__ = ["api_results", "refusal"]  # fixtures

PAGE = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def client(api_results: Path) -> Iterator[TestClient]:
    with opened(api_results, max_files=4, max_bytes=4_000_000) as made:
        yield made


def photo(name: str = "photo.jpg") -> tuple[str, bytes]:
    return name, SENT


# What it says


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of two faces, one larger."""
    image, _ = crowd(columns=2, rows=1, tile=240)
    file = tmp_path_factory.mktemp("pictures") / "two.png"
    Image.fromarray(image).save(file)
    return file


@pytest.mark.parametrize("detector", ["haar", "whole"])
def test_the_numbers_are_those_of_predict(client, api_results, two_faces, fer, detector):
    files = [SAMPLE, two_faces]
    words = ["predict", "default", *files, "--results", api_results, "--backend", BACKEND]
    expected = json.loads(fer(*words, "--detector", detector, "--json")[1])

    sent = [("files", (file.name, file.read_bytes())) for file in files]
    answer = client.post("/v1/predict", files=sent, data={"detector": detector}).json()

    assert answer["model"] == DEFAULT_RUN
    assert {answer["backend"], *(one["backend"] for one in expected)} == {BACKEND}
    assert [len(one["faces"]) for one in expected] == ([1, 2] if detector == "haar" else [1, 1])
    for theirs, ours, file in zip(expected, answer["results"], files, strict=True):
        assert ours["name"] == file.name
        assert ours["error"] is theirs["error"] is None
        assert ours["backend"] == theirs["backend"]
        for face, other in zip(theirs["faces"], ours["faces"], strict=True):
            assert set(other) == set(face)
            assert other["box"] == face["box"]
            assert other["detector_score"] == face["detector_score"]
            assert other["emotion"] == face["emotion"]
            assert other["score"] == pytest.approx(face["score"], abs=1e-5)
            assert other["probabilities"] == pytest.approx(face["probabilities"], abs=1e-5)


def test_upload_answers_one_picture_as_predict_does(client):
    one = client.post("/upload/", files={"file": photo()})
    many = client.post("/v1/predict", files={"files": photo()})
    assert one.status_code == 200
    assert one.json() == many.json()["results"][0]


def test_one_unreadable_picture_among_others_has_its_error_and_no_faces(client):
    sent = [("files", photo("a.jpg")), ("files", ("b.txt", b"words")), ("files", photo("a.jpg"))]
    results = client.post("/v1/predict", files=sent).json()["results"]
    assert [one["name"] for one in results] == ["a.jpg", "b.txt", "a.jpg"]
    assert results[1]["faces"] == []
    assert results[1]["error"].startswith("b.txt is text by its content: expected a JPEG")
    assert results[0] == results[2]


def test_no_face_is_an_empty_list(client):
    response = client.post("/upload/", files={"file": ("even.png", png())})
    assert response.status_code == 200
    assert response.json() == {
        "name": "even.png", "faces": [], "backend": BACKEND, "error": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", [SMALL_RUN, SMALL_RUN.partition("/")[2]])
def test_another_model_answers_by_its_run_or_full_name(client, name):
    answer = client.post("/v1/predict", files={"files": photo()}, data={"model": name}).json()
    assert answer["model"] == SMALL_RUN
    assert tuple(answer["results"][0]["faces"][0]["probabilities"]) == EXPRESSIO
    in_query = client.post("/v1/predict", params={"model": name}, files={"files": photo()}).json()
    assert in_query == answer


def test_explain_adds_a_heat_map_of_the_face(client):
    form = {"explain": "true"}
    (face,) = client.post("/upload/", files={"file": photo()}, data=form).json()["faces"]
    heat = np.asarray(Image.open(BytesIO(base64.b64decode(face["heat_map"]))))
    assert heat.dtype == np.uint8
    assert heat.shape[0] == heat.shape[1] >= face["box"][2]


def test_models_tells_of_every_run_with_weights(client, api_results):
    models = client.get("/v1/models").json()["models"]
    assert [one["name"] for one in models] == [DEFAULT_RUN, SMALL_RUN, SECOND_RUN]
    assert [one["default"] for one in models] == [True, False, False]
    assert models[0]["backend"] == BACKEND
    assert models[0]["emotions"] == list(FER2013)
    record = ResultsStore(api_results).find("default").require_record()
    assert models[0]["input_size"] == record.model.input_spec.size
    assert models[0]["test_accuracy"] == record.metrics["test"].accuracy
    assert "random weights" in models[0]["terms"]
    assert "fer2013" in models[0]["terms"]


def test_metrics_count_requests_faces_and_batches(api_results):
    with opened(api_results) as client:
        client.post("/v1/predict", files={"files": photo()})
        client.post("/v1/predict", files={"files": ("x", b"words")})
        client.get("/no/such/address")
        text = client.get("/metrics").text
    assert 'fer_bench_requests_total{route="/v1/predict",status="200"} 1.0' in text
    assert 'fer_bench_requests_total{route="/v1/predict",status="415"} 1.0' in text
    assert 'fer_bench_requests_total{route="none",status="404"} 1.0' in text
    assert 'fer_bench_request_seconds_count{route="/v1/predict"} 2.0' in text
    assert "fer_bench_faces_total 1.0" in text
    assert "fer_bench_batch_faces_count 1.0" in text
    assert "fer_bench_queue_length 0.0" in text


def test_docs_come_from_this_server_alone(client):
    page = client.get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    for address in loaded:
        if not address.startswith("data:"):
            assert client.get(address).status_code == 200
            assert address.startswith("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    document = client.get("/openapi.json").json()
    described = document["paths"]
    assert {"/", "/upload/", "/v1/predict", "/v1/models", "/healthz", "/metrics"} == set(described)
    refused = described["/upload/"]["post"]["responses"]["415"]["content"]
    assert set(refused) == {"application/json", "text/html"}
    assert set(described["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    health = document["components"]["schemas"]["Health"]["properties"]["status"]
    assert health["enum"] == ["ready", "loading", "stopping", "broken"]


# For browsers


def test_a_browser_gets_the_annotated_page(client):
    response = client.post("/upload/", files={"file": photo()}, headers=PAGE)
    assert response.headers["content-type"].startswith("text/html")
    (picture,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', response.text)
    assert Image.open(BytesIO(base64.b64decode(picture))).size == (512, 512)
    shares = [float(n) for n in re.findall(r'<rect width="([\d.]+)"', response.text)]
    assert len(shares) == len(FER2013)
    assert sum(shares) == pytest.approx(100, abs=0.1)


def test_a_browser_reads_why_a_picture_was_refused(client):
    response = client.post("/upload/", files={"file": ("<b>a", b"words")}, headers=PAGE)
    assert response.status_code == 415
    assert '<p class="error" role="alert">&lt;b&gt;a is text' in response.text
    assert "<form" in response.text


def test_names_from_clients_are_harmless_on_pages(client):
    name = "<script>alert(1)</script>.jpg"
    response = client.post("/upload/", files={"file": photo(name)}, headers=PAGE)
    assert "<h2>&lt;script&gt;alert(1)&lt;/script&gt;.jpg</h2>" in response.text
    assert "<script" not in response.text


@pytest.mark.parametrize("address", ["/", "/docs", "/v1/models", "/nowhere"])
def test_every_answer_has_security_headers(client, address):
    headers = client.get(address).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src" in headers["content-security-policy"]


def test_the_form_needs_no_script_and_loads_nothing(client):
    page = client.get("/").text
    assert "<script" not in page
    assert "http" not in page
    assert 'enctype="multipart/form-data"' in page


# What it refuses


def huge() -> bytes:
    """A PNG that says it has 100,000 x 100,000 pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", b"") + part(b"IEND", b"")


@table(
    ("name", "content"),
    [
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("b.jpg", SENT[:2000]),
        ("c.png", huge()),
        ("d.jpg", b""),
    ],
)
@table(("address", "field"), [("/upload/", "file"), ("/v1/predict", "files")])
def test_what_is_no_readable_picture_is_415(client, refusal, address, field, name, content):
    response = client.post(address, files={field: (name, content)})
    assert refusal(response) == (415, "bad_picture")


def test_damaged_and_hostile_pictures_end_in_an_answer_or_a_refusal(client: TestClient) -> None:
    kind = KINDS["image"]
    for label, files in (*kind.by_hand(), *kind.drawn(60)):
        for name, content in files.items():
            response = client.post("/v1/predict", files={"files": (name, content)})
            assert response.status_code in (200, 413, 415), label
            refused = response.status_code != 200
            keys = {"code", "detail"} if refused else {"model", "backend", "results"}
            assert set(response.json()) == keys, label


def test_a_body_that_is_announced_too_large_is_not_read(client, refusal):
    def body() -> Iterator[bytes]:
        yield b"x"

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "4000001"}
    response = client.post("/v1/predict", content=body(), headers=headers)
    assert refusal(response) == (413, "too_large")


def test_a_body_that_grows_too_large_is_not_read_to_its_end(client, refusal):
    start = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield start
        for _ in range(5):
            yield bytes(1_000_000)

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = client.post("/v1/predict", content=body(), headers=headers)
    assert refusal(response) == (413, "too_large")


def test_uploads_never_touch_a_disk(client, monkeypatch):
    def refuse(self) -> None:
        raise AssertionError("a file was written")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    large = SENT + bytes(3_000_000)  # more than Starlette keeps in memory; ends after its end mark
    assert client.post("/upload/", files={"file": ("a.jpg", large)}).status_code == 200


@pytest.mark.parametrize(
    ("address", "field", "n"), [("/v1/predict", "files", 5), ("/upload/", "file", 2)]
)
def test_too_many_files_are_refused(client, refusal, address, field, n):
    response = client.post(address, files=[(field, photo())] * n)
    assert refusal(response) == (400, "bad_form")


@table(
    ("sent", "status", "code"),
    [
        ({"json": {"a": 1}}, 415, "no_form"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_form"),
        (
            {
                "content": b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
                "headers": {"Content-Type": "multipart/form-data; boundary=b"},
            },
            400,
            "bad_form",
        ),
        (
            {
                "content": b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n'
                b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\nxx',
                "headers": {"Content-Type": "multipart/form-data; boundary=b"},
            },
            400,
            "bad_form",
        ),
        ({"files": {"other": photo()}}, 422, "bad_field"),
        ({"files": {"files": ("", b"")}}, 400, "bad_form"),
        ({"files": {"model": (None, "default")}}, 400, "bad_form"),
        ({"files": {"files": photo()}, "data": {"modle": "x"}}, 422, "bad_field"),
        ({"files": {"files": photo()}, "data": {"explain": "maybe"}}, 422, "bad_field"),
        ({"files": {"files": photo()}, "data": {"detector": "hoar"}}, 422, "bad_field"),
        ({"files": {"files": photo()}, "data": {"detector": ["haar", "whole"]}}, 422, "bad_field"),
        (
            {
                "params": {"detector": "haar"},
                "files": {"files": photo()},
                "data": {"detector": "whole"},
            },
            422,
            "bad_field",
        ),
        ({"files": {"files": photo()}, "data": {"sets": "1.5"}}, 422, "bad_field"),
        ({"files": {"files": photo()}, "data": {"sets": "0.9"}}, 422, "bad_results"),
        ({"files": {"files": photo()}, "data": {"model": "x" * 301}}, 422, "bad_field"),
        ({"files": {"files": photo()}, "data": {"model": "x" * 5000}}, 400, "bad_form"),
        (
            {"files": {"files": photo()}, "data": {"model": "keras_cnn-full-finetune-5-s1"}},
            404,
            "unknown_name",
        ),
    ],
)
def test_a_wrong_form_is_a_sentence(client, refusal, sent, status, code):
    assert refusal(client.post("/v1/predict", **sent)) == (status, code)


def test_clients_cannot_name_paths(client, api_results):
    for name in (str(api_results / DEFAULT_RUN), f"../{api_results.name}/{DEFAULT_RUN}", "\0"):
        response = client.post("/v1/predict", files={"files": photo()}, data={"model": name})
        assert response.status_code == 404


def test_other_addresses_and_methods_are_refused_as_json(client, refusal):
    assert refusal(client.get("/v2")) == (404, "unknown_address")
    for slash in ("/v1/predict/", "/upload"):
        answer = client.post(slash, files={"files": photo()}, follow_redirects=False)
        assert refusal(answer) == (404, "unknown_address")
    response = client.get("/v1/predict")
    assert refusal(response) == (405, "wrong_method")
    assert response.headers["allow"] == "POST"


def test_broken_weights_of_another_model_are_503_and_no_path_is_told(tmp_path, refusal):
    save_models(tmp_path)
    (tmp_path / SECOND_RUN / WEIGHTS).write_bytes(b"broken")
    with opened(tmp_path) as client:
        form = {"model": SECOND_RUN}
        response = client.post("/v1/predict", files={"files": photo()}, data=form)
        assert refusal(response) == (503, "not_ready")
        assert str(tmp_path) not in response.text
        assert client.post("/v1/predict", files={"files": photo()}).status_code == 200


@table("changes", [{"run": "defualt"}, {"detector": "har"}, {"token": " "}, {"max_queue": 0}])
def test_no_app_is_made_of_wrong_settings(api_results, same_sentence, changes):
    with pytest.raises(FerBenchError) as error:
        create_app(settings_for(api_results, **changes))
    same_sentence(str(error.value))


# Who may ask


@pytest.fixture(scope="module")
def guarded(api_results: Path) -> Iterator[TestClient]:
    with opened(api_results, token="sécret", cors=("https://a.example",)) as made:
        yield made


def authorization(scheme: str, secret: str) -> dict[bytes, bytes]:
    return {b"Authorization": f"{scheme} {secret}".encode()}


BASIC = base64.b64encode("anyone:sécret".encode()).decode()


@pytest.mark.parametrize("address", ["/", "/docs", "/openapi.json", "/v1/models", "/metrics"])
def test_with_a_token_everything_but_the_health_asks_for_it(guarded, refusal, address):
    response = guarded.get(address)
    assert refusal(response) == (401, "unauthorized")
    assert "Bearer" in response.headers["www-authenticate"]
    assert guarded.get(address, headers=authorization("Bearer", "sécret")).status_code == 200
    assert guarded.get("/healthz").status_code == 200


@pytest.mark.parametrize("address", ["/healthz", "/", "/docs", "/v1/models", "/metrics"])
def test_head_is_get_without_a_body(client, address):
    """As monitors and load balancers ask."""
    asked, given = client.head(address), client.get(address)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == given.headers["content-type"]


@pytest.mark.parametrize("address", ["/v1/predict", "/nothing"])
def test_head_is_refused_where_get_is(client, address):
    assert client.head(address).status_code == client.get(address).status_code >= 404


@table(
    ("given", "status"),
    [
        (authorization("bearer", "sécret"), 200),
        (authorization("Basic", BASIC), 200),
        (authorization("Bearer", "secret"), 401),
        (authorization("Bearer", ""), 401),
        (authorization("Basic", "sécret"), 401),
        (authorization("Basic", "%%%"), 401),
        (authorization("Digest", "sécret"), 401),
    ],
)
def test_the_token_is_taken_as_bearer_or_as_the_password_of_basic(guarded, given, status):
    assert guarded.post("/upload/", files={"file": photo()}, headers=given).status_code == status


def test_other_origins_are_shut_out_unless_named(client, guarded):
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    allowed = guarded.options("/v1/predict", headers=asking)
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    strange = guarded.options("/v1/predict", headers={**asking, "Origin": "https://b.example"})
    assert "access-control-allow-origin" not in strange.headers
    assert "access-control-allow-origin" not in client.get("/v1/models", headers=asking).headers


def test_logs_hold_method_path_and_status_only(client, caplog):
    with caplog.at_level(logging.DEBUG):
        client.post("/v1/predict?model=default", files={"files": photo("my-secret-name.jpg")})
        client.get("/a%0d%0aFORGED line")
    lines = [
        record.getMessage()
        for record in caplog.records
        if record.name == "fer_bench.api.middleware"
    ]
    assert re.fullmatch(r"POST /v1/predict 200 \d+ ms", lines[0])
    assert re.fullmatch(r"GET /a%0D%0AFORGED%20line 404 \d+ ms", lines[1])
    own = [r.getMessage() for r in caplog.records if r.name.startswith(("fer_bench", "uvicorn"))]
    assert "my-secret-name" not in "".join(own)


def test_sets_come_only_where_asked(client: TestClient) -> None:
    (face,) = client.post("/upload/", files={"file": photo()}).json()["faces"]
    assert face.get("set") is None


def test_the_docs_table_has_every_code_with_its_status() -> None:
    text = (Path(__file__).parents[2] / "docs/guides/serving.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ?(\d?) \| (\d+) \|", text, re.MULTILINE)
    assert {code: int(status) for code, _, status in rows} == {
        code: STATUS.get(code, 422) for code in get_args(Code)
    }
    exits = {code: int(exit_code) for code, exit_code, _ in rows if exit_code}
    assert {code for code, number in exits.items() if number == RunFailed.exit_code} == {
        RunFailed.code
    }
