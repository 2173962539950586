"""Faces to model input: Pillow's own resize and colour rules, to one shade in 255."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from table_fixtures import table

from fer_bench.data.preprocess import normalise, resize, to_input, to_unit
from fer_bench.errors import FerBenchError
from fer_bench.types import InputSpec, Interpolation

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
SHADE = 1.001 / 255


def plain(size: int, channels: int, interpolation: Interpolation = "bilinear") -> InputSpec:
    """A spec that leaves pixels in [0, 1]."""
    return InputSpec(
        size=size,
        channels=channels,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        interpolation=interpolation,
    )


def random_faces(size: int, *, colour: bool, n: int = 3) -> NDArray[np.uint8]:
    """Noise, the hardest case for a resize."""
    shape = (n, size, size, 3) if colour else (n, size, size)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def by_pillow(image: NDArray[np.uint8], size: int, interpolation: str) -> torch.Tensor:
    """`(C, size, size)` in [0, 1]."""
    resized = np.asarray(Image.fromarray(image).resize((size, size), PILLOW[interpolation]))
    return torch.tensor(resized.reshape(size, size, -1)).permute(2, 0, 1) / 255


@table(("source", "target"), [(48, 64), (48, 224), (96, 48), (48, 48)])
@table("colour", [False, True], ids=["gray", "rgb"])
def test_resize_is_pillows_to_one_shade(source: int, target: int, colour: bool) -> None:
    faces = random_faces(source, colour=colour)
    expected = torch.stack([by_pillow(f, target, "bilinear") for f in faces])
    got = to_input(faces, plain(target, 3))
    assert got.shape == (3, 3, target, target)
    assert float((got - expected).abs().max()) <= SHADE


@pytest.mark.parametrize(("source", "target"), [(48, 64), (48, 224), (96, 48)])
def test_bicubic_is_pillows_to_one_shade(source: int, target: int) -> None:
    faces = random_faces(source, colour=False)
    expected = torch.stack([by_pillow(f, target, "bicubic") for f in faces])
    got = to_input(faces, plain(target, 1, "bicubic"))
    assert float((got - expected).abs().max()) <= SHADE


def test_bicubic_overshoots_are_clipped() -> None:
    got = to_input(random_faces(48, colour=False), plain(64, 1, "bicubic"))
    assert (float(got.min()), float(got.max())) == (0.0, 1.0)


def test_a_gray_face_equals_the_same_face_repeated_as_rgb() -> None:
    faces = random_faces(48, colour=False)
    spec = InputSpec(size=64, channels=3, mean=MEAN, std=STD)
    as_rgb = np.repeat(faces[..., None], 3, axis=-1)
    assert torch.allclose(to_input(faces, spec), to_input(as_rgb, spec), atol=1e-5)


def test_a_colour_face_becomes_gray_by_pillows_luma() -> None:
    faces = random_faces(32, colour=True)
    luma = np.stack([np.asarray(Image.fromarray(f).convert("L")) for f in faces])
    got = to_unit(faces, channels=1)
    assert got.shape == (3, 1, 32, 32)
    assert float((got[:, 0] - torch.tensor(luma) / 255).abs().max()) <= SHADE


def test_normalising_is_mean_and_std_per_channel() -> None:
    face = np.full((1, 4, 4, 3), (255, 0, 51), dtype=np.uint8)
    got = to_input(face, InputSpec(size=4, channels=3, mean=MEAN, std=STD))[0, :, 0, 0]
    assert got.tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225], abs=1e-5
    )


def test_to_input_is_its_three_steps() -> None:
    faces = random_faces(48, colour=True)
    spec = InputSpec(size=64, channels=1, mean=(0.5,), std=(0.25,))
    steps = normalise(resize(to_unit(faces, 1), spec), spec)
    assert torch.equal(to_input(faces, spec), steps)


def test_the_result_can_be_written_into_a_buffer() -> None:
    faces = random_faces(48, colour=False)
    spec = InputSpec(size=64, channels=3, mean=MEAN, std=STD)
    buffer = torch.empty(8, 3, 64, 64)
    got = to_input(faces, spec, buffer[:3])
    assert got.data_ptr() == buffer.data_ptr()
    assert torch.equal(buffer[:3], to_input(faces, spec))


def test_numpy_and_tensor_faces_give_the_same_input_and_stay_as_they_were() -> None:
    faces = random_faces(48, colour=False)
    before = faces.copy()
    spec = plain(48, 3)
    assert torch.equal(to_input(faces, spec), to_input(torch.tensor(faces), spec))
    assert np.array_equal(faces, before)


@pytest.mark.filterwarnings("error")
def test_read_only_faces_from_a_memory_map_are_taken_without_a_warning() -> None:
    faces = random_faces(48, colour=False)
    faces.flags.writeable = False
    assert to_input(faces, plain(48, 1)).shape == (3, 1, 48, 48)


@table(
    ("faces", "came"),
    [
        (np.ones((2, 48, 48), np.float32), r"float32 of shape \(2, 48, 48\)"),
        (torch.ones(2, 3, 48, 48, dtype=torch.uint8), r"uint8 of shape \(2, 3, 48, 48\)"),
        (np.ones((2, 48, 48, 4), np.uint8), r"uint8 of shape \(2, 48, 48, 4\)"),
    ],
    ids=["shares of white", "channels first", "with alpha"],
)
def test_what_are_no_faces_is_refused(faces: NDArray[np.uint8], came: str) -> None:
    with pytest.raises(FerBenchError, match=rf"expected uint8 images .*, got .*{came}: convert"):
        to_input(faces, plain(48, 3))


def test_gradients_flow_back_to_the_pixels() -> None:
    spec = InputSpec(size=64, channels=3, mean=MEAN, std=STD)
    pixels = torch.rand(1, 1, 48, 48, requires_grad=True)
    normalise(resize(pixels, spec), spec).sum().backward()
    assert pixels.grad is not None
    assert float(pixels.grad.min()) > 0
