"""FER Bench: honest, reproducible facial emotion recognition benchmarks.

Importing it is quick: PyTorch and the rest are loaded by the first call that needs them.

Examples:
    >>> import fer_bench
    >>> "resnet18" in fer_bench.list_models()
    True
    >>> for face in fer_bench.predict("assets/samples/astronaut.jpg").faces:
    ...     print(face.emotion)
    happy
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_bench.benchmark.stored_runs import evaluate
    from fer_bench.benchmark.train import train
    from fer_bench.data.load import load_dataset
    from fer_bench.inference.load import load, predict
    from fer_bench.inference.predictor import Predictor
    from fer_bench.models.build import list_models
    from fer_bench.results.store import open_results

__version__ = "0.2.0"
__all__ = [
    "Predictor",
    "__version__",
    "evaluate",
    "list_models",
    "load",
    "load_dataset",
    "open_results",
    "predict",
    "train",
]
#: Where each name is defined; imported when it is first asked for (PEP 562).
_HOME = {
    "Predictor": "inference.predictor",
    "evaluate": "benchmark.stored_runs",
    "list_models": "models.build",
    "load": "inference.load",
    "load_dataset": "data.load",
    "open_results": "results.store",
    "predict": "inference.load",
    "train": "benchmark.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fer_bench' has no attribute {name!r}")
    value = getattr(import_module(f"fer_bench.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
