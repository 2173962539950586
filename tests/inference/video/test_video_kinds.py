"""Videos as cameras, phones and recorders make them: clocks, orientations, pixels, containers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from av.stream import Disposition
from numpy.typing import NDArray
from table_fixtures import table

from fer_bench.inference.images import read_image
from fer_bench.inference.video.reader import VideoReader
from fer_bench.inference.video.writer import annotated_copy

RATE = 20
SAMPLE = read_image(Path(__file__).parents[3] / "assets/samples/astronaut.jpg")[:240, :320]
#: Display matrices (a, b, c, d) in 16.16, and what they make of a picture, as FFmpeg shows it.
MATRICES = {
    "as it is": ((1, 0, 0, 1), lambda p: p),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "upside down mirrored": ((1, 0, 0, -1), lambda p: p[::-1]),
    "half turn": ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
    "quarter clockwise": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "quarter counter-clockwise": ((0, -1, 1, 0), lambda p: np.rot90(p)),
    "transposed": ((0, 1, 1, 0), lambda p: p.transpose(1, 0, 2)),
    "transposed the other way": ((0, -1, -1, 0), lambda p: np.rot90(p, 2).transpose(1, 0, 2)),
}


def write(
    path: Path,
    *,
    n: int = 40,
    codec: str = "libx264",
    sound: Sequence[str] = (),
    start: float = 0.0,
    sound_start: float = 0.0,
    rate: Fraction | int = RATE,
    matrix: tuple[int, int, int, int] | None = None,
    pixels: Fraction | None = None,
    image: NDArray[np.uint8] = SAMPLE,
    shape: str | None = None,
    layout: str = "mono",
) -> Path:
    """`n` frames of the sample and a tone as long on each track of sound, from their starts on."""
    with av.open(str(path), "w", format=shape) as file:
        pictures = file.add_stream(codec, rate=rate)
        pictures.height, pictures.width = image.shape[:2]
        pictures.pix_fmt = "yuv420p"
        if pixels is not None:
            pictures.codec_context.sample_aspect_ratio = pixels
        if matrix is not None:
            a, b, c, d = (value * 65536 for value in matrix)
            pictures.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        tracks = [file.add_stream(name, rate=48_000, layout=layout) for name in sound]
        for track in tracks:
            for part in range(n * 48_000 // rate // 1200):
                tone = np.sin(np.arange(part * 1200, (part + 1) * 1200) / 20) * 0.3
                samples = av.AudioFrame.from_ndarray(
                    np.repeat(tone * 32767, len(track.layout.channels))[None].astype(np.int16),
                    "s16",
                    layout,
                )
                samples.sample_rate = 48_000
                samples.pts = part * 1200 + round(sound_start * 48_000)
                samples.time_base = Fraction(1, 48_000)
                file.mux(track.encode(samples))
            file.mux(track.encode(None))
        for number in range(n):
            shade = np.minimum(image // 2 + 2 * (number % 40), 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, "rgb24")
            frame.pts, frame.time_base = number + round(start * rate), Fraction(1, rate)
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
    return path


def join(path: Path, parts: Sequence[Path]) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def read(path: Path, copy: Path | None = None) -> tuple[list[float], list[NDArray], str | None]:
    """Times, the first and last picture, and the problem; annotated without faces into `copy`."""
    times, images = [], []
    with VideoReader(path) as reader:
        if copy is None:
            for frame in reader.frames():
                times.append(frame.time_s)
                images[1:] = [frame.image()]
        else:
            with annotated_copy(copy, reader, ("happy",)) as target:
                for frame in reader.frames(target.add_sound):
                    times.append(frame.time_s)
                    images[1:] = [frame.image()]
                    target.add(frame, frame.image(), ())
        return times, images, reader.problem


def evenly(n: int, rate: Fraction | int = RATE) -> list[float]:
    return [pytest.approx(number / rate, abs=0.002) for number in range(n)]


def streams(path: Path) -> list[tuple[str, float, float, int]]:
    """Of each stream: type, where it starts and how long it is (seconds), and its packets."""
    with av.open(str(path)) as file:
        counts = dict.fromkeys(range(len(file.streams)), 0)
        for packet in file.demux():
            counts[packet.stream.index] += bool(packet.size)
        return [
            (s.type, float(s.start_time * s.time_base), float(s.duration * s.time_base), counts[i])
            for i, s in enumerate(file.streams)
        ]


def apart(one: NDArray, other: NDArray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


# --- clocks ----------------------------------------------------------------------------------


@table("starts", [(0, 0), (0, 0, 0, 0), (0, 3600), (7200, 5), (0, 20, 3)])
@table(("name", "shape"), [("c.m2ts", "mpegts"), ("c.vob", "vob")])
def test_joined_recordings_go_on_over_their_seams(tmp_path, starts, name, shape) -> None:
    sound = ["mp2"]
    codec = "mpeg2video" if shape == "vob" else "libx264"
    parts = [
        write(
            tmp_path / f"{i}.{shape}",
            codec=codec,
            sound=sound,
            start=start,
            sound_start=start,
            rate=25,
            n=50,
            shape=shape,
        )
        for i, start in enumerate(starts)
    ]
    clip, copy = join(tmp_path / name, parts), tmp_path / "copy.mp4"
    times, _, problem = read(clip, copy)
    n = 50 * len(parts)
    assert problem is None
    assert len(times) == n
    assert times[0] == pytest.approx(0, abs=0.1)
    assert np.diff(times).min() > 0
    assert times[-1] == pytest.approx((n - 1) / 25, abs=0.2)
    assert times == read(clip)[0]
    pictures, tone = streams(copy)
    packets = sum(streams(part)[1][3] for part in parts)
    assert (pictures[0], pictures[3], tone[3]) == ("video", n, packets)
    assert pictures[2] == pytest.approx(n / 25, abs=0.2)
    assert tone[2] == pytest.approx(n / 25, abs=0.3)


@table("starts", [(0, 0, 0), (0, 500, 20)])
def test_sound_may_begin_in_a_later_part_and_change_its_kind(tmp_path, starts) -> None:
    kinds = ([], "mono"), (["aac"], "mono"), (["aac"], "stereo")
    parts = [
        write(
            tmp_path / f"{i}.ts", sound=sound, layout=layout, start=start, sound_start=start, n=40
        )
        for i, (start, (sound, layout)) in enumerate(zip(starts, kinds, strict=True))
    ]
    clip, copy = join(tmp_path / "c.ts", parts), tmp_path / "copy.mp4"
    times, _, problem = read(clip, copy)
    assert (len(times), problem) == (120, None)
    _, (_, begins, length, _) = streams(copy)
    assert begins == pytest.approx(2, abs=0.1)
    assert begins + length == pytest.approx(6, abs=0.2)


def test_pictures_of_another_codec_behind_a_seam_are_called_unread(tmp_path) -> None:
    """FFmpeg goes on with the first codec, and MPEG-2's decoder passes over H.264 in silence."""
    kinds = [("mpeg2video", 25), ("libx264", 25)]
    parts = [write(tmp_path / f"{c}.ts", codec=c, rate=rate, n=50) for c, rate in kinds]
    times, _, problem = read(join(tmp_path / "c.ts", parts))
    assert len(times) >= 49
    assert problem is not None
    assert "its pictures from 2.0 to " in problem


