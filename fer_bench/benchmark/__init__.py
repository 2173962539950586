"""From a specification to runs, and from a stored run back to its numbers."""

from fer_bench.benchmark.external_systems.answers import PairedResult, compare_with_others, score
from fer_bench.benchmark.external_systems.networks import ExternalReport, evaluate_external
from fer_bench.benchmark.human_line import measure_human_line
from fer_bench.benchmark.members import require_named
from fer_bench.benchmark.plan import plan, specify, specify_ensemble
from fer_bench.benchmark.runner import Runner, left_unfinished
from fer_bench.benchmark.stored_runs import EvaluationReport, evaluate_run
from fer_bench.benchmark.sweep import is_finished, run_sweep
from fer_bench.benchmark.verification import runs_in, verify_run
from fer_bench.data.load import Source

__all__ = [
    "EvaluationReport",
    "ExternalReport",
    "PairedResult",
    "Runner",
    "Source",
    "compare_with_others",
    "evaluate_external",
    "evaluate_run",
    "is_finished",
    "left_unfinished",
    "measure_human_line",
    "plan",
    "require_named",
    "run_sweep",
    "runs_in",
    "score",
    "specify",
    "specify_ensemble",
    "verify_run",
]
