"""From a picture to the network's input: reading, finding faces, cropping, resizing."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
SET = json.loads((HERE / "model.json").read_text(encoding="utf-8"))["detector"]
CASCADE = cv2.CascadeClassifier(str(HERE / "cascade.xml"))


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 (H, W, 3) RGB, upright, over white where it is transparent."""
    try:
        image = ImageOps.exif_transpose(Image.open(path))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        sys.exit(f"{path} cannot be read as a picture ({error})")


def find_faces(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, width, height) of frontal faces, largest first."""
    height, width = image.shape[:2]
    longer = max(height, width)
    factor = min(min(max(longer / 2, SET["shortest_shrunk"]), SET["longest_shrunk"]) / longer, 1)
    small = image
    if factor < 1:
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    is_crop, is_photo = max(gray.shape) <= SET["crop_side"], longer > SET["frame_side"]
    border = round(max(gray.shape) * SET["border"]) if is_crop else 0
    gray = cv2.copyMakeBorder(gray, *(border,) * 4, borderType=cv2.BORDER_REPLICATE)
    boxes, agreeing = CASCADE.detectMultiScale2(
        cv2.equalizeHist(gray),
        scaleFactor=SET["fine_step"] if is_crop or is_photo else SET["step"],
        minNeighbors=SET["fine_neighbours"] if is_photo else SET["neighbours"],
        minSize=(SET["min_face"],) * 2,
    )
    faces = []
    for (x, y, w, h), _ in sorted(zip(boxes, agreeing), key=lambda pair: -pair[1]):
        box = tuple(round(int(v) * (1 / factor)) for v in (x - border, y - border, w, h))
        if all(overlap(box, other) <= SET["max_overlap"] for other in faces):
            faces.append(box)
    return sorted(faces, key=lambda box: (-box[2] * box[3], box[:2]))


def overlap(one: tuple, other: tuple) -> float:
    """The area that two boxes share, as a share of the smaller one's."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0) / max(min(one[2] * one[3], other[2] * other[3]), 1)


def crop_face(image: np.ndarray, box: tuple[int, int, int, int], margin: float) -> np.ndarray:
    """The face's square, widened by the margin; beyond the picture its edge repeats."""
    left, top, width, height = box
    side = max(round(max(width, height) * (1 + margin)), 1)
    left, top = round(left + (width - side) / 2), round(top + (height - side) / 2)
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def to_input(crop: np.ndarray, spec: dict) -> np.ndarray:
    """A crop as float32 (channels, size, size)."""
    values = crop.astype(np.float32) / 255
    if spec["channels"] == 1:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    square = resize(values, spec["size"], spec["interpolation"] == "bicubic")
    return np.float32((square - spec["mean"]) / spec["std"]).transpose(2, 0, 1)


def resize(values: np.ndarray, size: int, is_bicubic: bool) -> np.ndarray:
    """(H, W, C) to (size, size, C), antialiased as PyTorch and Pillow do."""
    if values.shape[:2] == (size, size):
        return values
    rows, columns = (resize_weights(old, size, is_bicubic) for old in values.shape[:2])
    # Bicubic overshoots at edges: clipped after each pass, and whole gray levels in the end.
    wide = np.einsum("xw,hwc->hxc", columns, values, optimize=True).clip(0, 1)
    square = np.einsum("yh,hxc->yxc", rows, wide, optimize=True).clip(0, 1)
    return np.round(square * 255) / 255 if is_bicubic else square


def resize_weights(old: int, new: int, is_bicubic: bool) -> np.ndarray:
    """(new, old): the share of each old pixel in each new one."""
    scale = old / new
    centres = scale * (np.arange(new)[:, None] + 0.5)
    x = np.abs(np.arange(old) - centres + 0.5) / max(scale, 1)
    if is_bicubic:
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    else:
        weights = np.clip(1 - x, 0, None)
    return weights / weights.sum(axis=1, keepdims=True)
