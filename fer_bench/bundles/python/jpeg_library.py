"""JPEG by OpenCV, with the warning that libjpeg writes to stderr where pixels are lost."""

import os
import tempfile
import threading

import cv2
import numpy as np

FLAGS = {"RGB": cv2.IMREAD_COLOR_RGB, "GRAY": cv2.IMREAD_GRAYSCALE}
#: stderr is the whole program's.
STDERR, ONE_AT_A_TIME = 2, threading.Lock()


def decode(data: bytes, space: str, *, strict: bool) -> np.ndarray:
    """uint8 (H, W, channels); ValueError where it cannot be decoded or, if strict, is damaged."""
    if space not in FLAGS:
        raise ValueError(f"OpenCV does not decode JPEG as {space}")
    coded, flags = np.frombuffer(data, np.uint8), FLAGS[space] | cv2.IMREAD_IGNORE_ORIENTATION
    with ONE_AT_A_TIME, tempfile.TemporaryFile() as warnings:
        before = os.dup(STDERR)
        os.dup2(warnings.fileno(), STDERR)
        try:
            pixels = cv2.imdecode(coded, flags)
        finally:
            os.dup2(before, STDERR)
            os.close(before)
        warnings.seek(0)
        warning = warnings.read().decode(errors="replace").strip()
    if pixels is None or (strict and warning):
        raise ValueError(warning or "OpenCV cannot decode it")
    return pixels.reshape(*pixels.shape[:2], -1)
