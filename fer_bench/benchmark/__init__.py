"""From a specification to runs, and from a stored run back to its numbers."""

from fer_bench.benchmark.evaluating import EvaluationReport, evaluate_run
from fer_bench.benchmark.planning import Source, plan, specify, specify_ensemble
from fer_bench.benchmark.running import Runner
from fer_bench.benchmark.sweeping import is_finished, run_sweep

__all__ = [
    "EvaluationReport",
    "Runner",
    "Source",
    "evaluate_run",
    "is_finished",
    "plan",
    "run_sweep",
    "specify",
    "specify_ensemble",
]
