"""What labels mean that are numbers: as given, or as a layout says without doubt; never guessed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from fer_bench.emotions import (
    AFFECTNET,
    ALIASES,
    COLOURS,
    FER2013,
    FERPLUS,
    RAFDB,
    canonical,
    resembles_emotion,
)
from fer_bench.errors import FerBenchError, suggest

#: A class's name by its number; a name need not be an emotion's.
Numbering = Mapping[int, str]
#: Names the classes of numbered labels; one a line.
NAMES_FILE = "classes.txt"
#: A larger file names no classes.
MAX_NAMES_BYTES = 2**16
#: The numbers that data sets are published with.
PUBLISHED: dict[str, Numbering] = {
    "fer2013": dict(enumerate(FER2013)),
    "ferplus": dict(enumerate(FERPLUS)),
    "affectnet": dict(enumerate(AFFECTNET)),
    "rafdb": dict(enumerate(RAFDB, start=1)),
}
#: How folders write these data sets' names, without what stands between letters and digits.
SPELLINGS = {
    "affectnet": "affectnet", "rafdb": "rafdb", "ferplus": "ferplus", "fer2013plus": "ferplus",
    "fer2013new": "ferplus", "fer2013": "fer2013",
}  # fmt: skip
#: From this share of labels on, a number is meant and no damage.
FEW_DAMAGED = 0.01
_NUMBERED_LINE = re.compile(r"(\d{1,9})\s*[=:,;.)\t ]\s*(\S.*)")


def is_emotion(name: str) -> bool:
    """Whether a class's name is an emotion's name or alias, in any case."""
    return ALIASES.get(name.strip().lower(), name.strip().lower()) in COLOURS


def emotion_of(numbering: Numbering, number: int) -> str | None:
    """The emotion that a number stands for; None where it stands for none."""
    name = numbering.get(number)
    return canonical(name) if name is not None and is_emotion(name) else None


def parse_classes(text: str, where: str) -> dict[int, str]:
    """The classes of `--classes` or of a `classes.txt`.

    Args:
        text: names by commas or lines, in the numbers' order from 0; or each with its number
            (`1=surprise`, `1 surprise`); or a published set's name, such as `rafdb`.

    Raises:
        FerBenchError: no emotion among them, a number twice, or numbers on some names alone.
    """
    if text.strip().lower() in PUBLISHED:
        return dict(PUBLISHED[text.strip().lower()])
    lines = re.split(r"\n" if "\n" in text.strip() else r"[,\n]", text.strip())
    entries = [line.strip() for line in lines if line.strip()]
    numbered = [_NUMBERED_LINE.fullmatch(entry) for entry in entries]
    names = {int(m[1]): m[2].strip() for m in numbered if m} or dict(enumerate(entries))
    if any(numbered) and not all(numbered):
        odd = next(e for e, m in zip(entries, numbered, strict=True) if not m)
        raise FerBenchError(
            f"{where} gives numbers to some classes alone, not to {odd!r:.60}: write all as "
            "`1=surprise`, or all without numbers"
        )
    if len(names) != len(entries):
        raise FerBenchError(f"{where} names one number twice: give each class one number")
    if not any(map(is_emotion, names.values())):
        raise FerBenchError(
            f"{where} names no emotion, got {', '.join(names.values())[:80] or 'nothing'}: "
            "expected emotions such as angry,happy in the numbers' order"
        )
    return names


def _is_shifted(seen: Collection[int], numbering: Numbering, is_given: bool) -> bool:
    """Whether labels seem to be counted from another number than `numbering` counts from.

    So one class would be dropped and the others shifted: its first number does not occur, though
    the one behind its last does (or all others, where nobody gave the numbers); or the one before
    its first does.
    """
    first, last = min(numbering), max(numbering)
    if first > 0 and first - 1 in seen:
        return True
    others = set(range(first + 1, last + 1))
    return first not in seen and (last + 1 in seen or (not is_given and others <= set(seen)))


def _is_another_numbering(seen: Mapping[int, int], numbering: Numbering) -> bool:
    """Whether more labels than a few damaged ones are a number that `numbering` does not know."""
    odd = max((times for n, times in seen.items() if n >= 0 and n not in numbering), default=0)
    return odd > 1 and odd >= FEW_DAMAGED * sum(seen.values())


def require_fit(
    seen: Mapping[int, int], numbering: Numbering, source: str, *, is_given: bool = False
) -> None:
    """Checks that labels are counted as `numbering` counts; `is_given` by `--classes` or a file.

    Args:
        seen: how many labels are each number; below 0 where there was none.

    Raises:
        FerBenchError: they seem to be counted from another number, or to be another data set's.
    """
    shifted = _is_shifted(seen, numbering, is_given)
    if shifted or (not is_given and _is_another_numbering(seen, numbering)):
        what = "counted from another number" if shifted else "those of another data set"
        meanings = ", ".join(f"{n} = {name}" for n, name in sorted(numbering.items()))
        raise FerBenchError(
            f"the labels of {source} are the numbers {_listed(n for n in seen if n >= 0)}, but "
            f"{meanings} was expected: they seem to be {what}; say what each means with "
            "--classes, for example --classes 1=angry,2=disgust,3=fear"
        )


def require_spelt(words: Mapping[str, int], source: str, total: int) -> None:
    """Checks that no more than a few damaged labels may be an emotion's name misspelt.

    Args:
        words: how many of all `total` labels are each word that is no emotion's name.

    Raises:
        FerBenchError: a class would be left out for its spelling.
    """
    odd = [w for w, n in words.items() if n >= FEW_DAMAGED * total and resembles_emotion(w)]
    if odd:
        raise FerBenchError(
            f"{words[odd[0]]:,} images of {source} are labelled {odd[0]!r:.60}, which may be meant "
            "as an emotion and is none's name: correct it, or say what numbered "
            f"classes are with --classes; {suggest(odd[0].lower(), [*COLOURS, *ALIASES])}"
        )


def ask_for_classes(seen: Collection[int], source: str) -> FerBenchError:
    """The error for numbers that nothing names."""
    return FerBenchError(
        f"the class folders of {source} are numbers ({_listed(seen)}) and nothing says which "
        f"emotions they are: put a file {NAMES_FILE} into it, with one emotion a line in the "
        "numbers' order from 0 (or lines such as `1 surprise`), or say --classes "
        "angry,disgust,… or --classes 1=surprise,2=fear,…"
    )


def published_by(names: Sequence[str]) -> str | None:
    """The one published data set that folders' names tell of; None for none or several."""
    plain = {re.sub(r"[^a-z0-9]+", "", n.lower().replace("+", "plus")) for n in names}
    publishers = {data for spelling, data in SPELLINGS.items() if any(spelling in n for n in plain)}
    if "ferplus" in publishers:  # which is FER2013 with other labels
        publishers.discard("fer2013")
    return publishers.pop() if len(publishers) == 1 else None


def is_whole(seen: Collection[int], data: str) -> bool:
    """Whether they are all numbers of a published data set; AffectNet-7 lacks the last one's."""
    numbers = set(PUBLISHED[data])
    fewer = numbers - {max(numbers)} if data == "affectnet" else numbers
    return set(seen) in (numbers, fewer)


def _listed(seen: Iterable[int]) -> str:
    numbers = [str(n) for n in sorted(seen)]
    return ", ".join(numbers if len(numbers) <= 12 else [*numbers[:5], "…", numbers[-1]])
