"""What the tests of web exports share: a folder behind an address, a runtime, a small run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from export_fixtures import CALIBRATION, trained

from fer_bench.backends.export_metadata import describe
from fer_bench.backends.onnx_model import OnnxFile
from fer_bench.bundles.contents import Contents
from fer_bench.bundles.runtime import fetch_runtime
from fer_bench.data.transform import to_input
from fer_bench.errors import FerBenchError
from fer_bench.models.base import Classifier

TEMPERATURE = 1.5


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving_folder(folder: Path) -> Iterator[str]:
    """What `python -m http.server` does; yields the address with a slash at its end."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def require_runtime() -> Path:
    """The npm package; skips the test where npm cannot bring it. Under CI that is a failure."""
    try:
        return fetch_runtime()
    except FerBenchError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


def small_run(precision: str = "fp32", name: str = "keras_cnn") -> tuple[Classifier, Contents]:
    """A small network that knows the drawn faces, and what a bundle of it is made of."""
    model = trained(name, 30)
    int8 = precision == "int8"
    metadata = describe(model, run="some-run", temperature=TEMPERATURE)
    metadata = metadata.model_copy(update={"precision": precision})
    calibration = to_input(CALIBRATION.images, model.input_spec) if int8 else None
    onnx = OnnxFile().convert(model, metadata, calibration)[".onnx"]
    return model, Contents(model=onnx, metadata=metadata, card="# Card\n\n<script>x</script>")


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Writes a bundle's files."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
