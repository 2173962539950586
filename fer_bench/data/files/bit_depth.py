"""Samples of any number of bits, with or without alpha, to 8 bits over white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fer_bench.data.files.picture_errors import UnsupportedKind

WHITE = (255, 255, 255, 255)


def flat(values: NDArray[np.generic], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """OpenCV's `(H, W)`, BGR or BGRA of any type as uint8 gray or RGB, over white.

    Args:
        premultiplied: whether the colours have been multiplied by their alpha.

    Raises:
        UnsupportedKind: see `scaled`.
    """
    eight = scaled(values)
    if eight.ndim == 2:
        return eight
    colours = np.ascontiguousarray(eight[..., 2::-1])
    if eight.shape[2] == 3:
        return colours
    if premultiplied:
        white = 255 - eight[..., 3:].astype(np.uint16)
        return np.asarray(np.minimum(colours + white, 255), np.uint8)
    seen = Image.fromarray(colours).convert("RGBA")
    seen.putalpha(Image.fromarray(np.ascontiguousarray(eight[..., 3])))
    return over_white(seen)


def over_white(image: Image.Image) -> NDArray[np.uint8]:
    """uint8 `(H, W, 3)` of an image with transparency."""
    # Pillow knows no way from premultiplied gray to colours.
    seen = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return np.array(Image.alpha_composite(Image.new("RGBA", seen.size, WHITE), seen).convert("RGB"))


def scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """8 bits as they are, 16 by their range; floating point from 0 to 1, or from 0 to 255.

    Raises:
        UnsupportedKind: numbers of another type or range, whose black and white are not known.
    """
    if values.dtype == np.uint8:
        return np.asarray(values, np.uint8)
    if values.dtype == np.uint16:
        return np.asarray(np.rint(values.astype(np.float64) / 257), np.uint8)
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind != "f":
        raise UnsupportedKind(f"of {values.dtype.itemsize * 8}-bit whole numbers")
    if not (low >= 0 and high <= 255):  # also where one is not a number
        raise UnsupportedKind(
            f"of floating-point numbers from {low:g} to {high:g} (0 to 1 or 0 to 255 are read)"
        )
    return np.asarray(np.rint(values.astype(np.float64) * (255 if high <= 1 else 1)), np.uint8)


def white_where(
    pixels: NDArray[np.uint8], values: NDArray[np.generic], key: object
) -> NDArray[np.uint8]:
    """Gray pixels with white where their stored value is the transparent one, if there is such."""
    return np.where(values == key, np.uint8(255), pixels) if isinstance(key, int) else pixels
