"""Inputs that no chance would make: bombs, lies about sizes, odd tags, tables of wrong types."""

from __future__ import annotations

import gzip
import io
import pickle  # nosec B403  # made to be refused
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import damage_examples as examples
import numpy as np
import pandas as pd
import torch
from PIL import Image

Files = dict[str, bytes]

YAMLS = (
    "2001-99-99", "!!timestamp x", "!!timestamp 1", "!!int x", "!!int ''", "!!int 0x", "!!float x",
    "!!bool maybe", "!!binary é", "!!binary [1]", "!!python/object/apply:os.system [ls]",
    "!!null x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!str {a: 1}", "!unknown x",
    "*nowhere", "&a [*a, *a]", "&a {x: *a}", "{<<: 3}", "&a {<<: *a}", "{? [a] : b}",
    "{? {a: b} : c}", "{1: a, null: b}", "9" * 5000, "0b" + "1" * 50_000, "1:" * 2000 + "1",
    "1e999", ".inf", ".nan", "[" * 5000 + "]" * 5000, "[" * 100_000, "- " * 5000, "? " * 3000,
    "%YAML 9.9\n---\na: 1", "--- a\n--- b", "\ufeffname: x", "name: \"\\uD800\"", "@", "`", "\t",
)  # fmt: skip


def _pgm(width: int, height: int) -> bytes:
    return f"P5 {width} {height} 255\n".encode()


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data)]
    body = b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c))
        for n, c in [*chunks, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + body


def images() -> Iterator[tuple[str, Files]]:
    """Pictures of impossible sizes, bombs, text chunks that grow, and other things so named."""
    for side in (0, 2**32 - 1, 2**31 - 1, 20_000, 7_100, 7_000):
        yield f"png of {side}", {"x.png": _png(side, side, zlib.compress(b""))}
        yield f"pgm of {side}", {"x.pgm": _pgm(side, side)}
    yield "png bomb", {"x.png": _png(20_000, 20_000, zlib.compress(bytes(50 * 2**20)))}
    yield "png, wide", {"x.png": _png(2**31 - 1, 1, zlib.compress(bytes(9)))}
    grown = zlib.compress(bytes(80 * 2**20))
    text = b"zTXt" + b"a\0\0" + grown
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    whole = _png(2, 2, zlib.compress(bytes(14)))
    yield "png text bomb", {"x.png": whole[:33] + chunk + whole[33:]}
    jpeg = bytearray(examples.pictures()[0]["a.jpg"])
    start = jpeg.find(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = b"\xff\xff\xff\xff"
    yield "jpeg of 65535", {"x.jpg": bytes(jpeg)}
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "TIFF")
    tiff = bytearray(buffer.getvalue())
    tiff[4:8] = struct.pack("<I", 4)
    yield "tiff in a circle", {"x.tif": bytes(tiff)}
    for start_of in (b"%!PS-Adobe-3.0 EPSF-3.0\n", b"\x89HDF\r\n\x1a\n", b"<svg/>", b"GIF89a"):
        yield f"begins {start_of!r}", {"x.jpg": start_of + bytes(100)}


def zips() -> Iterator[tuple[str, Files]]:
    """Zips that lie about what is in them."""
    whole = examples.kaggle_files()

    def made(members: Files) -> Files:
        return {"fer2013.zip": examples.zipped(members)}

    yield "no member", made({})
    yield "zip in a zip", made({"train/happy/a.zip": examples.zipped(whole)})
    yield "class of 5000 digits", made({f"{'9' * 5000}/{n}.png": b"x" for n in range(3)})
    yield "class of 20 digits", made({f"{'9' * 20}/{n}.png": b"x" for n in range(3)})
    yield "many", made(whole | {f"train/happy/n{n}.png": b"" for n in range(3000)})
    archive = bytearray(examples.zipped(whole))
    for offset, value in ((6, 99), (8, 1), (10, 12), (10, 99), (24, 255), (42, 255)):
        changed = bytearray(archive)
        changed[changed.find(b"PK\1\2") + offset] = value
        yield f"central byte {offset} is {value}", {"fer2013.zip": bytes(changed)}
    end = archive.rfind(b"PK\5\6")
    for where, far in ((end + 16, b"\xff\xff\xff\x7f"), (end + 12, b"\xff\xff\xff\xff")):
        changed = bytearray(archive)
        changed[where : where + 4] = far
        yield f"end record lies at {where - end}", {"fer2013.zip": bytes(changed)}
    head, tail = bytes(archive[:end]), bytes(archive[end:])
    wide = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, 2**63, 2**63 + 5)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    promising = tail[:16] + b"\xff" * 4 + tail[20:]
    yield "zip64 beyond", {"fer2013.zip": head + wide + locator + tail}
    yield "zip64 promised", {"fer2013.zip": head + wide + locator + promising}
    yield "zip64 cut", {"fer2013.zip": head + b"PK\6\6" + promising}
    yield "bomb", made(whole | {"train/happy/bomb.png": bytes(120 * 2**20)})
    yield "bombs", made(whole | {f"train/sad/{n}.png": bytes(20 * 2**20) for n in range(5)})


