"""A run exported as a folder that needs nothing of FER Bench."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from huggingface_hub import ModelCard

from fer_bench.backends.onnx import read_metadata
from fer_bench.benchmark.export import ExportJob, ExportReport
from fer_bench.bundles.contents import MODEL, BundleContents
from fer_bench.errors import FerBenchError
from fer_bench.formatting import how_many, percent
from fer_bench.registry import Entry, Registry
from fer_bench.results.parse import read_predictions
from fer_bench.results.reports.exports import Export
from fer_bench.results.store import DEFAULT
from fer_bench.results.stored_run import PREDICTIONS, StoredRun
from fer_bench.storage import read_json, write_atomically
from fer_bench.studies.model_card.card import card_data, model_card

#: What a bundle's folder says about itself; a folder with it may be replaced.
DOCUMENT = "model.json"


class Bundle(Protocol):
    """A kind of folder."""

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """Its files by name, in the order in which they are to be written."""
        ...


BUNDLES = Registry(
    "export format",
    {
        "web": Entry(
            "fer_bench.bundles.web:WebBundle",
            "a folder: a web page that runs the network in the browser",
        ),
        "python": Entry(
            "fer_bench.bundles.python_folder:PythonBundle",
            "a folder: run.py with the network, for ONNX Runtime",
        ),
    },
)


@dataclass(frozen=True, kw_only=True)
class BundleReport:
    """A bundle that is on disk.

    Attributes:
        model: the export of its network.
    """

    model: ExportReport
    folder: Path
    files: tuple[str, ...]
    bytes: int


def check_folder(out: Path, *, force: bool = False) -> None:
    """Whether a bundle may be written to a folder, which need not be there yet.

    Raises:
        FerBenchError: a file, a folder whose own folder is not there, or one with other things.
    """
    if out.exists() and not out.is_dir():
        raise FerBenchError(f"{out} is a file: expected a folder to write to")
    if not out.absolute().parent.is_dir():
        raise FerBenchError(f"there is no folder {out.parent}: make it first")
    if out.is_dir() and any(out.iterdir()) and not _is_bundle(out) and not force:
        raise FerBenchError(
            f"{out} holds other things than an export of FER Bench: choose another --out, or add "
            "files to it with --force"
        )


def _is_bundle(folder: Path) -> bool:
    document = read_json(folder / DOCUMENT)
    # The second is the model.json of a run, as it is pushed to a hub.
    return isinstance(document, dict) and ("fer_bench" in document or "provenance" in document)


def export_bundle(
    job: ExportJob, out: Path, bundle: Bundle, *, force: bool = False
) -> BundleReport:
    """Exports a run's network and puts it into a folder with what it takes to use it.

    Files of the folder that a bundle does not have are left as they are.

    Raises:
        FerBenchError: as `check_folder` and `ExportJob.write`.
        RunFailed: the network differs too much from PyTorch.
    """
    check_folder(out, force=force)
    exported, contents = export_contents(job)
    files = bundle.files(contents)
    write_folder(out, files)
    return BundleReport(
        model=exported, folder=out, files=tuple(files), bytes=sum(map(len, files.values()))
    )


def export_contents(job: ExportJob) -> tuple[ExportReport, BundleContents]:
    """Exports a run's network into memory, with its model card.

    Raises:
        FerBenchError: as `ExportJob.write`.
        RunFailed: the network differs too much from PyTorch.
    """
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as scratch:
        path = Path(scratch) / MODEL
        exported = job.write(path, "onnx")
        model, metadata = path.read_bytes(), read_metadata(path)
    # What is the default here need not be the default where the export goes.
    card = _card(job.run, job.run.id if job.called == DEFAULT else job.called)
    card.text = _beside(card.text, exported.export)
    return exported, BundleContents(model=model, metadata=metadata, card=card)


def _card(run: StoredRun, called: str) -> ModelCard:
    """The model card, or a sentence that says why there is none."""
    try:
        predictions = read_predictions(run.folder / PREDICTIONS)
    except FerBenchError:  # the card says that they are missing
        predictions = None
    try:
        return model_card(run, predictions, called)
    except FerBenchError as why:
        data = card_data(run)
        return ModelCard(f"---\n{data.to_yaml()}\n---\n\nThere is no model card: {why}.\n")


def _beside(card: str, export: Export) -> str:
    """A card, which speaks of the run, with what the exported network next to it has of that."""
    alike = export.agreement
    said = (
        f"`{MODEL}` next to this card is the run's network in {export.precision}: on "
        f"{how_many(alike.n, 'face')} ({alike.faces}) it names the same emotion as the run's own "
        f"weights in {percent(alike.top1_agreement)} of cases. All figures below are of those "
        "weights."
    )
    first, rule, rest = card.partition("\n## ")
    return f"{first}\n{said}\n{rule}{rest}"


def write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Writes a bundle's files.

    Raises:
        FerBenchError: they cannot be written.
    """
    try:
        write_atomically({out / name: content for name, content in files.items()}, parents=True)
    except OSError as error:
        raise FerBenchError(
            f"cannot write {out}: {error.strerror or error}; free some space or choose another "
            "folder"
        ) from None
