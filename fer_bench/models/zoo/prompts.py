"""The texts that zero-shot models compare faces with: built in, or from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import RootModel

from fer_bench.config import load_yaml
from fer_bench.emotions import canonical
from fer_bench.errors import FerBenchError

Prompts = dict[str, tuple[str, ...]]

#: Averaged per emotion, as CLIP's authors do.
TEMPLATES = (
    "a photo of a person with a {} expression",
    "a photo of a {} face",
    "a close-up photo of the face of a {} person",
)
ADJECTIVES = {
    "disgust": "disgusted",
    "fear": "fearful",
    "surprise": "surprised",
    "contempt": "contemptuous",
}


class _PromptFile(RootModel[dict[str, str | list[str]]]):
    """Emotion to one text or several."""


def prompts_for(
    emotions: Sequence[str], given: Mapping[str, Sequence[str]]
) -> list[tuple[str, ...]]:
    """Each emotion's texts, in order.

    Args:
        given: by emotion; empty for the built-in ones.

    Raises:
        FerBenchError: an emotion without a text.
    """
    if not given:
        words = [ADJECTIVES.get(emotion, emotion) for emotion in emotions]
        return [tuple(template.format(word) for template in TEMPLATES) for word in words]
    if missing := [emotion for emotion in emotions if not given.get(emotion)]:
        raise FerBenchError(
            f"the prompts have no text for {', '.join(missing)}: expected one or several for each "
            f"of {', '.join(emotions)}"
        )
    return [tuple(given[emotion]) for emotion in emotions]


def load_prompts(path: Path) -> Prompts:
    """Prompts from a YAML file, a text file, or the record of a run that used some.

    YAML maps emotions to a text or a list of texts. A text file has `emotion: text` in each line,
    as many lines an emotion as one likes; empty lines and those that begin with # count nothing.

    Raises:
        FerBenchError: a file that cannot be read, an unknown emotion, or one without text.
    """
    if path.suffix == ".json":
        return _recorded(path)
    if path.suffix in (".yaml", ".yml"):
        values = load_yaml(_PromptFile, path).root
        return _checked([(name, text) for name, texts in values.items() for text in (
            [texts] if isinstance(texts, str) else texts
        )], path)  # fmt: skip
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FerBenchError(f"cannot read {path}: {error}", code="missing_file") from None
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, text = line.partition(":")
        if not colon:
            raise FerBenchError(
                f"{path}, line {number}: expected `emotion: text`, got {line.strip()!r:.80}"
            )
        pairs.append((name, text))
    return _checked(pairs, path)


def _checked(pairs: Sequence[tuple[str, str]], path: Path) -> Prompts:
    prompts: Prompts = {}
    for name, text in pairs:
        try:
            emotion = canonical(name)
        except FerBenchError as error:
            raise FerBenchError(f"{path}: {error}", code=error.code) from None
        if not text.strip():
            raise FerBenchError(f"{path} has an empty text for {emotion}: fill it in")
        prompts[emotion] = (*prompts.get(emotion, ()), " ".join(text.split()))
    if not prompts:
        raise FerBenchError(f"{path} holds no prompts: expected `emotion: text` in each line")
    return prompts


def _recorded(path: Path) -> Prompts:
    try:
        prompts = json.loads(path.read_text(encoding="utf-8"))["spec"]["prompts"]
        return _checked([(name, text) for name, texts in prompts.items() for text in texts], path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FerBenchError(
            f"cannot read prompts from {path}: expected the record of a run that used some"
        ) from None
