"""From a picture to the network's input: reading, finding faces, cropping, resizing."""

import hashlib
import json
import math
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
from pictures.pixels import pixels_of
from PIL import Image, UnidentifiedImageError

HERE = Path(__file__).parent


def read_document() -> dict:
    """What model.json says of the network; every file that it names must be as it was exported."""
    name = "model.json"
    try:
        document = json.loads((HERE / name).read_text(encoding="utf-8"))
        for name, digest in document["sha256"].items():
            content = (HERE / name).read_bytes().replace(b"\r\n", b"\n")  # of Git on Windows
            if hashlib.sha256(content).hexdigest() != digest:
                raise ValueError
    except (OSError, ValueError, LookupError):
        sys.exit(f"{HERE / name} is missing or damaged: copy the whole folder again")
    return document


MODEL = read_document()
SET = MODEL["detector"]
CASCADE = cv2.CascadeClassifier(str(HERE / "cascade.xml"))


def read_image(path: Path) -> np.ndarray:
    """A picture as uint8 (H, W, 3) RGB, upright, over white where it is transparent.

    Raises:
        ValueError: it cannot be read; the sentence says why.
    """
    try:
        return pixels_of(path.read_bytes(), colour=True)
    # What damaged pictures raise in Pillow and OpenCV.
    except (
        OSError, EOFError, RuntimeError, SyntaxError, ValueError, TypeError, LookupError,
        OverflowError, struct.error, zlib.error, Image.DecompressionBombError, cv2.error,
    ) as error:  # fmt: skip
        unknown = isinstance(error, UnidentifiedImageError)
        reason = getattr(error, "strerror", None) or str(error)
        why = "of no known format" if unknown else " ".join(reason.split())
        sentence = f"{path} cannot be read as a picture ({why}): choose a JPEG, PNG or WebP"
        raise ValueError(sentence) from None


def find_faces(image: np.ndarray, is_video: bool = False) -> list[tuple]:
    """Faces (left, top, width, height, degrees that the head is turned), largest first.

    A still is searched for small faces too and, where none is surely upright, for turned ones.
    """
    image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    longer = max(image.shape)
    side = min(max(longer / 2, SET["shortest_shrunk"]), SET["longest_shrunk"])
    found = look(image, side, "frame" if is_video else "quick")
    if not is_video and longer > SET["coarse_side"]:
        long = longer * (SET["fine_pixels"] / (image.shape[0] * image.shape[1])) ** 0.5
        found += look(image, max(SET["fine_side"], long), "fine")
    if not is_video and not found:
        found = look(image, side, "thorough")
    if not is_video and all(certainty < 1 for *_, certainty in found):
        turned = [face for turn in SET["turns"] for face in look(image, side, "turned", turn)]
        found = sorted(turned, key=lambda face: -face[-1]) or found
    faces = []
    for face in (each[:5] for each in found):
        if all(overlap(face, other) <= SET["max_overlap"] for other in faces):
            faces.append(face)
    return sorted(faces, key=lambda face: (-face[2] * face[3], face[:2]))


