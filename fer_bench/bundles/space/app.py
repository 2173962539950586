"""A Streamlit app: names the expression of every face in a photo or before the camera.

streamlit run app.py
"""

from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import streamlit as st
from faces import read_image
from PIL import Image, ImageDraw
from run import MODEL, name_faces

#: Longer sides are shown smaller; on sides longer than the usual one, lines and names are larger.
SHOWN_SIDE, USUAL_SIDE = 1400, 600


def show(photo: BytesIO | None) -> None:
    """A picture with its faces boxed, and what each shows."""
    if photo is None:
        return
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "photo"
            path.write_bytes(photo.getvalue())
            image = read_image(path)
    except ValueError:
        st.error(f"{photo.name} cannot be read as a picture: choose a JPEG, PNG or WebP file.")
        return
    found = name_faces(image)
    picture = Image.fromarray(image)
    pen, unit = ImageDraw.Draw(picture), max(1, max(picture.size) / USUAL_SIDE)
    for number, ((left, top, width, height), named) in enumerate(found, start=1):
        box = (left, top, left + width, top + height)
        pen.rectangle(box, outline="#00c853", width=round(3 * unit))
        name = f"{number} {max(named, key=named.get)}"
        pen.text((left + 4 * unit, top + 4 * unit), name, fill="#00c853", font_size=14 * unit)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))  # Streamlit shrinks a strip to no height at all
    st.image(picture)
    if not found:
        st.info("No face was found: try a photo with a larger, upright face.")
    for number, (_, named) in enumerate(found, start=1):
        best = max(named, key=named.get)
        st.subheader(f"Face {number}: {best}, {named[best]:.0%}")
        st.bar_chart(pd.Series(named, name="probability"), horizontal=True)


st.set_page_config(page_title="Expressions")
st.title("Expressions")
st.write(f"Names one of {', '.join(MODEL['emotions'])}, by the run `{MODEL['run']}`.")
st.caption(
    "A face is not a feeling. Pictures are analysed on the server of this app, and not kept."
)

tab_photo, tab_camera = st.tabs(["Photo", "Camera"])
with tab_photo:
    show(st.file_uploader("A photo", type=["jpg", "jpeg", "png", "webp", "bmp"]))
with tab_camera:
    show(st.camera_input("A picture of yourself"))
