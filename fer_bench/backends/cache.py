"""What is cached between sessions, in the cache folder: measured choices and converted networks.

A cache that cannot be read or written costs time, never a result.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fer_bench.backends.base import Backend
from fer_bench.backends.openvino_ir import load_openvino
from fer_bench.environment import capture
from fer_bench.results.record import Part
from fer_bench.settings import cache_dir
from fer_bench.storage import checksum_of, key_of, write_if_possible

#: Raised whenever networks are quantised or chosen in another way, so that old ones are not used.
SCHEMA = 1
NETWORK, WEIGHTS, FACES, CHECKSUM = "network.xml", "network.bin", "faces.txt", "sha256.txt"
#: Networks of a kind that are stored; of more, those made last.
MOST_CACHED = 12
#: Bytes of the largest fp32 network that is stored: VGG16 would fill disks.
LARGEST_CACHED = 400 * 10**6


class Choice(Part):
    """Which back end was the fastest faithful one, and the measurement behind it."""

    name: str
    reason: str
    milliseconds: dict[str, float]


def choice_key(device: str, threads: int, *facts: object) -> str:
    """Of a choice; it depends on this machine and its packages too. `facts` are JSON's."""
    seen = capture()
    parts = [
        SCHEMA, *facts, seen.cpu, seen.cpu_cores, seen.cpu_flags, seen.cpu_design, device,
        seen.gpu, threads, seen.fer_bench, seen.packages,
    ]  # fmt: skip
    return key_of(parts)


def load_choice(key: str) -> Choice | None:
    """The choice cached under a key; None where there is none, or a damaged one."""
    try:
        return Choice.model_validate_json(_choice_file(key).read_bytes())
    except (OSError, ValidationError):
        return None


def save_choice(key: str, chosen: Backend) -> None:
    """Caches what was chosen, whole or not at all."""
    choice = Choice(name=chosen.name, reason=chosen.reason, milliseconds=chosen.milliseconds)
    write_if_possible(_choice_file(key), choice.model_dump_json(indent=2).encode())


def cached_faces(fingerprint: str) -> str:
    """`digest_of` the faces that the cached int8 network was calibrated on; empty without one."""
    try:
        return (_folder(fingerprint, "int8") / FACES).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def load_int8(fingerprint: str) -> Any | None:
    """The cached int8 `openvino.Model` of a network; None where there is none, or a damaged one.

    Raises:
        Unavailable: OpenVINO is not installed.
    """
    return _load(_folder(fingerprint, "int8")) if cached_faces(fingerprint) else None


def save_int8(fingerprint: str, network: Any, faces: str) -> None:
    """Caches an int8 `openvino.Model` instead of an older one; it appears only when it is whole.

    Args:
        faces: `digest_of` what it was calibrated on.
    """
    _store(_folder(fingerprint, "int8"), network, {FACES: faces})


def load_fp32(key: str) -> Any | None:
    """The `openvino.Model` cached under a key; None where there is none, or a damaged one.

    Raises:
        Unavailable: OpenVINO is not installed.
    """
    return _load(_folder(key, "fp32"))


def save_fp32(key: str, network: Any) -> None:
    """Caches an fp32 `openvino.Model`, unless it is larger than `LARGEST_CACHED`.

    Args:
        key: of all that the conversion depends on.
    """
    constants = (one for one in network.get_ops() if one.get_type_name() == "Constant")
    if sum(one.get_byte_size() for one in constants) <= LARGEST_CACHED:
        _store(_folder(key, "fp32"), network, {})


def _load(folder: Path) -> Any | None:
    try:
        checksum = folder / CHECKSUM  # networks of before it was written have none
        if checksum.exists() and checksum.read_text(encoding="utf-8") != _checksums(folder):
            return None
        return load_openvino().Core().read_model(folder / NETWORK)
    except (OSError, RuntimeError, UnicodeDecodeError):  # the last where a message quotes the file
        return None


def _store(folder: Path, network: Any, notes: Mapping[str, str]) -> None:
    """A network and small texts by their file names, replacing what the folder held."""
    with contextlib.suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as unfinished:
            whole = Path(unfinished) / "whole"
            whole.mkdir()
            # A full disk is a RuntimeError here.
            with contextlib.suppress(RuntimeError):
                load_openvino().save_model(network, whole / NETWORK, compress_to_fp16=False)
                for name, text in {**notes, CHECKSUM: _checksums(whole)}.items():
                    (whole / name).write_text(text, encoding="utf-8")
                shutil.rmtree(folder, ignore_errors=True)
                whole.rename(folder)
        kind = folder.name.split("-", 1)[1]
        newest = sorted(_root().glob(f"*-{kind}"), key=lambda f: -f.stat().st_mtime)
        for old in newest[MOST_CACHED:]:
            shutil.rmtree(old, ignore_errors=True)


def _checksums(folder: Path) -> str:
    return "\n".join(checksum_of([folder / name]) for name in (NETWORK, WEIGHTS))


def _root() -> Path:
    return cache_dir() / "backends"


def _choice_file(key: str) -> Path:
    return _root() / f"{key}.json"


def _folder(key: str, kind: str) -> Path:
    return _root() / f"{key[:32]}-{kind}-{SCHEMA}"
