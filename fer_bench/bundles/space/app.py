"""A Streamlit app: names the expression of every face in a photo or before the camera.

streamlit run app.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import streamlit as st
from faces import read_image
from PIL import Image, ImageDraw
from run import MODEL, name_faces

st.set_page_config(page_title="Expressions")
st.title("Expressions")
st.write(f"Names one of {', '.join(MODEL['emotions'])}, by the run `{MODEL['run']}`.")
st.caption(
    "A face is not a feeling. Pictures are analysed on the server of this app, and not kept."
)

tab_photo, tab_camera = st.tabs(["Photo", "Camera"])
photo = tab_photo.file_uploader("A photo", type=["jpg", "jpeg", "png", "webp", "bmp"])
photo = photo or tab_camera.camera_input("A picture of yourself")
if photo is None:
    st.stop()
try:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        path.write_bytes(photo.getvalue())
        image = read_image(path)
except ValueError:
    st.error(f"{photo.name} cannot be read as a picture: choose a JPEG, PNG or WebP file.")
    st.stop()

found = name_faces(image)
picture = Image.fromarray(image)
pen = ImageDraw.Draw(picture)
for number, ((left, top, width, height), named) in enumerate(found, start=1):
    pen.rectangle((left, top, left + width, top + height), outline="#00c853", width=3)
    pen.text((left + 4, top + 4), f"{number} {max(named, key=named.get)}", fill="#00c853")
st.image(picture)
if not found:
    st.info("No face was found: try a photo with a larger, upright face.")
for number, (_, named) in enumerate(found, start=1):
    best = max(named, key=named.get)
    st.subheader(f"Face {number}: {best}, {named[best]:.0%}")
    st.bar_chart(pd.Series(named, name="probability"), horizontal=True)
