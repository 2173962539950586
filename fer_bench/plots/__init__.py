"""Records and tables in, Plotly figures out: the pages' and the notebook's charts."""

from fer_bench.plots.calibration import (
    reliability_diagram,
    reliability_with_counts,
    risk_coverage_curves,
)
from fer_bench.plots.comparison import (
    agreement_heat_map,
    class_differences,
    difference_forest,
    validation_curves,
)
from fer_bench.plots.data import agreement_lines, class_balance, leak_intervals, people_bars
from fer_bench.plots.errors import (
    confusion_matrix,
    per_class_bars,
    roc_curves,
)
from fer_bench.plots.latency import latency_bars, stage_bars
from fer_bench.plots.live import emotion_timeline, person_shares, person_timeline
from fer_bench.plots.network import training_curve
from fer_bench.plots.prediction import feature_scatter, probability_bars, probability_pie
from fer_bench.plots.ranking import accuracy_against, accuracy_bars, frozen_and_full, si_unit
from fer_bench.plots.robustness import (
    robustness_bars,
    severity_curves,
    severity_heatmap,
    transfer_matrix,
)
from fer_bench.plots.style import emotion_colour, in_words, model_colour

__all__ = [
    "accuracy_against",
    "accuracy_bars",
    "agreement_heat_map",
    "agreement_lines",
    "class_balance",
    "class_differences",
    "confusion_matrix",
    "difference_forest",
    "emotion_colour",
    "emotion_timeline",
    "feature_scatter",
    "frozen_and_full",
    "in_words",
    "latency_bars",
    "leak_intervals",
    "model_colour",
    "people_bars",
    "per_class_bars",
    "person_shares",
    "person_timeline",
    "probability_bars",
    "probability_pie",
    "reliability_diagram",
    "reliability_with_counts",
    "risk_coverage_curves",
    "robustness_bars",
    "roc_curves",
    "severity_curves",
    "severity_heatmap",
    "si_unit",
    "stage_bars",
    "training_curve",
    "transfer_matrix",
    "validation_curves",
]
