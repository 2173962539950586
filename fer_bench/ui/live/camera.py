"""The camera of the live page: its session, the way of its frames, and how browsers reach it."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
import streamlit as st
from numpy.typing import NDArray
from pydantic import Field, field_validator
from streamlit_webrtc import Translations, WebRtcMode, webrtc_streamer
from streamlit_webrtc.relay import get_global_relay

from fer_bench.config import Config, validate
from fer_bench.errors import FerBenchError
from fer_bench.inference.live.recording import Recording
from fer_bench.inference.live.session import LiveSession
from fer_bench.settings import Settings
from fer_bench.ui.live.opening import ModelOpener

ICE_VARIABLE, ICE_SECRET = "FER_BENCH_ICE_SERVERS", "ice_servers"
WIDTH, HEIGHT, FPS = 640, 480, 30
CAMERA = {
    "audio": False,
    "video": {
        "width": {"ideal": WIDTH},
        "height": {"ideal": HEIGHT},
        "frameRate": {"ideal": FPS, "max": FPS},
    },
}
#: The component's buttons, and what its list of cameras says where there is none.
WORDS = Translations(
    start="Start",
    stop="Stop",
    select_device="Camera",
    device_ask_permission="Allow this page to use your camera",
    device_access_denied="No camera: allow it with the icon next to the address",
    device_not_available="No camera: plug one in, or close the program that has it",
    media_api_not_available="No camera: open this page over https:// or on the machine itself",
)
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
SESSION = "live-session"


class IceServer(Config):
    """A STUN or TURN server, as browsers take it."""

    urls: str | tuple[str, ...] = Field(description="stun:host:port, turn:host:port?transport=...")
    username: str | None = None
    credential: str | None = None

    @field_validator("urls")
    @classmethod
    def _of_ice(cls, urls: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for url in (urls,) if isinstance(urls, str) else urls:
            if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
                raise ValueError(f"expected an address that starts with stun: or turn:, got {url}")
        return urls


class IceServers(Config):
    """What the variable or the secret holds, under the secret's name."""

    ice_servers: tuple[IceServer, ...]


def ice_servers() -> list[dict[str, Any]]:
    """The configured servers; none by default, which is right on one machine or network.

    They come from the variable `FER_BENCH_ICE_SERVERS` (a JSON list) or from `ice_servers` in
    `.streamlit/secrets.toml`. Without such a list the library would ask Google's.

    Raises:
        FerBenchError: what is configured is no list of servers.
    """
    if text := (Settings().ice_servers or "").strip():
        where, values = ICE_VARIABLE, _parsed(text)
    elif st.secrets.load_if_toml_exists() and ICE_SECRET in st.secrets:
        where, values = ".streamlit/secrets.toml", st.secrets.to_dict()[ICE_SECRET]
    else:
        return []
    servers = validate(IceServers, {ICE_SECRET: values}, where)
    return [server.model_dump(mode="json", exclude_none=True) for server in servers.ice_servers]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FerBenchError(
            f'{ICE_VARIABLE} is no JSON: {error}; expected a list such as [{{"urls": '
            '"stun:stun.example.org:3478"}]'
        ) from None


def hides_camera(url: str | None) -> bool:
    """Whether a browser gives a page at this address no camera: it wants HTTPS or this machine."""
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    local = host in LOCAL_HOSTS or host.endswith(".localhost") or host.startswith("127.")
    return parts.scheme == "http" and not local


class Camera:
    """One visitor's live session, and the video's way through it.

    Its two callbacks run in the connection's threads: nothing of Streamlit may be called there, and
    an exception would freeze the picture without a word.
    """

    def __init__(self) -> None:
        self.session = LiveSession()
        self.models = ModelOpener(self.session)
        self.problem: str | None = None
        #: Takes every frame of the camera, as it comes; only where the visitor wants it.
        self.recording: Recording | None = None

    def on_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame to show for a frame of the camera; the same one where it cannot be read."""
        try:
            image: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
            if (recording := self.recording) is not None:
                recording.add(image, time.monotonic())
            shown = av.VideoFrame.from_ndarray(self.session.on_frame(image), format="rgb24")
        except (av.FFmpegError, ValueError) as error:
            self.problem = f"a frame of the camera cannot be read: {error}"
            return frame
        self.problem = None
        return shown

    def on_ended(self) -> None:
        """STOP, a camera that was unplugged, another page, a closed tab, a lost connection."""
        # The session waits for its worker's last frame; the other visitors' video must not.
        threading.Thread(target=self._stop, name="live-stop", daemon=True).start()

    def _stop(self) -> None:
        if (recording := self.recording) is not None:
            recording.finish()
        self.session.stop()


def camera() -> Camera:
    """This visitor's; kept from page to page until the visitor goes."""
    if SESSION not in st.session_state:
        st.session_state[SESSION] = Camera()
    camera: Camera = st.session_state[SESSION]
    return camera


def _leave_out_stale_frames() -> None:
    """The way back to the browser holds one frame, the newest, as our slot does.

    By default the library queues them: once a busy server sends fewer than come, the picture would
    lag by seconds, and ever more.
    """
    relay = get_global_relay()
    if not isinstance(relay.subscribe, partial):  # there is one relay for all visitors
        relay.subscribe = partial(relay.subscribe, buffered=False)


def stream(used: Camera, servers: list[dict[str, Any]]) -> bool:
    """The video with START and STOP; starts and stops the session along. Whether it plays."""
    _leave_out_stale_frames()
    state = webrtc_streamer(
        key="live-video",
        mode=WebRtcMode.SENDRECV,
        rtc_configuration={"iceServers": servers},
        media_stream_constraints=CAMERA,
        video_frame_callback=used.on_frame,
        on_video_ended=used.on_ended,
        async_processing=True,
        sendback_audio=False,
        media_toggle_controls=False,
        video_html_attrs={
            "autoPlay": True,
            "controls": False,
            "muted": True,
            "playsInline": True,
            "style": {"width": "100%", "borderRadius": "0.5rem"},
        },
        translations=WORDS,
    ).state
    if state.playing:
        used.session.start()
    elif not state.signalling:
        used.session.stop()
    return bool(state.playing)
