"""`verify`: a record held against its own predictions."""

from __future__ import annotations

from typing import Annotated

import typer

from fer_bench.cli.console import out, print_json
from fer_bench.cli.options import DEFAULT_RESULTS, Json, Results
from fer_bench.errors import RunFailed


def verify(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Compute every metric of a record again from its predictions; exit code 1 if one differs.

    Needs neither data nor weights.

    Example: python -m fer_bench verify default
    """
    from fer_bench.evaluation.verify import verify as verify_record

    stored = store.find(run)
    checks = verify_record(stored.require_record(), store.predictions(stored))
    failed = [check for check in checks if not check.agrees]
    if as_json:
        entries = [
            {"name": check.name, "agrees": check.agrees, "problem": check.problem or None}
            for check in checks
        ]
        print_json({"run": stored.name, "agrees": not failed, "checks": entries})
    else:
        for check in checks:
            out.print(f"{check.name:<18} {check.problem or 'agrees'}", markup=False)
    if failed:
        raise RunFailed(
            f"the record of {stored.name} does not say what its predictions say: "
            f"{failed[0].name}: {failed[0].problem}"
        )
