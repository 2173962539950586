"""Where on a face a classifier looked: a heat map, by gradients, for any CNN or transformer.

The map is that of a late layer, which knows most, sharpened by an earlier one's, which knows better
where: the square root of their product, so that both have to agree. Each is HiResCAM's (Draelos and
Carin 2020, arXiv 2011.08891): Grad-CAM (Selvaraju et al. 2016, arXiv 1610.02391) that keeps the
gradient of every place instead of its mean over the image. Where the map is averaged before a
linear head the two are equal; where positions differ, as by keras_cnn's flattened map or a
transformer's attention, Grad-CAM also lights up places that the answer does not depend on.

An ensemble's map is the mean of its networks' own, weighted by what each adds to the answer: where
a network is certain, no gradient is left through its probabilities.
"""

from __future__ import annotations

import copy

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_bench.data.preprocess import to_input
from fer_bench.errors import FerBenchError, suggest
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.images import check_image
from fer_bench.models.classifier import Classifier
from fer_bench.studies.explain.layer_maps import find_maps, is_token_norm, tokens_to_map

#: Both maps are blurred by a pixel of a face of this side before they are multiplied.
SOFTENED = 48
#: How much of the colour map covers the face where the heat is 1.
OPACITY = 0.65


def explain(
    classifier: FaceClassifier, crop: NDArray[np.uint8], emotion: str | None = None
) -> NDArray[np.float32]:
    """How much each place of a face speaks for an emotion.

    May run alongside other threads that use the same classifier: it works on a twin of the network
    that shares its weights, always in fp32, whatever the back end.

    Args:
        crop: a face as the classifier takes it, uint8 `(H, W)` gray or `(H, W, 3)` RGB.
        emotion: one of the classifier's; None takes the likeliest.

    Returns:
        float32 `(H, W)` in [0, 1]: 1 at the place that speaks most for it, 0 where nothing does.
        All zero where no place does.

    Raises:
        FerBenchError: an array that is no image, an emotion that the classifier does not know, or
            a network without any map of the image.
    """
    check_image(crop)
    index = None if emotion is None else _index(classifier, emotion)
    with torch.inference_mode(False), torch.enable_grad():
        return _explained(_twin(classifier.model), crop, index, classifier.name)


def _explained(
    model: Classifier, crop: NDArray[np.uint8], emotion: int | None, name: str
) -> NDArray[np.float32]:
    """As `explain`, of a model that nobody else uses."""
    # Gradients flow from the pixels, so that frozen weights are explained as well.
    x = to_input(crop[None], model.input_spec).requires_grad_()
    if emotion is None:
        emotion = int(model(x).argmax())
    if members := _members(model):
        shares = _shares(model, x, emotion)
        heat = sum(
            share * _explained(member, crop, emotion, name)
            for member, share in zip(members, shares, strict=True)
        )
        return np.asarray(heat / max(np.max(heat), 1e-7), np.float32)
    height, width = crop.shape[:2]
    heats = []
    for layer_map in find_maps(model, x, name):
        heat = _hirescam(model, layer_map.layer, x, emotion)
        resized = cv2.resize(_inset(heat, layer_map.margin), (width, height))
        heats.append(np.asarray(np.clip(resized, 0, 1), np.float32))
    return _sharpened(*heats)


def _hirescam(model: Classifier, layer: nn.Module, x: Tensor, emotion: int) -> NDArray[np.float32]:
    """What each place of a layer's map adds to an emotion's logit: as large as `x`, in [0, 1].

    The sum over channels of activation times gradient; what speaks against the emotion is 0.
    """
    as_map = tokens_to_map if is_token_norm(layer) else Tensor.clone
    maps: list[Tensor] = []
    gradients: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # A copy, for an in-place activation that follows would write into the map.
        maps.append(as_map(output).detach())
        output.register_hook(lambda g: gradients.append(as_map(g)))  # type: ignore[no-untyped-call]

    handle = layer.register_forward_hook(note)
    torch.autograd.grad(model(x)[0, emotion], x)
    handle.remove()
    heat = np.maximum((gradients[-1] * maps[0])[0].numpy().sum(0), 0)
    return _stretched(cv2.resize(_stretched(heat), (x.shape[-1], x.shape[-2])))


