"""The formats FER Bench reads: a new data set is one file with a reader and one line here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.dataset import SourceData
from fer_bench.data.numbering import Numbering
from fer_bench.registry import Entry, Registry
from fer_bench.types import Progress, silent


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a source is to be read.

    Attributes:
        image_size: side of the square that images are resized to; None keeps a common size.
        scratch: an existing folder for large arrays while reading; the cache's unfinished entry.
        classes: what labels that are numbers mean, where the user says so.
    """

    image_size: int | None
    scratch: Path
    progress: Progress = silent
    classes: Numbering | None = None


class Reader(Protocol):
    """Reads one format; `fer_bench.data.load` asks the readers in the registry's order."""

    def recognises(self, source: Path, names: Sequence[str]) -> bool:
        """Whether the source looks like this format, without opening an image.

        Args:
            names: the files in a folder, zip or tar, relative and with `/`; empty for any other
                file.
        """
        ...

    def reads(self, source: Path) -> Path:
        """The file or folder that all that is read lies in, for the cache's key."""
        return source

    def read(self, source: Path, how: Reading) -> SourceData:
        """Everything the source holds; what cannot be used is in `left_out`.

        Raises:
            FerBenchError: nothing of it can be used, or its structure is not this format's.
        """
        ...

    def groups(self, data: SourceData) -> NDArray[np.int64] | None:
        """int64 `(N,)`: samples of one number (one person) stay in one split; None for no groups.

        Exact duplicates stay together in any case.
        """
        return None


#: Most specific first: the first reader that recognises a source reads it. Parquet's late, for it
#: imports pyarrow and shares no source with the others.
DATASETS = Registry(
    "dataset",
    {
        "ferplus": Entry(
            "fer_bench.data.readers.ferplus:FerPlusReader",
            "folder with FER2013 (csv or Kaggle zip) and the FER+ votes fer2013new.csv",
        ),
        "webdataset": Entry(
            "fer_bench.data.readers.webdataset:WebDatasetReader",
            "WebDataset: folder of uncompressed .tar shards, or one: x.jpg with x.cls or x.json",
        ),
        "fer2013": Entry(
            "fer_bench.data.readers.fer2013:KaggleReader",
            "FER2013 as Kaggle serves it: train/CLASS/Training_*.jpg ..., folder or zip",
        ),
        "fer2013-csv": Entry(
            "fer_bench.data.readers.fer2013:Fer2013CsvReader",
            "fer2013.csv (emotion,pixels,Usage), plain or .gz, in a folder or zip",
        ),
        "affectnet": Entry(
            "fer_bench.data.readers.affectnet:AffectNetFolderReader",
            "AffectNet: train_set/ and val_set/ with annotations/*_exp.npy, or class folders 0..7",
        ),
        "affectnet-csv": Entry(
            "fer_bench.data.readers.affectnet:AffectNetCsvReader",
            "AffectNet: Manually_Annotated training.csv / validation.csv, 8 classes",
        ),
        "rafdb": Entry(
            "fer_bench.data.readers.rafdb:RafDbReader",
            "RAF-DB: EmoLabel/list_patition_label.txt with Image/aligned, or train|test/1..7",
        ),
        "ckplus": Entry(
            "fer_bench.data.readers.ckplus:CkPlusReader",
            "CK+48: class folders with S###_###_########.png, split by person",
        ),
        "folder": Entry(
            "fer_bench.data.readers.folder:FolderReader",
            "any folder or zip with class folders named by emotion, in parts or not",
        ),
        "parquet": Entry(
            "fer_bench.data.readers.parquet:ParquetReader",
            "Hugging Face: folder of train-*.parquet, ..., or one file: columns image and label",
        ),
        "synthetic": Entry(
            "fer_bench.data.synthetic:read_synthetic",
            "drawn faces, no files needed: `synthetic` or `synthetic:SEED`",
        ),
    },
)
