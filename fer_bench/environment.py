"""The machine and the library versions behind a number."""

from __future__ import annotations

import os
import platform
import subprocess  # nosec B404  # for git alone
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel, Field

import fer_bench

RECORDED_PACKAGES = (
    "torch", "torchvision", "timm", "transformers", "accelerate", "peft", "numpy",
    "scikit-learn", "openvino", "nncf", "onnx", "onnxruntime", "opencv-python-headless", "pillow",
)  # fmt: skip


#: The flags that decide which precision pays, and what they are called; the widest first.
WIDEST = {
    "amx_int8": "AMX",
    "amx_bf16": "AMX",
    "avx512_bf16": "AVX512-BF16",
    "avx512_vnni": "AVX512-VNNI",
    "avx512f": "AVX512",
    "avx2": "AVX2",
}


class Environment(BaseModel):
    """Hardware and software of a run; recorded with every number."""

    fer_bench: str
    git_commit: str | None
    python: str
    system: str
    cpu: str
    cpu_cores: int
    cpu_flags: list[str]
    cpu_design: str | None = Field(
        None, description="the vendor's numbers, such as `family 26 model 2` (Linux on x86)"
    )
    threads: int | None = Field(None, description="CPU threads that PyTorch used")
    memory_gib: float
    gpu: str | None
    packages: dict[str, str]

    @property
    def processor(self) -> str:
        """The CPU's name and its widest instructions.

        Its design too where the name has no number of its own: virtual machines give many CPUs
        one name.
        """
        widest = next((name for flag, name in WIDEST.items() if flag in self.cpu_flags), None)
        is_numbered = any(letter.isdigit() for letter in self.cpu.partition("@")[0])
        details = [part for part in (widest, None if is_numbered else self.cpu_design) if part]
        return f"{self.cpu} ({', '.join(details)})" if details else self.cpu

    def hardware(self, device: str) -> str:
        """What work on `device` (`cpu` or `cuda`) is done on: the GPU, or else the processor."""
        return (self.gpu if device.startswith("cuda") else None) or self.processor


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """What Linux says of the CPU; elsewhere its name alone."""

    name: str
    flags: frozenset[str] = frozenset()
    design: str | None = None


def read_cpu() -> Cpu:
    """This machine's CPU."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return Cpu(name=platform.processor() or platform.machine())
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    family, model = fields.get("cpu family"), fields.get("model")
    return Cpu(
        name=fields.get("model name", platform.machine()),
        flags=frozenset(fields.get("flags", "").split()),
        design=f"family {family} model {model}" if family and model else None,
    )


def share_cores() -> None:
    """Lets PyTorch's threads sleep while they wait for each other; call it before PyTorch loads.

    By default they spin: faster on an idle machine, and 3 to 10 times slower for single faces next
    to other work on the same cores (`benchmarks/training/shared_cores.py`). A server shares its
    machine.
    Whoever set OMP_WAIT_POLICY has chosen already.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def dashboard_folder() -> Path:
    """Where app.py lies, with its pages, assets and results: in the package, or in the checkout."""
    installed = Path(fer_bench.__file__).parent / "dashboard"  # setup.py puts it there
    return installed if installed.is_dir() else Path(fer_bench.__file__).parents[1]


def git_commit() -> str | None:
    """The commit of the source tree this package runs from; None outside a git checkout."""
    root = Path(fer_bench.__file__).parents[1]
    if not (root / ".git").exists():  # installed, perhaps within another project's checkout
        return None
    try:
        # Constant words; whichever git the user has.
        done = subprocess.run(  # nosec B603 B607
            ["git", "rev-parse", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Their versions; packages that are not installed are left out."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@cache
def capture() -> Environment:
    """This process's environment; read once."""
    import psutil
    import torch

    cpu = read_cpu()
    return Environment(
        fer_bench=fer_bench.__version__,
        git_commit=git_commit(),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu.name,
        cpu_cores=os.cpu_count() or 1,
        cpu_flags=[f for f in reversed(WIDEST) if f in cpu.flags],
        cpu_design=cpu.design,
        threads=torch.get_num_threads(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        packages=package_versions(RECORDED_PACKAGES),
    )
