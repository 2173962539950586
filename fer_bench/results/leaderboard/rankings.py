"""Which runs may stand in one ranking: those that are measured on the same data."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from fer_bench.results.record import RunRecord

#: Data sets have so many emotions or more; fewer are a selection.
WHOLE_SET = 7
#: Digits of a fingerprint that stand for it in tables.
SHORT = 8


def data_fingerprint(record: RunRecord) -> str:
    """The fingerprint of the whole data that a run is about, however much of it a limit took."""
    return record.dataset.whole_fingerprint or record.dataset.fingerprint


def answered_fingerprint(record: RunRecord) -> str:
    """The fingerprint of the images and labels that a run was measured on.

    That of the whole data, as soft votes are tested on the majority's labels; or of the part that a
    limit took.
    """
    return data_fingerprint(record) if record.spec.limit is None else record.dataset.fingerprint


def short_fingerprint(record: RunRecord) -> str:
    """`data_fingerprint` as tables show it."""
    return data_fingerprint(record)[:SHORT]


def _votes(record: RunRecord) -> str:
    """FER+'s rule; soft-majority has the faces and labels of majority."""
    return (record.spec.votes or "majority").removeprefix("soft-")


def ranking_key(record: RunRecord) -> Hashable:
    """Equal for records of one ranking: the same pixels, labels and splits, whatever their name."""
    emotions = tuple(sorted(record.dataset.emotions))  # fewer emotions are easier
    return data_fingerprint(record), record.spec.protocol, _votes(record), emotions


def ranking_names(records: Sequence[RunRecord]) -> list[str]:
    """The name of each record's ranking; different for different rankings.

    The newest record of a ranking names its data, and whose splits they are.
    """
    newest: dict[Hashable, RunRecord] = {}
    for record in sorted(records, key=lambda r: r.started_at):
        newest[ranking_key(record)] = record
    return [_name(newest[ranking_key(record)]) for record in records]


def _name(record: RunRecord) -> str:
    data, emotions = record.dataset, record.dataset.emotions
    words = [data.name, data.protocol]
    if data.name == "ferplus":
        words.append(f"{_votes(record)} votes")
    whole = len(emotions) >= WHOLE_SET
    words.append(f"{len(emotions)} emotions" if whole else ", ".join(sorted(emotions)))
    return " · ".join([*words, f"data {short_fingerprint(record)}"])
