"""The upload form and its answer as HTML: one file, no script, nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from io import BytesIO

import cv2
import numpy as np
from fastapi.responses import HTMLResponse
from numpy.typing import NDArray
from PIL import Image

from fer_bench.api.middleware import POLICY
from fer_bench.api.schemas import PredictOptions
from fer_bench.api.service import Answer, Answers
from fer_bench.emotions import COLOURS
from fer_bench.inference.drawing.faces import annotate, numbers
from fer_bench.templates import render

#: Longer side of a picture on the page, pixels, and its quality.
SHOWN_SIDE, QUALITY = 1200, 88


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the form offers.

    Attributes:
        models: what to call each model, by its full name; the default one first.
    """

    models: Mapping[str, str]
    options: PredictOptions
    max_megabytes: float


def wants_page(accept: str) -> bool:
    """Whether a client, by its header `Accept`, is a browser that shows pages."""
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return "text/html" in kinds and "application/json" not in kinds


def picture_of(answer: Answer, emotions: tuple[str, ...]) -> str | None:
    """The annotated picture as a `data:` URL; None where none was stored."""
    if answer.image is None:
        return None
    drawn = annotate(answer.image, answer.faces, emotions, bars=False, names=numbers(answer.faces))
    buffer = BytesIO()
    Image.fromarray(_fitted(drawn)).save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = SHOWN_SIDE / max(image.shape[:2])
    if factor >= 1:
        return image
    size = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def page(
    form: Form,
    *,
    answers: Answers | None = None,
    picture: str | None = None,
    error: str | None = None,
    status: int = 200,
) -> HTMLResponse:
    """The form; with the answer about one picture, or why there is none, above it."""
    style = _style()
    values = {
        "style": style,
        "form": form,
        "answers": answers,
        "answer": answers.pictures[0] if answers else None,
        "picture": picture,
        "error": error,
        "colours": COLOURS,
    }
    text = render("fer_bench.api", "upload.html", values)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(text, status, {POLICY: policy, "Vary": "Accept"})


@lru_cache(maxsize=1)
def _style() -> str:
    return (files("fer_bench.api") / "templates" / "page.css").read_text(encoding="utf-8")
