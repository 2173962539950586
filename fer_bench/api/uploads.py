"""A request's body to pictures and fields: bounded while it arrives, and never on a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from fer_bench.api.schemas import PredictOptions
from fer_bench.api.settings import ServeSettings
from fer_bench.errors import FerBenchError, suggest

FORM = "multipart/form-data"
#: Fields next to the files, and how long each may be.
MOST_FIELDS, LONGEST_FIELD = 16, 4096


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded picture and the name that the client gave it."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What was sent."""

    pictures: tuple[Picture, ...]
    options: PredictOptions


class _InMemoryParser(MultiPartParser):
    """Starlette's writes what is larger than a megabyte to a temporary file; this one never.

    Attributes:
        is_whole: whether the form's closing boundary came: of a part that is cut, Starlette says
            nothing.
    """

    spool_max_size = 0
    is_whole = False

    def on_end(self) -> None:
        self.is_whole = True


async def read_upload(request: Request, settings: ServeSettings, field: str) -> Upload:
    """The pictures in one field of a form, and what is asked of them.

    Raises:
        FerBenchError: it is no such form, too large or too slow, or a field is wrong.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise FerBenchError(
            f"expected a form as {FORM} with pictures in the field {field!r}: `curl -F`",
            code="no_form",
        )
    _refuse_announced(request, settings)
    parser = _InMemoryParser(
        request.headers,
        _limited(request, settings.max_bytes),
        max_files=settings.max_files,
        max_fields=MOST_FIELDS,
        max_part_size=LONGEST_FIELD,
    )
    try:
        async with asyncio.timeout(settings.time_limit):
            form = await parser.parse()
    except TimeoutError:
        raise FerBenchError(
            f"the request did not arrive within {settings.time_limit:g} s: send less at once",
            code="too_slow",
        ) from None
    except MultiPartException as error:
        why = error.message.rstrip(".")
        raise FerBenchError(f"the form cannot be read: {why}", code="bad_form") from None
    except ClientDisconnect:
        raise FerBenchError("the connection ended before the form did", code="bad_form") from None
    if form and not parser.is_whole:
        raise FerBenchError(
            "the form ends before its closing boundary: send it whole", code="bad_form"
        )
    fields = request.query_params.multi_items()
    pictures = []
    for name, value in form.multi_items():
        if isinstance(value, str):
            fields.append((name, value))
        elif name == field:
            pictures.append(await _picture(value))
        else:
            raise FerBenchError(
                f"unknown field {name!r} with a file: send pictures in the field {field!r}",
                code="bad_field",
            )
    if not any(picture.name or picture.data for picture in pictures):
        raise FerBenchError(
            f"no whole picture was sent: put at least one into the field {field!r}, as "
            f"`curl -F {field}=@photo.jpg` does",
            code="bad_form",
        )
    return Upload(pictures=tuple(pictures), options=_parse_options(fields))


async def _picture(file: UploadFile) -> Picture:
    data = await file.read()
    await file.close()
    return Picture(name=file.filename or "", data=data)


def _refuse_announced(request: Request, settings: ServeSettings) -> None:
    """Refuses by what the header says, before anything is read."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > settings.max_bytes:
        raise _too_large(settings.max_bytes)


async def _limited(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, until it is too large."""
    got = 0
    async for chunk in request.stream():
        got += len(chunk)
        if got > most:
            raise _too_large(most)
        yield chunk


def _too_large(most: int) -> FerBenchError:
    return FerBenchError(
        f"the request is larger than {most / 1e6:g} MB: send fewer or smaller pictures",
        code="too_large",
    )


def _parse_options(given: Iterable[tuple[str, str]]) -> PredictOptions:
    fields: dict[str, str] = {}
    for name, value in given:
        if (before := fields.setdefault(name, value)) != value:
            raise FerBenchError(
                f"the field {name[:80]!r} is {before[:80]!r} and {value[:80]!r}: send it once",
                code="bad_field",
            )
    try:
        return PredictOptions.model_validate(fields)
    except ValidationError as error:
        raise FerBenchError(_sentence(error, fields), code="bad_field") from None


def _sentence(error: ValidationError, fields: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"unknown field {name[:80]!r}: {suggest(name[:80], PredictOptions.model_fields)}"
    return f"the field {name!r} has a wrong value {fields[name][:80]!r}: {first['msg']}"


def openapi_form(field: str, *, many: bool) -> dict[str, Any]:
    """What OpenAPI says of such a request: FastAPI cannot see it, as the form is read here."""
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    files: dict[str, Any] = {"type": "array", "items": file, "minItems": 1} if many else file
    options = PredictOptions.model_json_schema()["properties"]
    body: dict[str, Any] = {
        "type": "object",
        "properties": {field: files, **options},
        "required": [field],
        "additionalProperties": False,
    }
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "schema": schema,
                "description": schema.get("description", ""),
            }
            for name, schema in options.items()
        ],
        "requestBody": {"required": True, "content": {FORM: {"schema": body}}},
    }
