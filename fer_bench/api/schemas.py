"""The documents that go in and out, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fer_bench.errors import Code, FerBenchError
from fer_bench.results.lineage import foreign_licences, origin
from fer_bench.results.store import DEFAULT
from fer_bench.results.stored_run import StoredRun
from fer_bench.specs.run import RunSpec

#: Longest name of a model that is looked up.
LONGEST_NAME = 300
#: So many faces of a picture, largest first, get a heat map: each costs a pass through the network
#: and back.
MOST_EXPLAINED = 16

HealthStatus = Literal["ready", "loading", "stopping", "broken"]


class PredictOptions(BaseModel):
    """What may stand next to the pictures, as form fields or in the query."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        DEFAULT,
        max_length=LONGEST_NAME,
        description="a run's name, `dataset/name`, or `default`",
    )
    explain: bool = Field(
        False,
        description=f"adds `heat_map` to a picture's {MOST_EXPLAINED} largest faces: where the "
        "network looked",
    )
    sets: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="adds `set` to each face: the emotions that hold the true one this often",
    )
    detector: str | None = Field(
        None,
        max_length=LONGEST_NAME,
        description="`whole` where each picture is a face already; else the server's own",
    )


class Problem(BaseModel):
    """Why a request was refused."""

    code: Code = Field(description="what kind of refusal it is")
    detail: str = Field(description="one sentence")


class Face(BaseModel):
    """A face and what the model makes of it."""

    box: tuple[int, int, int, int] = Field(
        description="left, top, width, height in pixels; may reach beyond the picture"
    )
    detector_score: float | None = Field(description="in [0, 1]; null where there is none")
    emotion: str
    score: float = Field(description="the probability of `emotion`")
    probabilities: dict[str, float] = Field(description="by emotion; their sum is 1")
    set: list[str] | None = Field(
        None, description="with `sets`: emotions, the likeliest first; class-wise conformal"
    )
    heat_map: str | None = Field(
        None, description="with `explain`: the face under a heat map, PNG, base64"
    )


class ImageResult(BaseModel):
    """A picture's faces, largest first; or why it could not be read."""

    name: str = Field(description="the file's name as it was sent")
    faces: list[Face]
    backend: str | None = Field(description="what the network ran on; null where nothing was read")
    error: str | None


class Predictions(BaseModel):
    """The answer to `POST /v1/predict`: one result per file, in their order."""

    model: str = Field(description="`dataset/name`")
    backend: str = Field(description="the back end that the network ran on")
    results: list[ImageResult]


class ModelEntry(BaseModel):
    """A model that can be asked for."""

    name: str = Field(description="`dataset/name`")
    emotions: list[str] = Field(description="in the order of the network's outputs")
    input_size: int | None = Field(description="side of the faces that it takes, pixels")
    test_accuracy: float | None = Field(description="on its test split, in [0, 1]")
    terms: str = Field(description="licences of starting weights and data, where recorded")
    default: bool
    backend: str | None = Field(description="the back end it runs on; null until it is opened")


class Models(BaseModel):
    """The answer to `GET /v1/models`; the default one stands first."""

    models: list[ModelEntry]


class Health(BaseModel):
    """The answer to `GET /healthz`."""

    status: HealthStatus = Field(
        description="`broken` where nothing is classified any more: start it again"
    )


def model_entry(run: StoredRun, *, default: bool, backend: str | None) -> ModelEntry:
    """What is said of a readable run."""
    record = run.require_record()
    test, model = record.metrics.get("test"), record.model
    start, foreign = origin(run), ", ".join(foreign_licences(run))
    of_weights = f" (licence: {foreign})" if foreign else ""
    terms = (
        f"started from {'random weights' if start == 'none' else start}{of_weights}; trained on "
        f"{record.dataset.name}, whose own terms apply: most collections of faces allow research "
        "only"
    )
    if foreign and not isinstance(record.spec, RunSpec):
        terms = f"weights from elsewhere{of_weights}"
    return ModelEntry(
        name=run.id,
        emotions=list(record.dataset.emotions),
        input_size=model.input_spec.size if model else None,
        test_accuracy=test.accuracy if test else None,
        terms=terms,
        default=default,
        backend=backend,
    )


#: The status that goes with an error's code; with any other code it is 422.
STATUS: dict[Code, int] = {
    "bad_form": 400,
    "unauthorized": 401,
    "unknown_name": 404,
    "unknown_address": 404,
    "wrong_method": 405,
    "too_slow": 408,
    "too_large": 413,
    "no_form": 415,
    "bad_picture": 415,
    "busy": 429,
    "run_failed": 500,
    "server_fault": 500,
    "not_ready": 503,
}
#: What goes with a status besides the sentence.
REFUSAL_HEADERS = {
    401: {
        "WWW-Authenticate": 'Bearer realm="FER Bench", Basic realm="FER Bench: token as password", '
        'charset="UTF-8"'
    },
    429: {"Retry-After": "1"},
    503: {"Retry-After": "1"},
}


def problem_response(error: FerBenchError) -> JSONResponse:
    """What a client gets for an error: its code and sentence, with the status of the code."""
    status = STATUS.get(error.code, 422)
    problem = Problem(code=error.code, detail=str(error))
    return JSONResponse(problem.model_dump(), status, REFUSAL_HEADERS.get(status))


#: Refusals that every route which takes pictures may give, for its OpenAPI document.
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": why}
    for status, why in {
        400: "The form cannot be read, or it holds no picture",
        404: "No such model",
        408: "The request took too long to arrive",
        413: "Too large",
        415: "No form, or none of the files is a picture that can be read",
        422: "A field that is unknown or has a wrong value",
        429: "Too many requests at once: try again after `Retry-After` seconds",
        500: "The model failed",
        503: "Stopping, out of time, or the model cannot be opened",
    }.items()
}
UNAUTHORISED: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The token is missing or wrong"}
}
