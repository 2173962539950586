"""TensorBoard, MLflow and Weights & Biases, each by accelerate's tracker for it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from filelock import FileLock

from fer_bench.errors import FerBenchError, unknown_name

#: What runs are gathered under: MLflow's experiment and W&B's project.
PROJECT = "fer_bench"
Value = str | int | float | bool
Ending = Literal["done", "failed", "interrupted"]
MLFLOW_ENDINGS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@dataclass(frozen=True, kw_only=True)
class TrackerRun:
    """A run as a tracker knows it.

    Attributes:
        folder: of trackers' own files.
        id: the tracker's own run to go on with; empty for a new one.
    """

    folder: Path
    dataset: str
    name: str
    id: str = ""


class Tracker(ABC):
    """One tracker and one run; `self.tracker` is accelerate's. Any method may fail.

    Attributes:
        id: what the run is gone on with after a break, known once started.
    """

    def __init__(self, run: TrackerRun) -> None:
        self.run = run
        self.id = run.id
        self.tracker: Any = None

    @abstractmethod
    def start(self) -> None:
        """Opens the run, or opens it again."""

    @abstractmethod
    def finish(self, ending: Ending, error: str) -> None:
        """Closes the run; `error` is the sentence of a failed one, else empty."""

    @classmethod
    def failures(cls) -> tuple[type[Exception], ...]:
        """What its library raises where it does not work."""
        return (ImportError, OSError, RuntimeError, ValueError, TypeError, LookupError)

    def describe(self, values: Mapping[str, Value]) -> None:
        """The run's settings, once."""
        self.tracker.store_init_configuration(dict(values))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Figures of an epoch, from 1; those of the whole run stand at its last one."""
        self.tracker.log(dict(values), step=step)


class TensorBoard(Tracker):
    """Event files in `tensorboard/<dataset>/<run>`; a run made anew hides its earlier events."""

    def start(self) -> None:
        from accelerate.tracking import TensorBoardTracker

        self.id = f"{self.run.dataset}/{self.run.name}"
        self.tracker = TensorBoardTracker(
            self.id, self.run.folder / "tensorboard", purge_step=None if self.run.id else 0
        )
        self.tracker.start()

    def finish(self, ending: Ending, error: str) -> None:
        self.tracker.log({"status": ending, "error": error})
        self.tracker.finish()


class MLflow(Tracker):
    """MLflow's SQLite store in `mlflow.db`, or what MLFLOW_TRACKING_URI names."""

    def __init__(self, run: TrackerRun) -> None:
        super().__init__(run)
        # Read when MLflow is first imported: it would report its use to its makers.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

    @classmethod
    def failures(cls) -> tuple[type[Exception], ...]:
        try:
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError:  # `start` says so
            return super().failures()
        return (*super().failures(), MlflowException, SQLAlchemyError)

    def start(self) -> None:
        import mlflow
        from accelerate.tracking import MLflowTracker

        artifacts = None
        self._is_ours = not os.environ.get("MLFLOW_TRACKING_URI")
        if self._is_ours:
            mlflow.set_tracking_uri(mlflow_store(self.run.folder))
            artifacts = (self.run.folder / "mlflow-artifacts").absolute().as_uri()
        self.tracker = MLflowTracker(
            PROJECT,
            logging_dir=artifacts,
            run_id=self.run.id or None,
            run_name=self.run.name,
            tags={"dataset": self.run.dataset},
        )
        with FileLock(self.run.folder / ".mlflow.lock"):  # the first one makes the tables
            self.tracker.start()
        self.id = self.tracker.tracker.info.run_id

    def finish(self, ending: Ending, error: str) -> None:
        import mlflow

        try:
            if mlflow.active_run():
                mlflow.set_tags({"status": ending, "error": error})
                mlflow.end_run(MLFLOW_ENDINGS[ending])
        finally:
            if self._is_ours:  # it is stored in the environment, where the user's own would stand
                mlflow.set_tracking_uri(None)


class WandB(Tracker):
    """Weights & Biases as its variables say (WANDB_MODE, ...), with its files in `wandb`."""

    @classmethod
    def failures(cls) -> tuple[type[Exception], ...]:
        try:
            import wandb
        except ImportError:  # `start` says so
            return super().failures()
        return (*super().failures(), wandb.Error)

    def start(self) -> None:
        import wandb
        from accelerate.tracking import WandBTracker

        self.id = self.run.id or uuid4().hex[:12]
        self.tracker = WandBTracker(
            os.environ.get("WANDB_PROJECT") or PROJECT,
            name=self.run.name,
            group=self.run.dataset,
            id=self.id,
            resume="allow",
            dir=os.environ.get("WANDB_DIR") or str(self.run.folder),
            settings=wandb.Settings(silent=True, console="off"),  # stdout is for `--json`
        )
        self.tracker.start()

    def finish(self, ending: Ending, error: str) -> None:
        self.tracker.tracker.summary.update({"status": ending, "error": error})
        self.tracker.tracker.finish(exit_code=0 if ending == "done" else 1)


_CLASSES: dict[str, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "mlflow": MLflow,
    "wandb": WandB,
}
#: By name, which is that of the package too.
TRACKERS = tuple(_CLASSES)


def make_tracker(name: str, run: TrackerRun) -> Tracker:
    """The tracker of this name, not yet started."""
    return _CLASSES[name](run)


def check_trackers(names: tuple[str, ...]) -> None:
    """Refuses trackers that are not to be had.

    Raises:
        FerBenchError: an unknown one, or one whose package is missing.
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown_name("tracker", name, TRACKERS)
        if find_spec(name) is None:
            raise FerBenchError(
                f"tracking with {name} needs the package {name}: pip install 'fer-bench[scale]'"
            )


def mlflow_store(folder: Path) -> str:
    """The address of the SQLite store in a folder, as MLflow writes it."""
    return f"sqlite:///{(folder / 'mlflow.db').absolute()}"
