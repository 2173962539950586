"""`import fer_bench`: light, and everything in reach of one dot."""

from __future__ import annotations

import doctest
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from face_fixtures import SAMPLE
from PIL import Image
from streamlit.web.server.app_discovery import discover_asgi_app
from table_fixtures import table

import fer_bench
from fer_bench.errors import FerBenchError
from fer_bench.inference import load as loading
from fer_bench.inference.images import Picture, read_image
from fer_bench.models import build
from fer_bench.results.stored_run import StoredRun

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pandas", "numpy", "streamlit", "cv2", "pydantic", "fastapi", "openvino")


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the shipped runs and the samples are."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("FER_BENCH_RESULTS", raising=False)


def printed(code: str) -> str:
    """By a fresh Python."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_imports_nothing_heavy() -> None:
    code = f"import sys, fer_bench; print([n for n in {HEAVY} if n in sys.modules])"
    assert printed(code) == "[]\n"


def test_a_predictor_needs_neither_tables_nor_a_fit() -> None:
    code = (
        "import sys, fer_bench.api.service, fer_bench.inference.load\n"
        "import fer_bench.inference.files.batch, fer_bench.inference.files.copies\n"
        "absent = 'pandas', 'pyarrow', 'scipy.optimize', 'sklearn'\n"
        "print([n for n in absent if n in sys.modules])"
    )
    assert printed(code) == "[]\n"


def test_the_dashboards_server_loads_what_pages_need_after_it_has_started() -> None:
    """Streamlit takes `app.py` for a server of its own, and for what each visit runs."""
    assert discover_asgi_app(ROOT / "app.py").import_string == "app:app"
    code = (
        "import sys, app\n"
        "print([n in sys.modules for n in ('pandas', 'fer_bench.ui')])\n"
        "app.load()\n"
        "print([n in sys.modules for n in ('pandas', 'fer_bench.ui')])"
    )
    assert printed(code) == "[False, False]\n[True, True]\n"


def test_every_name_is_there_and_documented() -> None:
    assert set(fer_bench.__all__) <= set(dir(fer_bench))
    for name in fer_bench.__all__:
        assert getattr(fer_bench, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'fer_bench' has no attribute 'lode'"):
        fer_bench.lode  # noqa: B018


@pytest.mark.parametrize("module", [fer_bench, loading, build], ids=lambda m: m.__name__)
def test_the_examples_in_docstrings_hold(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert (failed, tried > 0) == (0, True)


def test_the_readme_s_python_runs() -> None:
    (code,) = (
        part.partition("```")[0]
        for part in (ROOT / "README.md").read_text().split("```python\n")[1:]
        if part.startswith("import fer_bench")
    )
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(code, {})
    assert "happy" in printed.getvalue()


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "pil", "array"])
def test_a_picture_comes_in_any_form(kind: str) -> None:
    pictures: dict[str, Picture] = {
        "path": SAMPLE,
        "text": str(SAMPLE),
        "bytes": SAMPLE.read_bytes(),
        "pil": Image.open(SAMPLE),
        "array": read_image(SAMPLE),
    }
    (face,) = fer_bench.predict(pictures[kind]).faces
    assert (face.emotion, face.box) == ("happy", face.face.box)


@table("picture", [None, 7, np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), "no.jpg", b"", ["a"]])
def test_anything_else_is_one_sentence(picture: object) -> None:
    with pytest.raises(FerBenchError, match="expected a"):
        fer_bench.predict(picture)  # type: ignore[arg-type]


def test_a_run_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(FerBenchError, match=r"unknown run 'defualt': did you mean 'default'\?"):
        fer_bench.load("defualt")


def test_a_run_of_a_store_opens_with_sets_of_emotions() -> None:
    run = fer_bench.open_results().find("default")
    predictor = fer_bench.load(run, sets=0.9, backend="torch-fp32")
    (face,) = predictor.predict(SAMPLE).faces
    assert face.emotion_set[0] == face.emotion
    assert fer_bench.load(run.folder, backend="torch-fp32").classifier.name == run.name
    with pytest.raises(FerBenchError, match="expected a coverage between 0 and 1"):
        fer_bench.load(run, sets=1.5)


@table("run", [None, 7, "", "no/such"])
def test_what_is_no_run_is_one_sentence(run: object) -> None:
    with pytest.raises(FerBenchError, match="unknown run"):
        fer_bench.load(run)  # type: ignore[arg-type]


@table(
    ("call", "sentence"),
    [
        (lambda: fer_bench.load_dataset("synthetic", protocol="Kaggle"), "protocol: .*'Kaggle'"),
        (lambda: fer_bench.load_dataset("synthetic", limit=-5), "limit: .* greater than 0, got -5"),
        (lambda: fer_bench.load_dataset("synthetic", image_size=0), "image_size: .* got 0"),
        (lambda: fer_bench.load_dataset("x" * 5000), "cannot use .*: File name too long"),
        (lambda: fer_bench.evaluate("default", "synthetic", split="tset"), "unknown split 'tset'"),
        (lambda: fer_bench.evaluate("default", "synthetic", limit=-1), "a limit of 1 .* got -1"),
        (
            lambda: fer_bench.train("resnet18", fer_bench.load_dataset("synthetic")),
            "expected data as a path, .* got FaceDataset: give what it was loaded from",
        ),
        (
            lambda: fer_bench.load(detector="yunet", detector_file="net.onnx"),
            "YuNet's network net.onnx cannot be read",
        ),
    ],
    ids=["protocol", "limit", "size", "long", "split", "few", "loaded", "detector"],
)
def test_what_does_not_fit_is_one_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(FerBenchError, match=sentence):
        call()


def train_a_little(results: Path, *, force: bool = False) -> StoredRun:
    return fer_bench.train(
        "keras_cnn",
        "synthetic",
        recipe="demo",
        pretraining="none",
        limit=8,
        results=results,
        force=force,
    )


@pytest.mark.slow
def test_a_network_is_read_once_and_again_when_it_was_trained_anew(tmp_path: Path) -> None:
    run = train_a_little(tmp_path)
    name = run.id
    first = fer_bench.load(name, results=tmp_path, backend="torch-fp32")
    same = fer_bench.load(name, results=tmp_path, backend="torch-fp32")
    assert first.classifier is same.classifier

    again = train_a_little(tmp_path, force=True)
    assert again.require_record().finished_at > run.require_record().finished_at
    anew = fer_bench.load(name, results=tmp_path, backend="torch-fp32")
    assert anew.classifier is not first.classifier


def test_from_training_to_a_number_and_a_face(tmp_path: Path) -> None:
    run = train_a_little(tmp_path)
    record = run.require_record()
    assert record.status == "done"
    assert train_a_little(tmp_path).require_record() == record  # not trained again

    report = fer_bench.evaluate(run, "synthetic", limit=8, results=tmp_path)
    assert report == fer_bench.evaluate(run.name, "synthetic", limit=8, results=tmp_path)
    assert (report.run, report.metrics.n) == (run.name, record.metrics["test"].n)

    dataset = fer_bench.load_dataset("synthetic", limit=8)
    predictor = fer_bench.load(run.name, results=tmp_path, detector="whole", backend="torch-fp32")
    (face,) = predictor.predict(dataset.images[0]).faces
    assert face.emotion in dataset.emotions
    assert [stored.name for stored in fer_bench.open_results(tmp_path).runs()] == [run.name]
