"""The API against its own OpenAPI document, with whatever schemathesis thinks of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from api_fixtures import api_results, served, settings_for
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from fer_bench.api.app import create_app

__all__ = ["api_results"]  # fixtures

#: Not whether valid forms are accepted: random bytes in them are no picture.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
OPERATIONS = [
    ("/", "GET"),
    ("/upload/", "POST"),
    ("/v1/predict", "POST"),
    ("/v1/models", "GET"),
    ("/healthz", "GET"),
    ("/metrics", "GET"),
]
FEW = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def address(api_results: Path) -> Iterator[str]:
    with served(create_app(settings_for(api_results))) as at:
        yield at


@pytest.fixture(scope="module")
def described(address: str) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def test_the_document_names_every_operation(described):
    found = [one.ok() for one in described.get_all_operations()]
    assert sorted((one.path, one.method.upper()) for one in found) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        *((path, method, GenerationMode.POSITIVE) for path, method in OPERATIONS),
        *((path, "POST", GenerationMode.NEGATIVE) for path in ("/upload/", "/v1/predict")),
    ],
)
def test_answers_are_as_described_and_never_5xx(described, path, method, mode):
    operation = described[path][method]
    with requests.Session() as session:

        @FEW
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case) -> None:
            case.call_and_validate(session=session, checks=CHECKS)

        ask()


def test_the_token_of_the_document_is_asked_for(api_results):
    with served(create_app(settings_for(api_results, token="secret"))) as at:
        headers = {"Authorization": "Bearer secret"}
        guarded = schemathesis.openapi.from_url(f"{at}/openapi.json", headers=headers)
        assert "HTTPBearer" in guarded.raw_schema["components"]["securitySchemes"]
        for path, method in OPERATIONS:
            case = guarded[path][method].Case(media_type="multipart/form-data")
            answer = case.call(headers={"Authorization": "Bearer wrong"})
            assert answer.status_code == (200 if path == "/healthz" else 401)
