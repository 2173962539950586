"""Whatever users' own files hold: recipes, benchmarks, data, images, models. Read, or refused."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from pathlib import Path

import damage_examples as examples
import numpy as np
import pytest
import yaml
from data_fixtures import VOTES_HEADER, csv_row, encoded, face, put, write_csv
from hypothesis import given
from hypothesis import strategies as st
from property_fixtures import few, read_or_refused, replaced, values

from fer_bench.backends.onnx import read_metadata
from fer_bench.config import load_yaml
from fer_bench.data.load import Source, read_source
from fer_bench.data.readers.fer2013_rows import read_row_table
from fer_bench.data.readers.ferplus import read_votes
from fer_bench.emotions import COLOURS
from fer_bench.inference.images import decode_image
from fer_bench.models.export_metadata import ExportMetadata
from fer_bench.models.pretrained import read_local
from fer_bench.models.weights import load_model
from fer_bench.specs.recipe import Recipe, load_recipe
from fer_bench.specs.sweep import Sweep

RECIPE = {"name": "x", "epochs": 3, "optimizer": {"lr": 0.1}, "schedule": {"name": "cosine"}}
SWEEP = {
    "name": "x",
    "runs": [{"models": "resnet18", "modes": "full", "recipes": "strong", "emotions": "fer2013"}],
}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
#: Names of folders and files: what people use, and anything else that a file system takes.
names = st.sampled_from([*COLOURS, "train", "test", "1", "7", "S001_001_00000001", ".x"]) | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20
).filter(lambda name: name not in (".", ".."))


@few
@given(content=st.binary() | st.text().map(str.encode))
@pytest.mark.parametrize("kind", [Recipe, Sweep])
def test_any_text_is_a_config_or_refused(tmp_path: Path, kind: type, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    read_or_refused(lambda: load_yaml(kind, tmp_path / "x.yaml"))


@few
@given(steps=st.lists(st.integers(0, 99), min_size=1, max_size=4), value=values)
@pytest.mark.parametrize(("kind", "whole"), [(Recipe, RECIPE), (Sweep, SWEEP)])
def test_any_value_of_a_config_is_read_or_refused(
    tmp_path: Path, kind: type, whole: dict, steps: list[int], value: object
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(replaced(whole, steps, value), allow_unicode=True), "utf-8")
    found = read_or_refused(lambda: load_yaml(kind, path))
    if found is not None:
        assert kind.model_validate_json(found.model_dump_json()) == found


@few
@given(value=values)
def test_any_json_is_a_record_with_a_recipe_or_refused(tmp_path: Path, value: object) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"spec": {"recipe": value}}))
    read_or_refused(lambda: load_recipe(str(tmp_path / "x.json")))


@cache
def picture(format: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(face(1, size=16)).save(buffer, format)
    return buffer.getvalue()


@few
@given(place=st.integers(0, 10**6), replacement=st.binary(max_size=8), cut=st.integers(0, 10**6))
@pytest.mark.parametrize("format", FORMATS)
def test_any_change_of_an_image_is_read_or_refused(
    format: str, place: int, replacement: bytes, cut: int
) -> None:
    whole = picture(format)
    place %= len(whole)
    changed = whole[:place] + replacement + whole[place + len(replacement) :]
    for data in (changed, changed[: cut % (len(whole) + 1)]):
        image = read_or_refused(lambda data=data: decode_image(data, "x"))
        assert image is None or (image.dtype == np.uint8 and image.shape[2:] == (3,))


@few
@given(cells=st.lists(st.tuples(st.text(max_size=9), st.text(max_size=30), st.text(max_size=9))))
def test_any_rows_of_a_csv_are_read_left_out_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[tuple[str, str, str]]
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    rows = [csv_row(face(1), 3, "Training"), *map(list, cells)]
    source = write_csv(tmp_path / "fer2013.csv", rows)
    loaded = read_or_refused(lambda: Source(data=str(source)).read())
    if loaded is not None:
        assert len(loaded.data.labels) >= 1


@few
@given(content=st.binary() | st.text().map(str.encode))
@pytest.mark.parametrize("header", ["", VOTES_HEADER, "row,file", "emotion,pixels,Usage"])
def test_any_table_of_text_is_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, content: bytes
) -> None:
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "x.csv").write_bytes(header.encode() + b"\n" + content)
    for read in (read_votes, read_row_table, read_source):
        read_or_refused(lambda read=read: read(tmp_path / "x.csv"))


@few
@given(paths=st.lists(st.lists(names, min_size=1, max_size=3), min_size=1, max_size=6))
@pytest.mark.parametrize("packed", [True, False])
def test_any_tree_of_images_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    packed: bool,
    paths: list[list[str]],
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    monkeypatch.setenv("FER_BENCH_CACHE", str(folder / "cache"))
    files = {f"{'/'.join(path)}/{n}.png": encoded(face(n, size=16)) for n, path in enumerate(paths)}
    if packed:
        with zipfile.ZipFile(folder / "faces.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        source = folder / "faces.zip"
    else:
        source = put(folder / "faces", files)
    loaded = read_or_refused(lambda: Source(data=str(source)).read())
    if loaded is not None:
        data = loaded.data
        assert len(data.images) == len(data.labels) == len(data.ids) == len(data.parts)
        assert set(data.labels.tolist()) <= set(range(len(data.emotions)))


@few
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_any_changed_byte_of_a_model_is_read_or_refused(
    tmp_path: Path, name: str, place: int, byte: int
) -> None:
    for path, content in network().items():
        changed = bytearray(content)
        if path == name:
            changed[place % min(len(changed), 3000)] = byte  # where the header is
        (tmp_path / path).write_bytes(changed)
    read_or_refused(lambda: load_model(tmp_path))


@cache
def network() -> dict[str, bytes]:
    return {Path(name).name: content for name, content in examples.network_files().items()}


@few
@given(content=st.binary(max_size=300))
@pytest.mark.parametrize("name", ["x.pt", "x.pth", "x.safetensors"])
def test_any_bytes_are_weights_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    read_or_refused(lambda: read_local(str(tmp_path / name)))


@few
@given(strings=st.dictionaries(st.sampled_from(sorted(ExportMetadata.model_fields)), st.text()))
def test_any_metadata_of_an_export_are_read_or_refused(strings: dict[str, str]) -> None:
    whole = examples.metadata()
    assert ExportMetadata.from_strings(whole.as_strings(), "x") == whole
    read_or_refused(lambda: ExportMetadata.from_strings(whole.as_strings() | strings, "x"))


@few
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_any_changed_byte_of_an_onnx_file_is_read_or_refused(
    tmp_path: Path, place: int, byte: int
) -> None:
    content = bytearray(onnx_file())
    content[place % len(content)] = byte
    (tmp_path / "x.onnx").write_bytes(content)
    read_or_refused(lambda: read_metadata(tmp_path / "x.onnx"))


@cache
def onnx_file() -> bytes:
    return examples.onnx_file()
