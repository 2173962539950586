"""OpenCV's face cascade, read from the XML file that comes with opencv-python."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # nosec B405  # reads OpenCV's own file

import cv2.data

from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.haar import CASCADE


def cascade_xml() -> bytes:
    """The file as OpenCV ships it.

    Raises:
        FerBenchError: it is not there.
    """
    path = Path(cv2.data.haarcascades) / CASCADE
    try:
        return path.read_bytes()
    except OSError as error:
        raise FerBenchError(
            f"expected OpenCV's cascade at {path}, which cannot be read ({error.strerror}): "
            "reinstall 'opencv-python-headless>=4.12,<5'"
        ) from None


def cascade_licence(xml: bytes) -> str:
    """The licence that the file carries as its first comment."""
    return xml.decode().partition("<!--")[2].partition("-->")[0].strip()


def cascade_document(xml: bytes) -> dict[str, Any]:
    """The cascade as `bundles/web/cascade.js` reads it.

    Returns:
        `window`, the side of the square it looks at in pixels; `stages` with their number of
        `trees` and `threshold`; `trees`, the number of nodes of each; `nodes` as [left, right,
        feature, threshold]; `leaves`; `features` as lists of [x, y, width, height, weight].
    """
    cascade = ElementTree.fromstring(xml).find("cascade")  # nosec B314
    if cascade is None:
        raise FerBenchError(f"OpenCV's {CASCADE} is no cascade: reinstall opencv-python-headless")
    stages, trees, nodes, leaves = [], [], [], []
    for stage in cascade.iterfind("stages/_"):
        classifiers = stage.findall("weakClassifiers/_")
        threshold = float(stage.findtext("stageThreshold", ""))
        stages.append({"trees": len(classifiers), "threshold": threshold})
        for tree in classifiers:
            words = tree.findtext("internalNodes", "").split()
            rows = [words[start : start + 4] for start in range(0, len(words), 4)]
            trees.append(len(rows))
            nodes += [[int(a), int(b), int(c), float(d)] for a, b, c, d in rows]
            leaves += [float(word) for word in tree.findtext("leafValues", "").split()]
    return {
        "window": int(cascade.findtext("width", "")),
        "stages": stages,
        "trees": trees,
        "nodes": nodes,
        "leaves": leaves,
        "features": [
            [_rectangle(rectangle.text or "") for rectangle in feature.iterfind("rects/_")]
            for feature in cascade.iterfind("features/_")
        ],
    }


def _rectangle(text: str) -> list[float]:
    *box, weight = text.split()
    return [*map(int, box), float(weight)]
