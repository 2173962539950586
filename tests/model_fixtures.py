"""Results folders with real, tiny, untrained networks in them, for what opens models by record."""

from __future__ import annotations

from pathlib import Path

import torch
from record_fixtures import make_record

from fer_bench.emotions import EXPRESSIO, FER2013
from fer_bench.models.base import Classifier, ModelRequest
from fer_bench.models.catalogue import build_model
from fer_bench.models.weights import model_files
from fer_bench.results.store import ResultsStore, StoredRun, write_atomically
from fer_bench.types import Dtype

#: Runs that `save_models` makes, as `dataset/run`; the first is the default.
DEFAULT_RUN = "fer2013/compact_resnet-full-finetune-5-s0"
SECOND_RUN = "fer2013/keras_cnn-full-finetune-5-s0"
#: Knows four emotions.
SMALL_RUN = "fer2013/expressio-full-finetune-5-4-classes-s0"


def save_network(model: Classifier, folder: Path, dtype: Dtype = "float32") -> None:
    """A network's two files, as a finished run has them in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = model_files(model, dtype)
    write_atomically({folder / name: content for name, content in files.items()})


def save_models(root: Path, *runs: str) -> None:
    """Finished runs with weights; the first one is marked as default, though not the most accurate.

    runs: of those above; the first two unless given.
    """
    store = ResultsStore(root)
    for number, run in enumerate(runs or (DEFAULT_RUN, SECOND_RUN)):
        name = run.partition("/")[2].partition("-")[0]
        emotions = EXPRESSIO if name == "expressio" else FER2013
        record = make_record(model=name, emotions=emotions, accuracy=0.6 + 0.1 * number)
        torch.manual_seed(number)
        model = build_model(ModelRequest(name=name, emotions=emotions))
        folder = store.save(record, network=model_files(model, "float16"))
        if number == 0:
            store.mark_default(
                StoredRun(
                    dataset="fer2013", name=folder.name, folder=folder, record=record, problem=None
                )
            )
