"""libjpeg-turbo by way of simplejpeg: OpenCV's pixels, as fast, and libjpeg's warning.

Folders of `export --format python` have a module of this name that asks OpenCV.
"""

from __future__ import annotations

import numpy as np
import simplejpeg
from numpy.typing import NDArray


def decode(data: bytes, space: str, *, strict: bool) -> NDArray[np.uint8]:
    """uint8 `(H, W, channels)`.

    Args:
        space: `RGB`, `GRAY` or `CMYK`.

    Raises:
        ValueError: it cannot be decoded; with `strict` libjpeg's warning about lost pixels too.
    """
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace=space, strict=strict)
    return pixels
