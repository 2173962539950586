"""The sample face in frames of any size and number, and a stand-in for YuNet's network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fer_bench.inference.faces import Box

SAMPLE = Path(__file__).parents[1] / "assets" / "samples" / "astronaut.jpg"
#: left, top, width, height of the face in the sample, as the Haar cascade frames it at full size.
FACE: Box = (171, 62, 105, 105)
#: A square about the head in the sample: left, top, side.
HEAD = (129, 8, 188)


def astronaut() -> NDArray[np.uint8]:
    """The sample picture, uint8 `(512, 512, 3)` RGB, one smiling frontal face."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(SAMPLE)), cv2.COLOR_BGR2RGB), np.uint8)


def frame(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A camera's frame, RGB, with the sample in its middle as high as the frame."""
    picture = cv2.resize(astronaut(), (height, height), interpolation=cv2.INTER_AREA)
    whole = np.full((height, width, 3), 127, np.uint8)
    start = (width - height) // 2
    whole[:, start : start + height] = picture
    return whole


def face_in_frame(width: int = 640, height: int = 480) -> Box:
    """Where the face is in `frame`."""
    factor = height / 512
    left, top, side, _ = (round(value * factor) for value in FACE)
    return left + (width - height) // 2, top, side, side


def crowd(columns: int, rows: int, tile: int) -> tuple[NDArray[np.uint8], list[Box]]:
    """Heads side by side, each a little smaller than the one before, and the boxes of the faces."""
    left, top, side = HEAD
    head = astronaut()[top : top + side, left : left + side]
    image = np.full((rows * tile, columns * tile, 3), 150, np.uint8)
    boxes: list[Box] = []
    for number in range(columns * rows):
        own = round(tile * (1 - 0.2 * number / (columns * rows)))
        x, y = number % columns * tile, number // columns * tile
        image[y : y + own, x : x + own] = cv2.resize(
            head, (own, own), interpolation=cv2.INTER_AREA if own < side else cv2.INTER_CUBIC
        )
        factor = own / side
        width = round(FACE[2] * factor)
        place = round(x + (FACE[0] - left) * factor), round(y + (FACE[1] - top) * factor)
        boxes.append((*place, width, width))
    return image, boxes


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def stand_in_yunet() -> bytes:
    """A network with YuNet's input and twelve outputs that takes each blue block for a face.

    On a grid of 32 pixels, a block's mean blue is its score. Its box is one block wide and two
    high about the block's upper left corner, its eyes lie 8 pixels left and right of that corner,
    the second 8 pixels lower. Strides 8 and 16 find nothing.
    """
    nodes, weights = [], []
    for stride in (8, 16, 32):
        blue = 1.0 / (255 * stride**2) if stride == 32 else 0.0
        # w = exp(0) * 32, h = exp(log 2) * 32; the points are in units of the stride.
        heads = {
            "cls": ([blue], [0.0]),
            "obj": ([blue], [0.0]),
            "bbox": ([0.0] * 4, [0.0, 0.0, 0.0, float(np.log(2))]),
            "kps": ([0.0] * 10, [-0.25, 0.0, 0.25, 0.25, *[0.0] * 6]),
        }
        for head, (gains, biases) in heads.items():
            name = f"{head}_{stride}"
            channels = len(gains)
            kernel = np.zeros((channels, 3, stride, stride), np.float32)
            kernel[:, 0] = np.asarray(gains, np.float32)[:, None, None]  # blue of BGR
            weights += [
                numpy_helper.from_array(kernel, f"{name}_w"),
                numpy_helper.from_array(np.asarray(biases, np.float32), f"{name}_b"),
                numpy_helper.from_array(np.array([1, -1, channels], np.int64), f"{name}_s"),
            ]
            nodes += [
                helper.make_node(
                    "Conv", ["input", f"{name}_w", f"{name}_b"], [f"{name}_c"],
                    kernel_shape=[stride, stride], strides=[stride, stride],
                ),
                helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_t", f"{name}_s"], [name]),
            ]  # fmt: skip
    names = [f"{head}_{s}" for head in ("cls", "obj", "bbox", "kps") for s in (8, 16, 32)]
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, None, None]) for n in names]
    graph = helper.make_graph(nodes, "stand-in", [picture], outputs, weights)
    opset = [helper.make_opsetid("", 11)]
    content: bytes = helper.make_model(graph, opset_imports=opset, ir_version=7).SerializeToString()
    return content


def write_stand_in(folder: Path) -> Path:
    """The stand-in as a file."""
    file = folder / "stand-in.onnx"
    file.write_bytes(stand_in_yunet())
    onnx.checker.check_model(str(file))
    return file