@table("start", [0.5, 1.5, 3600.0, 95_000.0])
@table(("name", "shape"), [("c.ts", "mpegts"), ("c.mkv", None), ("c.mp4", None)])
def test_a_clock_that_does_not_begin_at_0(tmp_path, start, name, shape) -> None:
    clip = write(tmp_path / name, sound=["aac"], start=start, sound_start=start, shape=shape)
    copy = tmp_path / "copy.mp4"
    times, _, problem = read(clip, copy)
    assert (times, problem) == (evenly(40), None)
    for _, begins, length, _ in streams(copy):
        assert begins == pytest.approx(0, abs=0.05)
        assert length == pytest.approx(2, abs=0.1)


@table("name", ["c.mkv", "c.mp4", "c.ts", "c.nut"])
@table("start", [-1.0, -0.25])
def test_no_frame_is_lost_where_time_begins_before_0(tmp_path, name, start) -> None:
    clip, copy = write(tmp_path / name, start=start, n=30), tmp_path / "copy.mp4"
    with av.open(str(clip)) as file:
        n = len(list(file.decode(video=0)))
    times, _, problem = read(clip, copy)
    assert (times, problem) == (evenly(n), None)
    with av.open(str(copy)) as file:
        assert len(list(file.decode(video=0))) == n


@table(("start", "sound_start"), [(0, 0.7), (0.7, 0), (10, 11), (3, 2)])
@table("name", ["c.ts", "c.mkv", "c.mp4"])
def test_sound_keeps_its_distance_from_the_pictures(tmp_path, start, sound_start, name) -> None:
    clip = write(tmp_path / name, sound=["aac"], start=start, sound_start=sound_start)
    times, _, problem = read(clip, copy := tmp_path / "copy.mp4")
    pictures, tone = streams(copy)
    assert problem is None
    assert times[0] == pytest.approx(max(0, start - sound_start), abs=0.05)
    assert tone[1] - pictures[1] == pytest.approx(sound_start - start, abs=0.05)


