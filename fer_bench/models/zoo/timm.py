"""Any image model of timm by name: `timm:convnext_tiny`, `timm:resnet50.a1_in1k`."""

from __future__ import annotations

import difflib
import json
import sys
from dataclasses import fields
from typing import Any

import timm
from timm.data import resolve_model_data_config
from timm.models import PretrainedCfg, get_pretrained_cfg, is_model, load_model_config_from_hf

from fer_bench.errors import FerBenchError
from fer_bench.models.classifier import Classifier, ModelRequest
from fer_bench.models.heads import with_head
from fer_bench.models.options import SizeOptions, read_options
from fer_bench.models.pretrained import (
    described_folder,
    downloading,
    hub_cache,
    kind_of,
    read_local,
)
from fer_bench.models.state_dict import State, backbone_state, load_weights
from fer_bench.types import InputSpec, Provenance

PREFIX = "timm:"


def _published(name: str) -> Any:
    """timm's description of a model's weights (its `PretrainedCfg`).

    Raises:
        FerBenchError: timm has no such model, or no such tag of it.
    """
    if not is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see timm.list_models()"
        raise FerBenchError(f"unknown timm model {name!r}: {hint}")
    try:
        return get_pretrained_cfg(name)
    except RuntimeError:
        architecture = name.partition(".")[0]
        tags = timm.list_models(f"{architecture}.*", pretrained=True)
        raise FerBenchError(
            f"timm has no weights called {name!r}: expected one of {', '.join(tags) or 'none'}"
        ) from None


def _network(
    name: str,
    published: Any,
    size: int | None,
    weights: dict[str, Any] | None,
    *,
    pretrained: bool = True,
) -> Any:
    """timm's network without its classifier.

    Args:
        weights: timm's description of weights, which are loaded if `pretrained`.
    """
    fixed = published is not None and published.fixed_input_size
    try:
        return timm.create_model(
            name,
            pretrained=pretrained and weights is not None,
            pretrained_cfg=weights,
            num_classes=0,
            in_chans=3,
            img_size=size if fixed else None,  # timm drops what is None
        )
    except (AssertionError, TypeError, ValueError) as error:
        if size is None:
            raise
        raise FerBenchError(
            f"timm cannot build {name} at input_size {size}: {error}; leave input_size out"
        ) from None


def _start(request: ModelRequest, name: str, size: int | None) -> tuple[Any, str]:
    """The network with its starting weights, and their origin."""
    published = _published(name)
    kind = kind_of(request.pretraining)
    if kind == "none":
        return _network(name, published, size, None), "none"
    if kind == "local":
        described = _description(request.pretraining, name)
        net = _network(name, published, size, described, pretrained=False)
        load_weights(
            net,
            _as_timm_names(read_local(request.pretraining), net),
            source=request.pretraining,
            ignore=tuple(f"{layer}." for layer in _classifiers(net)),
            positions="pos_embed" if "pos_embed" in net.state_dict() else None,
        )
        return net, "local file"
    if kind == "hub":
        hub_id = request.pretraining.removeprefix("hf-hub:")
        with downloading(f"the weights of {hub_cache(hub_id)}"):
            weights, described_as, _ = load_model_config_from_hf(hub_id)
            _require_same(described_as, name, hub_id)
            return _network(name, published, size, weights), hub_id
    if published is None or not published.has_weights:
        raise FerBenchError(f"timm has no weights for {name}: use --pretraining none")
    address = hub_cache(published.hf_hub_id) if published.hf_hub_id else str(published.url)
    with downloading(f"the weights of {address}"):
        net = _network(name, published, size, published.to_dict())
    return net, published.hf_hub_id or published.url


def _description(source: str, name: str) -> dict[str, Any] | None:
    """What timm's `config.json` next to local weights says of them; None without one.

    Raises:
        FerBenchError: it is damaged, or describes another network.
    """
    folder = described_folder(source)
    if folder is None:
        return None
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architecture, described = str(values["architecture"]), values.get("pretrained_cfg", values)
        known = {f.name: described[f.name] for f in fields(PretrainedCfg) if f.name in described}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise FerBenchError(
            f"{folder / 'config.json'} is none of timm's: expected architecture and "
            "pretrained_cfg in it; take it away to have the weights as "
            f"timm's {name} wants its images"
        ) from None
    _require_same(architecture, name, source)
    return known


def _require_same(described: str, name: str, source: str) -> None:
    """Raises FerBenchError where weights are described as another architecture's."""
    if described.partition(".")[0] != name.partition(".")[0]:
        raise FerBenchError(
            f"{source} holds a {described:.80} by its config.json, expected {name}: choose "
            f"--model timm:{described:.80}, or other weights"
        )


def _as_timm_names(state: State, net: Any) -> State:
    """Tensors by today's names of timm, from its older files and other libraries' layouts.

    Those are what timm's own converter of the architecture knows: OpenAI's CLIP, open_clip, DINOv2,
    the authors' files of Swin, ConvNeXt and others.
    """
    wanted = net.state_dict()
    state = backbone_state(state, wanted)
    convert = getattr(sys.modules[type(net).__module__], "checkpoint_filter_fn", None)
    if convert is None or wanted.keys() <= state.keys():
        return state
    try:
        converted: State = convert(state, net)
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError):
        return state  # no layout that it knows: the names are refused as they are
    return converted


def _classifiers(net: Any) -> tuple[str, ...]:
    names = net.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def build(request: ModelRequest) -> Classifier:
    """A timm model with pooled features; `imagenet` means its default published weights.

    Raises:
        FerBenchError: no such model, unknown options, or weights that cannot be had.
    """
    options = read_options(SizeOptions, request)
    name = request.name.removeprefix(PREFIX)
    net, origin = _start(request, name, options.input_size)
    data = resolve_model_data_config(net)
    spec = InputSpec(
        size=options.input_size or data["input_size"][-1],
        channels=3,
        mean=tuple(data["mean"]),
        std=tuple(data["std"]),
        interpolation="bilinear" if data["interpolation"] == "bilinear" else "bicubic",
    )
    about = net.pretrained_cfg
    papers = about.get("paper_ids") or about.get("origin_url") or ""
    provenance = Provenance(
        architecture=f"timm {name}",
        paper=papers if isinstance(papers, str) else ", ".join(papers),
        weights=origin,
        licence="" if origin in ("none", "local file") else about.get("license") or "unstated",
    )
    return with_head(
        net,
        getattr(net, "head_hidden_size", net.num_features),
        input_spec=spec,
        request=request,
        provenance=provenance,
    )
