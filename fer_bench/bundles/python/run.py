"""Names the expression of every face in pictures, or before a camera.

python run.py photo.jpg another.png
python run.py --camera 0
"""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from faces import HERE, MODEL, crop_face, find_faces, read_image, to_input
from onnxruntime import InferenceSession

SESSION = InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])


def name_faces(image: np.ndarray, is_face=False, is_video=False) -> list[tuple[tuple, dict]]:
    """The box (left, top, width, height) and the probabilities of each face, largest first."""
    whole = (0, 0, image.shape[1], image.shape[0], 0)
    found = []
    for face in [whole] if is_face else find_faces(image, is_video):
        crop = image if is_face else crop_face(image, face, MODEL["input_spec"]["face_margin"])
        faces = to_input(crop, MODEL["input_spec"])[None]
        logits = SESSION.run(None, {"faces": faces})[0][0].astype(float) / MODEL["temperature"]
        powers = np.exp(logits - logits.max())
        found.append((face[:4], dict(zip(MODEL["emotions"], (powers / powers.sum()).tolist()))))
    return found


def describe(found: list[tuple[tuple, dict]]) -> str:
    lines = [
        f"{box} {max(named, key=named.get)} " + " ".join(f"{e} {p:.1%}" for e, p in named.items())
        for box, named in found
    ]
    return "\n".join(lines) or "no face found"


def tell(picture: Path, is_face: bool) -> bool:
    """Says what a picture shows, or why it cannot be read; whether it could be."""
    try:
        image = read_image(picture)
    except ValueError as error:
        print(error, file=sys.stderr)
        return False
    print(f"{picture}:\n{describe(name_faces(image, is_face))}")
    return True


def watch(camera: int) -> None:
    """Says what the camera sees until Ctrl-C."""
    video = cv2.VideoCapture()
    if camera < 0 or not video.open(camera):  # OpenCV crashes at the former
        sys.exit(f"there is no camera {camera}, or another program uses it")
    while True:
        is_there, frame = video.read()
        if not is_there:
            sys.exit(f"camera {camera} sends no more pictures")
        print(
            describe(name_faces(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), is_video=True)), flush=True
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="*", type=Path)
    parser.add_argument("--camera", type=int, help="its number, such as 0")
    parser.add_argument("--face", action="store_true", help="the pictures are faces already")
    words = parser.parse_args()
    if words.camera is None and not words.pictures:
        parser.error("expected pictures, or --camera 0")
    is_bad = [not tell(picture, words.face) for picture in words.pictures]
    if words.camera is not None:
        with suppress(KeyboardInterrupt):
            watch(words.camera)
    sys.exit(2 if any(is_bad) else 0)
