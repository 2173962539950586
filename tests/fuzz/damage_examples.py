"""Whole files of every kind that FER Bench reads, small, made in memory: what is then damaged.

Records, histories, predictions and latency reports are those of a shipped run.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.readers.ferplus import VOTE_COLUMNS
from fer_bench.data.synthetic import read_synthetic
from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.export_metadata import ExportMetadata, describe
from fer_bench.models.weights import model_files
from fer_bench.results.reports.exports import Export, ExportedFile, ExportsFile
from fer_bench.results.reports.latency import Fidelity
from fer_bench.results.reports.robustness import (
    CorruptedScore,
    RobustnessFile,
    RobustnessReport,
    Score,
    TestedOn,
)
from fer_bench.results.reports.transfer import TransferFile, TransferResult

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "results" / "fer2013" / "compact_resnet-full-strong-40ep-scratch-s0"
RUN = "results/fer2013/a-run"
DRAWN = read_synthetic(n_per_class=5, seed=0)
#: How Pillow is asked for a picture: name, mode, arguments.
PICTURES: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("a.jpg", "RGB", {}), ("b.png", "L", {}), ("c.png", "RGBA", {}), ("d.webp", "RGB", {}),
    ("e.gif", "P", {}), ("f.bmp", "RGB", {}), ("g.tif", "RGB", {}), ("h.ppm", "RGB", {}),
    ("i.jpg", "L", {"progressive": True}), ("j.tif", "I;16", {}), ("k.jp2", "RGB", {}),
    ("l.tif", "RGB", {"compression": "tiff_lzw"}), ("m.avif", "RGB", {}), ("n.png", "P", {}),
)  # fmt: skip


def picture(image: NDArray[np.uint8], name: str, mode: str = "L", **how: Any) -> bytes:
    """An image file as Pillow writes it, of the kind that its name says."""
    buffer = io.BytesIO()
    drawn = Image.fromarray(image).convert(mode)
    drawn.save(buffer, Image.registered_extensions()[Path(name).suffix], **how)
    return buffer.getvalue()


def pictures() -> list[dict[str, bytes]]:
    """One file each, of all formats; Pillow may be built without the last ones."""
    Image.init()
    return [
        {name: picture(DRAWN.images[3], name, mode, **how)}
        for name, mode, how in PICTURES
        if Image.registered_extensions().get(Path(name).suffix) in Image.SAVE
    ]


def kaggle_files() -> dict[str, bytes]:
    """FER2013 as Kaggle serves it: three Training, a PublicTest and a PrivateTest face a class."""
    usages = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
    files, seen = {}, [0] * len(FER2013)
    for number, (image, label) in enumerate(zip(DRAWN.images, DRAWN.labels, strict=True)):
        usage = usages[seen[label]]
        seen[label] += 1
        folder = "train" if usage == "Training" else "test"
        name = f"{folder}/{FER2013[label]}/{usage}_{number}.jpg"
        files[name] = picture(image, name, quality=90)
    return files


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _csv(rows: list[list[object]]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()


def fer2013_csv() -> bytes:
    """The same faces as `kaggle_files`, in the original's form."""
    rows: list[list[object]] = [["emotion", "pixels", "Usage"]]
    usages = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
    seen = [0] * len(FER2013)
    for image, label in zip(DRAWN.images, DRAWN.labels, strict=True):
        rows.append([label, " ".join(map(str, image.ravel())), usages[seen[label]]])
        seen[label] += 1
    return _csv(rows)


def votes_csv() -> bytes:
    """FER+'s votes on the faces of `fer2013_csv`."""
    usages = ("Training", "Training", "Training", "PublicTest", "PrivateTest")
    rows: list[list[object]] = [["Usage", "Image name", *VOTE_COLUMNS]]
    seen = [0] * len(FER2013)
    for number, label in enumerate(DRAWN.labels):
        votes = [8 if column == label else 0 for column in range(len(VOTE_COLUMNS))]
        rows.append([usages[seen[label]], f"fer{number:07}.png", *votes[:-1], 2])
        seen[label] += 1
    return _csv(rows)


def data_sources() -> list[dict[str, bytes]]:
    """One of each layout; the first file, or the first folder, is what is named on the way in."""
    face = [picture(image, "x.png") for image in DRAWN.images]
    buffer = io.BytesIO()
    np.save(buffer, np.array("3"))
    annotated = {}
    for number in range(6):
        part = "train_set" if number < 4 else "val_set"
        annotated[f"data/{part}/images/{number}.jpg"] = face[number]
        annotated[f"data/{part}/annotations/{number}_exp.npy"] = buffer.getvalue()
    boxes: list[list[object]] = [
        ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
         "facial_landmarks", "expression", "valence", "arousal"],
        *([f"1/{n}.png", 1, 2, 40, 41, "1;2", n, 0.1, 0.2] for n in range(6)),
    ]  # fmt: skip
    listed = "".join(f"{'train' if n < 5 else 'test'}_{n}.jpg {n % 7 + 1}\n" for n in range(8))
    return [
        {"data/fer2013.csv": fer2013_csv(), "data/fer2013new.csv": votes_csv()},
        {"data/fer2013.csv.gz": gzip.compress(fer2013_csv(), mtime=0)},
        {f"data/{name}": content for name, content in kaggle_files().items()},
        annotated,
        {"data/training.csv": _csv(boxes), **{f"data/1/{n}.png": face[n] for n in range(6)}},
        {
            "data/EmoLabel/list_patition_label.txt": listed.encode(),
            **{f"data/Image/aligned/train_{n}_aligned.jpg": face[n] for n in range(5)},
            **{f"data/Image/aligned/test_{n}_aligned.jpg": face[n] for n in range(5, 8)},
        },
        {f"data/AffectNet/{n}/{m}.png": face[7 * m + n] for n in range(7) for m in range(2)},
        {f"data/happy/S{n:03}_001_00000001.png": face[n] for n in range(4)},
        {f"data/{part}-0.tar": _tar(face[:6]) for part in ("train", "test")},
        {f"data/{part}-0.parquet": _parquet(face[:6]) for part in ("train", "test")},
    ]


