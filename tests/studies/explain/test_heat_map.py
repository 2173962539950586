"""Heat maps: for every model, about the right place, and without a trace on the model."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from table_fixtures import table
from test_models import EVERY, small
from torch import Tensor, nn

from fer_bench.backends.select import open_backend
from fer_bench.emotions import FER2013
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.ensemble import EnsembleMember, make_ensemble
from fer_bench.studies.explain.heat_map import OPACITY, explain, method_of, overlay_heat
from fer_bench.types import InputSpec, Provenance

SIDE = 32


def classifier_of(model: Classifier) -> FaceClassifier:
    return FaceClassifier(name="m", model=model, backend=open_backend("torch-fp32", model))


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def hand_made(backbone: nn.Module, head: nn.Module) -> FaceClassifier:
    """A classifier of two emotions on gray faces of 32 px."""
    model = Classifier(
        backbone=backbone,
        head=head,
        feature_size=1,
        input_spec=InputSpec(size=SIDE, channels=1, mean=(0.0,), std=(1.0,)),
        request=ModelRequest(name="hand-made", emotions=("happy", "sad")),
        provenance=Provenance(architecture="hand-made"),
    )
    return classifier_of(model.eval())


class Quadrant(nn.Module):
    """Bright pixels of one quadrant of a map: `(B, C, H, W)` to `(B, 1)`."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.place = (..., rows, columns)

    def forward(self, x: Tensor) -> Tensor:
        return x[self.place].mean((1, 2, 3)).unsqueeze(1)