def test_all_tracks_of_sound_are_kept(tmp_path) -> None:
    clip = write(tmp_path / "c.mkv", sound=["aac", "mp2", "pcm_s16le"], start=2, sound_start=2)
    copy = tmp_path / "copy.mp4"
    assert read(clip, copy)[2] is None
    kinds = [(kind, round(length, 1)) for kind, _, length, _ in streams(copy)]
    assert kinds == [("video", 2.0), *[("audio", 2.0)] * 3]


@pytest.mark.parametrize(("codec", "name"), [("libopus", "copy.mov"), ("flac", "copy.mov")])
def test_sound_that_the_copy_only_seems_to_take_is_encoded(tmp_path, codec, name) -> None:
    """As TrueHD in an MP4: the format knows it, and refuses it when the file is begun."""
    clip = write(tmp_path / "c.mkv", sound=[codec, "aac"], start=1, sound_start=1.5)
    copy = tmp_path / name
    assert read(clip, copy)[2] is None
    with av.open(str(copy)) as file:
        assert [s.codec_context.name for s in file.streams.audio] == ["aac", "aac"]
    _, encoded, kept = streams(copy)
    assert encoded[1:3] == pytest.approx((0.5, 2.0), abs=0.06)
    assert kept[1:3] == pytest.approx((0.5, 2.0), abs=0.06)


# --- what is seen ----------------------------------------------------------------------------


