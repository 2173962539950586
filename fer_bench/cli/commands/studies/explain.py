"""`explain`: where a run's network looks, and how it sorts faces, as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fer_bench.cli.console import err, out, print_json, progress_bars, say_next
from fer_bench.cli.options import (
    DEFAULT_RESULTS,
    Classes,
    Data,
    Json,
    Results,
    RowsFile,
    VotesFile,
    choose,
    open_source,
)
from fer_bench.formatting import how_many

if TYPE_CHECKING:
    import pandas as pd

    from fer_bench.studies.explain.mean_heat import MeanHeat

#: Side of the pictures, pixels.
SIDE = 384
FEATURES = "features.csv"


def explain(
    run: Annotated[
        str, typer.Argument(help="A run's name, its folder, hub:ORG/NAME, or `default`.")
    ],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the files; made if need be.")],
    data: Data = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    images: Annotated[
        int, typer.Option(min=1, help="Heat maps to average, equally many per emotion.")
    ] = 210,
    votes_file: VotesFile = None,
    rows_file: RowsFile = None,
    classes: Classes = None,
    store: Results = DEFAULT_RESULTS,
    as_json: Json = False,
) -> None:
    """Show where a stored run's network looks and how it sorts faces.

    Writes the mean heat map of each emotion over its mean face, `heat-EMOTION.png`, and a 2-D map
    of the split's features by t-SNE, `features.csv`, of at most 2,000 images.

    Example: python -m fer_bench explain default --data fer2013.zip --out explained
    """
    from fer_bench.inference.classifier import open_classifier
    from fer_bench.studies.explain.feature_map import feature_map
    from fer_bench.studies.explain.heat_map import method_of
    from fer_bench.studies.explain.mean_heat import mean_heats

    part = choose("split", split)
    source = open_source(data, votes_file, rows_file, classes)
    stored = store.find(run)
    classifier = open_classifier(stored, "torch-fp32")
    method = method_of(classifier)
    dataset = source.load_for(stored.require_record().spec)
    with progress_bars() as progress:
        heats = mean_heats(classifier, dataset, split=part, n_images=images, progress=progress)
        points = feature_map(classifier.model, dataset, split=part, progress=progress)
    files = _write(folder, heats, points)
    if as_json:
        explained = [
            {"emotion": one.emotion, "images": one.n, "peak": one.peak, "file": str(file)}
            for one, file in zip(heats, files, strict=True)
        ]
        features = {"images": len(points), "file": str(folder / FEATURES)}
        print_json(
            {
                "run": stored.name,
                "split": part,
                "method": method,
                "heat_maps": explained,
                "features": features,
            }
        )
        return
    err.print(method, markup=False)
    for one, file in zip(heats, files, strict=True):
        out.print(f"{file}  {how_many(one.n, 'face')}, peak {one.peak:.0%}", markup=False)
    out.print(f"{folder / FEATURES}  {len(points):,} points", markup=False)
    say_next("app", store)


def _write(folder: Path, heats: list[MeanHeat], points: pd.DataFrame) -> list[Path]:
    """All files or none; gives the pictures'.

    Raises:
        FerBenchError: the folder cannot be written.
    """
    from io import BytesIO

    from fer_bench.errors import FerBenchError
    from fer_bench.evaluation.gallery import enlarged
    from fer_bench.formatting import safe_csv
    from fer_bench.storage import write_atomically

    pictures = {}
    for one in heats:
        content = BytesIO()
        enlarged(one.overlay(), SIDE).save(content, "PNG")
        # A model's emotions are its own words, which need not be file names.
        pictures[folder / f"heat-{re.sub(r'[^A-Za-z0-9_-]', '_', one.emotion)}.png"] = content
    files = {path: content.getvalue() for path, content in pictures.items()}
    try:
        write_atomically({**files, folder / FEATURES: safe_csv(points)}, parents=True)
    except OSError as error:
        raise FerBenchError(
            f"cannot write to {folder}: {error.strerror or error}; free some space or choose "
            "another --out folder"
        ) from None
    return list(files)
