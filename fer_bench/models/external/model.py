"""A network from elsewhere, once it is understood: what its outputs mean, and its classifier."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from fer_bench.emotions import canonical, resembles_emotion
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier, ModelRequest, Option
from fer_bench.models.external.options import LEFT_OUT

#: What libraries call classes that nobody named.
_UNNAMED = re.compile(r"(label|class)?[ _-]?\d+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ExternalModel:
    """A network from elsewhere.

    Attributes:
        name: as records call it: its prefix and the file's or repository's name, without a folder.
        labels: the emotion of each output; None for outputs that are left out.
        notes: what was read in it or decided about it, in sentences.
        options: what was stated about it, to state it again.
        version: which one it is, where its source tells.
        build: a classifier of these emotions, all of them among `emotions`, from outputs by number.
    """

    name: str
    labels: tuple[str | None, ...]
    notes: tuple[str, ...]
    build: Callable[[tuple[str, ...], tuple[int, ...]], Classifier]
    options: Mapping[str, Option]
    version: str = ""

    @property
    def emotions(self) -> tuple[str, ...]:
        """The emotions that it knows, in output order."""
        return tuple(label for label in self.labels if label is not None)

    def classifier(self, emotions: Sequence[str]) -> Classifier:
        """The network for these of its emotions, in this order; other outputs are left out."""
        columns = tuple(self.labels.index(emotion) for emotion in emotions)
        return self.build(tuple(emotions), columns)


class ExternalKind(Protocol):
    """A prefix of models from elsewhere, such as `onnx:`."""

    def open(self, source: str, options: Mapping[str, Option]) -> ExternalModel:
        """The model of a source.

        Raises:
            FerBenchError: it cannot be had or run, or is unclear; says which option makes it clear.
        """
        ...

    def rebuild(self, request: ModelRequest) -> Classifier:
        """A stored one's network, whose tensors are about to be filled."""
        ...


def portable_name(prefix: str, source: str) -> str:
    """A model's name without a folder of this machine; a repository's keeps its owner."""
    path = PurePath(source)
    leads_out = path.is_absolute() or source.startswith("~") or len(path.parts) > 2
    return f"{prefix}:{path.name if leads_out or '..' in path.parts else source}"


def read_labels(
    names: Sequence[str], outputs: int, source: str, *, stated: bool
) -> tuple[tuple[str | None, ...], list[str]]:
    """The emotion of each output, and sentences about those that are left out.

    Args:
        names: emotions by name or alias, in output order.
        stated: whether the user stated them, so that an unknown name is a slip; a model's own names
            that are no emotions are left out.

    Raises:
        FerBenchError: too many or too few names, unknown, unnamed or unclear ones, or one emotion
            twice.
    """
    if len(names) != outputs:
        raise FerBenchError(
            f"{source} has {outputs} outputs, got {len(names)} labels ({_shown(names)}): say one "
            f"label for each with --labels, {LEFT_OUT} for an output that is no emotion"
        )
    if not stated and all(_UNNAMED.fullmatch(name.strip()) for name in names):
        raise FerBenchError(
            f"{source} calls its outputs {_shown(names)}, which says nothing: name the emotions in "
            "this order with --labels"
        )
    labels = tuple(_emotion(name, source, stated) for name in names)
    known = [label for label in labels if label is not None]
    twice = [label for label in known if known.count(label) > 1]
    if twice:
        same = [n for n, label in zip(names, labels, strict=True) if label == twice[0]]
        raise FerBenchError(
            f"{source} has {len(same)} outputs for {twice[0]} ({_shown(same)}): say with --labels "
            f"which one counts, {LEFT_OUT} for the others"
        )
    if len(known) < 2:
        raise FerBenchError(
            f"{source} names {len(known)} emotions ({_shown(names)}), expected two or more: name "
            "its outputs with --labels"
        )
    others = [name for name, label in zip(names, labels, strict=True) if label is None]
    if not others:
        return labels, []
    if not stated and (meant := next(filter(resembles_emotion, others), None)):
        raise FerBenchError(
            f"{source} has an output {meant!r:.80}, which may be meant as an emotion and is none's "
            f"name: name the emotions in the outputs' order with --labels, {LEFT_OUT} for an "
            f"output that is none (its own names: {_shown(names)})"
        )
    return labels, [
        f"outputs that are no emotion are left out, the others' share is 1 without them: "
        f"{_shown(others)}"
    ]


def _emotion(name: str, source: str, stated: bool) -> str | None:
    if name.strip() == LEFT_OUT:
        return None
    try:
        return canonical(name)
    except FerBenchError as error:
        if stated:
            raise FerBenchError(
                f"labels of {source}: {error} ({LEFT_OUT} leaves an output out)", code=error.code
            ) from None
        return None


def _shown(names: Sequence[str]) -> str:
    return f"{', '.join(names):.160}"