def data() -> Iterator[tuple[str, Files]]:
    """Folders and tables of text with what no spreadsheet would write."""
    face = " ".join(["1"] * 2304)
    for row in (
        f"0,{'9' * 30},Training", f"0,{face} {'9' * 30},Training", f"{'9' * 5000},{face},Training",
        f"0,{'1 ' * 500_000},Training", f'0,"{face}', f"٣,{face},Training", f"0,{face},",
        f"0,{face.replace('1', '١', 1)},Training", "0,nan inf,Training", "=1+1,@x,-3", ",,,,,,,",
    ):  # fmt: skip
        table = f"emotion,pixels,Usage\n{row}\n0,{face},Training\n"
        yield f"row {row[:20]}", {"data/fer2013.csv": table.encode()}
    yield "header twice", {"data/fer2013.csv": f"emotion,pixels,pixels\n0,{face},{face}\n".encode()}
    bomb = b"emotion,pixels,Usage\n" + b"0," * (30 * 2**20)
    yield "gzip bomb", {"data/fer2013.csv.gz": gzip.compress(bomb)}
    yield "no gzip", {"data/fer2013.csv.gz": b"emotion,pixels,Usage\n"}
    png = examples.picture(examples.DRAWN.images[0], "x.png")
    for number, annotation in enumerate(_annotations()):
        files = {"data/train_set/images/1.jpg": png}
        files["data/train_set/annotations/1_exp.npy"] = annotation
        yield f"annotation {number}", files
    for cells in ("9" * 5000, "1e308", "nan", "-5", "inf"):
        table = "subDirectory_filePath,face_x,face_y,face_width,face_height,e,expression,v,a\n"
        table += f"1/1.png,{cells},0,10,10,x,1,0,0\n1/1.png,0,0,10,10,x,{cells},0,0\n"
        yield f"box {cells[:9]}", {"data/training.csv": table.encode(), "data/1/1.png": png}
    for folder in ("9" * 200, "²", "٣", "happy ", "-1", "a\nb", "<b>", "=1+1"):
        yield f"class {folder[:9]!r}", {f"data/{folder}/1.png": png}


