"""A run as a repository of the Hugging Face hub, or as a Space there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fer_bench.benchmark.export import ExportJob
from fer_bench.bundles.contents import MODEL, BundleContents
from fer_bench.bundles.export import check_folder, export_contents, write_folder
from fer_bench.bundles.space_files import Space
from fer_bench.errors import FerBenchError
from fer_bench.hubs.address import Repository
from fer_bench.hubs.huggingface import Commit, require_writable, upload_files
from fer_bench.results.location import fetch, is_stored
from fer_bench.results.stored_run import RUN_FILES, StoredRun


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a push goes.

    Attributes:
        private: make a new repository private.
        force: although there are other things than an earlier push.
        folder: write the files there instead of uploading them.
        dry_run: neither upload nor write.
    """

    repository: Repository
    private: bool = False
    force: bool = False
    folder: Path | None = None
    dry_run: bool = False

    def check(self) -> None:
        """What can be known before there is anything to push.

        Raises:
            FerBenchError: a folder that holds other things, or no token of the hub.
        """
        if self.folder is not None:
            check_folder(self.folder, force=self.force)
        elif not self.dry_run:
            require_writable(self.repository)


@dataclass(frozen=True, kw_only=True)
class PushReport:
    """What was pushed: each file's size in bytes; None where nothing was uploaded."""

    run: str
    files: Mapping[str, int]
    upload: Commit | None


def push_run(job: ExportJob, destination: Destination, *, space: Space | None = None) -> PushReport:
    """Exports a run as ONNX and puts it on the hub, with all that its folder holds.

    Args:
        space: make it a Space instead.

    Raises:
        FerBenchError: a run that is not finished, has no weights here or is an ensemble, or as
            `hubs.huggingface.upload_files`.
        RunFailed: the network differs too much from PyTorch, or the hub or the network failed.
    """
    run = job.run
    if space is None and run.require_record().members:
        raise FerBenchError(
            f"run {run.name} is an ensemble, whose weights are its members': push those, or push "
            "it as a Space with --space"
        )
    destination.check()
    _, contents = export_contents(job)
    files = space.files(contents) if space else repository_files(run, contents)
    if destination.folder is not None and not destination.dry_run:
        write_folder(destination.folder, files)
    upload = None
    if destination.folder is None and not destination.dry_run:
        upload = upload_files(
            destination.repository,
            files,
            kind="space" if space else "model",
            sdk=space.sdk if space else None,
            private=destination.private,
            force=destination.force,
            replaced=RUN_FILES,
        )
    sizes = {name: len(content) for name, content in files.items()}
    return PushReport(run=run.name, files=sizes, upload=upload)


def repository_files(run: StoredRun, contents: BundleContents) -> dict[str, bytes]:
    """What a model repository holds: the run's folder, its network as ONNX, and the card."""
    paths = [run.folder / name for name in RUN_FILES if is_stored(run.folder / name)]
    fetch(paths)
    files = {"README.md": str(contents.card).encode()}
    return files | {path.name: path.read_bytes() for path in paths} | {MODEL: contents.model}
