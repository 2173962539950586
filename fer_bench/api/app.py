"""The app: its routes, and how refusals are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import fer_bench
from fer_bench.api.metrics import Metrics
from fer_bench.api.middleware import DOCS, HEALTH, Observer, TokenGate
from fer_bench.api.pages import Form, page, picture_of, wants_page
from fer_bench.api.schemas import (
    REFUSAL_HEADERS,
    REFUSALS,
    UNAUTHORISED,
    Health,
    ImageResult,
    Models,
    Predictions,
    PredictOptions,
    problem_response,
)
from fer_bench.api.service import Answers, Service
from fer_bench.api.settings import ServeSettings
from fer_bench.api.uploads import openapi_form, read_upload
from fer_bench.errors import Code, FerBenchError

DESCRIPTION = """Finds faces in pictures and names their expressions. Pictures are never stored.

A face is not a feeling: the models name expressions as annotators did. Inferring the emotions of
people at work or in education is prohibited in the European Union (AI Act, Article 5(1)(f))."""

#: What browsers get of a route in place of JSON.
AS_PAGE: dict[str, Any] = {"content": {"text/html": {"schema": {"type": "string"}}}}


def create_app(settings: ServeSettings) -> FastAPI:
    """The app, whose lifespan opens the default model and classifies.

    Its `state.service` is the `Service` behind it.

    Raises:
        FerBenchError: an unknown run or detector.
    """
    metrics = Metrics()
    service = Service(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    guarded = settings.token is not None
    app = FastAPIOffline(
        docs_url=DOCS,
        redoc_url=None,
        favicon_url="data:,",
        redirect_slashes=False,  # a redirect says nothing, and leads past a proxy's https
        title="FER Bench",
        version=fer_bench.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
    )
    app.state.service = service
    app.include_router(_open_routes(service))
    app.include_router(
        _routes(service, metrics),
        # Only for the document: the gate has looked at the token before.
        dependencies=[Depends(HTTPBearer(auto_error=False))] if guarded else [],
        responses=UNAUTHORISED if guarded else {},
    )
    app.add_exception_handler(HTTPException, _on_404)
    app.add_exception_handler(FerBenchError, _on_error)
    app.add_exception_handler(Exception, _on_crash)
    if settings.token is not None:
        app.add_middleware(TokenGate, token=settings.token)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization"],
        )
    app.add_middleware(Observer, metrics=metrics)
    return app


def _open_routes(service: Service) -> APIRouter:
    """What needs no token."""
    router = APIRouter()

    @router.get(
        HEALTH,
        summary="Whether it is ready",
        responses={503: {"model": Health, "description": "Not ready"}},
    )
    async def healthz(response: Response) -> Health:
        """200 while the default model is open and classifies; else 503."""
        status = service.status
        response.status_code = 200 if status == "ready" else 503
        return Health(status=status)

    return router


def _routes(service: Service, metrics: Metrics) -> APIRouter:
    router, settings = APIRouter(), service.settings

    @router.get("/", response_class=HTMLResponse, summary="A form to upload a picture")
    async def form() -> HTMLResponse:
        return page(await _form(service, PredictOptions()))

    @router.post(
        "/upload/",
        summary="The faces of one picture",
        response_model=ImageResult,
        response_model_exclude_unset=True,
        responses={status: said | AS_PAGE for status, said in REFUSALS.items()} | {200: AS_PAGE},
        openapi_extra=openapi_form("file", many=False),
    )
    async def upload(request: Request) -> ImageResult | Response:
        """One picture's faces; as a page for browsers (`Accept: text/html`)."""
        as_page = wants_page(request.headers.get("accept", ""))
        try:
            return await _uploaded(request, service, as_page=as_page)
        except FerBenchError as refusal:
            if not as_page:
                raise
            offered = await _form(service, PredictOptions())
            response = problem_response(refusal)
            shown = page(offered, error=str(refusal), status=response.status_code)
            shown.headers.update(REFUSAL_HEADERS.get(response.status_code, {}))
            return shown

    @router.post(
        "/v1/predict",
        summary="The faces of one picture or many",
        response_model_exclude_unset=True,
        responses=REFUSALS,
        openapi_extra=openapi_form("files", many=True),
    )
    async def predict(request: Request) -> Predictions:
        """The faces of one picture or many. One that cannot be read has its `error` among the
        results; where none can, the whole request is refused."""
        with service.admitted():
            sent = await read_upload(request, settings, "files")
            answers = await service.analyse(sent.pictures, sent.options)
            _require_readable(answers)
        return Predictions(
            model=answers.model, backend=answers.backend, results=answers.documents()
        )

    @router.get("/v1/models", summary="What can be asked for")
    async def models() -> Models:
        """The models that can be asked for: runs whose weights are here."""
        return Models(models=await asyncio.to_thread(service.networks.entries))

    @router.get(
        "/metrics",
        summary="Counters for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics_text() -> Response:
        """Counters in Prometheus's text format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


async def _uploaded(
    request: Request, service: Service, *, as_page: bool
) -> ImageResult | HTMLResponse:
    with service.admitted():
        sent = await read_upload(request, service.settings, "file")
        if len(sent.pictures) > 1:
            raise FerBenchError(
                "expected one picture in the field 'file': send several to /v1/predict",
                code="bad_form",
            )
        answers = await service.analyse(sent.pictures, sent.options, keep_images=as_page)
        _require_readable(answers)
        if not as_page:
            return answers.documents()[0]
        picture = await service.detection.run_in_thread(
            picture_of, answers.pictures[0], answers.emotions
        )
        offered = await _form(service, sent.options.model_copy(update={"model": answers.model}))
        return page(offered, answers=answers, picture=picture)


async def _form(service: Service, options: PredictOptions) -> Form:
    names = await asyncio.to_thread(service.networks.short_names)
    return Form(models=names, options=options, max_megabytes=service.settings.max_bytes / 1e6)


def _require_readable(answers: Answers) -> None:
    """Refuses a request none of whose pictures could be read."""
    errors = [answer.error for answer in answers.pictures if answer.error]
    if len(errors) == len(answers.pictures):
        raise errors[0]


async def _on_error(request: Request, error: Exception) -> Response:
    """A refusal, or a model that failed or cannot do what was asked of it."""
    assert isinstance(error, FerBenchError)  # nosec B101  # for mypy
    return problem_response(error)


async def _on_404(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an address or a method."""
    assert isinstance(error, HTTPException)  # nosec B101  # for mypy
    code: Code = "unknown_address"
    sentence = f"there is nothing at this address: see {DOCS}"
    if error.status_code == 405:
        code, sentence = "wrong_method", f"this address takes other methods: see {DOCS}"
    response = problem_response(FerBenchError(sentence, code=code))
    response.headers.update(error.headers or {})
    return response


async def _on_crash(request: Request, error: Exception) -> Response:
    """A fault of this server, which logs it."""
    return problem_response(
        FerBenchError("the server failed: its log says why", code="server_fault")
    )
