"""What the user told us once and need not tell again: where their data lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.storage import write_atomically


def settings_file() -> Path:
    """`FER_BENCH_CONFIG`, or `fer_bench/settings.json` in the user's config folder."""
    given = os.environ.get("FER_BENCH_CONFIG")
    if given:
        return Path(given)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "fer_bench" / "settings.json"


def data_source() -> str | None:
    """The data's place: `FER_BENCH_DATA`, else what was remembered, else None.

    A settings file that cannot be read counts as none: the user is simply asked again.
    """
    given = os.environ.get("FER_BENCH_DATA")
    if given:
        return given
    try:
        settings = json.loads(settings_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    source = settings.get("data_source") if isinstance(settings, dict) else None
    return source if isinstance(source, str) and source else None


def remember_data_source(source: str) -> None:
    """Keeps the data's place for later sessions.

    Raises:
        FerBenchError: nothing lies there, or the settings cannot be written.
    """
    if source != "synthetic" and not Path(source).expanduser().exists():
        raise FerBenchError(
            f"nothing lies at {source}: expected the path of fer2013.zip, of fer2013.csv, of a "
            "folder of images, or the word synthetic"
        )
    file = settings_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically({file: json.dumps({"data_source": source}, indent=2).encode()})
    except OSError as error:
        raise FerBenchError(
            f"cannot remember the data's place in {file}: {error}; set FER_BENCH_DATA instead"
        ) from None
