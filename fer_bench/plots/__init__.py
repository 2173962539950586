"""Records and tables in, Plotly figures out: the pages' and the notebook's charts."""

from fer_bench.plots.data import class_balance
from fer_bench.plots.errors import (
    confusion_matrix,
    per_class_bars,
    reliability_diagram,
    roc_curves,
)
from fer_bench.plots.latency import latency_bars, stage_bars
from fer_bench.plots.live import emotion_timeline
from fer_bench.plots.prediction import probability_bars, probability_pie
from fer_bench.plots.ranking import accuracy_against, accuracy_bars
from fer_bench.plots.style import emotion_colour, model_colour
from fer_bench.plots.training import training_curve

__all__ = [
    "accuracy_against",
    "accuracy_bars",
    "class_balance",
    "confusion_matrix",
    "emotion_colour",
    "emotion_timeline",
    "latency_bars",
    "model_colour",
    "per_class_bars",
    "probability_bars",
    "probability_pie",
    "reliability_diagram",
    "roc_curves",
    "stage_bars",
    "training_curve",
]
