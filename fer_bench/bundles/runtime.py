"""ONNX Runtime Web from its npm package: one pinned version, every byte of it checked.

`npm pack` brings the package through the user's own registry settings; a folder or a file of it
does as well. Its licence is MIT.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess  # nosec B404
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fer_bench.errors import FerBenchError, cannot_read
from fer_bench.settings import cache_dir

TIMEOUT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One version of the npm package.

    Attributes:
        files: of its folder `dist`, with the hash that each must have, as browsers write it.
    """

    version: str
    integrity: str
    files: Mapping[str, str]

    @property
    def specification(self) -> str:
        """What npm calls it."""
        return f"onnxruntime-web@{self.version}"

    @property
    def archive(self) -> Path:
        """Where its archive is cached, which may not be there yet."""
        return cache_dir() / "runtimes" / f"onnxruntime-web-{self.version}.tgz"

    def cdn_url(self, name: str) -> str:
        """Where a file of it lies on jsDelivr, which serves what npm has."""
        return f"https://cdn.jsdelivr.net/npm/{self.specification}/dist/{name}"


#: For each back end of the page, the script to import and the binary that it runs.
BACKENDS = {
    "wasm": ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
}
RUNTIME = Runtime(
    version="1.30.0",
    integrity="sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1S"
    "igqR4CXAfKYQ==",
    files={
        "ort.wasm.bundle.min.mjs": "sha384-"
        "PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
        "ort-wasm-simd-threaded.wasm": "sha384-"
        "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
        "ort.webgpu.bundle.min.mjs": "sha384-"
        "1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
        "ort-wasm-simd-threaded.asyncify.wasm": "sha384-"
        "EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
    },
)


def integrity(content: bytes, algorithm: str = "sha384") -> str:
    """A hash as browsers and npm write it: `sha384-` and base64."""
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


def read_runtime(
    names: Sequence[str], source: Path | None = None, runtime: Runtime = RUNTIME
) -> dict[str, bytes]:
    """Files of the package, by name, each with the hash that it must have.

    Args:
        source: the package as npm's archive or unpacked; None caches what `npm pack` brings.

    Raises:
        FerBenchError: no npm, no network, or other files than expected.
    """
    if source is None:
        source = fetch_runtime(runtime)
    if source.is_dir():
        files = {name: _of_folder(source, name, runtime) for name in names}
    else:
        files = _of_archive(source, names, runtime)
    for name, content in files.items():
        if integrity(content) != runtime.files[name]:
            raise FerBenchError(
                f"{name} in {source} is not the one of {runtime.specification}: give the package "
                f"of that version, such as `npm pack {runtime.specification}` brings"
            )
    return files


def fetch_runtime(runtime: Runtime = RUNTIME) -> Path:
    """The package's archive in the cache; brought by `npm pack` where it is not there yet.

    Raises:
        FerBenchError: no npm, npm failed, or the archive is not the pinned one.
    """
    archive = runtime.archive
    if archive.is_file() and integrity(archive.read_bytes(), "sha512") == runtime.integrity:
        return archive
    npm = shutil.which("npm")
    elsewhere = (
        f"give the package with --runtime, such as `npm pack {runtime.specification}` brings on "
        "another machine, or let the page fetch it with --cdn"
    )
    if npm is None:
        raise FerBenchError(
            f"npm, which brings ONNX Runtime Web, is not installed: {elsewhere}",
            code="missing_extra",
        )
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(  # nosec B603
            [npm, "pack", runtime.specification, "--ignore-scripts", "--silent",
             "--pack-destination", str(archive.parent)],
            check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
        content = archive.read_bytes()
    except (subprocess.SubprocessError, OSError) as error:
        message = " ".join((getattr(error, "stderr", None) or str(error)).split())[-200:]
        raise FerBenchError(
            f"`npm pack {runtime.specification}` failed ({message}): check the "
            f"network, or {elsewhere}"
        ) from None
    if integrity(content, "sha512") != runtime.integrity:
        archive.unlink()
        raise FerBenchError(
            f"npm brought another {runtime.specification} than expected, which was removed: check "
            f"npm's registry setting, or {elsewhere}"
        )
    return archive


def _of_folder(folder: Path, name: str, runtime: Runtime) -> bytes:
    for path in (folder / name, folder / "dist" / name, folder / "package" / "dist" / name):
        if path.is_file():
            return path.read_bytes()
    raise FerBenchError(
        f"{folder} has no {name}: expected the unpacked npm package {runtime.specification}"
    )


def _of_archive(path: Path, names: Sequence[str], runtime: Runtime) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
            for name in names:
                member = archive.extractfile(f"package/dist/{name}")
                files[name] = member.read() if member else b""
    except OSError as error:
        raise cannot_read(path, error) from None
    except (tarfile.TarError, KeyError, EOFError):
        raise FerBenchError(
            f"{path} is no npm package {runtime.specification}: expected its archive, or the "
            "folder that it unpacks to"
        ) from None
    return files