def _stretched(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """From 0 to 1."""
    heat = heat - heat.min()
    return np.asarray(heat / (1e-7 + heat.max()), np.float32)


def _sharpened(
    late: NDArray[np.float32], early: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The late map where the early one agrees; alone where there is none, or none that does."""
    if early is None:
        return late
    sigma = max(late.shape) / SOFTENED
    both = np.sqrt(cv2.GaussianBlur(late, (0, 0), sigma) * cv2.GaussianBlur(early, (0, 0), sigma))
    top = float(both.max())
    return np.asarray(both / top, np.float32) if top > 0 else late


def _members(model: Classifier) -> list[Classifier]:
    """An ensemble's networks in order; none of a network that answers alone."""
    members: list[Classifier] = []
    inner: set[int] = set()
    for module in model.backbone.modules():  # outer ones come before what is in them
        if isinstance(module, Classifier) and id(module) not in inner:
            members.append(module)
            inner.update(map(id, module.modules()))
    return members


def _shares(model: Classifier, x: Tensor, emotion: int) -> list[float]:
    """How much of an ensemble's probability of an emotion comes from each network."""
    probabilities = model.features(x).detach().requires_grad_()  # (1, M, C)
    (gradient,) = torch.autograd.grad(model.head(probabilities)[0, emotion], probabilities)
    shares: list[float] = (gradient * probabilities).sum((0, 2)).tolist()
    return shares


def method_of(classifier: FaceClassifier) -> str:
    """How `explain` looks into this classifier, in words for the page.

    Raises:
        FerBenchError: a network without any map of the image.
    """
    parts = _parts(_twin(classifier.model), classifier.name)
    words = f"Grad-CAM (HiResCAM) on {' and on '.join(dict.fromkeys(parts))}"
    return f"{words}; mean of {len(parts)} networks" if len(parts) > 1 else words


def _parts(model: Classifier, name: str) -> list[str]:
    """Where each network of a model, or the only one, is looked into."""
    if members := _members(model):
        return [part for member in members for part in _parts(member, name)]
    spec = model.input_spec
    late, *early = find_maps(model, torch.zeros(1, spec.channels, spec.size, spec.size), name)
    part = "the last tokens" if is_token_norm(late.layer) else "the last convolutions"
    sharp = "".join(f", sharpened by {one.side} x {one.side}" for one in early)
    return [f"{part}, {late.side} x {late.side} places{sharp}"]


def overlay_heat(crop: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A face under its heat map; where there is no heat, it is the face.

    Args:
        crop: uint8 `(H, W)` gray or `(H, W, 3)` RGB.
        heat: float32 `(H, W)` in [0, 1], as `explain` gives.

    Returns:
        uint8 `(H, W, 3)` RGB.

    Raises:
        FerBenchError: an array that is no image, or a heat map of another size.
    """
    check_image(crop)
    if heat.shape != crop.shape[:2]:
        raise FerBenchError(
            f"expected a heat map of the face's size {crop.shape[:2]}, got {heat.shape}: "
            "take the one that explain gives for this face"
        )
    face = cv2.cvtColor(crop, cv2.COLOR_GRAY2RGB) if crop.ndim == 2 else crop
    levels = np.rint(heat * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    alpha = OPACITY * heat[..., None]
    return np.asarray(np.rint(face * (1 - alpha) + colours * alpha), np.uint8)


def _index(classifier: FaceClassifier, emotion: str) -> int:
    if emotion not in classifier.emotions:
        raise FerBenchError(
            f"{classifier.name} does not know the emotion {emotion!r}: "
            + suggest(emotion, classifier.emotions)
        )
    return classifier.emotions.index(emotion)


def _twin(model: Classifier) -> Classifier:
    """The same network in modules of its own: same memory for the weights, but neither hooks, nor
    gradients, nor flags reach the original, which other threads may be using."""
    shared: dict[int, object] = {id(b): b for b in model.buffers()}
    for parameter in model.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    return copy.deepcopy(model, shared).eval()


def _inset(heat: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    """A square heat map put where its places lie: convolutions without padding leave the image's
    edge out, and stretched over it the mouth's heat would show on the chin."""
    edge = round(margin * len(heat))
    if not edge:
        return heat
    side = len(heat) - 2 * edge
    inner = cv2.resize(heat, (side, side), interpolation=cv2.INTER_AREA)
    return np.pad(inner, edge)
