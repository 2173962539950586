"""A model to be made ready: the faces it is tried on, and its forms in other libraries."""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.backends.base import Unavailable
from fer_bench.backends.cache import (
    cached_faces,
    load_fp32,
    load_int8,
    save_fp32,
    save_int8,
)
from fer_bench.backends.onnx import to_onnx
from fer_bench.backends.openvino_ir import convert, convert_onnx
from fer_bench.backends.quantize import has_attention, quantise_openvino
from fer_bench.data.preprocess import to_input
from fer_bench.data.synthetic import draw_face
from fer_bench.emotions import FER2013
from fer_bench.environment import capture
from fer_bench.models.classifier import Classifier
from fer_bench.models.external.onnx_network import OnnxNetwork
from fer_bench.models.fingerprint import fingerprint
from fer_bench.storage import digest_of

#: Drawn faces of each emotion that back ends are compared on where no others were given.
DRAWN = 2
#: Most faces that they are compared on: eager fp32 runs them too, ViT-B/16 at 0.15 s each.
CHECKED = 64


class PreparedModel:
    """A model to be made ready; what several back ends need of it is made once.

    Args:
        model: in eval mode.
        threads: CPU threads that a call may use.
        calibration: as `catalogue.open_backend` takes it.
    """

    def __init__(
        self,
        model: Classifier,
        threads: int | None = None,
        calibration: NDArray[np.uint8] | None = None,
    ) -> None:
        self.model = model
        self.threads = torch.get_num_threads() if threads is None else threads
        self._calibration = calibration if calibration is not None and len(calibration) else None

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @cached_property
    def calibrating(self) -> Tensor | None:
        """Model input that int8 is calibrated on: every other face that was given."""
        return None if self._calibration is None else self.prepare(self._calibration[::2])

    @cached_property
    def checking(self) -> Tensor:
        """Model input to compare back ends on: the other faces given, else drawn ones."""
        if self._calibration is not None and len(self._calibration) > 1:
            others = self._calibration[1::2]
            spread = np.linspace(0, len(others) - 1, min(CHECKED, len(others)), dtype=np.int64)
            return self.prepare(others[spread])
        rng = np.random.default_rng(0)
        faces = [draw_face(emotion, size=48, rng=rng) for emotion in FER2013 * DRAWN]
        return self.prepare(np.stack(faces))

    def prepare(self, faces: NDArray[np.uint8]) -> Tensor:
        """Faces as the model wants them, float32 `(B, channels, S, S)`."""
        return to_input(faces, self.model.input_spec)

    @cached_property
    def openvino(self) -> Any:
        """The network in OpenVINO's form, any batch size: from the cache, or converted and cached.

        Raises:
            Unavailable: it cannot be had.
        """
        key = self._conversion
        cached = load_fp32(key)
        if cached is not None:
            return cached
        spec = self.model.input_spec
        shape = (spec.channels, spec.size, spec.size)
        if isinstance(self.model.backbone, OnnxNetwork):
            converted = convert_onnx(self.onnx)
        else:
            converted = convert(self.model, torch.zeros(2, *shape))
        converted.reshape([-1, *shape])
        save_fp32(key, converted)
        return converted

    @property
    def _conversion(self) -> str:
        """What a converted network depends on: the network, its code, and who converts it."""
        seen = capture()
        digest = hashlib.sha256(
            json.dumps([self.fingerprint, seen.fer_bench, seen.packages]).encode()
        )
        for name in sorted({type(module).__module__ for module in self.model.modules()}):
            source = getattr(sys.modules.get(name), "__file__", None)
            digest.update(Path(source).read_bytes() if source else name.encode())
        return digest.hexdigest()

    @cached_property
    def onnx(self) -> bytes:
        """The network as an ONNX file, any batch size.

        Raises:
            Unavailable: it cannot be had.
        """
        return to_onnx(self.model)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this network from all others, weights included."""
        return fingerprint(self.model, self.model.input_spec)

    @cached_property
    def int8_faces(self) -> str:
        """Which faces an int8 network is calibrated on; empty where there can be none."""
        if self._calibration is None:
            return cached_faces(self.fingerprint)
        return digest_of(self._calibration[::2])

    @cached_property
    def openvino_int8(self) -> Any:
        """The network in OpenVINO's form and int8: from the cache, or quantised and cached now.

        Raises:
            Unavailable: it cannot be had.
        """
        if cached_faces(self.fingerprint) == self.int8_faces:
            cached = load_int8(self.fingerprint)
            if cached is not None:
                return cached
        faces = self.require_calibrating()
        network = quantise_openvino(self.openvino, faces, attends=has_attention(self.model))
        save_int8(self.fingerprint, network, self.int8_faces)
        return network

    def require_calibrating(self) -> Tensor:
        """`calibrating`, where it must be.

        Raises:
            Unavailable: no faces were given.
        """
        if self.calibrating is None:
            raise Unavailable(
                "int8 wants faces of the training split to calibrate on: measure the run once "
                "with `python -m fer_bench latency RUN --data SOURCE`"
            )
        return self.calibrating

    def require_cpu(self, what: str) -> None:
        """Refuses a model on another device than the CPU.

        Raises:
            Unavailable: it is elsewhere.
        """
        if self.device.type != "cpu":
            raise Unavailable(f"{what} runs on the CPU here, and the model is on {self.device}")
