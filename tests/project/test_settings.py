"""Variables of the environment, and what is remembered: one class, one table of the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fer_bench import settings
from fer_bench.errors import FerBenchError
from fer_bench.settings import PREFIX, Settings, cache_dir

ROOT = Path(__file__).parents[2]
#: Reads of a variable that bypass the class.
BYPASS = re.compile(r"""(environ\.get\(|getenv\(|environ\[)"FER_BENCH_\w+"(?!\] =)""")


def test_the_docs_table_is_the_class() -> None:
    text = (ROOT / "docs" / "guides" / "settings.md").read_text(encoding="utf-8")
    documented = dict(re.findall(rf"^\| `({PREFIX}\w+)` \| (.*?) \|", text, re.MULTILINE))
    assert documented == {
        f"{PREFIX}{name.upper()}": field.description
        for name, field in Settings.model_fields.items()
    }


def test_every_variable_that_the_code_names_is_in_the_class() -> None:
    files = [*ROOT.glob("fer_bench/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "app.py"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(rf"\b{PREFIX}([A-Z][A-Z_]*[A-Z])\b", text))
    assert named <= {name.upper() for name in Settings.model_fields}
    assert BYPASS.findall(text) == []


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", "")
    assert Settings().model_dump(exclude={"cache", "config"}) == dict.fromkeys(
        Settings.model_fields.keys() - {"cache", "config"}
    )


def test_caches_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/someone/.cache")
    assert cache_dir() == Path("/home/someone/.cache/fer_bench")
    monkeypatch.setenv("FER_BENCH_CACHE", "~/mine")
    assert cache_dir() == Path.home() / "mine"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config" / "settings.json"
    monkeypatch.setenv("FER_BENCH_CONFIG", str(file))
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    return file


def test_the_data_source_is_remembered(config: Path, tmp_path: Path) -> None:
    assert settings.data_source() is None
    settings.remember_data_source(str(tmp_path))
    assert settings.data_source() == str(tmp_path)


def test_the_environment_wins(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.remember_data_source("synthetic")
    monkeypatch.setenv("FER_BENCH_DATA", "/elsewhere.zip")
    assert settings.data_source() == "/elsewhere.zip"


def test_a_place_that_is_not_there_is_refused(config: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.zip"
    with pytest.raises(FerBenchError) as error:
        settings.remember_data_source(str(missing))
    assert f"nothing lies at {missing}: expected" in str(error.value)
    assert not config.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"data_source": 3}', ""])
def test_broken_settings_count_as_none(config: Path, content: str) -> None:
    config.parent.mkdir()
    config.write_text(content)
    assert settings.data_source() is None


def test_settings_live_in_the_users_config_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FER_BENCH_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/someone/.config")
    assert settings.Settings().config == Path("/home/someone/.config/fer_bench/settings.json")


def test_settings_that_cannot_be_written_say_so(config: Path) -> None:
    config.parent.write_text("a file where the folder should be")
    with pytest.raises(FerBenchError, match="set FER_BENCH_DATA instead"):
        settings.remember_data_source("synthetic")


def test_a_path_that_none_can_be_is_not_there(config: Path) -> None:
    for path in ("~nobody-of-this-name/faces", "null\0character", "x" * 5000):
        assert not settings.exists(path)


def test_settings_that_cannot_be_forgotten_say_so(config: Path) -> None:
    config.mkdir(parents=True)
    with pytest.raises(FerBenchError, match="cannot forget the data's path in"):
        settings.forget_data_source()
