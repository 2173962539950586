"""Videos: faces per frame, and an annotated copy that keeps frames, times and sound."""

from __future__ import annotations

import re
import resource
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from table_fixtures import table

from fer_bench.backends.select import open_backend
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.base import WholeImage
from fer_bench.inference.drawing.faces import annotate
from fer_bench.inference.files.batch import FileResult
from fer_bench.inference.files.copies import WRITTEN_VIDEOS
from fer_bench.inference.images import read_image
from fer_bench.inference.predictor import Predictor
from fer_bench.inference.video import writer
from fer_bench.inference.video.faces import predict_video
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest

CLOCK = Fraction(1, 60_000)
#: Uneven on purpose: 30 a second, then slower, then a gap.
TIMES = [0, 2000, 4000, 6000, 10000, 10400, 14000, 30000, 32000, 34000, 36000, 58000]
FACE = read_image(Path(__file__).parents[3] / "assets/samples/astronaut.jpg")[40:200, 140:300]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    model = build_model(ModelRequest(name="compact_resnet", emotions=FER2013))
    classifier = FaceClassifier(name="x", model=model, backend=open_backend("torch-fp32", model))
    return Predictor(classifier, WholeImage())


def write_clip(
    path: Path,
    *,
    times: Sequence[int] = TIMES,
    size: tuple[int, int] = (120, 160),
    sound: str | None = "aac",
    rotation: int = 0,
    faststart: bool = False,
) -> Path:
    """The sample face, brighter from frame to frame, and a tone of one second.

    size: height, width. faststart: the table of contents comes first, as on the web.
    """
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as file:
        pictures = file.add_stream("mpeg4", rate=30, bit_rate=2_000_000)
        pictures.height, pictures.width = size
        pictures.codec_context.time_base = CLOCK
        if rotation:
            pictures.set_display_rotation(rotation)
        if sound is not None:
            track = file.add_stream(sound, rate=44_100, layout="mono")
            tone = np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100) * 0.3
            samples = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), "flt", "mono")
            samples.sample_rate, samples.pts = 44_100, 0
            file.mux(track.encode(samples))
            file.mux(track.encode(None))
        for number, pts in enumerate(times):
            image = np.minimum(FACE[: size[0], : size[1]] // 2 + 8 * number, 255)
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = pts, CLOCK
            file.mux(pictures.encode(frame))
        file.mux(pictures.encode(None))
    return path


def write_tone(path: Path) -> Path:
    """Sound without pictures."""
    with av.open(str(path), "w") as file:
        track = file.add_stream("aac", rate=8000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "flt", "mono")
        samples.sample_rate = 8000
        file.mux(track.encode(samples))
        file.mux(track.encode(None))
    return path


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as file:
        return list(file.decode(video=0))


def times(path: Path) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in decoded(path)]


def sound(path: Path) -> tuple[str, list[bytes]]:
    """Codec and packets of the first track."""
    with av.open(str(path)) as file:
        track = file.streams.audio[0]
        return track.codec_context.name, [bytes(p) for p in file.demux(track) if p.size]


def apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean absolute difference of pixels."""
    return float(np.abs(one.astype(int) - other).mean())


def error_of(results: list[FileResult]) -> str:
    """The sentence of the last result; no other may have one."""
    *good, last = results
    assert [one.error for one in good] == [None] * len(good)
    assert (last.image, last.faces, last.frame) == (None, (), None)
    assert last.error is not None
    return last.error


def test_every_frame_has_its_number_its_time_and_the_faces_of_its_picture(predictor, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    results = list(predict_video(predictor, clip, batch_size=5))
    assert [one.frame for one in results] == list(range(12))
    assert [one.time_s for one in results] == [pytest.approx(t / 60_000) for t in TIMES]
    for one, frame in zip(results, decoded(clip), strict=True):
        assert (one.path, one.error) == (clip, None)
        assert np.array_equal(one.image, frame.to_ndarray(format="rgb24"))
        (alone,) = predictor.predict(one.image).faces
        (face,) = one.faces
        assert face.face == alone.face
        assert face.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_every_fifth_frame_keeps_its_number(predictor, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    assert [one.frame for one in predict_video(predictor, clip, every=5)] == [0, 5, 10]
    with pytest.raises(FerBenchError, match="expected every = 1 or more frames, got 0"):
        list(predict_video(predictor, clip, every=0))


@pytest.mark.parametrize("every", [1, 4])
def test_the_copy_keeps_frames_times_and_sound_and_shows_the_faces(predictor, tmp_path, every):
    clip, copy = write_clip(tmp_path / "clip.mp4"), tmp_path / "out" / "copy.mp4"
    results = list(predict_video(predictor, clip, every=every, batch_size=3, copy_to=copy))
    assert len(results) == len(TIMES[::every])
    assert times(copy) == times(clip) == [t * CLOCK for t in TIMES]
    assert sound(copy) == sound(clip)
    assert len(sound(copy)[1]) > 40
    with av.open(str(copy)) as file:
        assert file.streams.video[0].codec_context.name == "h264"
    for number, (before, after) in enumerate(zip(decoded(clip), decoded(copy), strict=True)):
        plain, shown = (frame.to_ndarray(format="rgb24") for frame in (before, after))
        expected = annotate(plain, results[number // every].faces, FER2013)
        assert apart(shown, expected) < 5 < apart(shown, plain)
    assert sorted(p.name for p in copy.parent.iterdir()) == ["copy.mp4"]


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_turned_phone_gives_upright_pictures_and_an_upright_copy(predictor, tmp_path, rotation):
    clip, copy = write_clip(tmp_path / "c.mp4", rotation=rotation), tmp_path / "copy.mp4"
    results = list(predict_video(predictor, clip, copy_to=copy))
    lying = decoded(clip)[0].to_ndarray(format="rgb24")
    assert np.array_equal(results[0].image, np.rot90(lying, rotation // 90))
    first = decoded(copy)[0]
    assert first.rotation == 0
    assert first.to_ndarray(format="rgb24").shape == results[0].image.shape


def test_an_odd_size_which_h264_cannot_hold_grows_by_one(predictor, tmp_path):
    clip, copy = write_clip(tmp_path / "c.mp4", size=(121, 159)), tmp_path / "copy.mp4"
    (first, *_) = predict_video(predictor, clip, copy_to=copy)
    assert first.image.shape == (121, 159, 3)
    list(predict_video(predictor, clip, copy_to=copy))
    assert (decoded(copy)[0].height, decoded(copy)[0].width) == (122, 160)


def test_without_libx264_the_copy_is_mpeg4_with_the_same_times(predictor, tmp_path, monkeypatch):
    monkeypatch.delitem(writer.ENCODERS, "libx264")
    clip, copy = write_clip(tmp_path / "clip.mp4"), tmp_path / "copy.mp4"
    list(predict_video(predictor, clip, copy_to=copy))
    with av.open(str(copy)) as file:
        assert file.streams.video[0].codec_context.name == "mpeg4"
    assert times(copy) == times(clip)


@pytest.mark.parametrize(("name", "codec"), [("c.avi", "pcm_mulaw"), ("c.mkv", "tta")])
def test_sound_that_the_copy_cannot_hold_becomes_aac(predictor, tmp_path, name, codec):
    clip, copy = write_clip(tmp_path / name, sound=codec), tmp_path / "copy.mp4"
    list(predict_video(predictor, clip, copy_to=copy))
    assert sound(clip)[0] == codec
    assert sound(copy)[0] == "aac"
    with av.open(str(copy)) as file:
        samples = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    assert len(samples) == pytest.approx(44_100, rel=0.15)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("suffix", WRITTEN_VIDEOS)
def test_every_name_that_a_copy_may_have_holds_pictures_times_and_sound(
    predictor, tmp_path, suffix
):
    clip, copy = write_clip(tmp_path / "clip.mp4"), tmp_path / f"copy{suffix}"
    list(predict_video(predictor, clip, every=6, copy_to=copy))
    assert times(copy) == times(clip)
    assert sound(copy) == sound(clip)


def test_a_video_without_sound_has_a_copy_without(predictor, tmp_path):
    clip, copy = write_clip(tmp_path / "clip.mp4", sound=None), tmp_path / "copy.mp4"
    list(predict_video(predictor, clip, copy_to=copy))
    with av.open(str(copy)) as file:
        assert [stream.type for stream in file.streams] == ["video"]


@table(
    ("make", "sentence"),
    [
        (write_tone, "has no video stream that can be read: expected a file with moving pictures"),
        (
            lambda at: write_clip(at.with_suffix(".mkv"), times=[]).replace(at),
            "has no frame that can be read",
        ),
        (lambda at: at.write_bytes(b""), "is empty: expected a video"),
        (lambda at: at.write_text("no video\n" * 99), "is text by its content: expected"),
        (lambda at: at.write_bytes(write_clip(at).read_bytes()[:9000]), "cannot be opened"),
        (lambda at: at.mkdir(), "cannot be opened as a video"),
        (lambda at: None, "cannot be opened as a video"),
    ],
    ids=["sound only", "no frame", "empty", "text", "no contents", "folder", "missing"],
)
def test_what_is_no_video_is_one_result_with_its_error(predictor, tmp_path, make, sentence):
    clip = tmp_path / "clip.mp4"
    make(clip)
    copy = tmp_path / "out" / "copy.mp4"
    (only,) = predict_video(predictor, clip, copy_to=copy)
    assert error_of([only]).startswith(f"{clip} {sentence}")
    assert not copy.exists()


def test_a_name_that_no_file_can_have_is_one_result_with_its_error(predictor):
    (only,) = predict_video(predictor, Path("x" * 300))
    assert error_of([only]).endswith(
        "cannot be opened as a video (File name too long): check the path"
    )


def test_a_name_or_a_playlist_does_not_reach_the_network(predictor, tmp_path, monkeypatch):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    assert "is text by its content" in error_of(list(predict_video(predictor, playlist)))
    monkeypatch.chdir(tmp_path)
    clip = write_clip(tmp_path / "pipe:0.mp4")
    assert len(list(predict_video(predictor, Path(clip.name)))) == 12


def test_a_video_cut_short_keeps_what_was_read_and_says_so(predictor, tmp_path):
    whole = write_clip(tmp_path / "whole.mp4", sound=None, faststart=True).read_bytes()
    clip, copy = tmp_path / "cut.mp4", tmp_path / "copy.mp4"
    clip.write_bytes(whole[: len(whole) // 2])
    results = list(predict_video(predictor, clip, copy_to=copy))
    sentence = error_of(results)
    assert sentence.startswith(f"{clip} is ")
    assert f"{len(results) - 1} frames could" in sentence
    assert 2 <= len(results) - 1 < 12
    assert times(copy) == [t * CLOCK for t in TIMES[: len(results) - 1]]


def test_a_video_damaged_in_the_middle_goes_on_behind_it(predictor, tmp_path):
    clip, copy = write_clip(tmp_path / "clip.mp4", sound=None), tmp_path / "copy.mp4"
    with av.open(str(clip)) as file:
        packets = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    data = bytearray(clip.read_bytes())
    start, size = packets[5]
    data[start : start + size] = bytes(size)
    clip.write_bytes(data)
    results = list(predict_video(predictor, clip, copy_to=copy))
    assert "is damaged: 1 parts of it could not be read" in error_of(results)
    assert results[-2].time_s == pytest.approx(TIMES[-1] / 60_000)
    assert len(times(copy)) == len(results) - 1 == 11


def test_a_consumer_that_leaves_early_leaves_no_file(predictor, tmp_path):
    clip, out = write_clip(tmp_path / "clip.mp4"), tmp_path / "out"
    results = predict_video(predictor, clip, batch_size=2, copy_to=out / "copy.mp4")
    for _ in range(6):
        next(results)
    assert [p.suffix for p in out.iterdir()] == [".mp4"]
    results.close()
    assert list(out.iterdir()) == []


def test_a_disk_that_fills_up_is_one_sentence_and_leaves_no_file(predictor, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    monkeypatch.setitem(write_clip.__globals__, "FACE", noise)
    clip = write_clip(tmp_path / "clip.mp4", times=range(0, 62_000, 2000), size=(240, 320))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    try:
        results = list(predict_video(predictor, clip, copy_to=tmp_path / "copy.mp4"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(results) == 31 + 1
    assert re.match(r"cannot write .*copy.mp4: File too large: free some", error_of(results))
    assert results[-1].unwritten
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_copy_that_cannot_be_written_is_one_sentence(predictor, tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    (tmp_path / "file").write_text("in the way")
    results = list(predict_video(predictor, clip, copy_to=tmp_path / "file" / "copy.mp4"))
    assert len(results) == 12 + 1
    assert re.match(r"cannot write .*copy.mp4: .*choose another", error_of(results))
    assert results[-1].unwritten
