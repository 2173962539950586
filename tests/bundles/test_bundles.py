"""Folders to take along: what is written, what is refused, and the Python folder as it is used."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_fixtures import Fer
from export_fixtures import COMPARED
from model_fixtures import SECOND_RUN, save_models
from PIL import Image
from web_fixtures import small_run, write_files

from fer_bench.backends.onnx import read_metadata
from fer_bench.backends.select import open_backend
from fer_bench.bundles.contents import MODEL
from fer_bench.bundles.python_folder import PythonBundle
from fer_bench.bundles.web import WebBundle
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.haar import HaarDetector
from fer_bench.inference.images import read_image
from fer_bench.inference.predictor import Predictor

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "assets/samples/astronaut.jpg"
#: Runs a program where neither PyTorch nor FER Bench nor its JPEG library can be imported.
STRANGER = """
import runpy, sys
sys.modules["torch"] = sys.modules["fer_bench"] = sys.modules["simplejpeg"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


# The Python folder


@pytest.fixture(scope="module", params=["keras_cnn", "vit_b_16"])
def folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Predictor]:
    """A run's folder, and what FER Bench itself says; of a gray and of a bicubic RGB network."""
    model, contents = small_run(name=request.param)
    path = tmp_path_factory.mktemp("python")
    write_files(path, PythonBundle().files(contents))
    classifier = FaceClassifier(
        name="some-run",
        model=model,
        backend=open_backend("torch-fp32", model),
        temperature=contents.metadata.temperature,
    )
    return path, Predictor(classifier, HaarDetector())


