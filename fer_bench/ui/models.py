"""The trained networks that pages run: which runs have theirs here; opened once for everybody."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from fer_bench.errors import FerBenchError
from fer_bench.formatting import escape, percent
from fer_bench.results.store import DEFAULT, DEFAULT_FILE, ResultsStore
from fer_bench.results.stored_run import StoredRun
from fer_bench.results.titles import model_title
from fer_bench.ui.pickers import RUN_PARAMETER, chosen_run, shown
from fer_bench.ui.records import called, command, default_id, predictions, results_store, runs
from fer_bench.ui.widgets import empty_state, show_error

if TYPE_CHECKING:  # torch loads only when a network is opened
    from fer_bench.inference.classifier import FaceClassifier

#: Networks cached in memory between visits; CLIP ViT-B/32 takes 350 MB.
MOST_OPEN = 6
CARD_HEIGHT = 600


def usable_runs() -> list[StoredRun]:
    """Finished runs whose weights are here: the default one first, then by test accuracy."""
    here = [r for r in runs() if r.record and r.record.status == "done" and r.has_weights]
    default = default_id()
    return sorted(here, key=lambda run: (run.id != default, -_accuracy(run)))


def _accuracy(run: StoredRun) -> float:
    test = run.record.metrics.get("test") if run.record else None
    return test.accuracy if test else -1.0


def run_label(run: StoredRun) -> str:
    """A run in a list: `Compact ResNet, strong recipe, 40 epochs · 70.1 % · default`."""
    parts = [called(run.id)]
    if _accuracy(run) >= 0:
        parts.append(percent(_accuracy(run)))
    if run.id == default_id():
        parts.append(DEFAULT)
    return " · ".join(parts)


def run_labels(choices: Sequence[StoredRun]) -> dict[str, str]:
    """Runs in a list, by `StoredRun.id`."""
    return {run.id: run_label(run) for run in choices}


def _distinct_names(models: Mapping[str, str]) -> dict[str, str]:
    """Runs `dataset/run` by their models; by their titles where those repeat."""
    times = Counter(models.values())
    return {
        run: model_title(model) if times[model] == 1 else called(run)
        for run, model in models.items()
    }


def short_names(classifiers: Mapping[str, FaceClassifier]) -> dict[str, str]:
    """What to call each of a few networks: its model, or its run where models repeat."""
    return _distinct_names({run: one.model.request.name for run, one in classifiers.items()})


def classifier(run: str, backend: str = "auto") -> FaceClassifier:
    """The network of the run `dataset/run`, warm; opened once, and again when its file changes.

    It is shared by all sessions, which `FaceClassifier` allows.

    Raises:
        FerBenchError: as `inference.classifier.open_classifier`.
    """
    with st.spinner("Opening the model …"):
        return opener(run, backend)()


def opener(run: str, backend: str = "auto") -> partial[FaceClassifier]:
    """What opens `classifier(run, backend)`, in any thread; equal arguments open the same."""
    return partial(_open, results_store().roots, run, backend, weights_changed(run))


def weights_changed(run: str) -> tuple[int, ...]:
    """`StoredRun.weights_written` of the run `dataset/run`; none where it is gone."""
    return next((one.weights_written for one in runs() if one.id == run), ())


@st.cache_resource(max_entries=MOST_OPEN, show_spinner=False)
def _open(
    roots: tuple[Path, ...], run: str, backend: str, changed: tuple[int, ...]
) -> FaceClassifier:
    from fer_bench.inference.classifier import open_classifier

    opened = open_classifier(ResultsStore(*roots).find(run), backend)
    # Streamlit collects garbage after every rerun, through all the objects that torch brought: that
    # held the live page's frames up for 0.15 s every second. What is here now is here to stay.
    gc.collect()
    gc.freeze()
    return opened


def pick_classifiers(
    choices: Sequence[StoredRun], *, most: int, key: str
) -> dict[str, FaceClassifier]:
    """A box to choose at most `most` runs, the first one by default; their networks, opened.

    Returns:
        By `StoredRun.id`, in the order chosen; one that cannot be opened shows its error instead.
    """
    labels = run_labels(choices)
    wanted = chosen_run()
    warn_of_address(labels)
    chosen = st.multiselect(
        "Models",
        list(labels),
        default=[wanted] if wanted in labels else list(labels)[:1],
        max_selections=most,
        format_func=labels.__getitem__,
        key=key,
        wrap=True,
        help=f"Up to {most}, side by side; the share after a name is its test accuracy.",
    )
    about_models([run for run in choices if run.id in chosen])
    opened = {}
    for name in chosen:
        try:
            opened[name] = classifier(name)
        except FerBenchError as error:
            show_error(error)
    return opened


def pick_model(choices: Sequence[StoredRun], *, key: str) -> str:
    """A box to choose one run, the one of the address or the first by default; its `run_id`."""
    labels = run_labels(choices)
    names, wanted = list(labels), chosen_run()
    warn_of_address(labels)
    return st.selectbox(
        "Model",
        names,
        index=names.index(wanted) if wanted in labels else 0,
        format_func=labels.__getitem__,
        key=key,
        help="The share after a name is its test accuracy.",
    )


def warn_of_address(usable: Collection[str]) -> None:
    """Says so where the address names a run that cannot be tried, and another one is."""
    wanted = st.query_params.get(RUN_PARAMETER)
    if wanted and wanted not in usable:
        st.warning(f"The address names {escape(shown(wanted))}, whose weights are not here.")


def about_models(chosen: Sequence[StoredRun]) -> None:
    """A button that opens the model cards of these runs; none where there are none."""
    label = "About this model" if len(chosen) == 1 else "About these models"
    if chosen and st.button(label, key="about-models", icon=":material/info:", type="tertiary"):
        _show_cards(chosen)


@st.dialog("About the model", width="large")
def _show_cards(chosen: Sequence[StoredRun]) -> None:
    from fer_bench.studies.model_card.card import model_card  # brings the hub's client along

    names = [escape(called(run.id)) for run in chosen]
    places = st.tabs(names) if len(names) > 1 else [st.container()]
    for place, run in zip(places, chosen, strict=True):
        with place.container(height=CARD_HEIGHT, border=False):  # wide tables scroll in it
            try:
                st.markdown(model_card(run, predictions(run), _called(run)).text)
            except FerBenchError as error:
                show_error(error)


def _called(run: StoredRun) -> str:
    """What commands call a run."""
    return DEFAULT if run.id == default_id() else run.id


def no_models() -> None:
    """The empty state of a page that needs a trained network."""
    empty_state(
        "No trained model here",
        f"The shipped model should lie in {escape(results_store().location)}, named by "
        f"`{DEFAULT_FILE}`; "
        "records alone hold no weights. Train one (synthetic faces, about a minute), "
        "then reload this page.",
        command(
            "train --model keras_cnn --mode full --recipe demo --pretraining none --data synthetic"
        ),
    )
