"""Options that several commands share, so that they are spelt and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from fer_bench.cli.console import err
from fer_bench.errors import FerBenchError, unknown_name

if TYPE_CHECKING:
    from fer_bench.benchmark import Source
    from fer_bench.data.dataset import FaceDataset
    from fer_bench.models.classifier import Option
    from fer_bench.results.store import ResultsStore
    from fer_bench.types import Dtype
else:  # typer asks the option's parser, and importing the store takes a while
    ResultsStore = Any

#: Read by the option's parser, as what the user gives.
DEFAULT_RESULTS: Any = "results"
PrecisionChoice = Literal["auto", "fp32", "bf16"]


def _open_results(address: str) -> ResultsStore:
    """The runs at the addresses given; of a URL, with what is new there."""
    from fer_bench.results.store import open_results

    return open_results(address)


Data = Annotated[
    str | None,
    typer.Option(
        help="FER2013 as folder, zip or CSV; AffectNet, RAF-DB, CK+48; any folder tree by emotion; "
        "WebDataset or Parquet shards; or `synthetic`. Default: the variable FER_BENCH_DATA."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Results = Annotated[
    ResultsStore,
    typer.Option(
        "--results",
        envvar="FER_BENCH_RESULTS",
        parser=_open_results,
        metavar="FOLDER|URL[:…]",
        help="Where the records are; a URL such as s3://bucket/lab, too. Several, as in "
        "mine:results, are read together; new runs go to the first.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Images per split; marks the run `limit`.")]
LimitOfSplit = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many images of the split, evenly spread over it."),
]
TtaViews = Annotated[
    int | None,
    typer.Option(min=1, help="Views to average: 1, 2 (flip), 5 or 10 (crops); else the recipe's."),
]
Device = Annotated[str, typer.Option(help="`auto`, `cpu` or `cuda`.")]
VotesFile = Annotated[Path | None, typer.Option(help="FER+ votes: fer2013new.csv.")]
RowsFile = Annotated[
    Path | None, typer.Option(help="Table `row,file`: which CSV row each Kaggle file is.")
]
ProtocolName = Annotated[
    str, typer.Option("--protocol", help="`official` or `kaggle` (the merged test).")
]
VoteRule = Annotated[
    str | None,
    typer.Option(
        "--votes", help="FER+ labels: majority, soft-majority, probability or multi-target."
    ),
]
ClassSubset = Annotated[str | None, typer.Option("--emotions", help="Class subset: happy,sad,…")]

Classes = Annotated[
    str | None,
    typer.Option(
        help="What labels that are numbers mean: angry,disgust,… from 0, 1=surprise,2=fear,…, or "
        "a published set: affectnet, fer2013, ferplus, rafdb."
    ),
]
SystemName = Annotated[
    str, typer.Option("--name", help="What a system from elsewhere is called in its record.")
]
SystemTrainedOn = Annotated[
    str,
    typer.Option(
        "--trained-on",
        help="Are the test images in its training: in-sample, held-out, unknown.",
    ),
]
SystemLicence = Annotated[str, typer.Option("--licence", help="Its licence.")]

Track = Annotated[
    list[str] | None,
    typer.Option(help="Follow runs in `tensorboard`, `mlflow` or `wandb`; repeatable, or a,b."),
]


def open_source(
    data: str | None,
    votes_file: Path | None = None,
    rows_file: Path | None = None,
    classes: str | None = None,
    fallback: str | None = None,
) -> Source:
    """The source given on the command line, by the specification (`fallback`) or by the variable.

    What is decided about its data is printed, once.

    Raises:
        FerBenchError: none of them.
    """
    from fer_bench.settings import Settings

    source = data or fallback or Settings().data
    if not source:
        raise FerBenchError(
            "no data given: say --data PATH (folder, zip, CSV or shards) or --data synthetic, "
            "or set the variable FER_BENCH_DATA"
        )
    # They bring PyTorch.
    from fer_bench import distributed
    from fer_bench.benchmark import Source
    from fer_bench.data.notes import data_notes

    printed: set[str] = set()

    def say(dataset: FaceDataset) -> None:
        for note in data_notes(dataset):
            if note not in printed and distributed.is_main():
                err.print(note, markup=False)
            printed.add(note)

    return Source(
        data=source, votes_file=votes_file, rows_file=rows_file, classes=classes, on_load=say
    )


def choose_device(device: str) -> str:
    """As `distributed.choose_device`; processes of one launch meet here first."""
    from fer_bench import distributed

    device = distributed.choose_device(device)
    distributed.join(device)
    return device


def parse_options(pairs: list[str]) -> dict[str, Option]:
    """`["input_size=48", "tiny=true"]` as typed values.

    Raises:
        FerBenchError: a word without `=`, or whose value is no number, word or truth value, or an
            option that is given twice.
    """
    import yaml

    options: dict[str, Option] = {}
    for pair in pairs:
        key, _, text = pair.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = None
        if not key or not isinstance(value, (int, float, str, bool)):
            raise FerBenchError(f"expected --option KEY=VALUE, got {pair!r}")
        if key in options:
            raise FerBenchError(f"--option {key} is given twice: keep one of them")
        options[key] = value
    return options


def choose(option: str, value: str | None) -> Any:
    """The value of --mode, --split, --protocol and the like; None where none is given.

    Raises:
        FerBenchError: an unknown value; near ones are suggested.
    """
    from fer_bench import types
    from fer_bench.specs import run

    choices = get_args(
        {
            "mode": types.Mode,
            "precision": PrecisionChoice,
            "protocol": run.Protocol,
            "split": types.Split,
            "trained-on": run.TrainedOn,
            "votes": run.VoteMode,
            "weights": types.Dtype,
        }[option]
    )
    if value is not None and value not in choices:
        raise unknown_name(f"--{option}", value, choices)
    return value


def as_dtype(value: str) -> Dtype | None:
    """How weights are stored; None for `none`.

    Raises:
        FerBenchError: an unknown way.
    """
    return None if value == "none" else cast("Dtype", choose("weights", value))


def comma_list(option: str, text: str | None) -> tuple[str, ...]:
    """The words of a text with commas between them, each once; none where it is not given.

    Raises:
        FerBenchError: no word in it.
    """
    if text is None:
        return ()
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise FerBenchError(
            f"expected --{option} as words with commas between, got {text!r}: leave it out for its "
            "default"
        )
    return words


def as_trackers(values: list[str] | None) -> tuple[str, ...]:
    """Trackers' names, each once.

    Raises:
        FerBenchError: one that is unknown or not installed.
    """
    from fer_bench.benchmark.trackers.services import check_trackers

    names = comma_list("track", ",".join(values) if values else None)
    check_trackers(names)
    return names
