"""Pictures that a visitor gives, and how they are to be changed and searched for faces."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from fer_bench.emotions import FER2013
from fer_bench.environment import dashboard_folder
from fer_bench.errors import FerBenchError
from fer_bench.inference.detectors.base import DEFAULT_DETECTOR
from fer_bench.ui.images.analysis import MOST_PICTURES, GivenPicture
from fer_bench.ui.widgets import show_error

if TYPE_CHECKING:  # torch loads only when a picture is analysed
    from fer_bench.inference.adjust import Adjustment

SAMPLE_FILE = dashboard_folder() / "assets" / "samples" / "astronaut.jpg"
SAMPLE, UPLOAD, CAMERA, GIVEN = "Sample", "Upload", "Camera", "From Errors"
#: The sample that is a photograph; the others are drawn, one an emotion.
PHOTOGRAPH = "photograph"
#: Side of a drawn sample, pixels.
DRAWN_SIDE = 192
#: Where a visit keeps the picture that another page sent here.
GIVEN_KEY = "image-given"
DETECTORS = {
    "haar": "Haar cascade",
    "yunet": "YuNet",
    "mediapipe": "MediaPipe",
    "whole": "The whole image is a face",
}
#: Sliders and where they stand when nothing is changed; percent, degrees, kept parts in percent.
SLIDERS: dict[str, int | tuple[int, int]] = {
    "brightness": 0,
    "contrast": 0,
    "rotation": 0,
    "kept-width": (0, 100),
    "kept-height": (0, 100),
}


def try_image(name: str, image: NDArray[np.uint8]) -> None:
    """Leaves for Try an image with a face of a data set, taken whole."""
    from fer_bench.inference.images import encode_png

    st.session_state[GIVEN_KEY] = GivenPicture(
        name=name, key=f"given {name}", data=encode_png(image)
    )
    st.session_state["image-source"] = GIVEN
    st.session_state["image-detector"] = "whole"
    st.switch_page("pages/image.py")


def ask_for_pictures() -> list[GivenPicture]:
    """A sample, uploads or a snapshot, whichever the visitor chooses; maybe none yet.

    The adjustments go back to nothing with every other picture.
    """
    pictures = _asked_pictures()
    keys = [picture.key for picture in pictures]
    if st.session_state.get("adjusted-for") != keys:
        st.session_state["adjusted-for"] = keys
        reset_adjustment()
    return pictures


def _asked_pictures() -> list[GivenPicture]:
    sources = [SAMPLE, UPLOAD, CAMERA, *([GIVEN] if GIVEN_KEY in st.session_state else [])]
    st.session_state.setdefault("image-source", SAMPLE)
    source = st.segmented_control(
        "Picture",
        sources,
        required=True,
        label_visibility="collapsed",
        key="image-source",
        width="stretch",
    )
    if source == SAMPLE:
        return [_ask_for_sample()]
    if source == GIVEN:
        return [st.session_state[GIVEN_KEY]]
    if source == CAMERA:
        taken = st.camera_input("Snapshot", label_visibility="collapsed", key="image-camera")
        if taken is None:
            st.caption("Browsers give the camera only to pages on HTTPS or on localhost.")
            return []
        return [GivenPicture(name="snapshot.jpg", key=taken.file_id, data=taken.getvalue())]
    files = st.file_uploader(
        "Pictures", accept_multiple_files=True, label_visibility="collapsed", key="image-files"
    )
    if len(files) > MOST_PICTURES:
        st.warning(
            f"The first {MOST_PICTURES} of {len(files):,} pictures; for more there is "
            "`python -m fer_bench predict`."
        )
    return [
        GivenPicture(name=file.name, key=file.file_id, data=file.getvalue())
        for file in files[:MOST_PICTURES]
    ]


def _ask_for_sample() -> GivenPicture:
    """The photograph, or a drawn face that shows an emotion."""
    chosen = st.pills(
        "Sample",
        [PHOTOGRAPH, *FER2013],
        default=PHOTOGRAPH,
        required=True,
        label_visibility="collapsed",
        key="image-sample",
        on_change=_suit_detector,
        wrap=True,
    )
    if chosen == PHOTOGRAPH:
        st.caption("Eileen Collins, photographed by NASA; public domain.")
        return GivenPicture(name=SAMPLE_FILE.name, key=SAMPLE, data=SAMPLE_FILE.read_bytes())
    st.caption("Drawn by FER Bench, taken as a face as it is: networks know photographs better.")
    return GivenPicture(name=f"drawn-{chosen}.png", key=f"drawn {chosen}", data=_drawn(chosen))


@st.cache_data(show_spinner=False)
def _drawn(emotion: str) -> bytes:
    from fer_bench.data.synthetic import draw_face
    from fer_bench.inference.images import encode_png

    return encode_png(draw_face(emotion, size=DRAWN_SIDE, rng=np.random.default_rng(1)))


def _suit_detector() -> None:
    """Drawn faces are taken whole; the photograph's is found."""
    drawn = st.session_state["image-sample"] != PHOTOGRAPH
    st.session_state["image-detector"] = "whole" if drawn else DEFAULT_DETECTOR


def ask_for_adjustment() -> Adjustment:
    """Sliders for what is changed before prediction, and a button that sets all of them back."""
    from fer_bench.inference.adjust import Adjustment

    for key, value in SLIDERS.items():
        st.session_state.setdefault(key, value)
    with st.expander("Adjust before prediction", icon=":material/tune:"):
        brightness = st.slider("Brightness", -100, 100, format="%d %%", key="brightness")
        contrast = st.slider("Contrast", -100, 100, format="%d %%", key="contrast")
        rotation = st.slider("Rotation", -180, 180, format="%d°", key="rotation")
        left, right = _cropped_shares("Keep from left to right", "kept-width")
        top, bottom = _cropped_shares("Keep from top to bottom", "kept-height")
        st.button("Reset", icon=":material/restart_alt:", on_click=reset_adjustment)
    try:
        return Adjustment(
            brightness=brightness / 100,
            contrast=contrast / 100,
            rotation=float(rotation),
            crop=(left, top, right, bottom),
        )
    except FerBenchError as error:
        show_error(error)
        return Adjustment()


def _cropped_shares(name: str, key: str) -> tuple[float, float]:
    """Shares cut away at a range slider's two ends."""
    ends = st.slider(name, 0, 100, format="%d %%", key=key)
    first, last = cast(tuple[int, int], ends)  # as in `SLIDERS`, which it starts from
    return first / 100, 1 - last / 100


def reset_adjustment() -> None:
    """Puts every slider back."""
    st.session_state.update(SLIDERS)


def ask_for_detector() -> str:
    """A box over the detectors that work here."""
    return st.selectbox(
        "Faces are found by",
        usable_detectors(),
        format_func=lambda name: DETECTORS[name],
        key="image-detector",
        help="Choose the last one for pictures that are a face already, such as FER2013's.",
    )


@st.cache_data(ttl=10, show_spinner=False)
def usable_detectors() -> list[str]:
    """Those whose files are here."""
    from fer_bench.inference.detectors.base import make_detector

    usable = []
    for name in DETECTORS:
        with suppress(FerBenchError):
            make_detector(name)
            usable.append(name)
    return usable


def take_whole_images() -> None:
    """Makes the whole image the face; for where a detector finds none."""
    st.session_state["image-detector"] = "whole"