def _annotations() -> Iterator[bytes]:
    for value in (
        np.array(3.7), np.array("x"), np.array("9" * 5000), np.array([]), np.array(np.nan),
        np.array([[1, 2]]), np.array(1j), np.array("2020-01-01", "M8[D]"), np.array(np.inf),
    ):  # fmt: skip
        buffer = io.BytesIO()
        np.save(buffer, value)
        yield buffer.getvalue()
    yield b"\x93NUMPY" + pickle.dumps(3)
    headers = (
        "{'descr': '<i8', 'fortran_order': False, 'shape': (99999999999999,), }", "{", "[" * 9000,
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }", "f'{1}'", "'''", "\0", "1 +",
        "{'descr': '|O', 'fortran_order': False, 'shape': (), }", "  x\n y", "9" * 5000, "{[]: 1}",
        "{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (), }", "{'descr': 'zz'}",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (True,), }", "{'descr': '<i8',", "\\",
    )  # fmt: skip
    for header in headers:
        text = header.encode("latin-1")
        yield b"\x93NUMPY\x01\x00" + struct.pack("<H", min(len(text), 65535)) + text + bytes(8)


def votes() -> Iterator[tuple[str, Files]]:
    """Votes and tables of rows whose numbers are none, or too large."""
    whole = {
        "fer2013.zip": examples.zipped(examples.kaggle_files()),
        "fer2013new.csv": examples.votes_csv(),
    }
    for cell in ("9" * 19, "9" * 30, "9" * 5000, "²", "٣", "-1", "1.5", "", "nan", " 3 ", "1e3"):
        rows = examples.votes_csv().replace(b",8,", f",{cell},".encode(), 1)
        yield f"a vote is {cell[:9]}", whole | {"fer2013new.csv": rows}
        table = f"row,file\n{cell},Training_0.jpg\n".encode()
        yield f"a row is {cell[:9]}", whole | {"kaggle_rows.csv": table}
    twice = b"row,file\n" + b"0,Training_0.jpg\n" * 2
    yield "rows twice", whole | {"kaggle_rows.csv": twice}
    yield "no row", whole | {"kaggle_rows.csv": b"row,file\n"}
    yield "no vote", whole | {"fer2013new.csv": examples.votes_csv().split(b"\n")[0] + b"\n"}


def documents(files: Files) -> Iterator[tuple[str, Files]]:
    """Each JSON file among these replaced by what parsers stumble over."""
    digits = b"9" * 5000
    for name in files:
        if not name.endswith(".json"):
            continue
        for text in (
            b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, digits, b"NaN",
            b'{"schema_version": ' + digits + b"}", b'{"schema_version": -1}', b"\xef\xbb\xbf{}",
            b'{"schema_version": 1e999}', b'"\\ud800"', b'{"\\ud800": 1}', b"{} {}", b"\0", b"{,}",
            b'{"schema_version": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b"-0", b"true",
        ):  # fmt: skip
            yield f"{name}: {text[:20]!r}", files | {name: text}


def yamls(name: str, key: str) -> Iterator[tuple[str, Files]]:
    """YAML whose tags, aliases and numbers are odd: as the whole file, and as one value of it."""
    for text in YAMLS:
        yield text[:20], {name: text.encode("utf-8", "surrogatepass")}
        whole = f"name: x\nepochs: 1\n{key}: {text}\n"
        yield f"{key}: {text[:20]}", {name: whole.encode("utf-8", "surrogatepass")}
    laugh = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    yield "a billion laughs", {name: laugh.encode()}
    yield f"a billion laughs in {key}", {name: f"{laugh}name: x\nepochs: 1\n{key}: *a11\n".encode()}


def predictions() -> Iterator[tuple[str, Files]]:
    """Parquet files whose columns are of other types, or hold what cannot be."""
    whole = pd.read_parquet(examples.SHIPPED / "predictions.parquet").head(300)
    changes: dict[str, Callable[[pd.DataFrame], Any]] = {
        "label": lambda t: t["label"].astype(str),
        "label ": lambda t: t["label"] + 0.5,
        "label  ": lambda t: t["label"] + 100,
        "label   ": lambda t: t["label"] - 100,
        "label    ": lambda t: t["label"].where(t.index > 5),
        "clean": lambda t: "yes",
        "clean ": lambda t: None,
        "clean  ": lambda t: 2,
        "split": lambda t: 3,
        "split ": lambda t: "other",
        "split  ": lambda t: b"test",
        "id": lambda t: range(len(t)),
        "id ": lambda t: None,
        "id  ": lambda t: [["a"]] * len(t),
        "p_happy": lambda t: "x",
        "p_happy ": lambda t: float("nan"),
        "p_happy  ": lambda t: float("inf"),
        "p_happy   ": lambda t: -1.0,
        "p_happy    ": lambda t: [[1.0]] * len(t),
        "p_happy     ": lambda t: 1e300,
    }
    for column, change in changes.items():
        yield column, _predictions(whole.assign(**{column.strip(): change(whole)}))
    for column in ("id", "split", "label", "clean", "p_happy"):
        yield f"no {column}", _predictions(whole.drop(columns=column))
        yield f"{column} alone", _predictions(whole[[column]])
    yield "no row", _predictions(whole.head(0))
    yield "an index", _predictions(whole.set_index("id"))
    yield "one image twice", _predictions(pd.concat([whole, whole.head(3)]))


def _predictions(table: pd.DataFrame) -> Files:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return examples.run_files() | {f"{examples.RUN}/predictions.parquet": buffer.getvalue()}


def weights(name: str) -> Iterator[tuple[str, Files]]:
    """What `torch.save` and others may leave in a file of weights or a checkpoint."""
    odd: tuple[Any, ...] = (
        None, 3, "x", [], {}, {"state_dict": 3}, {"model": {"a": 1}}, {1: torch.zeros(1)},
        {"weight": torch.zeros(0)}, {"epoch": "x"}, {"epoch": -1, "steps": 1}, torch.zeros(3),
        {"weight": torch.zeros(4, 3).to_sparse()}, {"a": torch.zeros(2, dtype=torch.complex64)},
    )  # fmt: skip
    for number, value in enumerate(odd):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        yield f"{name} holds {number}", {name: buffer.getvalue()}
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=False)
        yield f"{name} holds {number}, old", {name: buffer.getvalue()}
    for protocol in (0, 2, 5):
        yield f"a pickle {protocol}", {name: pickle.dumps({"a": Path("x")}, protocol)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\0.")
    yield "a zip with a pickle", {name: buffer.getvalue()}