@table("kind", MATRICES)
def test_every_display_matrix_is_shown_as_by_ffmpeg(tmp_path, kind) -> None:
    matrix, shown = MATRICES[kind]
    clip, copy = write(tmp_path / "c.mp4", matrix=matrix, n=3), tmp_path / "copy.mp4"
    _, images, _ = read(clip, copy)
    with av.open(str(clip)) as file:
        stored = next(file.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(images[0], shown(stored))
    with av.open(str(copy)) as file:
        frame = next(file.decode(video=0))
        assert frame.side_data.get(Type.DISPLAYMATRIX) is None
        assert apart(frame.to_ndarray(format="rgb24"), images[0]) < 3


@table(
    ("pixels", "size"),
    [
        (Fraction(2), (240, 320)),
        (Fraction(1, 2), (240, 80)),
        (Fraction(16, 11), (240, 233)),
        (Fraction(8, 9), (240, 142)),
        (Fraction(1), (240, 160)),
    ],
)
@table("name", ["c.mp4", "c.mkv", "c.ts"])
def test_pixels_that_are_not_square_are_seen_as_players_show_them(
    tmp_path, pixels, size, name
) -> None:
    narrow = np.ascontiguousarray(SAMPLE[:, ::2])
    clip, copy = write(tmp_path / name, pixels=pixels, image=narrow, n=3), tmp_path / "copy.mp4"
    _, images, _ = read(clip, copy)
    assert images[0].shape[:2] == size
    if pixels == 2:
        assert apart(images[0], SAMPLE // 2) < 8
    with av.open(str(copy)) as file:
        pictures = file.streams.video[0]
        assert (pictures.height, pictures.width) == (240, size[1] + size[1] % 2)
        assert pictures.sample_aspect_ratio in (None, 0, 1)


def test_wide_pixels_of_a_turned_phone(tmp_path) -> None:
    """Pixels are made square before the picture is turned."""
    matrix, shown = MATRICES["quarter clockwise"]
    narrow = np.ascontiguousarray(SAMPLE[:, ::2])
    clip = write(tmp_path / "c.mp4", pixels=Fraction(2), matrix=matrix, image=narrow, n=2)
    assert apart(read(clip)[1][0], shown(SAMPLE // 2)) < 8


# --- containers ------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
def test_frames_of_an_avi_have_their_times_in_order(tmp_path, codec) -> None:
    if codec == "mjpeg":
        clip = tmp_path / "c.avi"
        with av.open(str(clip), "w") as file:
            stream = file.add_stream("mjpeg", rate=RATE, options={"strict": "-1"})
            stream.height, stream.width, stream.pix_fmt = 240, 320, "yuvj420p"
            for _ in range(40):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(SAMPLE, "rgb24")))
            file.mux(stream.encode(None))
    else:
        clip = write(tmp_path / "c.avi", codec=codec)
    assert read(clip)[::2] == (evenly(40), None)


@table("rate", [Fraction(1, 5), Fraction(1, 2), 1, RATE])
@table(
    ("name", "codec", "sound"),
    [
        ("c.flv", "flv", []),
        ("c.flv", "libx264", []),
        ("c.mpg", "mpeg1video", ["mp2"]),
        ("c.mpg", "libx264", ["mp2"]),
        ("c.mkv", "libx264", ["aac"]),
        ("c.wmv", "wmv2", []),
        ("c.ts", "libx264", ["aac"]),
        ("c.avi", "mpeg4", ["mp2"]),
    ],
)
def test_whole_files_are_not_called_cut_short(tmp_path, rate, name, codec, sound) -> None:
    if codec == "mpeg1video":
        rate = 25
    clip = write(tmp_path / name, codec=codec, sound=sound, rate=rate, n=12)
    times, _, problem = read(clip)
    assert problem is None
    assert times[0] < 0.03  # of slow pictures Matroska gives no start: the sound's counts
    assert [time - times[0] for time in times] == evenly(12, rate)


def test_of_two_streams_of_pictures_the_default_is_seen(tmp_path) -> None:
    clip = tmp_path / "c.mkv"
    with av.open(str(clip), "w") as file:
        streams = [file.add_stream("ffv1", rate=RATE) for _ in range(2)]
        streams[0].disposition, streams[1].disposition = 0, Disposition.default
        for stream, image in zip(streams, (SAMPLE[::2, ::2], SAMPLE), strict=True):
            stream.height, stream.width = image.shape[:2]
            stream.pix_fmt = "bgr0"
        for stream, image in zip(streams, (SAMPLE[::2, ::2], SAMPLE), strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    assert apart(read(clip)[1][0], SAMPLE) < 1


@table("n_parts", [1, 3])
def test_frames_that_theora_repeats_are_shown_again(tmp_path, n_parts) -> None:
    """Four of a part's five packets have no bytes: the picture stays. Headers are no frames."""
    part = Path(__file__).with_name("repeated_frames.ogv")
    times, _, problem = read(join(tmp_path / "c.ogv", [part] * n_parts))
    assert problem is None
    assert times == evenly(5 * n_parts, 4)


@table(
    ("name", "codec", "n_read"),
    [
        *((f"c.{kind}", "libx264", 40) for kind in ("mp4", "mov", "flv")),
        *((f"c.{kind}", "mpeg4", 40) for kind in ("3gp", "wmv", "asf")),
        *((f"c.{kind}", "mpeg4", 80) for kind in ("avi", "mkv")),
    ],
)
def test_joined_files_are_read_whole_or_the_unread_part_is_named(
    tmp_path, name, codec, n_read
) -> None:
    part = write(tmp_path / f"part.{name[2:]}", codec=codec, rate=RATE)
    clip = join(tmp_path / name, [part, part])
    times, _, problem = read(clip)
    assert times == evenly(n_read)
    if n_read == 80:
        assert problem is None
    else:
        size = part.stat().st_size
        assert f"another recording from byte {size} on" in str(problem)
        assert "the first ends at 2.0 s" in str(problem)


@pytest.mark.parametrize(
    ("name", "codec", "shape"),
    [
        ("c.m2v", "mpeg2video", "mpeg2video"),
        ("c.m4v", "mpeg4", "m4v"),
        ("c.h264", "libx264", "h264"),
    ],
)
def test_pictures_without_a_container_begin_at_0(tmp_path, name, codec, shape) -> None:
    times, _, problem = read(write(tmp_path / name, codec=codec, shape=shape))
    assert problem is None
    assert times == evenly(40)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("c.flv", "flv"), ("c.mkv", "libx264"), ("c.avi", "mpeg4"), ("c.wmv", "wmv2")],
)
def test_files_that_end_in_the_middle_are_called_cut_short(tmp_path, name, codec) -> None:
    clip = write(tmp_path / name, codec=codec, n=80)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    times, _, problem = read(clip)
    assert problem is not None and problem.startswith(f"{clip} is ")
    assert f"{len(times)} frames could" in problem
    assert 5 < len(times) < 80
    assert times[:6] == evenly(6)


def test_a_damaged_webm_that_ends_without_a_word_is_called_damaged(tmp_path) -> None:
    clip = write(tmp_path / "c.webm", codec="libvpx", n=60)
    data = bytearray(clip.read_bytes())
    at = 7 * len(data) // 10
    data[at : at + 3000] = bytes(3000)  # whole blocks, their headers too
    clip.write_bytes(data)
    times, _, problem = read(clip)
    assert 5 < len(times) < 50
    assert problem is not None and f"is damaged: nothing behind {times[-1] + 0.05:.1f} s" in problem


def test_a_wrong_duration_in_the_header_does_not_make_a_file_cut_short(tmp_path) -> None:
    clip = write(tmp_path / "c.flv", codec="flv")
    data = bytearray(clip.read_bytes())
    at = data.index(b"duration") + len(b"duration\0")
    data[at : at + 8] = np.array(60.0, ">f8").tobytes()
    clip.write_bytes(data)
    assert read(clip)[::2] == (evenly(40), None)
