"""Networks as OpenVINO IR: an .xml file with the network, a .bin file with its weights."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from fer_bench.backends.base import Forward, first_line
from fer_bench.backends.openvino_ir import compile_for_cpu, load_openvino
from fer_bench.backends.prepared import PreparedModel
from fer_bench.backends.quantize import has_attention, quantise_openvino
from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier
from fer_bench.models.export_metadata import INPUT, OUTPUT, ExportMetadata, ExportPrecision

#: Where the metadata stand in the .xml file: `net/rt_info/fer_bench`.
SECTION = "fer_bench"


class OpenVinoFiles:
    """The `ExportFormat` openvino."""

    suffixes = (".xml", ".bin")
    precisions: tuple[ExportPrecision, ...] = ("fp32", "int8")
    packages = ("openvino",)

    def convert(
        self, model: Classifier, metadata: ExportMetadata, calibration: Tensor | None
    ) -> dict[str, bytes]:
        """See `ExportFormat`.

        Raises:
            FerBenchError: there is no room for the network's temporary files.
            Unavailable: a package is missing, or OpenVINO cannot hold or quantise the network.
        """
        network = PreparedModel(model).openvino
        if calibration is not None:
            network = quantise_openvino(network, calibration, attends=has_attention(model))
        network.input(0).get_tensor().set_names({INPUT})
        network.output(0).get_tensor().set_names({OUTPUT})
        network.get_parameters()[0].set_friendly_name(INPUT)
        network.get_results()[0].set_friendly_name(OUTPUT)
        for key, value in metadata.as_strings().items():
            network.set_rt_info(value, [SECTION, key])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            try:
                load_openvino().save_model(network, path, compress_to_fp16=False)
            except RuntimeError as error:  # OpenVINO does not say why
                raise FerBenchError(
                    f"OpenVINO cannot write the network to {folder} ({first_line(error)}): there "
                    "may be no space left on device; free some, or set TMPDIR to another folder"
                ) from error
            return {suffix: path.with_suffix(suffix).read_bytes() for suffix in self.suffixes}

    def read_metadata(self, path: Path) -> ExportMetadata:
        """See `ExportFormat`."""
        return self._read(path)[1]

    def open(self, path: Path) -> Forward:
        """See `ExportFormat`.

        Raises:
            FerBenchError: no such file, a damaged one, or one that is not ours.
            Unavailable: OpenVINO is not installed.
        """
        network, _ = self._read(path)
        compiled = compile_for_cpu(
            network, hint="LATENCY", bf16=False, threads=torch.get_num_threads()
        )

        def forward(x: Tensor) -> Tensor:
            try:
                return torch.from_numpy(compiled([x.contiguous().numpy()])[0].copy())
            except (RuntimeError, LookupError) as error:  # damaged sizes, or no output left
                raise FerBenchError(
                    f"{path} or the .bin file next to it is damaged ({first_line(error)}): export "
                    "the run again"
                ) from error

        return forward

    def _read(self, path: Path) -> tuple[object, ExportMetadata]:
        openvino = load_openvino()
        if not path.is_file():
            raise FerBenchError(f"cannot read {path}: there is no such file", code="missing_file")
        try:
            network = openvino.Core().read_model(path)
        except (RuntimeError, UnicodeDecodeError):  # the latter where its message quotes the file
            raise FerBenchError(
                f"{path} or the .bin file next to it is missing, damaged or no OpenVINO network: "
                "export the run again"
            ) from None
        metadata = network.get_rt_info([SECTION]).value if network.has_rt_info([SECTION]) else {}
        return network, ExportMetadata.from_strings(metadata, str(path))
