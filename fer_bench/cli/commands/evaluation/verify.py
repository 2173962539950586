"""`verify`: records held against their predictions, data and networks; `submit`: one packed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import out, print_json, say_next, say_step
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Json,
    Results,
    RowsFile,
    VotesFile,
    open_source,
)
from fer_bench.errors import FerBenchError, RunFailed

if TYPE_CHECKING:
    from fer_bench.benchmark import Source
    from fer_bench.evaluation.verify import Check
    from fer_bench.results.stored_run import StoredRun

    Checked = list[tuple[StoredRun, list[Check]]]


def verify(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's name or folder, hub:ORG/NAME, `default`, or a folder of many runs."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="The data: labels, split, fingerprint and leaks are compared too."),
    ] = None,
    forward: Annotated[
        int,
        typer.Option(min=0, help="With --data and weights: so many test images are run again."),
    ] = 0,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Compute every figure of a record again from its predictions; exit code 1 if one differs.

    Metrics, intervals, temperature, prediction sets and digest need neither data nor weights.

    Example: python -m fer_bench verify default

    Example: python -m fer_bench verify results --data fer2013.zip
    """
    from fer_bench.benchmark import runs_in

    source = open_source(data, votes_file, rows_file, classes) if data else None
    many = runs_in(Path(run)) if Path(run).is_dir() else []
    if not many:
        stored = store.find(run)
        checked = [(stored, _checks(stored, source, forward))]
    else:
        checked = [(one, _checks_of_many(one, source, forward)) for one in many]
    if as_json:
        documents = [_document(one, checks) for one, checks in checked]
        agrees = all(document["agrees"] for document in documents)
        print_json({"agrees": agrees, "runs": documents} if many else documents[0])
    elif many:
        _print_runs(checked)
    else:
        _print_checks(checked[0][1])
    _require_agreement(checked)
    if not as_json:
        say_next("report" if many else f"submit {shlex.quote(run)}", store)


def _checks(run: StoredRun, source: Source | None, forward: int) -> list[Check]:
    from fer_bench.benchmark import verify_run

    return verify_run(run, source, forward)


def _checks_of_many(run: StoredRun, source: Source | None, forward: int) -> list[Check]:
    """As `verify_run`; what keeps one run from being verified is a problem of it alone."""
    from fer_bench.evaluation.verify import Check

    if run.record is not None and run.record.status != "done":
        return [Check(name="status", note=f"not checked: the run is {run.record.status}")]
    try:
        return _checks(run, source, forward if run.has_weights else 0)
    except FerBenchError as error:
        return [Check(name="run", problem=str(error))]


def _print_checks(checks: list[Check]) -> None:
    for check in checks:
        out.print(f"{check.name:<18} {check.problem or check.note or 'agrees'}", markup=False)


def _print_runs(checked: Checked) -> None:
    for run, checks in checked:
        problems = [f"{check.name}: {check.problem}" for check in checks if check.problem]
        notes = [f"{check.name}: {check.note}" for check in checks if check.note]
        out.print(f"{run.id}  {'; '.join([*(problems or ['agrees']), *notes])}", markup=False)


def _require_agreement(checked: Checked) -> None:
    failed = [(run, check) for run, checks in checked for check in checks if not check.agrees]
    if not failed:
        return
    run, check = failed[0]
    others = len({one.id for one, _ in failed}) - 1
    more = f" (nor do {others:,} more)" if others else ""
    raise RunFailed(
        f"the record of {run.id} does not say what is behind it: {check.name}: "
        f"{check.problem}{more}"
    )


def _document(run: StoredRun, checks: list[Check]) -> dict[str, object]:
    return {
        "run": run.id,
        "agrees": all(check.agrees for check in checks),
        "checks": [
            {
                "name": check.name,
                "agrees": check.agrees,
                "problem": check.problem or None,
                "note": check.note or None,
            }
            for check in checks
        ],
    }


def submit(
    run: Annotated[str, typer.Argument(help="A finished run's name or folder, or `default`.")],
    file: Annotated[
        Path | None, typer.Option("--out", help="The zip file; else the run's name.")
    ] = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Pack a verified run's record, predictions and digest, to be unpacked into `results/`.

    The same run gives the same file, byte for byte.

    Example: python -m fer_bench submit default --out submission.zip
    """
    from fer_bench.bundles.submission import submission
    from fer_bench.storage import write_atomically

    stored = store.find(run)
    packed = submission(stored)
    path = file or Path(f"{stored.name}.zip")
    try:
        write_atomically({path: packed.content})
    except OSError as error:
        raise FerBenchError(
            f"cannot write {path}: {error.strerror}; choose another place with --out"
        ) from None
    if as_json:
        print_json({"run": stored.id, "file": str(path), "sha256": packed.sha256})
        return
    out.print(f"{path}  {len(packed.content) / 1e3:,.0f} kB  SHA-256 {packed.sha256}", markup=False)
    say_step(
        f"unpack it into results/ of a fork and open a pull request: `verify results/{stored.id}` "
        "runs there"
    )
