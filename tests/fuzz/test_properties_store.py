"""Whatever a run's files hold: the store gives back what it was given, or one sentence."""

from __future__ import annotations

import json
from datetime import UTC
from functools import cache
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_fixtures import make_report
from property_fixtures import (
    few,
    finite,
    rates,
    read_or_refused,
    replaced,
    require_sentence,
    values,
)
from record_fixtures import make_history, make_predictions, make_record
from robustness_fixtures import make_robustness, make_transfer

from fer_bench.emotions import FER2013
from fer_bench.results.parse import HISTORY_COLUMNS, parse_record
from fer_bench.results.record import ClassMetrics, Metrics, RunRecord
from fer_bench.results.reports.exports import ExportsFile, read_exports
from fer_bench.results.reports.latency_files import LatencyFile, read_latency
from fer_bench.results.reports.robustness import RobustnessFile, read_robustness
from fer_bench.results.reports.transfer import TransferFile, read_transfer
from fer_bench.results.store import ResultsStore

#: Each example waits for the disk.
saved = settings(few, max_examples=12)
counts = st.integers(0, 10**9)
metrics = st.builds(
    Metrics,
    n=counts,
    n_left_out=counts,
    accuracy=rates,
    accuracy_ci95=st.tuples(rates, rates),
    macro_precision=rates,
    macro_recall=rates,
    macro_f1=rates,
    balanced_accuracy=rates,
    roc_auc=st.none() | rates,
    ece=rates,
    log_loss=finite,
    per_class=st.builds(
        lambda one: dict.fromkeys(FER2013, one),
        st.builds(ClassMetrics, precision=rates, recall=rates, f1=rates, support=counts),
    ),
    confusion=counts.map(lambda count: [[count] * len(FER2013)] * len(FER2013)),
)
records = st.builds(
    lambda metrics, texts, moment, seconds, temperature: make_record(name="one").model_copy(
        update={
            "metrics": {"test": metrics},
            "error": texts[0],
            "not_comparable_because": texts,
            "finished_at": moment,
            "temperature": temperature,
            "training": make_record().training.model_copy(update={"seconds": seconds}),
        }
    ),
    metrics,
    st.lists(st.text(), min_size=1, max_size=3),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    finite,
    st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
)
histories = st.lists(
    st.lists(finite, min_size=len(HISTORY_COLUMNS), max_size=len(HISTORY_COLUMNS)), min_size=1
).map(lambda rows: pd.DataFrame(rows, columns=list(HISTORY_COLUMNS)))
predictions = st.lists(
    st.tuples(
        st.text(), st.sampled_from(["train", "val", "test"]), st.integers(0, 6), st.booleans(),
        st.permutations([1.0, *[0.0] * (len(FER2013) - 1)]),
    ),
    min_size=1,
).map(
    lambda rows: pd.DataFrame(
        [(*row, *shares) for *row, shares in rows],
        columns=["id", "split", "label", "clean", *(f"p_{e}" for e in FER2013)],
    )
)  # fmt: skip


@cache
def whole(name: str) -> bytes:
    """A file that lies beside a record."""
    buffer = BytesIO()
    make_predictions(n_val=3, n_test=5).to_parquet(buffer)
    documents = {
        "record.json": make_record(name="one"),
        "latency.json": LatencyFile(reports=[make_report(threads=(1,), batches=(1,))]),
        "robustness.json": RobustnessFile(reports=[make_robustness(make_record())]),
        "transfer.json": TransferFile(results=[make_transfer(make_record())]),
        "exports.json": ExportsFile(),
    }
    tables = {"history.csv": make_history().to_csv(index=False).encode()}
    tables["predictions.parquet"] = buffer.getvalue()
    return tables[name] if name in tables else documents[name].model_dump_json().encode()


def read_record_of(folder: Path) -> object:
    return ResultsStore(folder.parents[1]).find("one").require_record()


def read_history_of(folder: Path) -> object:
    store = ResultsStore(folder.parents[1])
    return store.history(store.find("one"))[list(HISTORY_COLUMNS)].astype(float)


def read_predictions_of(folder: Path) -> object:
    store = ResultsStore(folder.parents[1])
    return store.predictions(store.find("one"))


READERS = {
    "record.json": read_record_of,
    "history.csv": read_history_of,
    "predictions.parquet": read_predictions_of,
    "latency.json": read_latency,
    "robustness.json": read_robustness,
    "transfer.json": read_transfer,
    "exports.json": read_exports,
}
DOCUMENTS = [name for name in READERS if name.endswith(".json")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run that has all of these files."""
    folder = tmp_path / "fer2013" / "one"
    folder.mkdir(parents=True)
    for name in READERS:
        (folder / name).write_bytes(whole(name))
    return folder


@saved
@given(record=records)
def test_a_record_comes_back_exactly(tmp_path: Path, record: RunRecord) -> None:
    store = ResultsStore(tmp_path)
    store.save(record)
    assert store.find("one").require_record() == record


@saved
@given(history=histories)
def test_a_history_comes_back_exactly(tmp_path: Path, history: pd.DataFrame) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record(name="one"), history=history)
    pd.testing.assert_frame_equal(store.history(store.find("one")), history, check_exact=True)


@saved
@given(table=predictions)
def test_predictions_come_back_exactly(tmp_path: Path, table: pd.DataFrame) -> None:
    store = ResultsStore(tmp_path)
    store.save(make_record(name="one"), predictions=table)
    found = store.predictions(store.find("one"))
    pd.testing.assert_frame_equal(found, table, check_exact=True)


@few
@given(
    content=st.binary() | st.text().map(str.encode) | values.map(lambda v: json.dumps(v).encode())
)
@pytest.mark.parametrize("name", READERS)
def test_any_content_is_read_or_refused(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    read_or_refused(lambda: READERS[name](run))


@few
@given(steps=st.lists(st.integers(0, 99), min_size=1, max_size=7), value=values)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_value_in_a_document_is_read_or_refused(
    run: Path, name: str, steps: list[int], value: object
) -> None:
    changed = replaced(json.loads(whole(name)), steps, value)
    (run / name).write_text(json.dumps(changed))
    read_or_refused(lambda: READERS[name](run))


@few
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
@pytest.mark.parametrize("name", READERS)
def test_any_changed_byte_is_read_or_refused(run: Path, name: str, place: int, byte: int) -> None:
    content = bytearray(whole(name))
    content[place % len(content)] = byte
    (run / name).write_bytes(content)
    read_or_refused(lambda: READERS[name](run))


@few
@given(steps=st.lists(st.integers(0, 99), max_size=7), value=values)
def test_what_is_accepted_can_be_saved_again(
    tmp_path: Path, steps: list[int], value: object
) -> None:
    text = json.dumps(replaced(json.loads(whole("record.json")), steps, value))
    record = parse_record(text.encode())
    if isinstance(record, str):
        require_sentence(record)
    else:
        assert parse_record(record.model_dump_json().encode()) == record
