"""Colours that every reader can tell apart, on light and dark grounds."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from table_fixtures import table

from fer_bench.emotions import COLOURS
from fer_bench.plots.style import MODEL_COLOURS
from fer_bench.ui.widgets import PRIMARY

Array = NDArray[np.float64]
#: Machado, Oliveira & Fernandes 2009 (IEEE TVCG 15(6)), severity 1, on linear RGB.
VISION: dict[str, Array] = {
    "usual": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}
#: Linear sRGB to CIE XYZ, and the white point D65 (IEC 61966-2-1).
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
ROOT = Path(__file__).parents[2]
PALETTES = {"emotions": COLOURS, "models": MODEL_COLOURS}


def linear(colour: str) -> Array:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    """CIE L*a*b* of linear RGB."""
    t = XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    """WCAG 2.1's ratio of two colours' luminances."""
    light, dark = sorted((float(XYZ[1] @ linear(one)), float(XYZ[1] @ linear(other))))[::-1]
    return (light + 0.05) / (dark + 0.05)


def test_the_difference_is_the_one_in_use() -> None:
    assert np.allclose(lab(linear("#ff0000")), [53.24, 80.09, 67.20], atol=0.05)


@table("vision", VISION)
@table("palette", PALETTES.values(), ids=PALETTES.keys())
def test_any_two_colours_differ(palette: Mapping[str, str], vision: str) -> None:
    seen = {name: lab(VISION[vision] @ linear(colour)) for name, colour in palette.items()}
    close = {
        (a, b): round(float(np.linalg.norm(seen[a] - seen[b])), 1)
        for a, b in combinations(seen, 2)
        if np.linalg.norm(seen[a] - seen[b]) < 20
    }
    assert close == {}


@pytest.mark.parametrize("ground", ["#ffffff", "#0f1217"])
@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES.keys())
def test_every_colour_stands_out_from_the_ground(palette: Mapping[str, str], ground: str) -> None:
    least = 2.0 if ground == "#ffffff" else 3.0
    assert {name: c for name, c in palette.items() if contrast(c, ground) < least} == {}


#: The pages' grounds: their own, that of boxes and code, and both in the side bar.
GROUNDS = ("backgroundColor", "secondaryBackgroundColor")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_on_every_ground_have_the_contrast_of_wcag_aa(theme: str) -> None:
    """4.5 : 1, captions too, which Streamlit writes in the text's colour at 60 %."""
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())["theme"][theme]
    places = {"page": config, "side bar": config["sidebar"]}
    grounds = {
        f"{place} {name}": colours[name] for place, colours in places.items() for name in GROUNDS
    }
    text, link = config["textColor"], config["linkColor"]
    words = {
        f"{what} on {name}": contrast(blended(colour, ground, share), ground)
        for name, ground in grounds.items()
        for what, colour, share in (("text", text, 1), ("caption", text, 0.6), ("link", link, 1))
    } | {"primary button": contrast("#ffffff", PRIMARY)}
    assert {name: ratio for name, ratio in words.items() if ratio < 4.5} == {}


def blended(colour: str, ground: str, share: float) -> str:
    channels = zip(
        *([int(one[i : i + 2], 16) for i in (1, 3, 5)] for one in (colour, ground)), strict=True
    )
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in channels)
