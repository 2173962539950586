"""How far people agree on the faces, and how a run's answers stand to their votes.

FER+ gave each face of FER2013 to ten people (Barsoum et al. 2016, arXiv 1608.01041).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.dataset import FaceDataset
from fer_bench.data.vote_counts import CHOICES, VoteCounts
from fer_bench.emotions import FERPLUS
from fer_bench.errors import FerBenchError
from fer_bench.evaluation.confusion import of_set, scores
from fer_bench.formatting import percent
from fer_bench.results.reports.human_line import (
    HumanLine,
    ModelAgreement,
    ModelOnEmotion,
    Share,
    VotersOnEmotion,
)

#: Probabilities below this are taken for it, so that no divergence is infinite.
FLOOR = 1e-6


def votes_on_test(dataset: FaceDataset, votes: VoteCounts) -> pd.DataFrame:
    """The voted test faces by `id`: each of `CHOICES`' votes, and the `label` by name.

    Raises:
        FerBenchError: the votes know none of them.
    """
    table = pd.DataFrame(votes.counts, columns=list(CHOICES), index=votes.ids.astype(object))
    test = dataset.indices("test")
    table = table.loc[[i for i in dataset.ids[test].tolist() if i in table.index]]
    label = pd.Series(np.array(dataset.emotions)[dataset.labels[test]], index=dataset.ids[test])
    table = table.assign(label=label.reindex(table.index))
    table = table[table[list(CHOICES)].sum(axis=1) > 0]
    if table.empty:
        raise FerBenchError(
            f"FER+'s votes know none of the test images of {dataset.source}: expected FER2013's "
            "faces and the votes that belong to them"
        )
    return table.rename_axis("id")


def _majority_of_others(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each face and each choice of a voter, what more than half of the others name.

    Returns:
        int64 `(N, K)`: a choice's number; -1 where nobody chose so, or where the others have no
        majority for an emotion.
    """
    majority = np.full(counts.shape, -1, dtype=np.int64)
    others = counts.sum(axis=1) - 1
    for choice in range(counts.shape[1]):
        rest = counts.copy()
        rest[:, choice] -= 1
        favourite = rest.argmax(axis=1)
        is_majority = 2 * rest.max(axis=1) > others
        known = (counts[:, choice] > 0) & is_majority & (favourite < len(FERPLUS))
        majority[known, choice] = favourite[known]
    return majority


def _mean(values: NDArray[np.float64]) -> Share:
    """A mean over faces with its 95 % interval (normal)."""
    return _ratio(values, np.ones(len(values)))


def _ratio(hits: NDArray[np.float64], of: NDArray[np.float64]) -> Share:
    """`hits / of`, each summed over the faces, which are drawn whole (a ratio estimator)."""
    value = float(hits.sum() / of.sum())
    spread = 1.96 * float(np.sqrt(((hits - value * of) ** 2).sum()) / of.sum())
    return Share(value=value, low=max(value - spread, 0.0), high=min(value + spread, 1.0))


