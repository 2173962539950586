"""A disk that fills up midway: one sentence, the earlier files intact, nothing half written.

The system itself refuses: a process may write files of so many bytes and no more.
"""

from __future__ import annotations

import errno
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import damage_examples as examples
import numpy as np
import pandas as pd
import pytest
import torch
from command_fixtures import Fer
from data_fixtures import kaggle_files, zipped
from frozen_fixtures import FEATURE_SIZE, tiny_classifier, tiny_dataset
from record_fixtures import make_history, make_predictions, make_record
from report_fixtures import REPORT_WRITERS

from fer_bench import settings
from fer_bench.backends.export import export as exporting
from fer_bench.backends.export.openvino import OpenVinoFiles
from fer_bench.backends.export.tflite import TfliteFile
from fer_bench.backends.export.verify import Faces
from fer_bench.backends.onnx import OnnxFile
from fer_bench.cli import main
from fer_bench.data.load import read_source
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.features.splits import split_features
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.copies import AnnotatedImages
from fer_bench.inference.files.writers import Csv, FileReport, JsonLines
from fer_bench.inference.history import History
from fer_bench.models.export_metadata import describe
from fer_bench.results.store import ResultsStore
from fer_bench.training.precision import settled_choice
from fer_bench.training.state import save_checkpoint

IMAGE = np.full((40, 50, 3), 128, dtype=np.uint8)


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what is behind them is refused, as by a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    sys.dont_write_bytecode = True  # Python would leave modules cut off after so many bytes
    try:
        yield
    finally:
        sys.dont_write_bytecode = False
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def save_run(folder: Path, number: int) -> None:
    ResultsStore(folder).save(
        make_record(name="one", seed=number),
        history=make_history(seed=number),
        predictions=make_predictions(seed=number),
        network={"model.safetensors": bytes([number]) * 9000, "model.json": b"{}" * 200},
    )


def save_record(folder: Path, number: int) -> None:
    ResultsStore(folder).save(make_record(name="one", seed=number))


def save_history(folder: Path, number: int) -> None:
    history = pd.concat([make_history(seed=number)] * 50)
    ResultsStore(folder).save(make_record(name="one"), history=history)


def mark_default(folder: Path, number: int) -> None:
    store = ResultsStore(folder)
    if not number:
        store.save(make_record(name="one"))
    store.mark_default(store.find("one"))


def write_checkpoint(folder: Path, number: int) -> None:
    save_checkpoint(folder, {"epoch": number, "weights": torch.full((500,), float(number))})


def note_precision(folder: Path, number: int) -> None:
    settled_choice(folder, False, lambda: ("fp32", f"measured {number}" * 50), ["fp32"])


def decode_data(folder: Path, number: int) -> None:
    source = zipped(folder.parent / f"{number}.zip", kaggle_files(per_class=2 + number))
    read_source(source)


def export(folder: Path, number: int, format: str = "onnx") -> None:
    """The conversions take long and are not tested here; TFLite's converter may not be installed.

    What stands for it writes its file as that does.
    """
    model = examples.tiny_network()
    faces = Faces(images=examples.DRAWN.images, source="synthetic")
    metadata = describe(model, run=f"run-{number}")
    written = SimpleNamespace(export=lambda path: Path(path).write_bytes(b"TFL3" * 99))
    converter = SimpleNamespace(convert=lambda *_: written)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "litert_torch", converter)
        patch.setattr(TfliteFile, "open", lambda *_: None)
        patch.setattr(OnnxFile, "convert", lambda *_: {".onnx": examples.onnx_file()})
        patch.setattr(OnnxFile, "read_metadata", lambda *_: metadata)
        patch.setattr(exporting, "compare_file", lambda *_: (None, None))
        patch.setattr(exporting, "Export", lambda **_: None)
        out = folder / f"model.{format}"
        exporting.export_model(model, out, format, metadata=metadata, faces=faces)


def report(kind: type[Csv] | type[JsonLines], folder: Path, number: int) -> None:
    with FileReport(folder / "faces", kind, ("happy", "sad")) as rows:
        for _ in range(300):
            rows.write(FileResult(path=Path(f"{number}.jpg"), image=IMAGE))


def annotate(folder: Path, number: int) -> None:
    source = Path("a.png")
    drawn = np.random.default_rng(number).integers(0, 256, IMAGE.shape).astype(np.uint8)
    AnnotatedImages({source: folder / "a.png"}, ("happy", "sad")).write(
        FileResult(path=source, image=drawn)
    )


