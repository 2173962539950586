"""The command `predict`, and the batch pipeline under it: rows, files, faults, memory."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from command_fixtures import Fer
from numpy.typing import NDArray
from PIL import Image
from record_fixtures import make_record

from fer_bench.backends.select import open_backend
from fer_bench.data.files.archive import IMAGE_SUFFIXES
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.evaluate import predict_probabilities
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.base import DetectedFace, WholeImage
from fer_bench.inference.files import batch as batching
from fer_bench.inference.files.batch import FileResult, predict_files
from fer_bench.inference.files.copies import plan_outputs
from fer_bench.inference.files.inputs import find_inputs
from fer_bench.inference.files.summary import BatchSummary
from fer_bench.inference.images import read_image
from fer_bench.inference.predictor import Predictor
from fer_bench.inference.video.frame import Frame
from fer_bench.inference.video.reader import VideoReader
from fer_bench.inference.video.writer import AnnotatedCopy
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore

ROOT = Path(__file__).parents[3]
PHOTO = ROOT / "assets/samples/astronaut.jpg"
FACES = read_synthetic(n_per_class=3, size=48, seed=0).images
RUN = "tester"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one run that has weights, marked as default."""
    root = tmp_path_factory.mktemp("results")
    store = ResultsStore(root)
    record = make_record(name=RUN, model="compact_resnet")
    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
    store.save(record, network=model_files(model))
    store.mark_default(store.find(RUN))
    return root


