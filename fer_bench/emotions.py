"""Emotion names, the label sets of the field's data sets, and one colour per emotion."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from fer_bench.errors import FerBenchError, suggest

#: Order of `fer2013.csv`'s label numbers (Goodfellow et al. 2013, arXiv 1307.0414).
FER2013 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
#: Order of FER+'s vote columns (Barsoum et al. 2016, arXiv 1608.01041), without unknown and NF.
FERPLUS = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
#: Order of AffectNet's label numbers 0-7 (Mollahosseini et al. 2017, arXiv 1708.03985).
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
#: RAF-DB's label numbers 1-7 (Li et al. 2017), here from 0.
RAFDB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
#: CK+48's seven folders.
CKPLUS = ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
#: The four classes of the seed project Expressio.
EXPRESSIO = ("angry", "happy", "sad", "surprise")

EMOTION_SETS: dict[str, tuple[str, ...]] = {
    "fer2013": FER2013,
    "ferplus": FERPLUS,
    "affectnet": AFFECTNET,
    "rafdb": RAFDB,
    "ckplus": CKPLUS,
    "expressio": EXPRESSIO,
}

ALIASES: dict[str, str] = {
    "anger": "angry",
    "mad": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "calm": "neutral",
    "none": "neutral",
    "contemptuous": "contempt",
}

#: One colour per emotion on every page and plot, readable on light and dark grounds; any two differ
#: (CIE 1976 Delta E of 20 and more) for colour-blind readers too.
COLOURS: dict[str, str] = {
    "angry": "#ca2f4b",
    "disgust": "#0dc386",
    "fear": "#8d3db2",
    "happy": "#ea9b11",
    "sad": "#066cf3",
    "surprise": "#3bb0d2",
    "neutral": "#888890",
    "contempt": "#bf7936",
}


def canonical(name: str) -> str:
    """The standard name of an emotion given by name or alias, in any case.

    Raises:
        FerBenchError: the name is no emotion that we know.
    """
    key = name.strip().lower()
    emotion = ALIASES.get(key, key)
    if emotion not in COLOURS:
        raise FerBenchError(
            f"unknown emotion {name!r:.80}: expected an emotion's name or alias; "
            + suggest(key, [*COLOURS, *ALIASES]),
            code="unknown_name",
        )
    return emotion


def resembles_emotion(name: str) -> bool:
    """Whether one of a name's words is an emotion's, or nearly: `suprise`, `sad face`."""
    known = {*COLOURS, *ALIASES} - {"none"}  # which is a word of other names, too
    words = re.findall(r"[^\W\d_]+", name.lower())
    return any(difflib.get_close_matches(word, known, n=1, cutoff=0.8) for word in words)


def emotion_set(value: str | Sequence[str]) -> tuple[str, ...]:
    """The labels of a named set (`"expressio"`), a comma list (`"happy,sad"`) or a sequence.

    Raises:
        FerBenchError: an unknown set or emotion, one named twice, or fewer than two.
    """
    if isinstance(value, str):
        if value in EMOTION_SETS:
            return EMOTION_SETS[value]
        value = value.split(",")
        if len(value) == 1:
            raise FerBenchError(
                f"unknown emotion set {value[0]!r:.80}: expected a set's name or emotions with "
                f"commas between them; {suggest(value[0], EMOTION_SETS)}",
                code="unknown_name",
            )
    labels = tuple(canonical(v) for v in value)
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise FerBenchError(
            f"expected two or more different emotions, got {', '.join(labels) or 'none'}"
        )
    return labels