def look(image: np.ndarray, side: float, effort: str, degrees: int = 0) -> list[tuple]:
    """Faces in a gray image that is shrunk to a side and turned back, the likeliest first.

    Each with how sure it is: from 1 on, no turned head is likelier.
    """
    height, width = image.shape
    factor = min(side / max(height, width), 1)
    if factor < 1:
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if not degrees:
        return [
            (*(round(v * (1 / factor)) for v in box), 0, certainty)
            for *box, certainty in upright_faces(image, effort)
        ]
    height, width = image.shape
    there = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cosine, sine = abs(there[0, :2])
    size = round(width * cosine + height * sine), round(width * sine + height * cosine)
    there[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    back, faces = cv2.invertAffineTransform(there), []
    turned = cv2.warpAffine(image, there, size, borderMode=cv2.BORDER_REPLICATE)
    for left, top, wide, tall, certainty in upright_faces(turned, effort):
        x, y = back @ (left + wide / 2, top + tall / 2, 1)
        left, top = round(x - wide / 2), round(y - tall / 2)
        if 0 <= left + wide / 2 < width and 0 <= top + wide / 2 < height:  # not in a new corner
            box = (round(v * (1 / factor)) for v in (left, top, wide, tall))
            faces.append((*box, degrees, certainty))
    return faces


def upright_faces(gray: np.ndarray, effort: str) -> list[tuple]:
    """Boxes of upright faces at a gray image's own size and how sure, the likeliest first."""
    is_crop = max(gray.shape) <= SET["crop_side"]
    border = round(max(gray.shape) * SET["border"]) if is_crop else 0
    gray = cv2.copyMakeBorder(gray, *(border,) * 4, borderType=cv2.BORDER_REPLICATE)
    is_fine = is_crop or effort not in ("frame", "quick")
    faces = []
    for light in LIGHTS if effort == "thorough" else LIGHTS[:1]:
        even = light(gray)
        boxes, agreeing = CASCADE.detectMultiScale2(
            even,
            scaleFactor=SET["fine_step" if is_fine else "step"],
            minNeighbors=SET["agreeing"][effort],
            minSize=(SET["min_face"],) * 2,
        )
        needed = SET["confirmed"] * (1 + any(votes > SET["doubtful"] for votes in agreeing))
        for votes, box in zip(agreeing, (box.tolist() for box in np.asarray(boxes, int))):
            sure = is_crop or votes > SET["doubtful"]
            if sure or votes * votes_nearby(even, box) >= needed:
                faces.append((votes, box))
    best_first = sorted(faces, key=lambda pair: -pair[0])
    return [
        (x - border, y - border, w, h, votes / SET["sure"][effort])
        for votes, (x, y, w, h) in best_first
    ]


def votes_nearby(even: np.ndarray, box: list[int]) -> int:
    """How many windows agree on a face where a doubtful box is, in a closer look."""
    left, top, side, _ = box
    margin = round(side * SET["closer_margin"])
    _, agreeing = CASCADE.detectMultiScale2(
        even[
            max(top - margin, 0) : top + side + margin, max(left - margin, 0) : left + side + margin
        ],
        scaleFactor=SET["closer_step"],
        minNeighbors=1,
        minSize=(round(side * SET["closer_face"]),) * 2,
    )
    return max(agreeing, default=0)


def spread_evenly(gray: np.ndarray) -> np.ndarray:
    """Equalised with no gray value counting for more than a share of the average one."""
    counts = np.bincount(gray.ravel(), minlength=256)
    steps = np.minimum(counts, SET["light_share"] * gray.size / 256).cumsum()
    table = (steps - steps[0]) * (255 / max(steps[-1] - steps[0], 1))
    return cv2.LUT(gray, np.rint(table).astype(np.uint8))


LIGHTS = (spread_evenly, cv2.equalizeHist, np.asarray)


def overlap(one: tuple, other: tuple) -> float:
    """The area that two boxes share, as a share of the smaller one's."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0) / max(min(one[2] * one[3], other[2] * other[3]), 1)


def crop_face(image: np.ndarray, face: tuple, margin: float) -> np.ndarray:
    """The face's square, widened by the margin, upright; beyond the picture its edge repeats."""
    left, top, width, height, degrees = face
    side = max(round(max(width, height) * (1 + margin)), 1)
    left, top = round(left + (width - side) / 2), round(top + (height - side) / 2)
    if not degrees:
        return cut(image, left, top, side)
    room = math.ceil(side * (math.sqrt(2) - 1) / 2) + 1
    around = cut(image, left - room, top - room, side + 2 * room)
    middle = (around.shape[0] - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)
    turn[:, 2] -= room
    return cv2.warpAffine(around, turn, (side, side))


def cut(image: np.ndarray, left: int, top: int, side: int) -> np.ndarray:
    rows = np.clip(np.arange(top, top + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def to_input(crop: np.ndarray, spec: dict) -> np.ndarray:
    """A crop as float32 (channels, size, size)."""
    values = crop.astype(np.float32) / 255
    if spec["channels"] == 1:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    square = resize(values, spec["size"], spec["interpolation"].startswith("bicubic"))
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
