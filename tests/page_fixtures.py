"""What the tests of pages share: made-up results of every kind, and a visit without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from record_fixtures import make_history, make_predictions, make_recipe, make_record
from streamlit.testing.v1 import AppTest

from fer_bench.results.record import Member, RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs import EnsembleSpec

APP = str(Path(__file__).parents[1] / "app.py")
HOSTILE = "out of memory <script>alert(1)</script> [click](javascript:alert(1))"
BEST = "fer2013/resnet18-full-finetune-5-s0"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "results"
    monkeypatch.setenv("FER_BENCH_RESULTS", str(root))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    return root


@pytest.fixture
def mixed(results: Path) -> Path:
    """Two finished runs and a second seed, a limited, a failed, a running and a broken one."""
    store = ResultsStore(results)
    for record in (make_record(), make_record(seed=1, accuracy=0.6), frozen(), limited()):
        predictions = make_predictions(
            accuracy=0.6 if record.spec.seed else 0.65, seed=record.spec.seed
        )
        store.save(record, history=make_history(), predictions=predictions)
    store.save(make_record(model="vit-b-16", status="failed", error=HOSTILE))
    store.save(make_record(model="densenet121", status="running"), history=make_history(epochs=2))
    broken = results / "fer2013" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"name": ')
    return results


def frozen() -> RunRecord:
    recipe = make_recipe(name="frozen-20", epochs=20)
    return make_record(model="vgg16", mode="frozen", recipe=recipe, accuracy=0.4)


def limited() -> RunRecord:
    return make_record(model="keras-cnn", limit=20, not_comparable_because=["limit"])


def make_ensemble_record(title: str, shares: dict[str, float]) -> RunRecord:
    members = tuple(
        Member(run=run, weight=weight, temperature=1.25, pretraining="none")
        for run, weight in shares.items()
    )
    spec = EnsembleSpec(ensemble=tuple(shares), title=title)
    record = make_record(name=spec.name)
    training = record.training.model_copy(update={"epochs_run": 0, "seconds": 0.0})
    return record.model_copy(update={"spec": spec, "members": members, "training": training})


def open_page(name: str, run: str | None = None) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=30)
    app.run()
    if run:
        app.query_params["run"] = run
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
    assert [title.value for title in app.title] == [name.capitalize()]
    return app


def plain(text: str) -> str:
    """Markdown as it is read: without its backslashes and with ordinary blanks."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("\N{NO-BREAK SPACE}", " ")


def texts(app: AppTest) -> str:
    """Everything readable on the page."""
    notices = [*app.info, *app.success, *app.warning, *app.error]
    elements = [*app.markdown, *app.caption, *notices, *app.subheader]
    return plain("\n".join(element.value for element in elements))


def tiles(app: AppTest) -> dict[str, str]:
    return {plain(tile.label): plain(tile.value) for tile in app.metric}
