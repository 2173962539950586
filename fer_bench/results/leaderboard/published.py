"""Accuracies that others published: read from `published.yaml`, shown apart from the ranking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import Field

from fer_bench.config import Config, validate
from fer_bench.errors import FerBenchError, one_line
from fer_bench.results.leaderboard.rankings import WHOLE_SET
from fer_bench.results.record import DatasetInfo

PUBLISHED = Path(__file__).with_name("published.yaml")


class PublishedFigure(Config):
    """One figure of one source; empty texts and None where the source does not say.

    Attributes:
        accuracy: in [0, 1].
        chosen_on: the images that chose the checkpoint.
        reproduced: whether others got the figure.
        date: the year it was published.
    """

    data: Literal["fer2013", "ferplus", "affectnet", "affectnet7", "rafdb", "ckplus"]
    protocol: Literal["official", "kaggle", "own"] | None = None
    model: str = Field(min_length=1)
    accuracy: float = Field(gt=0, lt=1)
    system: Literal["single", "ensemble", "people"] = "single"
    tta: str = ""
    pretraining: str = ""
    extra_data: str = ""
    chosen_on: Literal["val", "test"] | None = None
    reproduced: Literal["yes", "no", "disputed"] | None = None
    note: str = ""
    source: Annotated[str, Field(pattern=r"^https://[^\s<>\"']+$")]
    date: int = Field(ge=2000, le=2100)


def read_published(path: Path = PUBLISHED) -> tuple[PublishedFigure, ...]:
    """All figures, in the file's order.

    Raises:
        FerBenchError: a file that cannot be read, or an entry that says what it must not.
    """
    try:
        values: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FerBenchError(f"cannot read {path}: {one_line(str(error))}") from None
    if not isinstance(values, list):
        raise FerBenchError(f"{path}: expected a list of figures")
    figures = tuple(
        validate(PublishedFigure, value, f"{path.name}, entry {number}")
        for number, value in enumerate(values, 1)
    )
    seen: set[tuple[str, str | None, str, str]] = set()
    for figure in figures:
        key = (figure.data, figure.protocol, figure.model, figure.source)
        if key in seen:
            raise FerBenchError(
                f"{path.name}: {figure.model} of {figure.source} stands in it twice: keep one"
            )
        seen.add(key)
    return figures


@lru_cache(maxsize=1)
def shipped_figures() -> tuple[PublishedFigure, ...]:
    """Those of `published.yaml`."""
    return read_published()


def about(data: DatasetInfo) -> list[PublishedFigure]:
    """The shipped figures on the test images of some data, the highest first."""
    if len(data.emotions) < WHOLE_SET:
        return []
    figures = [f for f in shipped_figures() if (f.data, f.protocol) == (data.name, data.protocol)]
    return sorted(figures, key=lambda figure: -figure.accuracy)


def published_table(figures: Sequence[PublishedFigure]) -> pd.DataFrame:
    """A row per figure, a column per field."""
    rows = [figure.model_dump() for figure in figures]
    return pd.DataFrame(rows, columns=list(PublishedFigure.model_fields))
