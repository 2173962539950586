"""Ways in which files break, drawn from a seed: bytes, JSON documents, tables of text, zips.

Each function takes a file's bytes and a `random.Random` and gives the bytes of a damaged one;
`damaged` picks one that suits the file's name.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

Damage = Callable[[bytes, random.Random], bytes]

#: Stand for what `json.dumps` would refuse or take long over; replaced in its text.
_DEEP, _DIGITS = "@deep@", "@digits@"
_MARKED = {_DEEP: "[" * 100_000 + "]" * 100_000, _DIGITS: "9" * 5_000}
#: Values that a reader does not expect: wrong types, extremes, and names that mean mischief.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**300, 1e308, -0.5, 1e-320,
    float("nan"), float("inf"), float("-inf"), "", " ", "\0", "a" * 10_000, "\ud800", "é\u202e\n",
    "../../etc/passwd", "/etc/passwd", "<script>alert(1)</script>", "=cmd|' /C calc'!A0",
    "NaN", "none", "2024-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59",
    [], {}, [[]], [None], {"": ""}, [1] * 1000, _DEEP, _DIGITS,
)  # fmt: skip
HOSTILE_NAMES = (
    "../../../evil.png", "/etc/evil.png", "C:\\evil.png", "..\\..\\evil.png", "train/../../x.png",
    "\0.png", "train/hap\0py/1.png", "é\u202egnp.exe", "a/" * 500 + "x.png", "9" * 5000 + "/1.png",
    "٣/1.png", "²/1.png", "train/happy/" + "n" * 3000 + ".png", "<b>/1.png", "=1+1/1.png",
    ".hidden/1.png", "__MACOSX/happy/1.png", "train//1.png", "//", "-rf/1.png", "happy/1.png/",
)  # fmt: skip


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """1 to 16 bits are the other way round."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 16) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_at_an_end(data: bytes, rng: random.Random) -> bytes:
    """Bytes of the first or last 200, where formats keep what they are, are others."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        near = rng.randrange(min(200, len(changed)))
        changed[near if rng.random() < 0.5 else -1 - near] = rng.choice((0, 0x7F, 0x80, 0xFF, 10))
    return bytes(changed)


def cut_off(data: bytes, rng: random.Random) -> bytes:
    return data[: int(len(data) * rng.choice((0, 0.01, 0.1, 0.5, 0.9, 0.99)))]


def beheaded(data: bytes, rng: random.Random) -> bytes:
    return data[rng.randint(1, max(1, len(data) // 4)) :]


def block_removed(data: bytes, rng: random.Random) -> bytes:
    start, length = _block(data, rng)
    return data[:start] + data[start + length :]


def block_twice(data: bytes, rng: random.Random) -> bytes:
    start, length = _block(data, rng)
    return data[: start + length] * 2 + data[start + length :]


def block_of_zeros(data: bytes, rng: random.Random) -> bytes:
    start, length = _block(data, rng)
    return data[:start] + bytes(length) + data[start + length :]


def block_of_noise(data: bytes, rng: random.Random) -> bytes:
    start, length = _block(data, rng)
    return data[:start] + rng.randbytes(length) + data[start + length :]


def more_behind(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randint(1, 5000))


def emptied(data: bytes, rng: random.Random) -> bytes:
    return b""


def _block(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(rng.randint(1, 1 + len(data) // 8), len(data) - start)


BYTES: tuple[Damage, ...] = (
    flip_bits, flip_bits, flip_at_an_end, flip_at_an_end, cut_off, beheaded, block_removed,
    block_twice, block_of_zeros, block_of_noise, more_behind, emptied,
)  # fmt: skip


def other_encoding(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))


def text_inserted(data: bytes, rng: random.Random) -> bytes:
    """Something that no reader of text likes, somewhere."""
    texts = ("\0", "\ufeff", '"', "\r", ",,,,", "9" * 5_000, "1e999", "nan", "\x1b[2J", "'" * 50)
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(texts).encode() + data[place:]


def cell_changed(data: bytes, rng: random.Random) -> bytes:
    """One cell of a table of text holds something hostile."""
    lines = data.split(b"\n")
    number = rng.randrange(len(lines))
    cells = lines[number].split(b",")
    cells[rng.randrange(len(cells))] = _text(rng.choice(HOSTILE)).encode("utf-8", "surrogatepass")
    lines[number] = b",".join(cells)
    return b"\n".join(lines)


TEXT: tuple[Damage, ...] = (other_encoding, text_inserted, cell_changed, cell_changed)


def value_changed(data: bytes, rng: random.Random) -> bytes:
    """A JSON document with a hostile value, a key too many or too few, or a key twice."""
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 3))):
        _change(document, rng)
    return _json(document)


def _change(document: Any, rng: random.Random) -> None:
    places = list(_places(document))
    if not places:
        return
    holder, key = rng.choice(places)
    how = rng.random()
    if how < 0.7:
        holder[key] = rng.choice(HOSTILE)
    elif how < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder["unknown"] = rng.choice(HOSTILE)
    else:
        holder.append(rng.choice(HOSTILE))


def _places(value: Any) -> Sequence[tuple[Any, Any]]:
    keys: Sequence[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _json(document: Any) -> bytes:
    text = json.dumps(document, indent=1)
    for mark, stands_for in _MARKED.items():
        text = text.replace(json.dumps(mark), stands_for)
    return text.encode()


def _text(value: Any) -> str:
    return _MARKED.get(value, value) if isinstance(value, str) else str(value)


def document_replaced(data: bytes, rng: random.Random) -> bytes:
    """Another document in its place: a number, a list, a newer schema."""
    version = rng.choice((2, 10**30, _DIGITS, True, "2"))
    newer = {"schema_version": version, "new": rng.choice(HOSTILE)}
    return _json(rng.choice((*HOSTILE, newer, newer, newer)))


JSON: tuple[Damage, ...] = (value_changed,) * 6 + (document_replaced,) * 2


def setting_changed(data: bytes, rng: random.Random) -> bytes:
    """A YAML file, changed as a JSON document is: JSON is YAML."""
    return value_changed(json.dumps(yaml.safe_load(data)).encode(), rng)


def header_changed(data: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose JSON header is changed and has its right length."""
    if len(data) < 8:
        return data
    (length,) = struct.unpack_from("<Q", data)
    header = value_changed(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def members_changed(data: bytes, rng: random.Random) -> bytes:
    """A zip with a member that is renamed, damaged, a bomb, or oddly packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    victim = rng.choice(list(members))
    content, buffer = members.pop(victim), io.BytesIO()
    how = rng.choice(("name", "name", "name", "content", "content", "bomb", "twice", "packing"))
    packing = zipfile.ZIP_LZMA if how == "packing" else zipfile.ZIP_DEFLATED
    if how == "name":
        victim = rng.choice(HOSTILE_NAMES)
    elif how == "content":
        content = rng.choice(BYTES)(content, rng)
    elif how == "bomb":
        content = bytes(20 * 2**20)
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, data_of in members.items():
            archive.writestr(zipfile.ZipInfo(name), data_of, packing)
        archive.writestr(zipfile.ZipInfo(victim), content, packing)
        if how == "twice":
            archive.writestr(zipfile.ZipInfo(victim + "/x.png"), content)
    return buffer.getvalue()


def records_changed(data: bytes, rng: random.Random) -> bytes:
    """A zip whose own records lie: versions, flags, sizes and places of members."""
    changed = bytearray(data)
    for mark, length in ((b"PK\1\2", 46), (b"PK\3\4", 30), (b"PK\5\6", 22)):
        start = changed.find(mark, rng.randrange(len(changed)))
        if 0 <= start <= len(changed) - length:
            place = start + rng.randrange(4, length)
            changed[place] = rng.choice((0, 1, 0x7F, 0xFF, 99))
    return bytes(changed)


ZIP: tuple[Damage, ...] = (members_changed,) * 6 + (records_changed,) * 4
#: Further damage that suits files by how their names end, more often than that of bytes.
BY_SUFFIX: dict[str, tuple[Damage, ...]] = {
    ".json": JSON,
    ".csv": TEXT * 4,
    ".txt": TEXT * 4,
    ".yaml": (*(setting_changed,) * 12, *TEXT),
    ".xml": (text_inserted, other_encoding),
    ".zip": ZIP,
    ".pt": (members_changed, records_changed) * 3,
    ".safetensors": (header_changed,) * 8,
}


def damaged(
    files: dict[str, bytes], rng: random.Random, others: Sequence[bytes]
) -> tuple[str, dict[str, bytes]]:
    """What was done, and the files with one of them damaged or holding what others hold.

    Args:
        others: contents of files of quite other kinds.
    """
    name = rng.choice(list(files))
    if rng.random() < 0.05:
        return f"{name}: other content", files | {name: rng.choice(others)}
    damages = (*BYTES, *BY_SUFFIX.get(PurePosixPath(name).suffix, ()))
    damage = rng.choice(damages)
    return f"{name}: {damage.__name__}", files | {name: damage(files[name], rng)}
