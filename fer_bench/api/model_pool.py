"""The models that can be asked for, opened when they first are."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from fer_bench.api.batching import part_sizes
from fer_bench.api.schemas import ModelEntry, model_entry
from fer_bench.api.settings import ServeSettings
from fer_bench.errors import FerBenchError, suggest
from fer_bench.inference.classifier import FaceClassifier, open_classifier
from fer_bench.results.location import fetch
from fer_bench.results.store import DEFAULT
from fer_bench.results.stored_run import StoredRun

log = logging.getLogger(__name__)

#: Networks kept open besides the default one; CLIP ViT-B/32 takes 350 MB.
MOST_OPEN = 3
#: A run's folder and when its weights were written.
_Opened = tuple[Path, tuple[int, ...]]


class Networks:
    """Classifiers by name. The default one is opened by `open_default` and stays open.

    A client can only name runs of the results folder, never a path.

    Raises:
        FerBenchError: the default run is unknown or cannot be read.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._store = settings.store
        self.default = self._store.find(settings.run)
        self.default.require_record()
        self._opener = ThreadPoolExecutor(1, "opener")
        self._first: asyncio.Future[FaceClassifier] | None = None
        self._others: OrderedDict[_Opened, asyncio.Future[FaceClassifier]] = OrderedDict()

    async def open_default(self) -> FaceClassifier:
        """The default model, warm.

        Raises:
            FerBenchError: as `open_classifier`.
        """
        if self._first is None:
            self._first = self._opening(self.default)
        return await asyncio.shield(self._first)

    def is_open(self) -> bool:
        """Whether the default model is."""
        return self._backend(self.default) is not None

    async def get(self, name: str) -> tuple[str, FaceClassifier]:
        """A model's full name and its classifier, warm.

        Raises:
            FerBenchError: an unknown name, one of several runs, or weights that cannot be opened.
        """
        run = self.default
        if name != DEFAULT:
            run = await asyncio.to_thread(self.find, name)
        try:
            if run.id == self.default.id:
                return run.id, await self.open_default()
            return run.id, await self._other(run)
        except FerBenchError as error:
            log.error("%s cannot be opened: %s", run.id, error)
            raise FerBenchError(
                f"the model {run.id} cannot be opened here: ask for another", code="not_ready"
            ) from None

    async def _other(self, run: StoredRun) -> FaceClassifier:
        """One of the few that are open, or opened now; the one not used for longest is let go."""
        await asyncio.to_thread(fetch, run.weight_files)
        key = run.folder, run.weights_written
        if key not in self._others:
            self._others[key] = self._opening(run)
        opening = self._others[key]
        self._others.move_to_end(key)
        while len(self._others) > MOST_OPEN:
            self._others.popitem(last=False)
        try:
            return await asyncio.shield(opening)
        except FerBenchError:
            self._others.pop(key, None)  # so that it can be mended without a restart
            raise

    def _opening(self, run: StoredRun) -> asyncio.Future[FaceClassifier]:
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._opener, _open, run, self._settings)

    def find(self, name: str) -> StoredRun:
        """A run with weights by its name or `dataset/name`. Reads the results folder.

        Raises:
            FerBenchError: there is none (near names suggested), or several have that name.
        """
        usable = self._usable()
        matches = [run for run in usable if name in (run.name, run.id)]
        if len(matches) > 1:
            full = " or ".join(run.id for run in matches)
            raise FerBenchError(f"several models are named {name!r}: say {full}", code="bad_field")
        if not matches:
            known = {DEFAULT, *(run.name for run in usable), *(run.id for run in usable)}
            hint = suggest(name, known)
            raise FerBenchError(f"there is no model {name!r} here: {hint}", code="unknown_name")
        return matches[0]

    def entries(self) -> list[ModelEntry]:
        """All models, the default one first. Reads the results folder."""
        default = self.default.id
        return [
            model_entry(run, default=run.id == default, backend=self._backend(run))
            for run in self._usable()
        ]

    def _backend(self, run: StoredRun) -> str | None:
        """What an open network runs on."""
        others = [
            opening for (folder, _), opening in [*self._others.items()] if folder == run.folder
        ]
        for opening in [self._first] if run is self.default else others[-1:]:
            if opening and opening.done() and not opening.exception():
                return opening.result().backend.name
        return None

    def _usable(self) -> list[StoredRun]:
        """Finished runs with weights, each once; the default one first, which may lie elsewhere."""
        default = self.default.id
        others = [
            run
            for run in self._store.runs()
            if run.record is not None
            and run.record.status == "done"
            and run.has_weights
            and run.id != default
        ]
        return [self.default, *others]

    def short_names(self) -> dict[str, str]:
        """What to call each model in a list, by its full name: its run's, where that is unique."""
        usable = self._usable()
        called = Counter(run.name for run in usable)
        return {run.id: run.name if called[run.name] == 1 else run.id for run in usable}

    def close(self) -> None:
        """Opens nothing any more."""
        self._opener.shutdown(wait=False, cancel_futures=True)


def _open(run: StoredRun, settings: ServeSettings) -> FaceClassifier:
    """A classifier that has seen batches of every size that it will get."""
    opened = open_classifier(run, settings.backend)
    spec = opened.model.input_spec
    for n in {*part_sizes(2 * settings.max_batch - 1, settings.max_batch)}:
        opened.backend.forward(torch.zeros(n, spec.channels, spec.size, spec.size))
    log.info("opened %s on %s", run.id, opened.backend.name)
    return opened
