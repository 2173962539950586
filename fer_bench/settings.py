"""What the environment says, and what the user saved: the path of their data."""

from __future__ import annotations

import json
import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from fer_bench.errors import FerBenchError
from fer_bench.storage import read_json, write_atomically

NAME, PREFIX = "fer_bench", "FER_BENCH_"


def _config_file() -> Path:
    """In the user's config folder; where earlier versions put it, if it is still there."""
    earlier = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    file = earlier / NAME / "settings.json"  # on every platform, until platformdirs was asked
    return file if file.exists() else user_config_path(NAME, appauthor=False) / "settings.json"


class Settings(BaseSettings):
    """Every variable that FER Bench reads, as it is now; an empty one counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    data: str | None = Field(
        default=None, description="the data set of commands and pages that are given none"
    )
    results: str | None = Field(
        default=None,
        description="results folder or URL; several, as in `mine:results`, are read together and "
        "the first is written to",
    )
    cache: Path = Field(
        default_factory=lambda: user_cache_path(NAME, appauthor=False),
        description="decoded images, features, converted networks",
    )
    config: Path = Field(
        default_factory=_config_file, description="the file that remembers a connected data set"
    )
    token: str | None = Field(
        default=None,
        repr=False,
        description="bearer token that `serve` asks for, and the token of the dashboard's visitors",
    )
    address: str | None = Field(
        default=None,
        description="address that the dashboard shows as a QR code; `app --lan` sets it",
    )
    ice_servers: str | None = Field(
        default=None, repr=False, description="STUN and TURN servers of the Live page, JSON"
    )
    allow_paths: str | None = Field(
        default=None,
        description="1 or 0: whether visitors of the dashboard may name files of the server",
    )
    history: str | None = Field(default=None, description="folder or URL of the picture history")


def cache_dir() -> Path:
    """`$FER_BENCH_CACHE`, or the platform's place for caches; not created here."""
    return Settings().cache.expanduser()


def data_source() -> str | None:
    """The data's path: `FER_BENCH_DATA`, else what was stored, else None.

    A settings file that cannot be read counts as none: the user is simply asked again.
    """
    settings = Settings()
    if settings.data:
        return settings.data
    remembered = read_json(settings.config)
    source = remembered.get("data_source") if isinstance(remembered, dict) else None
    return source if isinstance(source, str) and source else None


def exists(path: str) -> bool:
    """Whether anything lies at a path that somebody typed, whatever it looks like."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, an unknown `~user`, a null character
        return False


def remember_data_source(source: str) -> None:
    """Saves the data's path for later sessions.

    Raises:
        FerBenchError: nothing lies there, or the settings cannot be written.
    """
    if source != "synthetic" and not exists(source):
        raise FerBenchError(
            f"nothing lies at {source}: expected the path of fer2013.zip, of fer2013.csv, of a "
            "folder of images, or the word synthetic"
        )
    file = Settings().config
    try:
        content = json.dumps({"data_source": source}, indent=2).encode()
        write_atomically({file: content}, parents=True)
    except OSError as error:
        raise FerBenchError(
            f"cannot save the data's path in {file}: {error}; set FER_BENCH_DATA instead"
        ) from None


def forget_data_source() -> None:
    """Forgets the data's path; the data stay where they are.

    Raises:
        FerBenchError: the settings cannot be written.
    """
    file = Settings().config
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise FerBenchError(f"cannot forget the data's path in {file}: {error}") from None
