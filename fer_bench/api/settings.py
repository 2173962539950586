"""What a server is to serve, and how much it takes at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fer_bench.errors import FerBenchError
from fer_bench.results.store import DEFAULT, ResultsStore


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Settings of one server.

    Attributes:
        store: the records.
        run: the default model, as `ResultsStore.find` takes it.
        detector, detector_file: as `inference.detectors.base.make_detector` takes them.
        backend: as `backends.select.open_backend` takes it.
        token: what requests must carry as bearer token; None lets everybody in.
        cors: origins whose pages may call the server from a browser.
        max_queue: requests at work or waiting; one more is answered 429.
        max_bytes: of a request's body. With `max_queue` it bounds the memory that uploads take.
        max_files: in a request.
        max_batch: faces that go through the network together.
        batch_wait: seconds to wait for more faces, only while other pictures are being analysed.
        time_limit: seconds to receive a request, and again to answer it.
        stop_within: seconds that requests at work have to finish when the server is stopped.

    Raises:
        FerBenchError: a number that is not above 0, or an empty token.
    """

    store: ResultsStore
    run: str = DEFAULT
    detector: str = "haar"
    detector_file: Path | None = None
    backend: str = "auto"
    token: str | None = field(default=None, repr=False)
    cors: tuple[str, ...] = ()
    max_queue: int = 64
    max_bytes: int = 16_000_000
    max_files: int = 32
    max_batch: int = 32
    batch_wait: float = 0.002
    time_limit: float = 30.0
    stop_within: float = 10.0

    def __post_init__(self) -> None:
        for name in ("max_queue", "max_bytes", "max_files", "max_batch", "time_limit"):
            if not getattr(self, name) > 0:
                raise FerBenchError(f"expected {name} above 0, got {getattr(self, name)}")
        if self.token is not None and not self.token.strip():
            raise FerBenchError("the token is empty: give a long random one, or none at all")
