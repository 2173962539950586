"""python onnx_example.py MODEL.onnx FACE.png: the emotion of a face, with no FER Bench at hand."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
spec = json.loads(about["input_spec"])
image = Image.open(sys.argv[2]).convert("L" if spec["channels"] == 1 else "RGB")
image = image.resize((spec["size"],) * 2, Image.Resampling[spec["interpolation"].upper()])
pixels = np.asarray(image, np.float32).reshape(spec["size"], spec["size"], spec["channels"])
x = ((pixels / 255 - spec["mean"]) / spec["std"]).astype(np.float32)
(logits,) = session.run(["logits"], {"faces": x.transpose(2, 0, 1)[None]})[0]
scores = np.exp((logits - logits.max()) / float(about["temperature"]))
print(json.loads(about["emotions"])[scores.argmax()], f"{scores.max() / scores.sum():.0%}")
