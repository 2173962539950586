"""Numbers and foreign text as people and spreadsheets read them; the same on every page."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Keeps a number and its unit on one line.
NBSP = "\N{NO-BREAK SPACE}"
#: Parts of settings' keys that are no words.
SPELT = {
    "bench": "Bench", "cpu": "CPU", "ece": "ECE", "ema": "EMA", "fer": "FER", "flops": "FLOPs",
    "gib": "GiB", "gpu": "GPU", "jpeg": "JPEG", "lr": "learning rate", "mib": "MiB",
    "n": "number", "tta": "TTA",
}  # fmt: skip
#: A cell that starts so is a formula to Excel, LibreOffice and Google Sheets (OWASP).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def escape(text: object) -> str:
    """Text from a record or a user as harmless Markdown: no links, images, HTML or formulae."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(str(text).split()))


def hundredths(share: float) -> str:
    """`0.6025` as `60.3`: a tie goes up, as in the pages' tables, which browsers round."""
    return str(Decimal(100 * float(share)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def percent(value: float | None) -> str:
    """`0.7312` as `73.1 %`, a dash for nothing."""
    return "–" if value is None or math.isnan(value) else f"{hundredths(value)}{NBSP}%"


def interval(low: float | None, high: float | None) -> str:
    """`0.7312, 0.75` as `73.1 – 75.0 %`, a dash for nothing."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "–"
    return f"{hundredths(low)} – {hundredths(high)}{NBSP}%"


def setting_name(key: str) -> str:
    """A setting's key in words: `optimizer.lr` as `Optimizer: learning rate`."""
    parts = [" ".join(SPELT.get(word, word) for word in part.split("_")) for part in key.split(".")]
    words = ": ".join(parts)
    return words[:1].upper() + words[1:]


def setting(value: object) -> str:
    """A setting's value in words: six digits, `28,709`, lists with commas, a dash for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return thousands(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting, value)) or "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None or value == "" else str(value)


def as_percents(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """A copy with these columns, where present, in percent instead of shares of 1."""
    present = [c for c in columns if c in frame]
    return frame.assign(**{c: frame[c] * 100 for c in present})


def file_size(file: Path) -> str:
    """`12 kB`, `44.8 MB`."""
    size = file.stat().st_size
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(size / 1e3, 1):.0f} kB"


def how_many(n: int, noun: str) -> str:
    """`1 image`, `1,200 images`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def thousands(n: int) -> str:
    """`28,709`."""
    return f"{n:,}"


def three_digits(value: float) -> str:
    """A measured number of 0 or more: `0.732`, `7.3`, `131`, `1,180`."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def large_number(n: int) -> str:
    """`2.7 million`, `3.6 billion`."""
    return f"{n / 1e9:,.1f} billion" if n >= 1e9 else f"{n / 1e6:,.1f} million"


def duration(seconds: float) -> str:
    """`45 seconds`, `56 minutes`."""
    minutes = round(seconds / 60)
    return how_many(minutes, "minute") if minutes > 1 else how_many(round(seconds), "second")


def three_decimals(value: float | None) -> str:
    """`0.040`; a dash for what was not measured."""
    return "–" if value is None else f"{value:.3f}"


def images_measured(n: int, limit: int | None) -> str:
    """How many images were measured, and which of the split where a limit cut it."""
    return how_many(n, "image") + (", evenly spread over the split" if n == limit else "")


def defused(cell: object) -> object:
    """A cell as it is, but text that looks like a formula gets a `'` before."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def safe_csv(table: pd.DataFrame) -> bytes:
    """The table as UTF-8 CSV without its index; text that looks like a formula gets a `'` before.

    Numbers stay numbers, negative ones too.
    """
    safe = table.rename(columns=defused).map(defused)
    # All text in quotes: the writer would leave a lone carriage return bare, which ends a row.
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode("utf-8")


def time_left(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