def run_program(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python run.py WORDS` in the folder."""
    command = [sys.executable, "-c", STRANGER, str(folder / "run.py"), *words]
    path = {"PYTHONPATH": str(folder)}  # as Python does for a program's own folder
    return subprocess.run(command, capture_output=True, text=True, env=path, cwd=folder)


def said_of(predictor: Predictor, image: np.ndarray) -> list[str]:
    """What `run.py` should say of an image."""
    lines = []
    for face in predictor.predict(image).faces:
        shares = zip(predictor.classifier.emotions, face.probabilities, strict=True)
        words = " ".join(f"{emotion} {p:.1%}" for emotion, p in shares)
        lines.append(f"{face.face.box} {face.emotion} {words}")
    return lines


def test_the_program_says_what_predict_says(folder: tuple[Path, Predictor], tmp_path: Path) -> None:
    path, predictor = folder
    astronaut = Image.open(PHOTO)
    astronaut.crop((130, 20, 330, 230)).resize((700, 735)).save(tmp_path / "large.png")
    astronaut.crop((176, 66, 273, 163)).resize((100, 100)).save(tmp_path / "crop.png")
    Image.new("RGB", (90, 200), "gray").save(tmp_path / "empty.png")
    astronaut.crop((120, 20, 330, 220)).rotate(90, expand=True).save(tmp_path / "turned.png")
    names = ("large.png", "crop.png", "empty.png", "turned.png")
    pictures = [PHOTO, *(tmp_path / name for name in names)]
    done = run_program(path, *map(str, pictures))
    assert done.returncode == 0, done.stderr
    expected = []
    for picture in pictures:
        expected += [f"{picture}:", *(said_of(predictor, read_image(picture)) or ["no face found"])]
    assert done.stdout.splitlines() == expected
    assert expected.count("no face found") == 1


def test_odd_pictures_are_read_as_predict_reads_them(
    folder: tuple[Path, Predictor], tmp_path: Path
) -> None:
    path, predictor = folder
    face = Image.open(PHOTO).convert("RGB").crop((120, 20, 330, 220))
    gray = np.asarray(face.convert("L"))
    turned, exif = face.rotate(90, expand=True), Image.Exif()
    exif[0x112] = 6
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    clear = face.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 210, 20))
    turned.save(tmp_path / "exif.jpg", exif=exif)
    face.save(tmp_path / "xmp.jpg", xmp=xmp)
    face.convert("CMYK").save(tmp_path / "cmyk.jpg")
    face.convert("L").save(tmp_path / "gray.jpg", progressive=True)
    (tmp_path / "harmless.jpg").write_bytes(PHOTO.read_bytes()[:-2] + b"odd" + b"\xff\xd9")
    clear.save(tmp_path / "clear.png")
    face.convert("P").save(tmp_path / "palette.gif")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "gray16.png")
    Image.fromarray(gray.astype(np.uint16) * 257).save(tmp_path / "gray16.tif")
    Image.fromarray(gray.astype(np.float32) / 255).save(tmp_path / "float.tif")
    pictures = sorted(tmp_path.iterdir())
    done = run_program(path, *map(str, pictures))
    assert done.returncode == 0, done.stderr
    expected = [
        line
        for picture in pictures
        for line in (f"{picture}:", *said_of(predictor, read_image(picture)))
    ]
    assert done.stdout.splitlines() == expected
    assert sum(line.startswith("/") for line in expected) == 10


def test_damaged_pictures_are_refused_as_predict_refuses_them(
    folder: tuple[Path, Predictor], tmp_path: Path
) -> None:
    """libjpeg fills lost pixels with gray, and only warns."""
    path, _ = folder
    photo = PHOTO.read_bytes()
    middle = len(photo) // 2
    damages = {
        "cut": photo[:middle],
        "zeros": photo[:middle] + bytes(2000) + photo[middle + 2000 :],
        "foreign": photo[:middle] + photo[5000:5300] + photo[middle + 300 :],
    }
    for name, damaged in damages.items():
        picture = tmp_path / f"{name}.jpg"
        picture.write_bytes(damaged)
        with pytest.raises(FerBenchError):
            read_image(picture)
    pictures = [tmp_path / f"{name}.jpg" for name in damages]
    done = run_program(path, *map(str, pictures), str(PHOTO))
    assert done.returncode == 2
    assert done.stdout.startswith(f"{PHOTO}:\n"), "the others are named"
    for line, picture in zip(done.stderr.splitlines(), pictures, strict=True):
        assert line.startswith(f"{picture} cannot be read as a picture")


def test_faces_need_no_search(folder: tuple[Path, Predictor], tmp_path: Path) -> None:
    path, predictor = folder
    faces = COMPARED.images[:8]
    names = [str(tmp_path / f"{number}.png") for number in range(len(faces))]
    for name, face in zip(names, faces, strict=True):
        Image.fromarray(face).save(name)
    done = run_program(path, "--face", *names)
    best = predictor.classifier.probabilities(list(faces)).argmax(1)
    given = [line.split(") ")[1].split(" ")[0] for line in done.stdout.splitlines()[1::2]]
    assert given == [predictor.classifier.emotions[i] for i in best]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.jpg"], "nowhere.jpg cannot be read as a picture"),
        (["run.py"], "run.py cannot be read as a picture"),
        (["--camera", "99"], "there is no camera 99, or another program uses it"),
        (["--camera", "-1"], "there is no camera -1, or another program uses it"),
        ([], "expected pictures, or --camera 0"),
    ],
)
def test_the_program_refuses_in_a_sentence(
    words: list[str], message: str, folder: tuple[Path, Predictor]
) -> None:
    done = run_program(folder[0], *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_the_line_ends_of_windows_names_the_same_faces(tmp_path: Path) -> None:
    """Git writes text files with them there."""
    _, contents = small_run(name="keras_cnn")
    write_files(tmp_path, PythonBundle().files(contents))
    plain = run_program(tmp_path, str(PHOTO))
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix != ".onnx":
            file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    done = run_program(tmp_path, str(PHOTO))
    assert done.returncode == 0, done.stderr
    assert done.stdout == plain.stdout


@pytest.mark.parametrize("name", ["model.onnx", "cascade.xml", "model.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped"])
def test_a_damaged_folder_is_refused_in_a_sentence(name: str, damage: str, tmp_path: Path) -> None:
    _, contents = small_run(name="keras_cnn")
    write_files(tmp_path, PythonBundle().files(contents))
    file = tmp_path / name
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2 :] = bytes(255 - byte for byte in content[len(content) // 2 :])
        file.write_bytes(content)
    done = run_program(tmp_path, str(PHOTO))
    assert done.returncode == 1
    assert done.stderr == f"{file} is missing or damaged: copy the whole folder again\n"


def test_the_program_needs_four_packages(folder: tuple[Path, Predictor]) -> None:
    wanted = (folder[0] / "requirements.txt").read_text().splitlines()
    assert [line.partition(">")[0] for line in wanted] == [
        "numpy",
        "onnxruntime",
        "opencv-python-headless",
        "pillow",
    ]
    ours = (ROOT / "requirements.txt").read_text()
    assert all(line in ours for line in wanted)


# The command


@pytest.fixture
def export(fer: Fer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fer:
    """Runs `export RUN --out OUT WORDS`; gives exit code, stdout and stderr."""
    save_models(tmp_path / "results", SECOND_RUN)
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)

    def call(out: Path, *words: str) -> tuple[int, str, str]:
        return fer("export", "default", "--results", tmp_path / "results", "--out", out, *words)

    return call


def test_a_folder_is_written_and_its_network_compared(export: Fer, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    code, text, err = export(out, "--format", "python", "--json")
    assert code == 0, err
    document = json.loads(text)
    assert document["path"] == str(out)
    assert document["agreement"]["top1_agreement"] == 1
    written = [path for path in out.rglob("*") if path.is_file()]
    names = sorted(path.relative_to(out).as_posix() for path in written)
    assert sorted(document["folder_files"]) == names
    assert document["folder_bytes"] == sum(path.stat().st_size for path in written)
    assert read_metadata(out / MODEL).run == SECOND_RUN.partition("/")[2]
    readme = (out / "README.md").read_text()
    assert "Model card" in readme
    assert f"predict {SECOND_RUN} photos/" in readme  # elsewhere, another may be the default
    assert readme.index("is the run's network in fp32: on 28 faces (synthetic) it") < readme.index(
        "All figures below are of those weights.\n\n## What it is"
    )


def test_a_page_with_its_runtime_elsewhere_says_how_to_open_it(export: Fer, tmp_path: Path) -> None:
    out = tmp_path / "my page"
    code, _, err = export(out, "--format", "web", "--cdn")
    assert code == 0, err
    assert f"next: python -m http.server -d '{out}'" in err
    assert not (out / "runtime").exists()
    page = html.unescape((out / "index.html").read_text())
    assert "connect-src 'self' blob: https://cdn.jsdelivr.net;" in page
    listed = (out / "sw.js").read_text().splitlines()[2]
    assert '"model.onnx"' in listed
    assert '"https://cdn.jsdelivr.net/npm/onnxruntime-web@' in listed


def test_an_export_is_replaced_and_what_else_lies_there_stays(export: Fer, tmp_path: Path) -> None:
    out = tmp_path / "site"
    out.mkdir()
    (out / "CNAME").write_text("faces.example.org")
    code, _, err = export(out, "--format", "python")
    assert code == 2
    assert "holds other things than an export of FER Bench" in err
    assert [path.name for path in out.iterdir()] == ["CNAME"]
    assert export(out, "--format", "python", "--force")[0] == 0
    (out / "run.py").write_text("changed")
    assert export(out, "--format", "python")[0] == 0
    assert (out / "CNAME").read_text() == "faces.example.org"
    assert (out / "run.py").read_text() != "changed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "webb"], "unknown export format 'webb': did you mean 'web'?"),
        (["--format", "python", "--cdn"], "--runtime and --cdn are for --format web"),
        (["--format", "web", "--cdn", "--runtime", "x"], "not both"),
        (["--format", "web", "--runtime", "nowhere.tgz"], "cannot read nowhere.tgz: No such file"),
        (["--format", "web", "--runtime", str(PHOTO)], "is no npm package onnxruntime-web@"),
        (["--format", "web", "--runtime", str(ROOT)], "has no ort.wasm.bundle.min.mjs: expected"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    words: list[str], message: str, export: Fer, tmp_path: Path
) -> None:
    code, text, err = export(tmp_path / "out", *words)
    assert (code, text) == (2, "")
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file.txt", "gone/folder"])
def test_what_is_no_folder_is_refused(out: str, export: Fer, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("mine")
    code, _, err = export(tmp_path / out, "--format", "python")
    assert code == 2
    assert "is a file: expected a folder" in err or "make it first" in err
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_int8_pages_have_no_runtime_for_webgpu() -> None:
    for precision, backends in {"fp32": ["wasm", "webgpu"], "int8": ["wasm"]}.items():
        _, contents = small_run(precision)
        document = json.loads(WebBundle(cdn=True).files(contents)["model.json"])
        assert list(document["runtime"]) == backends
        assert document["precision"] == precision
