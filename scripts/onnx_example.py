"""python onnx_example.py MODEL.onnx PHOTO.jpg: the largest face's emotion, without FER Bench."""

import json
import sys

import cv2
import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
spec = json.loads(about["input_spec"])
photo = cv2.imread(sys.argv[2], cv2.IMREAD_COLOR_RGB)  # turned by its EXIF, 16 bits to 8
if photo is None:
    sys.exit(f"{sys.argv[2]} cannot be read: expected a JPEG, PNG, WebP or TIFF")
cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
faces = cascade.detectMultiScale(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), 1.1, 3)
if not len(faces):
    sys.exit("no face")
x, y, side, _ = max(faces, key=lambda box: box[2])
border = round(side * spec["face_margin"] / 2)
rows, columns = (slice(max(at - border, 0), at + side + border) for at in (y, x))
face = Image.fromarray(photo[rows, columns]).convert("L" if spec["channels"] == 1 else "RGB")
face = face.resize((spec["size"],) * 2, Image.Resampling[spec["interpolation"].upper()])
pixels = np.asarray(face, np.float32).reshape(spec["size"], spec["size"], spec["channels"])
inputs = ((pixels / 255 - spec["mean"]) / spec["std"]).astype(np.float32)
(logits,) = session.run(["logits"], {"faces": inputs.transpose(2, 0, 1)[None]})[0]
scores = np.exp((logits - logits.max()) / float(about["temperature"]))
print(json.loads(about["emotions"])[scores.argmax()], f"{scores.max() / scores.sum():.0%}")