def measure_people(dataset: FaceDataset, votes: pd.DataFrame) -> HumanLine:
    """The human line of a data set's test images, as yet without runs.

    Args:
        votes: as `votes_on_test` gives them.

    Raises:
        FerBenchError: no voter can be held against the others.
    """
    counts = votes[list(CHOICES)].to_numpy(dtype=np.int64)
    label = _choice_numbers(votes["label"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    for_label = shares[np.arange(len(shares)), label]
    majority = _majority_of_others(counts)
    hits, of = _one_voter(counts, majority)
    if not of.any():
        raise FerBenchError(
            "of no test face do most of the other voters name one emotion, so that no voter can be "
            "held against them: expected FER+'s votes, ten a face"
        )
    return HumanLine(
        fingerprint=dataset.fingerprint,
        protocol=dataset.protocol,
        faces=len(votes),
        votes=int(of.sum()),
        label_agreement=_mean(for_label),
        one_voter=_ratio(hits, of),
        best_expected_agreement=float(shares[:, : len(FERPLUS)].max(axis=1).mean()),
        per_emotion={
            emotion: _on_emotion(CHOICES.index(emotion), label, for_label, counts, majority)
            for emotion in dataset.emotions
        },
    )


def _choice_numbers(names: pd.Series[str]) -> NDArray[np.int64]:
    return pd.Index(CHOICES).get_indexer(pd.Index(names)).astype(np.int64)


def _one_voter(
    counts: NDArray[np.int64], majority: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each face the votes that name what most of the others do, and those with such others."""
    judged = majority >= 0
    same = judged & (majority == np.arange(counts.shape[1]))
    return (counts * same).sum(axis=1).astype(float), (counts * judged).sum(axis=1).astype(float)


def _on_emotion(
    number: int,
    label: NDArray[np.int64],
    for_label: NDArray[np.float64],
    counts: NDArray[np.int64],
    majority: NDArray[np.int64],
) -> VotersOnEmotion:
    here = label == number
    judged = int(counts[majority == number].sum())
    same = int(counts[:, number][majority[:, number] == number].sum())
    return VotersOnEmotion(
        faces=int(here.sum()),
        label_agreement=float(for_label[here].mean()) if here.any() else None,
        one_voter=same / judged if judged else None,
    )


def measure_run(
    run: str,
    predictions: pd.DataFrame,
    emotions: Sequence[str],
    votes: pd.DataFrame,
    *,
    has_probabilities: bool = True,
) -> ModelAgreement | None:
    """A run's answers to the voted test faces next to the votes; None where none can be judged.

    Args:
        run: what it is called, `dataset/name`.
        predictions: as a run's `predictions.parquet`.
        has_probabilities: as its record says; single answers have no divergence.
    """
    test = of_set(predictions, "test")
    test = test[test["id"].isin(votes.index)]
    if test.empty:
        return None
    voted = votes.loc[test["id"]]
    _, probabilities = scores(test, emotions)
    counts = voted[list(CHOICES)].to_numpy(dtype=np.int64)
    majority = _majority_of_others(counts)
    answer = _choice_numbers(pd.Series(np.array(emotions)[probabilities.argmax(axis=1)]))
    by_face = _vote_scores(probabilities, answer, counts, emotions)
    if not has_probabilities:
        by_face["kl_divergence"] = np.nan
    per_emotion = by_face.groupby(voted["label"].to_numpy()).mean()
    judged = counts * (majority >= 0)
    if not judged.any():
        return None
    same = (judged * (majority == answer[:, None])).sum()
    return ModelAgreement(
        run=run,
        faces=len(test),
        majority_agreement=float(same / judged.sum()),
        per_emotion={str(e): ModelOnEmotion(**_figures(row)) for e, row in per_emotion.iterrows()},
        **_figures(by_face.mean()),
    )


def _figures(means: pd.Series[float]) -> dict[str, float | None]:
    return {str(name): None if np.isnan(v) else float(v) for name, v in means.items()}


def _vote_scores(
    probabilities: NDArray[np.float64],
    answer: NDArray[np.int64],
    counts: NDArray[np.int64],
    emotions: Sequence[str],
) -> pd.DataFrame:
    """Of each face `expected_agreement, soft_accuracy, kl_divergence`.

    The divergence is over the emotions that the run knows; NaN where no voter named one of them.
    """
    from scipy.special import rel_entr  # a tenth of what the dashboard's first page imports

    shares = counts / counts.sum(axis=1, keepdims=True)
    known = shares[:, [CHOICES.index(e) for e in emotions]]
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of no such vote
        target = known / known.sum(axis=1, keepdims=True)
    terms = rel_entr(target, np.clip(probabilities, FLOOR, None))
    return pd.DataFrame(
        {
            "expected_agreement": shares[np.arange(len(shares)), answer],
            "soft_accuracy": (probabilities * known).sum(axis=1),
            "kl_divergence": terms.sum(axis=1),
        }
    )


def sentence(line: HumanLine) -> str:
    """What the line is, and what it is not."""
    own, other = line.label_agreement, line.one_voter
    return (
        f"FER+'s ten voters give the data set's own label on {percent(own.value)} of "
        f"{line.faces:,} test faces ({percent(own.low)} to {percent(own.high)}), and one voter "
        f"names what most of the others do on {percent(other.value)}. A model above the first "
        "figure has learnt how this data set was labelled: it does not read faces better than "
        "people do. Nor is the second a ceiling: it says how far people agree with one another."
    )


def people_table(line: HumanLine) -> pd.DataFrame:
    """Of each emotion: `emotion, faces, label_agreement, one_voter` (in [0, 1])."""
    rows = [{"emotion": e, **one.model_dump()} for e, one in line.per_emotion.items()]
    return pd.DataFrame(rows)


def models_table(line: HumanLine, names: Container[str] | None = None) -> pd.DataFrame:
    """Of each run its figures next to the votes, the nearest to the voters first.

    Args:
        names: of the runs to show, as `dataset/run`; all where it is None.
    """
    rows = [
        one.model_dump(exclude={"per_emotion"})
        for one in line.models
        if names is None or one.run in names
    ]
    columns = [name for name in ModelAgreement.model_fields if name != "per_emotion"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("expected_agreement", ascending=False, ignore_index=True)
