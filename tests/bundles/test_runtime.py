"""ONNX Runtime Web for the exported page: the pinned package, from npm or as it is given."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fer_bench.bundles.runtime import Runtime, integrity, read_runtime
from fer_bench.errors import FerBenchError


def npm_archive(files: dict[str, bytes]) -> bytes:
    """What `npm pack` would bring."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


PACKAGE = npm_archive({"ort.mjs": b"script", "ort.wasm": b"binary"})
SMALL = Runtime(
    version="0.0.1",
    integrity=integrity(PACKAGE, "sha512"),
    files={"ort.mjs": integrity(b"script"), "ort.wasm": integrity(b"binary")},
)


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Puts a program `npm` on the path that brings these bytes; gives the log of its calls."""
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))

    def bring(content: bytes) -> Path:
        (tmp_path / "served.tgz").write_bytes(content)
        program = tmp_path / "bin" / "npm"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            "#!/bin/sh\n"
            f'echo "$@" >> "{tmp_path}/calls"\n'
            f'[ -s "{tmp_path}/served.tgz" ] || {{ echo "npm error network" >&2; exit 1; }}\n'
            f'cp "{tmp_path}/served.tgz" "$6/onnxruntime-web-0.0.1.tgz"\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
        return tmp_path / "calls"

    return bring


def test_npm_is_asked_once_for_the_pinned_version(npm: Callable[[bytes], Path]) -> None:
    calls = npm(PACKAGE)
    for _ in range(2):
        assert read_runtime(["ort.mjs", "ort.wasm"], None, SMALL) == {
            "ort.mjs": b"script",
            "ort.wasm": b"binary",
        }
    (line,) = calls.read_text().splitlines()
    assert line.startswith("pack onnxruntime-web@0.0.1 --ignore-scripts ")


def test_another_package_than_the_pinned_one_is_removed(npm: Callable[[bytes], Path]) -> None:
    npm(npm_archive({"ort.mjs": b"evil"}))
    with pytest.raises(FerBenchError, match=r"brought another onnxruntime-web@0\.0\.1 than"):
        read_runtime(["ort.mjs"], None, SMALL)
    assert not SMALL.archive.exists()


def test_no_network_and_no_npm_are_sentences(
    npm: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(b"")
    with pytest.raises(FerBenchError, match=r"failed \(npm error network\): check the network"):
        read_runtime(["ort.mjs"], None, SMALL)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FerBenchError, match="is not installed: give the package with --runtime"):
        read_runtime(["ort.mjs"], None, SMALL)


def test_a_given_package_is_checked_file_by_file(tmp_path: Path) -> None:
    archive = tmp_path / "ort.tgz"
    archive.write_bytes(npm_archive({"ort.mjs": b"script", "ort.wasm": b"other"}))
    assert read_runtime(["ort.mjs"], archive, SMALL) == {"ort.mjs": b"script"}
    with tarfile.open(archive) as package:
        package.extractall(tmp_path, filter="data")
    for source in (archive, tmp_path, tmp_path / "package", tmp_path / "package/dist"):
        with pytest.raises(FerBenchError, match=r"ort\.wasm in .* is not the one of"):
            read_runtime(["ort.wasm"], source, SMALL)
