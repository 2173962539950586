"""An ONNX file as a part of a classifier: run by ONNX Runtime, on the CPU, as it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fer_bench.errors import FerBenchError, RunFailed
from fer_bench.models.export_metadata import INPUT


class OnnxNetwork(nn.Module):
    """`(B, channels, S, S)` to logits `(B, C)` by an ONNX file, which is its only tensor.

    Nothing in it learns, and no gradient goes through it. So a stored run holds the file where
    others hold their weights, and whatever opens runs opens it too.

    Args:
        content: the file, as `backends.onnx.to_onnx` writes it; or its length, for one to be
            loaded.
        parameters_inside: how many numbers it learnt, for tables.
    """

    data: Tensor

    def __init__(self, content: bytes | int, parameters_inside: int) -> None:
        super().__init__()
        size = content if isinstance(content, int) else len(content)
        data = torch.zeros(size, dtype=torch.uint8)
        if isinstance(content, bytes):
            data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        self.register_buffer("data", data)
        self.parameters_inside = parameters_inside
        self._sessions: dict[int, Any] = {}

    @property
    def content(self) -> bytes:
        """The file."""
        return self.data.cpu().numpy().tobytes()

    def forward(self, x: Tensor) -> Tensor:
        """Float32 in, float32 out, on the device of `x`; with as many threads as PyTorch has.

        Raises:
            RuntimeError: while PyTorch traces or compiles, which would keep one answer for ever.
            RunFailed: the network cannot be run on these faces.
        """
        if torch._C._get_tracing_state() is not None or torch.compiler.is_compiling():
            raise RuntimeError("the network is an ONNX file, which PyTorch cannot look into")
        threads = torch.get_num_threads()
        if threads not in self._sessions:
            self._sessions[threads] = open_session(self.content, threads)
        return run(self._sessions[threads], x.detach().float().cpu()).to(x.device)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_sessions": {}}  # sessions are neither copied nor sent


def holds_onnx(model: nn.Module) -> bool:
    """Whether a part of a network is an ONNX file."""
    return any(isinstance(part, OnnxNetwork) for part in model.modules())


def open_session(content: bytes | str, threads: int) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU, of a file's bytes or of its path.

    Raises:
        FerBenchError: it is not installed.
        its own errors: a file that it cannot open.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise FerBenchError(
            f"onnxruntime is not installed ({error}): pip install onnxruntime (or "
            "'fer-bench[fast]')",
            code="missing_extra",
        ) from None
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Its idle threads would otherwise wait busily for a while, on the cores of who runs next.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    settings.log_severity_level = 3  # errors; its warnings are about its own optimisations
    return onnxruntime.InferenceSession(content, settings, ["CPUExecutionProvider"])


def session_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a file that it cannot open."""
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    return (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
        failures.RuntimeException,
    )


def run(session: Any, faces: Tensor) -> Tensor:
    """Logits `(B, C)` of float32 faces `(B, channels, S, S)` on the CPU.

    A file that was made for one face at a time gets them so.

    Raises:
        RunFailed: ONNX Runtime failed, such as for want of memory.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    one_face = session.get_inputs()[0].shape[0] == 1
    parts = torch.split(faces, 1) if one_face and len(faces) else (faces,)
    try:
        outputs = [session.run(None, {INPUT: part.contiguous().numpy()})[0] for part in parts]
    except (failures.Fail, failures.InvalidArgument, failures.RuntimeException) as error:
        line = str(error).strip().partition("\n")[0]
        raise RunFailed(f"ONNX Runtime could not run the network: {line}") from error
    return torch.cat([torch.from_numpy(part) for part in outputs])
