"""The human line of a source, and every stored run of the same data next to it."""

from __future__ import annotations

from fer_bench.data.load import Source
from fer_bench.data.vote_counts import find_vote_counts
from fer_bench.errors import FerBenchError
from fer_bench.results.reports.human_line import HumanLine
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import PREDICTIONS
from fer_bench.specs.run import DataSpec, Protocol
from fer_bench.studies.labels.human_line import measure_people, measure_run, votes_on_test


def measure_human_line(
    store: ResultsStore, source: Source, protocol: Protocol = "official"
) -> HumanLine:
    """People on the test images of FER2013, by FER+'s votes, and the runs that answered them.

    Raises:
        FerBenchError: data without votes next to them, or predictions that cannot be read.
    """
    dataset = source.load(DataSpec(protocol=protocol), complete=False)
    votes = find_vote_counts(source.data, votes_file=source.votes_file, rows_file=source.rows_file)
    if votes is None:
        raise FerBenchError(
            f"{dataset.source} has no FER+ votes next to it: expected FER2013 with fer2013new.csv "
            "(github.com/microsoft/FERPlus) in its folder, or --votes-file"
        )
    table = votes_on_test(dataset, votes)
    line = measure_people(dataset, table)
    for run in store.runs():
        record = run.record
        if record is None or record.dataset.fingerprint != dataset.fingerprint:
            continue
        if record.status != "done" or not (run.folder / PREDICTIONS).exists():
            continue
        measured = measure_run(
            run.id,
            store.predictions(run),
            record.dataset.emotions,
            table,
            has_probabilities=record.has_probabilities,
        )
        if measured:
            line.models.append(measured)
    return line
