"""What reading some data has decided or dropped, each in one line that every command says."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from fer_bench.data.dataset import FaceDataset

#: So many reasons are named in a line, and so many files that cannot be decoded.
REASONS = NAMES = 3
#: The reason of damaged files: unlike the others, nobody has decided it.
UNDECODED = "cannot be decoded"


def data_notes(dataset: FaceDataset) -> list[str]:
    """What numbers meant, how the splits came about, and what is left out; empty for nothing."""
    notes = [numbering_note(dataset), dataset.split_note, left_out_note(dataset)]
    notes.append(persons_note(dataset))
    return [note for note in notes if note]


def numbering_note(dataset: FaceDataset) -> str:
    """`labels of x are numbers: 0 = angry, 1 = disgust`; empty where they were names."""
    shown = ", ".join(f"{number} = {name}" for number, name in dataset.numbering)
    return f"labels of {dataset.source} are numbers: {shown}" if shown else ""


def left_out_note(dataset: FaceDataset) -> str:
    """`140 of 350 images left out: 1 cannot be decoded (happy/7.jpg), 120 stand in no ...`.

    Files that cannot be decoded are named, the first `NAMES` of them. Empty where none is left out.
    """
    reasons = Counter(_kind(row.reason) for row in dataset.left_out)
    damaged = [row.id for row in dataset.left_out if _kind(row.reason) == UNDECODED]
    names = {row.id for row in dataset.left_out}
    inside = int(np.isin(dataset.ids, list(names)).sum()) if names else 0
    if other := int((dataset.labels < 0).sum()) - inside:
        reasons["of emotions that are not asked for"] += max(other, 0)
    count = reasons.total()
    if not count:
        return ""
    total = len(dataset) + len(dataset.left_out) - inside
    shown = []
    if n := reasons.pop(UNDECODED, 0):
        first = ", ".join(damaged[:NAMES]) + (", …" if n > NAMES else "")
        shown = [f"{n:,} {UNDECODED} ({first})"]
    shown += [f"{n:,} {reason}" for reason, n in reasons.most_common(REASONS)]
    if rest := reasons.total() - sum(n for _, n in reasons.most_common(REASONS)):
        shown.append(f"{rest:,} for other reasons")
    return f"{count:,} of {total:,} images of {dataset.source} left out: {', '.join(shown)}"


def persons_note(dataset: FaceDataset) -> str:
    """How many persons are tested on that were trained on; empty for none."""
    n = dataset.shared_persons
    return f"{n:,} persons of the test split stand in train or val too" if n else ""


def _kind(reason: str) -> str:
    """A reason without what is one sample's own: paths and the decoder's words."""
    return re.sub(r"\S*/\S*", "…", reason.partition(": ")[0])
