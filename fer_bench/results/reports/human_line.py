"""What people give on a test's faces: `results/<dataset>/human_line.json`, written from votes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from fer_bench.results.documents import EntriesFile
from fer_bench.results.record import Document, Part, RunRecord

HUMAN_LINE = "human_line.json"


class Share(Part):
    """A mean with its 95 % interval over the faces, in [0, 1]; None where there is nothing."""

    value: float
    low: float
    high: float


class VotersOnEmotion(Part):
    """FER+'s voters on one emotion.

    Attributes:
        label_agreement: on faces with this label, the share of voters who name it.
        one_voter: where most of the others name it, the share of voters who do too.
    """

    faces: int
    label_agreement: float | None
    one_voter: float | None


class ModelOnEmotion(Part):
    """A run on the faces with one label, as in `ModelAgreement`."""

    expected_agreement: float
    soft_accuracy: float
    kl_divergence: float | None


class ModelAgreement(Part):
    """A run's answers next to the votes.

    Attributes:
        majority_agreement: how often its answer is what most of the other voters name; on the same
            votes as `HumanLine.one_voter`, whose like it is.
        expected_agreement: the mean share of voters who name its answer.
        soft_accuracy: the chance that an emotion drawn by its probabilities is what a voter names.
        kl_divergence: of its probabilities from the votes' shares, in nats; 0 where they are the
            same, None where no voter named an emotion that the run knows, and of answers without
            probabilities.
    """

    run: str
    faces: int
    majority_agreement: float
    expected_agreement: float
    soft_accuracy: float
    kl_divergence: float | None
    per_emotion: dict[str, ModelOnEmotion]


class HumanLine(Part):
    """People on the test images of one data set under one protocol.

    Attributes:
        faces: those with votes.
        votes: of the voters whose fellows have a majority for one emotion.
        label_agreement: the mean share of voters who name the data set's own label.
        one_voter: how often a voter names what most of the others do.
        best_expected_agreement: what a run would have that always names the voters' favourite.
    """

    fingerprint: str
    protocol: str
    faces: int
    votes: int
    label_agreement: Share
    one_voter: Share
    best_expected_agreement: float
    per_emotion: dict[str, VotersOnEmotion]
    models: list[ModelAgreement] = Field(default_factory=list)


class HumanLines(Document):
    """The file's content: a line per protocol."""

    lines: list[HumanLine] = Field(default_factory=list)


STORED: EntriesFile[HumanLine] = EntriesFile(
    HUMAN_LINE,
    HumanLines,
    same=lambda line: line.fingerprint,
    order=lambda line: (line.protocol,),
)
add_human_line = STORED.add


def read_human_lines(roots: Iterable[Path], dataset: str) -> list[HumanLine]:
    """The stored lines of a data set; none where there is no file. Earlier folders come first.

    Raises:
        FerBenchError: a damaged file.
    """
    return [line for root in roots for line in STORED.read(root / dataset)]


def human_line(roots: Iterable[Path], record: RunRecord) -> HumanLine | None:
    """The line that a run's test images have, known by the data's fingerprint.

    Raises:
        FerBenchError: a damaged file.
    """
    lines = read_human_lines(roots, record.dataset.name)
    return next((one for one in lines if one.fingerprint == record.dataset.fingerprint), None)