UPPER, LOWER = slice(0, SIDE // 2), slice(SIDE // 2, SIDE)


def sees(rows: slice, columns: slice) -> FaceClassifier:
    """`happy` is the brightness of one quadrant, `sad` is minus that."""
    convolution = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    head = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        convolution.weight.fill_(1 / 9)
        head.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    return hand_made(nn.Sequential(convolution, Quadrant(rows, columns)), head)


class OneToken(nn.Module):
    """A transformer's block: the class token reads one place of the image only."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 8, stride=8)
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.LayerNorm(16)
        self.token = place + 1

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1)
        return self.norm2(tokens[:, 0] + self.norm1(tokens)[:, self.token])


@table("name", EVERY)
@table("shape", [(40, 30), (20, 50, 3)])
def test_every_model_is_explained_at_the_size_of_the_face(
    name: str, shape: tuple[int, ...]
) -> None:
    classifier = classifier_of(small(name))
    heats = [explain(classifier, noise(*shape), emotion) for emotion in FER2013[::3]]
    for heat in heats:
        assert (heat.dtype, heat.shape) == (np.float32, shape[:2])
        assert heat.min() >= 0
        assert heat.max() <= 1
    # Not a blank for each, and another one for another emotion.
    assert max(heat.max() - heat.min() for heat in heats) > 0.5
    assert len({heat.tobytes() for heat in heats}) > 1


@table(
    ("name", "method"),
    [
        ("resnet18", "the last convolutions, 6 x 6 places, sharpened by 24 x 24"),
        ("vgg16", "the last convolutions, 6 x 6 places, sharpened by 24 x 24"),
        ("densenet121", "the last convolutions, 6 x 6 places, sharpened by 24 x 24"),
        ("vit_b_16", "the last tokens, 4 x 4 places"),
        ("clip_vit_b_32", "the last tokens, 4 x 4 places"),
        ("expressio", "the last convolutions, 12 x 12 places, sharpened by 24 x 24"),
        ("emotionlens", "the last convolutions, 8 x 8 places, sharpened by 32 x 32"),
        ("keras_cnn", "the last convolutions, 8 x 8 places, sharpened by 44 x 44"),
        ("compact_resnet", "the last convolutions, 6 x 6 places, sharpened by 24 x 24"),
        ("timm:test_resnet", "the last convolutions, 8 x 8 places, sharpened by 16 x 16"),
        ("timm:test_vit", "the last tokens, 2 x 2 places"),
    ],
)
def test_the_method_is_told(name: str, method: str) -> None:
    assert method_of(classifier_of(small(name))) == f"Grad-CAM (HiResCAM) on {method}"


@table("name", EVERY)
@table("mode", ["full", "frozen"])
def test_the_model_stays_as_it_was(name: str, mode: str) -> None:
    model = small(name, mode=mode)
    trained = next(p for p in model.parameters() if p.requires_grad)
    trained.grad = torch.ones_like(trained)
    tensors = {k: v.clone() for k, v in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    explain(classifier_of(model), noise(40, 40), "happy")
    method_of(classifier_of(model))
    assert all(torch.equal(v, tensors[k]) for k, v in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert [p.grad is not None for p in model.parameters()].count(True) == 1
    assert torch.equal(trained.grad, torch.ones_like(trained))
    assert not any(m.training or m._forward_hooks or m._backward_hooks for m in model.modules())


@pytest.mark.parametrize("rows", [UPPER, LOWER])
@pytest.mark.parametrize("columns", [UPPER, LOWER])
def test_the_heat_lies_where_the_answer_comes_from(rows: slice, columns: slice) -> None:
    """Every quadrant is as bright, and bright places speak for `happy`."""
    heat = explain(sees(rows, columns), np.full((SIDE, SIDE), 200, np.uint8), "happy")
    assert heat[rows, columns].sum() > 0.99 * heat.sum() > 0


@pytest.mark.parametrize("place", [0, 3, 9, 15])
def test_the_heat_of_a_transformer_lies_on_the_token_that_was_read(place: int) -> None:
    torch.manual_seed(0)
    classifier = hand_made(OneToken(place), nn.Linear(16, 2))
    heat = explain(classifier, noise(64, 128), classifier.emotions[0])
    if heat.max() == 0:  # the place speaks against the one emotion, so for the other
        heat = explain(classifier, noise(64, 128), classifier.emotions[1])
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (row // 16, column // 32) == (place // 4, place % 4)


def test_a_place_of_the_face_keeps_its_place_in_an_oblong_crop() -> None:
    """The model's square input is squeezed back to the crop's own shape."""
    face = np.zeros((60, 120), np.uint8)
    face[5:15, 100:110] = 255
    heat = explain(sees(slice(None), slice(None)), face, "happy")
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert 5 <= row < 15
    assert 100 <= column < 110


def test_the_heat_stands_where_a_convolution_without_padding_looked() -> None:
    """The last of its 24 x 24 places looks at the 9 x 9 pixels about pixel 27."""
    convolution = nn.Conv2d(1, 1, 9, bias=False)
    head = nn.Linear(1, 2)
    nn.init.ones_(convolution.weight)
    nn.init.ones_(head.weight)
    corner = Quadrant(slice(-1, None), slice(-1, None))
    heat = explain(hand_made(nn.Sequential(convolution, corner), head), noise(SIDE, SIDE))
    assert np.argwhere(heat > 0.5).tolist() == [[27, 27]]


def test_a_coarse_map_is_sharpened_to_what_occlusion_finds() -> None:
    """Its last map has 8 x 8 places; a bright square of 4 px speaks for `happy`, over four."""
    fine, coarse = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
    head = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        fine.weight.fill_(1 / 9)
        coarse.weight.fill_(1)
        head.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    everywhere = Quadrant(slice(None), slice(None))
    network = nn.Sequential(fine, nn.AvgPool2d(4), coarse, everywhere)
    classifier = hand_made(network, head)
    face = np.full((SIDE, SIDE), 10, np.uint8)
    square = (slice(14, 18), slice(6, 10))
    face[square] = 250
    heat = explain(classifier, face, "happy")
    places = [(y, x) for y in range(0, SIDE, 2) for x in range(0, SIDE, 2)]
    covered = []
    for y, x in places:
        one = face.copy()
        one[y : y + 2, x : x + 2] = 10
        covered.append(one)
    scores = classifier.probabilities(covered)[:, 0]
    least = scores.min()
    found = [place for place, score in zip(places, scores, strict=True) if score < least + 1e-6]
    assert found == [(14, 6), (14, 8), (16, 6), (16, 8)]
    peak = np.unravel_index(heat.argmax(), heat.shape)
    assert (peak[0] - peak[0] % 2, peak[1] - peak[1] % 2) in found
    # The corner of the coarse map's four places, which alone would have 0.4 there.
    assert heat[square].min() > 5 * heat[12, 4]
    assert "8 x 8 places, sharpened by 32 x 32" in method_of(classifier)


def test_an_ensemble_looks_where_its_networks_look_each_by_its_share_of_the_answer() -> None:
    """Both are certain, so through their probabilities hardly any gradient would be left."""
    places = (UPPER, UPPER), (LOWER, LOWER)
    networks = [sees(*place).model for place in places]
    for network in networks:
        network.head.weight.data *= 60
    ensemble = make_ensemble(
        [
            EnsembleMember(model=network, weight=weight, temperature=1.0)
            for network, weight in zip(networks, (0.75, 0.25), strict=True)
        ]
    )
    classifier = classifier_of(ensemble)
    heat = explain(classifier, np.full((SIDE, SIDE), 200, np.uint8))
    assert heat.max() == 1
    assert heat[LOWER, LOWER].max() == pytest.approx(1 / 3, abs=0.01)
    assert heat[UPPER, LOWER][:-1, 1:].max() == heat[LOWER, UPPER][1:, :-1].max() == 0
    expected = "Grad-CAM (HiResCAM) on the last convolutions, 32 x 32 places; mean of 2 networks"
    assert method_of(classifier) == expected


def test_without_an_emotion_the_likeliest_is_explained() -> None:
    classifier = classifier_of(small("compact_resnet"))
    face = noise(48, 48)
    likeliest = FER2013[int(classifier.probabilities([face]).argmax())]
    np.testing.assert_array_equal(explain(classifier, face), explain(classifier, face, likeliest))


def test_an_emotion_that_nothing_speaks_for_has_no_heat() -> None:
    face = np.full((SIDE, SIDE), 200, np.uint8)
    assert not explain(sees(UPPER, UPPER), face, "sad").any()


def test_gradients_that_are_all_zero_give_no_heat_rather_than_nan() -> None:
    model = small("resnet18")
    nn.init.zeros_(model.head.weight)
    np.testing.assert_array_equal(explain(classifier_of(model), noise(30, 30)), np.zeros((30, 30)))


def test_it_works_where_gradients_are_switched_off() -> None:
    classifier = classifier_of(small("compact_resnet"))
    expected = explain(classifier, noise(48, 48))
    with torch.inference_mode():
        np.testing.assert_array_equal(explain(classifier, noise(48, 48)), expected)


def test_threads_that_use_the_same_model_do_not_disturb_it() -> None:
    """As the webcam does while the image page explains."""
    classifier = classifier_of(small("compact_resnet"))
    faces = [noise(48, 48), noise(96, 96)[::-1]]
    expected = [explain(classifier, face, "happy") for face in faces]
    found: list[NDArray[np.float32]] = []
    running = threading.Event()
    running.set()

    def classify() -> None:
        while running.is_set():
            classifier.probabilities([noise(60, 60)])

    def explain_both() -> None:
        found.extend(explain(classifier, face, "happy") for face in faces)

    busy, other = threading.Thread(target=classify), threading.Thread(target=explain_both)
    busy.start()
    other.start()
    here = [explain(classifier, face, "happy") for face in faces]
    other.join(120)
    running.clear()
    busy.join(60)
    assert not (other.is_alive() or busy.is_alive()), "a thread did not end"
    for heat, right in zip([*here, *found], [*expected, *expected], strict=True):
        np.testing.assert_allclose(heat, right, atol=1e-5)


def test_a_network_without_a_map_is_refused() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 1))
    classifier = hand_made(flat, nn.Linear(1, 2))
    for act in (lambda: explain(classifier, noise(8, 8)), lambda: method_of(classifier)):
        with pytest.raises(FerBenchError, match="cannot show where m looked: expected a network"):
            act()


def test_an_emotion_that_the_model_does_not_know_is_refused() -> None:
    with pytest.raises(FerBenchError, match="m does not know the emotion 'hapy': did you mean 'h"):
        explain(classifier_of(small("keras_cnn")), noise(48, 48), "hapy")


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(FerBenchError, match="expected an image as uint8 array"):
        explain(classifier_of(small("keras_cnn")), np.zeros((48, 48), np.float32))


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3)])
def test_the_overlay_is_the_face_where_nothing_is_hot(shape: tuple[int, ...]) -> None:
    face = noise(*shape)
    rgb = face if face.ndim == 3 else np.stack([face] * 3, -1)
    heat = np.array([[0, 1], [0, 0.5]], np.float32)
    out = overlay_heat(face, heat)
    assert (out.dtype, out.shape) == (np.uint8, (2, 2, 3))
    np.testing.assert_array_equal(out[:, 0], rgb[:, 0])
    dark_red = np.array([122, 4, 3])  # Turbo's last colour
    expected = rgb[0, 1] * (1 - OPACITY) + dark_red * OPACITY
    np.testing.assert_allclose(out[0, 1], expected, atol=1)


def test_a_heat_map_of_another_size_is_refused() -> None:
    with pytest.raises(FerBenchError, match=r"face's size \(4, 5\), got \(5, 4\)"):
        overlay_heat(noise(4, 5), np.zeros((5, 4), np.float32))
