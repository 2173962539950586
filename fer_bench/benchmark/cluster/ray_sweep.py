"""Many runs on many machines: each run is a Ray task, and Ray carries it out again if it is lost.

What a task does is what `sweep.run_sweep` does with each run: Ray only says where and when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from fer_bench.benchmark.cluster.ray_cluster import Cluster, connected, gpus_for
from fer_bench.benchmark.cluster.ray_task import Job, RunEvent, carry_out, mirrors
from fer_bench.benchmark.runner import Runner
from fer_bench.benchmark.sweep import require_possible
from fer_bench.data.load import Source
from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.results.location import address_of, local_folder
from fer_bench.results.record import RunRecord
from fer_bench.results.store import ResultsStore
from fer_bench.specs.run import EnsembleSpec, RunSpec
from fer_bench.urls import is_url

#: How often a run is started again whose process or machine was lost.
RETRIES = 3
#: Seconds between two looks at what the runs say.
POLL = 0.25
OnEvent = Callable[[RunEvent], None]


def run_sweep_on_ray(
    specs: Sequence[RunSpec | EnsembleSpec],
    source: Source,
    runner: Runner,
    cluster: Cluster,
    on_event: OnEvent,
) -> list[RunRecord]:
    """As `sweep.run_sweep`, with as many runs at once as the cluster has room for.

    A run that others are made of is waited for. One whose process or machine is lost is started
    again, from its last epoch where the results are in a folder that its machines share.

    Args:
        source: to be found under the same path on every machine.
        runner: `device` may be `auto`; its `progress` is not used.

    Raises:
        FerBenchError: as `run_sweep`, `ray_cluster.connected` and `ray_cluster.gpus_for`, or a
            results folder that a machine does not share.
        RunFailed: a run was lost again and again before it could begin; the others are done.
    """
    require_possible(specs, runner.precision)
    with connected(cluster), _marked(runner.store) as mark:
        gpus = gpus_for(cluster, runner.device)
        job = Job(
            sweep=uuid4().hex,
            runner=replace(runner, device="cuda" if gpus else "cpu"),
            source=replace(source, on_load=None),  # it writes to this process's terminal
            address=address_of(runner.store.root),
            mark=mark,
            home=Path.cwd(),
            threads=cluster.threads,
        )
        return _Driver(specs, job, cluster, gpus, on_event).drive()


class _Driver:
    """Hands out the runs and hears of them."""

    def __init__(
        self,
        specs: Sequence[RunSpec | EnsembleSpec],
        job: Job,
        cluster: Cluster,
        gpus: float,
        on_event: OnEvent,
    ) -> None:
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._specs, self._job, self._on_event = specs, job, on_event
        self._room = cluster.workers or len(specs)
        # Next to this process: a machine that is lost takes no event with it.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._task = ray.remote(carry_out).options(
            num_cpus=cluster.cpus, num_gpus=gpus, max_retries=RETRIES
        )
        self._waiting = list(specs)
        self._at_work: dict[Any, RunSpec | EnsembleSpec] = {}
        self._records: dict[str, RunRecord] = {}
        self._datasets: dict[str, str] = {}
        self._lost: list[str] = []

    def drive(self) -> list[RunRecord]:
        """Until every run has ended."""
        import ray

        job = ray.put(self._job)
        try:
            while self._waiting or self._at_work:
                for spec in self._ready():
                    self._waiting.remove(spec)
                    self._at_work[self._task.remote(job, spec, self._queue)] = spec
                ended, _ = ray.wait(list(self._at_work), timeout=POLL)
                self._forward_events()
                for ref in ended:
                    self._end(self._at_work.pop(ref), ref)
        finally:
            for ref in self._at_work:
                ray.cancel(ref, force=True)
            self._queue.shutdown()
        if self._lost:
            raise RunFailed(
                f"{len(self._lost)} of {len(self._specs)} runs were lost with their processes "
                f"before they could begin: {', '.join(self._lost)}; are the machines out of memory?"
            )
        return [self._records[spec.name] for spec in self._specs]

    def _ready(self) -> list[RunSpec | EnsembleSpec]:
        """The next runs, none of which is made of one that has not ended."""
        open_runs = {spec.name for spec in [*self._waiting, *self._at_work.values()]}
        ready = [spec for spec in self._waiting if not open_runs & set(_made_of(spec))]
        if not ready and not self._at_work:  # made of each other: their records will say so
            ready = self._waiting
        return ready[: self._room - len(self._at_work)]

    def _forward_events(self) -> None:
        at_work = {spec.name for spec in self._at_work.values()}
        for values in self._queue.get_nowait_batch(self._queue.qsize()):
            event = RunEvent(**values)
            self._datasets[event.run] = event.dataset
            if event.run in at_work:
                self._on_event(event)

    def _end(self, spec: RunSpec | EnsembleSpec, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            record, last = ray.get(ref)
        except RayTaskError as error:
            if isinstance(error.cause, FerBenchError):
                raise error.cause from None
            raise
        except RayError:
            failed = self._save_lost(spec)
            if failed is None:
                self._lost.append(spec.name)
            else:
                self._records[spec.name] = failed
            self._on_event(RunEvent(run=spec.name, state="failed", words=_LOST))
        else:
            self._records[spec.name] = record
            self._on_event(last)

    def _save_lost(self, spec: RunSpec | EnsembleSpec) -> RunRecord | None:
        """The record of a run that was lost too often, now failed; None if it never began."""
        if spec.name not in self._datasets:
            return None
        store = ResultsStore(local_folder(self._job.address, mirrors()))
        record = store.find(f"{self._datasets[spec.name]}/{spec.name}").require_record()
        if record.status != "done":
            changes = {"status": "failed", "error": _LOST, "finished_at": datetime.now(UTC)}
            record = record.model_copy(update=changes)
            store.save(record)
        return record


_LOST = (
    f"its process was lost {RETRIES + 1} times, as for want of memory: give it more with "
    "--cpus-per-run, or run fewer at once"
)


def _made_of(spec: RunSpec | EnsembleSpec) -> tuple[str, ...]:
    return spec.ensemble if isinstance(spec, EnsembleSpec) else spec.teachers


@contextmanager
def _marked(store: ResultsStore) -> Iterator[Path | None]:
    """A file in the results folder for as long as the block lasts; none where it is a URL."""
    if is_url(address_of(store.root)):
        yield None
        return
    mark = store.root.resolve() / ".work" / f".sweep-{uuid4().hex}"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise FerBenchError(
            f"cannot write to the results folder {store.root}: {error.strerror}; choose another"
        ) from None
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)