def keep_image(folder: Path, number: int) -> None:
    History(str(folder)).add("a.jpg", IMAGE, [{"emotion": "happy", "note": "x" * 500}])


def remember_data(folder: Path, number: int) -> None:
    source = folder.parent / (str(number) * 100)
    source.mkdir()
    settings.remember_data_source(str(source))


WRITERS: dict[str, Callable[[Path, int], None]] = {
    "a run": save_run,
    "a record": save_record,
    "a history": save_history,
    "the default": mark_default,
    "a checkpoint": write_checkpoint,
    "the precision": note_precision,
    "decoded data": decode_data,
    **REPORT_WRITERS,
    "an export": export,
    "a TFLite export": lambda folder, number: export(folder, number, "tflite"),
    "a CSV": lambda folder, number: report(Csv, folder, number),
    "JSON lines": lambda folder, number: report(JsonLines, folder, number),
    "an annotated image": annotate,
    "the image history": keep_image,
    "the settings": remember_data,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a writer writes; the cache and the settings lie there too."""
    folder = tmp_path / "written"
    folder.mkdir()
    monkeypatch.setenv("FER_BENCH_CACHE", str(folder))
    monkeypatch.setenv("FER_BENCH_CONFIG", str(folder / "settings.json"))
    return folder


@pytest.mark.parametrize("size", [0, 8, 300])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(
    folder: Path, writer: str, size: int
) -> None:
    write = WRITERS[writer]
    write(folder, 0)
    before = contents(folder)
    assert before
    if writer == "decoded data":  # its zip is written before the disk is full
        zipped(folder.parent / "1.zip", kaggle_files(per_class=3))
    if writer in ("the default", "the settings"):  # which have less than the most of these
        size = min(size, 8)
    with full_after(size), pytest.raises(FerBenchError) as caught:
        read_source(folder.parent / "1.zip") if writer == "decoded data" else write(folder, 1)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    assert "too large" in sentence or "write" in sentence
    assert contents(folder) == before


@pytest.mark.parametrize("size", [300, 1_000_000])
def test_a_checkpoint_on_a_full_disk_says_what_the_system_says(folder: Path, size: int) -> None:
    """PyTorch by itself only knows of an unexpected position."""
    state = {"one": torch.zeros(size), "other": torch.zeros(size)}
    with full_after(size), pytest.raises(RunFailed, match=r": File too large; free some space"):
        save_checkpoint(folder, state)
    assert contents(folder) == {}


def test_features_on_a_full_disk_are_one_sentence_and_whole_the_next_time(folder: Path) -> None:
    model, dataset = tiny_classifier(), tiny_dataset()
    with (
        full_after(300),
        pytest.raises(FerBenchError, match=r"^cannot save features in .*: File too large; free"),
    ):
        split_features(model, dataset, "val")
    assert not list(folder.rglob("*.npy"))
    assert split_features(model, dataset, "val").values.shape == (30, FEATURE_SIZE)


@pytest.mark.parametrize("writer", ["a checkpoint", "a CSV", "an annotated image"])
def test_what_fails_at_work_ends_with_exit_code_1(folder: Path, writer: str) -> None:
    with full_after(8), pytest.raises(RunFailed) as caught:
        WRITERS[writer](folder, 0)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "words", [["report", "--out", "report.html"], ["compare", "one", "two", "--csv", "x.csv"]]
)
def test_a_command_whose_output_does_not_fit_leaves_none(
    fer: Fer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "two")):
        ResultsStore(tmp_path / "results").save(
            make_record(name=name), history=make_history(), predictions=make_predictions(seed=seed)
        )
    before = contents(tmp_path)
    with full_after(100):
        code, out, err = fer(*words, "--results", "results", "--json")
    assert (code, out) == (2, "")
    assert "File too large" in err
    assert "Traceback" not in err
    assert contents(tmp_path) == before


def test_a_network_that_openvino_has_no_room_for_says_where() -> None:
    model = examples.tiny_network()
    with full_after(100), pytest.raises(FerBenchError) as caught:
        OpenVinoFiles().convert(model, describe(model, run="one"), None)
    assert str(caught.value).startswith("OpenVINO cannot write the network to ")
    assert "no space left on device; free some, or set TMPDIR" in str(caught.value)


def test_whatever_file_a_full_disk_refuses_it_is_one_sentence(
    fer: Fer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "scratch.bin")

    monkeypatch.setattr(main, "app", refuse)
    code, out, err = fer("results")
    assert (code, out) == (1, "")
    assert "No space left on device for scratch.bin" in err
    assert err.count("\n") == 1
