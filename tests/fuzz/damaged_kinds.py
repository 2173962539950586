"""Each kind of input: whole examples, inputs written by hand, and the way FER Bench reads it."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import damage_examples as examples
import damaged_readers as readers
import hostile_inputs as hostile
import torch
from damage import damaged
from safetensors.torch import save

from fer_bench.inference.history import History
from fer_bench.training.state import save_checkpoint

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """examples: each some files by relative name. by_hand: label and files of single inputs.

    Attributes:
        read: reads them from a folder as FER Bench does; raises FerBenchError where it refuses
            them.
    """

    name: str
    examples: Callable[[], list[Files]]
    read: Callable[[Path], None]
    by_hand: Callable[[], Iterator[tuple[str, Files]]] = lambda: iter(())

    def inputs(self, count: int, seed: int = 0) -> Iterator[tuple[str, Files]]:
        """Those by hand and odd JSON, then `count` drawn ones, each with what is wrong with it."""
        yield from self.by_hand()
        for files in self.examples():
            yield from hostile.documents(files)
        yield from self.drawn(count, seed)

    def drawn(self, count: int, seed: int = 0) -> Iterator[tuple[str, Files]]:
        """Examples in turn, damaged in ways that depend on the seed alone."""
        rng = random.Random(f"{self.name} {seed}")
        whole = self.examples()
        picture = examples.pictures()[0]["a.jpg"]
        others = [b"text\n", b"{}", b"%PDF-1.4", rng.randbytes(3000), picture]
        for number in range(count):
            yield damaged(whole[number % len(whole)], rng, others)


def _in_run(*names: str) -> Callable[[], list[Files]]:
    return lambda: [examples.run_files(*names)]


def _predictions() -> list[Files]:
    return [next(files for label, files in hostile.predictions() if label == "one image twice")]


def _recipes() -> list[Files]:
    shipped = sorted((examples.ROOT / "fer_bench/specs/recipes").glob("*.yaml"))
    record = json.loads((examples.SHIPPED / "record.json").read_bytes())
    files = [{"recipe.yaml": path.read_bytes()} for path in shipped]
    return [*files, {"recipe.json": json.dumps(record).encode()}]


def _sweeps() -> list[Files]:
    shipped = sorted((examples.ROOT / "benchmarks/specs").glob("*.yaml"))
    return [{"sweep.yaml": path.read_bytes()} for path in shipped]


def _weights() -> list[Files]:
    model = examples.tiny_network()
    buffer = io.BytesIO()
    torch.save(model.backbone.state_dict(), buffer)
    return [{"x.pt": buffer.getvalue()}, {"x.safetensors": save(model.backbone.state_dict())}]


@cache
def _checkpoint() -> bytes:
    state = readers.training_state()
    state.finish_epoch({"val_accuracy": 0.5, "val_loss": 1.0})
    with TemporaryDirectory() as folder:
        save_checkpoint(Path(folder), state.checkpoint())
        return (Path(folder) / "checkpoint.pt").read_bytes()


def _archive() -> list[Files]:
    return [{"fer2013.zip": examples.zipped(examples.kaggle_files())}]


def _votes() -> list[Files]:
    names = list(examples.kaggle_files())
    order = {int(name.rpartition("_")[2][:-4]): name.rpartition("/")[2] for name in names}
    rows = "".join(f"{number},{order[number]}\n" for number in sorted(order))
    tables = {
        "fer2013new.csv": examples.votes_csv(),
        "kaggle_rows.csv": b"row,file\n" + rows.encode(),
    }
    return [_archive()[0] | tables]


def _files_in(folder: Path) -> Files:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@cache
def _cached() -> list[Files]:
    """A data set and the cache's entry of it."""
    with TemporaryDirectory() as name, readers.own_cache(Path(name)):
        folder = Path(name)
        (folder / "fer2013.zip").write_bytes(_archive()[0]["fer2013.zip"])
        readers.read_archive(folder)
        return [_files_in(folder)]


@cache
def _kept() -> list[Files]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"emotion": "happy", "score": 0.5}]
        History(str(folder / "kept")).add("a.jpg", examples.DRAWN.images[0], rows)
        return [_files_in(folder)]


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="image",
            examples=examples.pictures,
            read=readers.read_picture,
            by_hand=hostile.images,
        ),
        Kind(name="zip", examples=_archive, read=readers.read_archive, by_hand=hostile.zips),
        Kind(
            name="data",
            examples=examples.data_sources,
            read=readers.read_data,
            by_hand=hostile.data,
        ),
        Kind(name="votes", examples=_votes, read=readers.read_votes, by_hand=hostile.votes),
        Kind(name="cache", examples=_cached, read=readers.read_archive),
        Kind(name="record", examples=_in_run(), read=readers.read_record),
        Kind(name="history", examples=_in_run("history.csv"), read=readers.read_history),
        Kind(
            name="predictions",
            examples=_predictions,
            read=readers.read_predictions,
            by_hand=hostile.predictions,
        ),
        Kind(
            name="recipe",
            examples=_recipes,
            read=readers.read_recipe,
            by_hand=lambda: hostile.yamls("recipe.yaml", "description"),
        ),
        Kind(
            name="sweep",
            examples=_sweeps,
            read=readers.read_sweep,
            by_hand=lambda: hostile.yamls("sweep.yaml", "runs"),
        ),
        Kind(
            name="network",
            examples=lambda: [examples.run_files() | examples.network_files()],
            read=readers.read_network,
        ),
        Kind(
            name="weights",
            examples=_weights,
            read=readers.read_weights,
            by_hand=lambda: hostile.weights("x.pt"),
        ),
        Kind(
            name="checkpoint",
            examples=lambda: [{"checkpoint.pt": _checkpoint()}],
            read=readers.read_checkpoint,
            by_hand=lambda: hostile.weights("checkpoint.pt"),
        ),
        Kind(name="latency", examples=_in_run("latency.json"), read=readers.read_latencies),
        Kind(name="documents", examples=examples.documents, read=readers.read_documents),
        Kind(
            name="onnx",
            examples=lambda: [{"model.onnx": examples.onnx_file()}],
            read=readers.read_onnx,
        ),
        Kind(
            name="openvino",
            examples=lambda: [examples.openvino_files()],
            read=readers.read_openvino,
        ),
        Kind(name="kept images", examples=_kept, read=readers.read_images_kept),
    )
}
