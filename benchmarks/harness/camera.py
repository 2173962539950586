"""A camera for Chromium that needs none: a looping clip of a face whose frames are numbered.

The number stands in a strip of black and white blocks along the top of the frame, so that a frame
that comes back from the server can be told from every other one, mirrored or not.
"""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness.dashboard import ROOT

FACE = ROOT / "assets" / "samples" / "astronaut.jpg"
WIDTH, HEIGHT, FPS = 640, 480, 30
#: The number's bits between a white and a black block, which tell which way round the strip is.
BITS = 8
LOOP_FRAMES = 2**BITS
STRIP_HEIGHT = 24
#: How far the face wanders about its place, pixels.
WANDER = 12

#: Draws the strip of `video` on `canvas` and reads its number; null where there is no such strip.
READ_NUMBER = f"""(video, canvas) => {{
    const blocks = {BITS + 2}, strip = video.videoHeight * {STRIP_HEIGHT / HEIGHT};
    canvas.width = blocks * 8; canvas.height = 8;
    const context = canvas.getContext('2d', {{willReadFrequently: true}});
    context.drawImage(video, 0, 0, video.videoWidth, strip, 0, 0, canvas.width, canvas.height);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    const lit = [...Array(blocks).keys()].map((block) => {{
        let sum = 0;
        for (const y of [3, 4]) for (const x of [3, 4])
            sum += pixels[4 * (y * canvas.width + block * 8 + x) + 1];
        return sum > 4 * 128;
    }});
    if (lit[0] === lit[blocks - 1]) return null;
    if (!lit[0]) lit.reverse();
    return lit.slice(1, -1).reduce((number, bit) => 2 * number + bit, 0);
}}"""


def portrait() -> Image.Image:
    """The face that the camera sees."""
    return Image.open(FACE).convert("RGB")


def frame(face: Image.Image, number: int, *, numbered: bool = True) -> NDArray[np.uint8]:
    """One picture of the clip, RGB uint8 `(HEIGHT, WIDTH, 3)`; `number` below `LOOP_FRAMES`."""
    turn = 2 * math.pi * number / LOOP_FRAMES
    left = round(52 + WANDER * math.sin(3 * turn))
    top = round(12 + WANDER * math.cos(2 * turn))
    seen = face.resize(
        (WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=(left, top, left + 400, top + 300)
    )
    picture = np.array(seen, np.uint8)
    if not numbered:
        return picture
    bits = [1, *(number >> bit & 1 for bit in reversed(range(BITS))), 0]
    strip = np.repeat(np.array(bits, np.uint8) * 255, WIDTH // len(bits))[:, None]
    picture[:STRIP_HEIGHT] = strip
    return picture


def write_clip(path: Path, *, numbered: bool = True) -> None:
    """Writes the clip as Motion JPEG, which Chromium plays at 30 frames a second for ever.

    Args:
        path: must end in `.mjpeg`, by which Chromium knows the format.
    """
    with av.open(str(path), "w", format="mjpeg") as file:
        stream = file.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 3
        face = portrait()
        for number in range(LOOP_FRAMES):
            picture = frame(face, number, numbered=numbered)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def camera_arguments(clip: Path) -> tuple[str, ...]:
    """Chromium's arguments for this clip as its only camera, and WebRTC on this machine alone.

    Whether a page may use the camera is the browser context's to grant.
    """
    return (
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={clip}",
        "--allow-loopback-in-peer-connection",
        "--disable-features=WebRtcHideLocalIpsWithMdns",
    )