def _tar(faces: list[bytes]) -> bytes:
    """A WebDataset shard."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, face in enumerate(faces):
            label = json.dumps({"emotion": FER2013[number % 7]}).encode()
            for name, content in ((f"{number}.png", face), (f"{number}.json", label)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _parquet(faces: list[bytes]) -> bytes:
    """A shard as of the Hugging Face hub."""
    features = {"label": {"names": FER2013, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    images = [{"bytes": face, "path": None} for face in faces]
    table = pa.table({"image": images, "label": [n % 7 for n in range(len(faces))]})
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, row_group_size=4)
    return buffer.getvalue()


def run_files(*names: str) -> dict[str, bytes]:
    """Files of the shipped run, as those of `a-run` in a results folder."""
    files = {f"{RUN}/{name}": (SHIPPED / name).read_bytes() for name in names}
    record = json.loads((SHIPPED / "record.json").read_bytes())
    return {f"{RUN}/record.json": json.dumps(record | {"name": "a-run"}).encode()} | files


def documents() -> list[dict[str, bytes]]:
    """What lies next to a record: exports, robustness and transfer."""
    now, environment = datetime(2026, 1, 2, tzinfo=UTC), capture()
    on = TestedOn(
        name="fer2013", source="x.zip", fingerprint="f" * 64, protocol="official", split="test",
        n=9, n_left_out=0,
    )  # fmt: skip
    score = Score(accuracy=0.5, accuracy_ci95=(0.4, 0.6), macro_f1=0.5)
    worse = CorruptedScore(**score.model_dump(), corruption="noise", severity=1, level=0.1)
    report = RobustnessReport(
        measured_at=now, run_finished_at=now, environment=environment, seed=0, tested_on=on,
        clean=score, corrupted=[worse], mean_corruption_accuracy=0.4,
        mean_corruption_accuracy_ci95=(0.3, 0.5),
    )  # fmt: skip
    result = TransferResult(
        **score.model_dump(), measured_at=now, run_finished_at=now, environment=environment,
        tested_on=on, classes=("happy",), classes_left_out=(), classes_missing=(), own_data=False,
    )  # fmt: skip
    close = Fidelity(
        n=9, faces="fer2013 val", max_logit_difference=1e-5, max_probability_difference=1e-6,
        min_cosine=1.0, mean_cosine=1.0, top1_agreement=1.0,
    )  # fmt: skip
    export = Export(
        format="onnx", precision="fp32", files=(ExportedFile(name="m", bytes=1, sha256="0"),),
        agreement=close, packages={"onnx": "1"}, exported_at=now,
    )  # fmt: skip
    kept = {
        "exports": ExportsFile(exports=[export]),
        "robustness": RobustnessFile(reports=[report]),
        "transfer": TransferFile(results=[result]),
    }
    return [
        run_files() | {f"{RUN}/{name}.json": document.model_dump_json().encode()}
        for name, document in kept.items()
    ]


def tiny_network() -> Classifier:
    """A network of a few kilobytes, untrained."""
    torch.manual_seed(0)
    options: dict[str, Option] = {"tiny": True}
    return build_model(ModelRequest(name="clip_vit_b_32", emotions=FER2013, options=options)).eval()


def network_files() -> dict[str, bytes]:
    return {f"{RUN}/{name}": data for name, data in model_files(tiny_network()).items()}


def metadata() -> ExportMetadata:
    return describe(tiny_network(), run="a-run", temperature=1.5)


def onnx_file() -> bytes:
    """A linear map from faces to logits, with the metadata of a real export."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from fer_bench.models.external.onnx_graph import add_metadata

    spec = metadata().input_spec
    shape = (spec.channels, spec.size, spec.size)
    weights = np.full((int(np.prod(shape)), len(FER2013)), 0.01, dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["faces"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "linear",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(FER2013)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 17)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(proto)
    add_metadata(proto, metadata())
    return bytes(proto.SerializeToString())


def openvino_files() -> dict[str, bytes]:
    """The same linear map as OpenVINO IR."""
    from fer_bench.backends.export.openvino import SECTION
    from fer_bench.backends.openvino_ir import load_openvino

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(onnx_file())
        openvino = load_openvino()
        network = openvino.Core().read_model(path)
        for key, value in metadata().as_strings().items():
            network.set_rt_info(value, [SECTION, key])
        openvino.save_model(network, path.with_suffix(".xml"), compress_to_fp16=False)
        return {f"model{end}": path.with_suffix(end).read_bytes() for end in (".xml", ".bin")}
