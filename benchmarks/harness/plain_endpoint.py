"""What people write to serve a model: a FastAPI endpoint with one eager forward per request.

Side of `benchmarks.serve_load`, which starts it as a process of its own:
`python -m benchmarks.harness.plain_endpoint RUN RESULTS DETECTOR`. It prints its
address when it listens. It reads pictures, finds faces and prepares them by the same functions as
`serve`, in FastAPI's own threads; the network is the same one in eager PyTorch, fp32.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import torch
import uvicorn
from fastapi import FastAPI, UploadFile

from fer_bench.api.server import address_of, listen
from fer_bench.data.preprocess import to_input
from fer_bench.inference.classifier import load_run_model
from fer_bench.inference.crop import crop_face
from fer_bench.inference.detectors.base import make_detector
from fer_bench.inference.images import decode_image
from fer_bench.results.store import ResultsStore


def plain_app(run: str, results: Path, detector: str) -> FastAPI:
    """`POST /v1/predict`, one picture in the field `files`."""
    model = load_run_model(ResultsStore(results).find(run))
    spec, emotions = model.input_spec, model.emotions
    own = threading.local()  # OpenCV's detectors are not thread-safe
    app = FastAPI()

    @app.post("/v1/predict")
    def predict(files: UploadFile) -> dict[str, Any]:
        if not hasattr(own, "detector"):
            own.detector = make_detector(detector)
        image = decode_image(files.file.read(), "the picture")
        faces = []
        for found in own.detector.detect(image):
            x = to_input(crop_face(image, found, spec)[None], spec)
            with torch.inference_mode():
                shares = model(x).softmax(1)[0]
            best = int(shares.argmax())
            faces.append(
                {
                    "box": found.box,
                    "emotion": emotions[best],
                    "score": float(shares[best]),
                    "probabilities": dict(zip(emotions, shares.tolist(), strict=True)),
                }
            )
        return {"faces": faces}

    return app


def main() -> None:
    run, results, detector = sys.argv[1:]
    cv2.setNumThreads(1)  # as `serve` does: with more, the detectors of 40 threads fight
    app = plain_app(run, Path(results), detector)
    with listen("127.0.0.1", 0) as listener:
        print(address_of(listener), flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