@pytest.fixture
def predict(fer: Fer, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fer:
    """Runs `python -m fer_bench predict default ...` in `tmp_path`; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object, run: str = "default", backend: str = "torch-fp32"):
        code, out, err = fer("predict", run, "--results", results, "--backend", backend, *words)
        assert "Traceback" not in err
        return code, out, err

    return call


@pytest.fixture
def refused(refused: Callable[..., str], predict: Fer, tmp_path: Path) -> Callable[..., str]:
    """Such a command, after which there is no file more than before."""

    def call(*words: object, **settings: str) -> str:
        before = set(tmp_path.rglob("*"))
        sentence = refused(*words, run=partial(predict, **settings))
        assert set(tmp_path.rglob("*")) == before
        return sentence

    return call


def make_predictor(detector: object | None = None) -> Predictor:
    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
    classifier = FaceClassifier(name="x", model=model, backend=open_backend("torch-fp32", model))
    return Predictor(classifier, detector or WholeImage())


def put_faces(folder: Path, names: str) -> list[Path]:
    """A drawn face per name."""
    paths = [folder / name for name in names.split()]
    for path, face in zip(paths, np.resize(FACES, (len(paths), 48, 48)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path)
    return paths


def put_clip(path: Path, n: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.height = stream.width = 48
        for face in FACES[:n]:
            frame = av.VideoFrame.from_ndarray(np.repeat(face[..., None], 3, 2), "rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- what it finds ---------------------------------------------------------------------------


def test_json_gives_the_faces_of_each_input(predict: Fer, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "wall.png")
    code, out, err = predict(PHOTO, "wall.png", "--json")
    photo, wall = json.loads(out)
    assert code == 0
    assert list(photo) == ["path", "faces", "backend", "error"]
    assert photo["backend"] == "torch-fp32"
    assert (photo["path"], photo["error"]) == (str(PHOTO), None)
    (face,) = photo["faces"]
    assert list(face) == ["box", "detector_score", "emotion", "score", "probabilities"]
    left, top, width, height = face["box"]
    assert left < 225 < left + width  # between the astronaut's eyes
    assert top < 110 < top + height
    assert list(face["probabilities"]) == list(FER2013)
    assert sum(face["probabilities"].values()) == pytest.approx(1)
    assert face["score"] == face["probabilities"][face["emotion"]]
    assert face["score"] == max(face["probabilities"].values())
    assert wall == {"path": "wall.png", "faces": [], "backend": "torch-fp32", "error": None}
    assert f"2 images: 1 face ({face['emotion']} 1); no face in 1; 0 errors; " in err


def test_whole_images_get_the_probabilities_of_evaluation(tmp_path: Path) -> None:
    paths = put_faces(tmp_path, " ".join(f"{i}.png" for i in range(len(FACES))))
    predictor = make_predictor()
    found = [one.faces[0].probabilities for one in predict_files(predictor, paths, batch_size=4)]
    expected = predict_probabilities(predictor.classifier.model, FACES)
    assert len(FACES) == 21
    assert np.abs(np.stack(found) - expected).max() < 1e-6


def test_results_come_in_order_whatever_the_batch(tmp_path: Path) -> None:
    paths = put_faces(tmp_path, " ".join(f"{i}.png" for i in range(11)))
    paths[4].write_bytes(b"")
    predictor = make_predictor()
    for size in (1, 3, 11, 32):
        found = list(predict_files(predictor, paths, batch_size=size))
        assert [one.path for one in found] == paths
        assert [one.error is None for one in found] == [path != paths[4] for path in paths]


def test_a_line_per_input_where_nothing_else_was_asked_for(predict, tmp_path) -> None:
    put_faces(tmp_path, "a.png b.png")
    put_clip(tmp_path / "c.avi")
    code, out, _ = predict(".", "--detector", "whole")
    shown = [line.rpartition(": ") for line in out.splitlines()]
    places = ["a.png", "b.png", "c.avi at 0.00 s", "c.avi at 0.10 s", "c.avi at 0.20 s"]
    assert (code, [place for place, _, _ in shown]) == (0, places)
    assert all(face.split()[0] in FER2013 and face.endswith("%") for *_, face in shown)


def test_csv_and_json_lines_hold_the_same_rows(predict, tmp_path) -> None:
    put_faces(tmp_path / "in", "a.png b.png")
    (tmp_path / "in" / "c.jpg").write_text("not a picture")
    put_clip(tmp_path / "in" / "d.avi", n=2)
    files = ["--csv", "new/rows.csv", "--jsonl", "rows.jsonl"]
    code, out, err = predict("in", "--detector", "whole", *files)
    assert (code, out) == (0, "")
    entries = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows = rows_of(tmp_path / "new" / "rows.csv")
    paths = ["in/a.png", "in/b.png", "in/c.jpg", "in/d.avi", "in/d.avi"]
    assert [e["path"] for e in entries] == [r["path"] for r in rows] == paths
    assert [r["frame"] for r in rows] == ["", "", "", "0", "1"]
    assert [r["time_s"] for r in rows] == ["", "", "", "0.0", "0.1"]
    columns = "path frame time_s face track x y width height detector_score emotion score"
    emotions = " ".join(f"p_{emotion}" for emotion in FER2013)
    assert " ".join(rows[0]) == f"{columns} {emotions} backend error"
    for row, entry in zip(rows, entries, strict=True):
        assert row["error"] == (entry["error"] or "")
        for face in entry["faces"]:
            box = [int(row[c]) for c in ("x", "y", "width", "height")]
            assert ([int(row["face"]), *box], box) == ([1, 0, 0, 48, 48], face["box"])
            assert (row["emotion"], float(row["score"])) == (face["emotion"], face["score"])
            found = {emotion: float(row[f"p_{emotion}"]) for emotion in FER2013}
            assert found == face["probabilities"]
    assert rows[2]["emotion"] == rows[2]["face"] == ""
    assert [row["track"] for row in rows] == ["", "", "", "1", "1"]
    assert [[face.get("track") for face in e["faces"]] for e in entries][2:] == [[], [1], [1]]
    assert [row["backend"] for row in rows] == ["torch-fp32", "torch-fp32", "", *["torch-fp32"] * 2]
    assert rows[2]["error"].startswith("in/c.jpg ")
    assert f"not read: {rows[2]['error']}" in err
    assert "2 images and 2 frames: 4 faces (" in err
    assert "no face in 0; 1 error; " in err


def test_every_face_is_a_row_and_the_largest_is_the_first(predict, tmp_path) -> None:
    photo = Image.open(PHOTO)
    group = Image.new("RGB", (1100, 600))
    group.paste(photo, (0, 0))
    group.paste(photo.resize((600, 600)), (500, 0))
    group.save(tmp_path / "group.png")
    assert predict("group.png", "--csv", "rows.csv")[0] == 0
    first, second = rows_of(tmp_path / "rows.csv")
    assert (first["face"], second["face"]) == ("1", "2")
    assert int(first["x"]) > 500 > int(second["x"])
    assert int(first["width"]) > int(second["width"])


def test_frames_are_analysed_every_so_often(predict, tmp_path) -> None:
    put_clip(tmp_path / "c.avi", n=7)
    code, out, _ = predict("c.avi", "--detector", "whole", "--every", "3", "--json")
    assert (code, [entry["frame"] for entry in json.loads(out)]) == (0, [0, 3, 6])


# --- which inputs ----------------------------------------------------------------------------


def names_of(*words: str, **settings: list[Path]) -> list[str]:
    return [str(one.path) for one in find_inputs(words, **settings).files]


def test_folders_are_searched_through_without_what_is_hidden(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_faces(tmp_path / "in", "b.png a.JPG sub/deep/c.jpeg .hidden.png .git/d.png")
    put_clip(tmp_path / "in" / "sub" / "v.mp4")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    expected = ["in/a.JPG", "in/b.png", "in/sub/deep/c.jpeg", "in/sub/v.mp4"]
    assert names_of("in") == names_of("in/") == names_of("./in") == expected
    assert [one.is_video for one in find_inputs(["in"]).files] == [False, False, False, True]
    assert names_of("in/sub", "in", "in/b.png") == [*expected[2:], *expected[:2]]
    monkeypatch.chdir(tmp_path / "in")
    assert names_of(".") == ["a.JPG", "b.png", "sub/deep/c.jpeg", "sub/v.mp4"]


def test_what_a_folder_holds_besides_is_counted_by_reason(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_faces(tmp_path / "in", "b.png .hidden.png .git/d.png out/c.png")
    for name in ("notes.txt", "a.pdf", "sub.csv", "z.zip"):
        (tmp_path / "in" / name).write_text("no picture")
    os.mkfifo(tmp_path / "in" / "pipe")  # reading it would wait forever
    out = [Path("in/out")]
    besides = "5 files neither image nor video (a.pdf, notes.txt, pipe, …)"
    assert find_inputs(["in"], leave_out=out).passed_over == (
        f"passed over in in: {besides} and 2 hidden files",
    )
    assert find_inputs(["in/*"], leave_out=out).passed_over == (f"passed over in in: {besides}",)
    assert find_inputs(["in/b.png"]).passed_over == ()


@pytest.mark.parametrize("name", ["pipe.png", "pipe.mp4"])
def test_a_pipe_in_a_folder_is_a_row_with_its_reason(predict, tmp_path, name) -> None:
    put_faces(tmp_path, "in/b.png")
    os.mkfifo(tmp_path / "in" / name)
    code, out, _ = predict("in", "--detector", "whole", "--json")
    found, pipe = json.loads(out)
    assert (code, found["error"], len(found["faces"])) == (0, None, 1)
    assert "device or pipe" in pipe["error"]


@pytest.mark.parametrize("name", ["a.MTS", "a.ts", "a.vob", "a.3g2", "a.qt", "upload_tmp", "a.bin"])
def test_videos_are_known_by_how_they_begin(tmp_path, monkeypatch, name) -> None:
    monkeypatch.chdir(tmp_path)
    shape = {".MTS": ".m2ts", ".ts": ".ts", ".vob": ".mpg"}.get(Path(name).suffix, ".mp4")
    put_clip(tmp_path / "in" / f"clip{shape}").rename(tmp_path / "in" / name)
    put_faces(tmp_path, "in/b.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    found = {str(one.path): one.is_video for one in find_inputs(["in"]).files}
    assert found == {f"in/{name}": True, "in/b.png": False}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("photo", "PNG"), ("a.jpg_large", "JPEG"), ("b.mp4", "JPEG"), ("c.bin", "WEBP"), ("d", "GIF")],
)
def test_pictures_are_known_by_how_they_begin(tmp_path, monkeypatch, name, kind) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    Image.open(PHOTO).save(tmp_path / "in" / name, kind)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / "camera.raw").write_bytes(b"II*\0" + bytes(100))
    found = find_inputs(["in"])
    assert [(str(one.path), one.is_video) for one in found.files] == [(f"in/{name}", False)]
    assert "(camera.raw, notes.txt)" in found.passed_over[0]


def test_what_data_sets_take_for_a_picture_is_one_in_a_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for suffix in IMAGE_SUFFIXES:
        Path(f"a{suffix}").touch()
    assert names_of(".") == sorted(f"a{suffix}" for suffix in IMAGE_SUFFIXES)


def test_globs_as_text_find_the_same_as_the_shell(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_faces(tmp_path / "in", "a.png b.png sub/c.png sub/d.jpg .e.png")
    assert names_of("in/*.png") == ["in/a.png", "in/b.png"]
    assert names_of("in/**/*.png") == ["in/a.png", "in/b.png", "in/sub/c.png"]
    assert names_of("in/*") == ["in/a.png", "in/b.png", "in/sub/c.png", "in/sub/d.jpg"]
    assert names_of("in/**") == ["in/a.png", "in/b.png", "in/sub/c.png", "in/sub/d.jpg"]
    assert names_of("*/s?b/[c-d].*") == ["in/sub/c.png", "in/sub/d.jpg"]
    assert names_of(f"{tmp_path}/in/a*") == [f"{tmp_path}/in/a.png"]
    put_faces(tmp_path, "odd[1].png")
    assert names_of("odd[1].png") == ["odd[1].png"]


def test_earlier_output_inside_the_input_is_passed_over(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_faces(tmp_path, "in/a.png in/out/a.png")
    assert names_of("in", leave_out=[Path("in/out")]) == ["in/a.png"]
    assert names_of("in/**", leave_out=[Path("in/out")]) == ["in/a.png"]
    assert names_of("in/out", leave_out=[Path("in/out")]) == ["in/out/a.png"]


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("in/aa.png", "did you mean 'in/a.png'"),
        ("inn", "did you mean 'in'?"),
        ("zzzz.png", "check the path"),
        ("", "expected a file, a folder or a glob"),
        ("empty", "no image or video"),
        ("in/*.bmp", "no image or video"),
        ("in/a.png --detector whol", "did you mean 'whole'"),
        ("in/a.png --detector haar --detector-file x.onnx", "takes no model file"),
        ("in/a.png --detector yunet", "yunet"),
        ("in/a.png --out in", "overwrite the input in/a.png"),
        ("in/a.png --csv in/a.png", "overwrite the input in/a.png"),
        ("in/a.png --csv x --jsonl ./x", "overwrite the output x"),
        ("in/a.png --csv empty", "it is a folder"),
        ("in/a.png --jsonl /dev/null", "a device or pipe"),
        ("in/a.png --csv to_itself --out in", "overwrite the input in/a.png"),
        ("nowhere.png", "check the path"),
        ("in/a.png --out in/a.png", "is a file: expected a folder"),
        ("in/a.png --video v.mp4", "the copy of one video"),
        ("v.avi --video v.webm", "cannot write a video as v.webm"),
        ("v.avi in/a.png --video v.avi", "ends in .mp4"),
    ],
)
def test_bad_arguments_are_one_sentence_and_exit_code_2(refused, tmp_path, words, word) -> None:
    put_faces(tmp_path, "in/a.png")
    put_clip(tmp_path / "v.avi")
    (tmp_path / "empty").mkdir()
    (tmp_path / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "to_itself").symlink_to("to_itself")
    assert word in refused(*(words.split() or [""]))


@pytest.mark.parametrize("word", ["camera", "0"])
def test_a_camera_without_a_window_is_one_sentence(refused, monkeypatch, word) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "namedWindow", refuse)
    sentence = refused(word)
    assert "page Live, or install opencv-python" in sentence
    assert "predict" not in sentence


def test_an_unknown_run_or_back_end_is_named(refused, tmp_path) -> None:
    put_faces(tmp_path, "a.png")
    assert f"unknown run 'testr': did you mean '{RUN}'" in refused("a.png", run="testr")
    assert "did you mean 'torch-fp32'" in refused("a.png", backend="torch-fp3")


# --- what cannot be read ---------------------------------------------------------------------


def test_what_cannot_be_read_is_a_row_and_the_rest_goes_on(predict, tmp_path) -> None:
    put_faces(tmp_path / "in", "a.png z.png")
    (tmp_path / "in" / "b.jpg").write_text("text named jpg")
    (tmp_path / "in" / "c.png").write_bytes(b"")
    (tmp_path / "in" / "d.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:200])
    (tmp_path / "in" / "e.mp4").write_bytes(b"\0" * 5000)
    code, out, err = predict("in", "--detector", "whole", "--json")
    errors = {entry["path"]: entry["error"] for entry in json.loads(out)}
    assert code == 0
    assert [path for path, error in errors.items() if error is None] == ["in/a.png", "in/z.png"]
    for path in ("in/b.jpg", "in/c.png", "in/d.png", "in/e.mp4"):
        assert errors[path].startswith(f"{path} ")
        assert f"not read: {errors[path]}" in err
    assert "2 images: 2 faces" in err
    assert "; 4 errors; " in err


def test_exit_code_1_where_nothing_could_be_read(predict, tmp_path) -> None:
    for i in range(25):
        (tmp_path / f"{i:02d}.png").write_bytes(b"")
    code, out, err = predict(".", "--json", "--csv", "rows.csv")
    assert code == 1
    assert [bool(entry["error"]) for entry in json.loads(out)] == [True] * 25
    assert len(rows_of(tmp_path / "rows.csv")) == 25
    assert "error: nothing could be read of 25 inputs" in err
    assert err.count("not read: ") == 20
    assert err.count("… and more") == 1


# --- what it writes --------------------------------------------------------------------------


def test_out_keeps_folders_and_no_two_inputs_share_a_name(predict, tmp_path) -> None:
    put_faces(tmp_path / "in", "a.jpg a.png sub/a.jpg other/a.jpg b.gif b.gif.png A.JPG c.tiff")
    put_clip(tmp_path / "in" / "v.avi")
    before = {path: (tmp_path / path).read_bytes() for path in files_in(tmp_path)}
    assert predict("in", "--detector", "whole", "--out", "out", "--csv", "r.csv")[0] == 0
    names = ["A.JPG", "a-2.jpg", "a.png", "b.gif.png", "b.gif-2.png", "c.tiff.png"]
    names += ["other/a.jpg", "sub/a.jpg", "v.avi.mp4"]
    names += ["summary.json", "summary.txt"]
    assert files_in(tmp_path / "out") == sorted(names)
    assert {path: (tmp_path / path).read_bytes() for path in before} == before
    plain, drawn = read_image(tmp_path / "in/a.png"), read_image(tmp_path / "out/a.png")
    assert plain.shape == drawn.shape
    assert not np.array_equal(plain, drawn)

    assert predict("in", "--detector", "whole", "--out", "in/out")[0] == 0
    again = files_in(tmp_path / "in" / "out")
    assert predict("in", "--detector", "whole", "--out", "in/out")[0] == 0
    assert files_in(tmp_path / "in" / "out") == again == sorted(names)


def test_files_of_the_same_name_in_two_folders_stay_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_faces(tmp_path, "one/a.png two/a.png")
    out = Path("out")
    for words in (["one", "two"], ["one/a.png", "two/a.png"], ["*/a.png"]):
        copies = plan_outputs(find_inputs(words).files, out=out)
        assert list(copies.values()) == [out / "one/a.png", out / "two/a.png"]
    assert list(plan_outputs(find_inputs(["one"]).files, out=out).values()) == [out / "a.png"]


def test_video_writes_the_annotated_copy_of_the_one_video(predict, tmp_path) -> None:
    put_faces(tmp_path, "in/a.png")
    put_clip(tmp_path / "in" / "v.avi")
    words = ["in", "--detector", "whole", "--video", "in/copy.mp4"]
    assert predict(*words)[0] == 0
    with av.open(str(tmp_path / "in" / "copy.mp4")) as file:
        assert len(list(file.decode(video=0))) == 3
    assert predict(*words)[0] == 0  # the copy is not an input
    assert files_in(tmp_path) == ["in/a.png", "in/copy.mp4", "in/v.avi"]


def test_names_that_a_spreadsheet_would_run_are_defused(predict, tmp_path) -> None:
    put_faces(tmp_path, "=1+2.png")
    (tmp_path / "@bad.png").write_bytes(b"")
    assert predict("=1+2.png", "@bad.png", "--detector", "whole", "--csv", "rows.csv")[0] == 0
    good, bad = rows_of(tmp_path / "rows.csv")
    assert (good["path"], bad["path"]) == ("'=1+2.png", "'@bad.png")
    assert bad["error"].startswith("'@bad.png ")


def test_a_name_with_breaks_and_control_characters_stays_on_its_line(predict, tmp_path) -> None:
    put_faces(tmp_path, "a.png")[0].rename(tmp_path / "a\nb\x1b[31m.png")
    (tmp_path / "c\nd\x1b[31m.png").write_text("no picture")
    code, out, err = predict(".", "--detector", "whole")
    assert (code, out.count("\n"), out.partition(":")[0]) == (0, 1, "a b [31m.png")
    assert "not read: c d [31m.png is text by its content" in err
    assert predict(".", "--detector", "whole", "--out", "an out")[2].endswith("open 'an out'\n")


def test_names_that_are_no_unicode_are_written_readably(predict, tmp_path) -> None:
    put_faces(tmp_path, "a.png")[0].rename(tmp_path / "caf\udce9.png")
    files = ["--csv", "rows.csv", "--jsonl", "rows.jsonl", "--out", "out"]
    assert predict(".", "--detector", "whole", *files)[0] == 0
    assert rows_of(tmp_path / "rows.csv")[0]["path"] == "caf\\udce9.png"
    assert json.loads((tmp_path / "rows.jsonl").read_text())["path"] == "caf\udce9.png"
    assert predict(".", "--detector", "whole")[1].startswith("caf\\udce9.png: ")


@pytest.fixture
def usual_end() -> Iterator[None]:
    """Signals as a process begins with them, whatever a server of another test has left behind."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)


@pytest.mark.usefixtures("usual_end")
@pytest.mark.parametrize("way", [None, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_keeps_its_rows_and_leaves_no_hidden_file(
    predict, tmp_path, monkeypatch, way
) -> None:
    """A second signal, while the first is answered, changes nothing."""
    put_faces(tmp_path / "in", "a.png b.png c.png d.png")
    add, document = BatchSummary.add, BatchSummary.document

    def stop(self: BatchSummary, result: FileResult) -> None:
        if result.path.name == "c.png":
            if way is None:
                raise FerBenchError("stopped")
            signal.raise_signal(way)
        add(self, result)

    def strike_again(self: BatchSummary) -> dict[str, object]:
        if way is not None:
            signal.raise_signal(way)
        return document(self)

    monkeypatch.setattr(BatchSummary, "add", stop)
    monkeypatch.setattr(BatchSummary, "document", strike_again)
    files = ["--csv", "new/rows.csv", "--jsonl", "new/rows.jsonl", "--out", "new", "--json"]
    code, out, err = predict("in", "--detector", "whole", *files)
    assert code == (2 if way is None else 128 + way)
    assert ("interrupted" in err) == (way is not None)
    paths = ["in/a.png", "in/b.png", *([] if way is None else ["in/c.png"])]
    n = len(paths)
    assert f"saved: {n} results in new/rows.csv\nsaved: {n} results in new/rows.jsonl\n" in err
    copies = ["a.png", "b.png", "c.png"]
    reports = ["rows.csv", "rows.jsonl", "summary.json", "summary.txt"]
    assert files_in(tmp_path / "new") == [*copies, *reports]
    assert [row["path"] for row in rows_of(tmp_path / "new/rows.csv")] == paths
    lines = (tmp_path / "new/rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == json.loads(out)
    assert len(lines) == n
    summary = json.loads((tmp_path / "new/summary.json").read_text())
    assert (summary["complete"], summary["images"]) == (False, n)


@pytest.mark.usefixtures("usual_end")
def test_a_command_stopped_in_a_video_leaves_no_hidden_file(predict, tmp_path, monkeypatch) -> None:
    put_clip(tmp_path / "v.avi", n=7)
    add, close = AnnotatedCopy.add, VideoReader.__exit__

    def stop(self: AnnotatedCopy, frame: Frame, *more: object) -> None:
        add(self, frame, *more)
        if frame.number == 4:
            signal.raise_signal(signal.SIGTERM)

    def strike_again(self: VideoReader, *error: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        close(self, *error)

    monkeypatch.setattr(AnnotatedCopy, "add", stop)
    monkeypatch.setattr(VideoReader, "__exit__", strike_again)
    words = ["v.avi", "--detector", "whole", "--csv", "rows.csv", "--out", "out"]
    assert predict(*words)[0] == 128 + signal.SIGTERM
    assert files_in(tmp_path) == ["out/summary.json", "out/summary.txt", "rows.csv", "v.avi"]
    assert [row["frame"] for row in rows_of(tmp_path / "rows.csv")] == list("01234")


@pytest.mark.parametrize("target", ["old.csv", "new/new.csv"])
def test_a_link_is_written_where_it_leads(predict, tmp_path, target) -> None:
    put_faces(tmp_path, "a.png")
    (tmp_path / "old.csv").write_text("of before")
    (tmp_path / "rows.csv").symlink_to(target)
    assert predict("a.png", "--detector", "whole", "--csv", "rows.csv")[0] == 0
    assert (tmp_path / "rows.csv").readlink() == Path(target)
    assert [row["path"] for row in rows_of(tmp_path / target)] == ["a.png"]


def test_a_place_that_cannot_be_written_is_one_sentence(predict, tmp_path) -> None:
    put_faces(tmp_path, "a.png")
    (tmp_path / "file").write_text("in the way")
    for words in (["--csv", "file/rows.csv"], ["--jsonl", "/dev/full/x"], ["--out", "file/out"]):
        code, out, err = predict("a.png", "--detector", "whole", *words)
        assert (code, out) == (1, "")
        assert f"error: cannot write {words[1]}" in err


@pytest.mark.parametrize("room", [0, 2000])
def test_a_video_that_the_disk_has_no_room_for_leaves_nothing(predict, tmp_path, room) -> None:
    put_clip(tmp_path / "v.avi", n=7)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        code, _, err = predict("v.avi", "--detector", "whole", "--video", "copy.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    assert "cannot write copy.mp4: File too large" in err
    assert files_in(tmp_path) == ["v.avi"]


LONG = "n" * 248 + ".gif"


def test_a_copy_that_cannot_be_written_is_its_files_error_and_the_rest_goes_on(
    predict, tmp_path
) -> None:
    put_faces(tmp_path / "in", f"a.png {LONG} sub/c.png z.png")
    put_clip(tmp_path / "in" / "y.avi", n=2)
    (tmp_path / "out" / "y.avi.mp4").mkdir(parents=True)
    (tmp_path / "out" / "sub").write_text("in the way")
    files = ["--csv", "rows.csv", "--jsonl", "rows.jsonl", "--out", "out"]
    code, _, err = predict("in", "--detector", "whole", *files)
    assert code == 0
    copies = ["a.png", "sub", "summary.json", "summary.txt", "z.png"]
    assert files_in(tmp_path / "out") == copies
    rows = rows_of(tmp_path / "rows.csv")
    errors = {row["path"]: row["error"] for row in rows if row["error"]}
    assert list(errors) == [f"in/{LONG}", "in/sub/c.png", "in/y.avi"]
    assert "File name too long" in errors[f"in/{LONG}"]
    assert "out/y.avi.mp4: a folder is in the way" in errors["in/y.avi"]
    assert all(f"not written: {sentence}" in err for sentence in errors.values())
    assert [row["emotion"] != "" for row in rows] == [True, True, True, True, True, False, True]
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 7
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["images"], summary["videos"], summary["faces"]) == (4, 1, 6)
    assert summary["problems"] == list(errors.values())


def test_out_gets_a_summary(predict, tmp_path) -> None:
    put_faces(tmp_path / "in", "a.png b.png")
    (tmp_path / "in" / "c.png").write_bytes(b"")
    _, _, err = predict("in", "--detector", "whole", "--out", "out")
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["complete"] is True
    counts = {"images": 2, "videos": 0, "frames": 0, "faces": 2, "no_face": 0, "errors": 1}
    assert {name: summary[name] for name in counts} == counts
    assert sum(summary["emotions"].values()) == 2
    (problem,) = summary["problems"]
    first, *others = (tmp_path / "out/summary.txt").read_text().splitlines()
    assert first.startswith("2 images: 2 faces (")
    assert first.endswith(" images/s by torch-fp32")
    assert first.partition("; ")[0] in err
    assert others == [problem]
    assert summary["backend"] == "torch-fp32"


def test_a_video_has_a_summary_of_each_person(predict, tmp_path) -> None:
    put_clip(tmp_path / "v.avi", n=4)
    put_faces(tmp_path, "w.png")
    code, out, _ = predict("v.avi", "w.png", "--detector", "whole", "--out", "out", "--json")
    *frames, last, photo = json.loads(out)
    assert code == 0
    assert "people" not in {*photo, *(key for frame in frames for key in frame)}
    (person,) = last["people"]
    assert (person["track"], person["frames"]) == (1, 4)
    assert (person["first_s"], person["last_s"]) == pytest.approx((0.0, 0.3))
    shown = [frame["faces"][0]["emotion"] for frame in (*frames, last)]
    shares = {emotion: shown.count(emotion) / 4 for emotion in shown}
    assert person["emotions"] == pytest.approx(shares)
    assert person["changes"] == sum(a != b for a, b in pairwise(shown))
    assert json.loads((tmp_path / "out/summary.json").read_text())["people"] == {"v.avi": [person]}
    assert "v.avi: person 1, 0.00 to 0.30 s: " in (tmp_path / "out/summary.txt").read_text()


def test_a_dash_is_standard_output(predict, refused, tmp_path) -> None:
    put_faces(tmp_path, "a.png b.png")
    code, out, _ = predict(".", "--detector", "whole", "--csv", "-")
    rows = list(csv.DictReader(out.splitlines()))
    assert (code, [row["path"] for row in rows]) == (0, ["a.png", "b.png"])
    code, out, _ = predict(".", "--detector", "whole", "--jsonl", "-", "--csv", "rows.csv")
    assert [json.loads(line)["path"] for line in out.splitlines()] == ["a.png", "b.png"]
    assert rows_of(tmp_path / "rows.csv") == rows
    (tmp_path / "rows.csv").unlink()
    sentence = "standard output takes one report, got --csv - and --json: name a file for the othe"
    assert sentence in refused("a.png", "--csv", "-", "--json")
    put_faces(tmp_path, "c.png")[0].rename(tmp_path / "caf\udce9.png")
    assert "\ncaf\\udce9.png" in predict(".", "--detector", "whole", "--csv", "-")[1].replace(
        '"', ""
    )


@pytest.mark.parametrize(
    ("name", "largest"), [("a.jpg", 65_500), ("a.jpeg", 65_500), ("a.webp", 16_383)]
)
def test_a_picture_too_large_for_its_name_is_one_sentence(predict, tmp_path, name, largest) -> None:
    Image.new("L", (largest + 1, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / name)
    code, _, err = predict(name, "--out", "out", "--detector", "whole")
    assert code == 1
    assert f"out/{name}: expected at most {largest:,} pixels" in err
    assert files_in(tmp_path / "out") == ["summary.json", "summary.txt"]


def test_the_file_of_standard_output_is_no_report_of_its_own(refused, tmp_path) -> None:
    put_faces(tmp_path, "a.png")
    before, log = os.dup(1), tmp_path / "log.txt"
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
    try:
        sentence = refused("a.png", "--csv", "log.txt")
    finally:
        os.dup2(before, 1)
        os.close(before)
    assert "log.txt: it is the file of standard output" in sentence


@pytest.mark.parametrize("words", [["--json"], []])
def test_a_full_standard_output_is_one_sentence(results, tmp_path, words) -> None:
    put_faces(tmp_path, "a.png")
    command = [sys.executable, "-m", "fer_bench", "predict", "default", tmp_path / "a.png", *words]
    command += ["--results", results, "--backend", "torch-fp32", "--detector", "whole"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "to standard output: No space left on device" in last


# --- how much memory -------------------------------------------------------------------------


class NoFace:
    name = "none"

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        return []

    detect_frame = detect


@pytest.mark.parametrize(
    ("side", "batch_size", "most"),
    [(8, 16, 16 + batching.AHEAD_FILES), (2000, 16, 7 + batching.AHEAD_FILES)],
    ids=["by count", "by pixels"],
)
def test_few_images_are_alive_at_a_time(monkeypatch, tmp_path, side, batch_size, most) -> None:
    alive: set[int] = set()
    peak = 0

    def read(path: Path) -> NDArray[np.uint8]:
        nonlocal peak
        image = np.zeros((side, side, 3), np.uint8)
        alive.add(id(image))
        weakref.finalize(image, alive.discard, id(image))
        peak = max(peak, len(alive))
        return image

    monkeypatch.setattr(batching, "read_image", read)
    n = sum(
        one.image is not None
        for one in predict_files(
            make_predictor(NoFace()),
            [tmp_path / f"{i}.png" for i in range(100)],
            batch_size=batch_size,
        )
    )
    assert n == 100
    assert 2 < peak <= most + 1  # and the one in the consumer's hands


def test_large_files_are_not_read_far_ahead(monkeypatch, tmp_path) -> None:
    started: list[Path] = []

    def read(path: Path) -> NDArray[np.uint8]:
        started.append(path)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(batching, "read_image", read)
    monkeypatch.setattr(batching, "AHEAD_BYTES", 4)
    paths = [tmp_path / f"{i}" for i in range(50)]
    for path in paths:
        path.write_bytes(b"12")
    results = predict_files(make_predictor(NoFace()), paths, batch_size=1)
    for done, _ in enumerate(results, 1):
        assert len(started) <= done + 3


def test_a_consumer_that_stops_early_stops_the_readers(tmp_path) -> None:
    paths = put_faces(tmp_path, " ".join(f"{i}.png" for i in range(60)))
    results = predict_files(make_predictor(), iter(paths), batch_size=4)
    assert next(results).path == paths[0]
    results.close()
    assert list(results) == []


def test_help_and_the_error_of_a_missing_path_import_no_torch(tmp_path) -> None:
    code = (
        "import sys; sys.argv = ['fer_bench', 'predict', '--help']\n"
        "from fer_bench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'av', 'cv2', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "clip.mp4 --out annotated" in " ".join(done.stdout.split())
    assert done.stdout.splitlines()[-1] == "[]"
