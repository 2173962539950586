"""Views of a face for test-time augmentation: probabilities are averaged over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from fer_bench.errors import FerBenchError, unknown_name
from fer_bench.specs.recipe import TestTimeAugmentation

#: Side of a crop as a share of the image's side: 40 of 48, as in ten-crop evaluation on FER2013.
CROP_SHARE = 5 / 6

Region = Literal["whole", "top-left", "top-right", "bottom-left", "bottom-right", "centre"]
CROPS: tuple[Region, ...] = ("top-left", "top-right", "bottom-left", "bottom-right", "centre")


@dataclass(frozen=True, kw_only=True)
class View:
    """One way to look at a face: which part of it, and whether mirrored left-right."""

    region: Region = "whole"
    flip: bool = False


PLAIN = View()
VIEWS: dict[str, tuple[View, ...]] = {
    "none": (PLAIN,),
    "flip": (PLAIN, View(flip=True)),
    "five-crop": tuple(View(region=p) for p in CROPS),
    "ten-crop": tuple(View(region=p, flip=flip) for flip in (False, True) for p in CROPS),
}


def views_of(tta: str) -> tuple[View, ...]:
    """The views of a recipe's `tta`.

    Raises:
        FerBenchError: an unknown name; near ones are suggested.
    """
    if tta not in VIEWS:
        raise unknown_name("test-time augmentation", tta, VIEWS)
    return VIEWS[tta]


def tta_of(views: int) -> TestTimeAugmentation:
    """The test-time augmentation of this many views.

    Raises:
        FerBenchError: there is none.
    """
    names = {len(VIEWS[name]): name for name in get_args(TestTimeAugmentation)}
    if views not in names:
        known = ", ".join(f"{count} ({name})" for count, name in names.items())
        raise FerBenchError(f"no test-time augmentation has {views} views: expected one of {known}")
    tta: TestTimeAugmentation = names[views]
    return tta


def _crop(x: Tensor, region: Region) -> Tensor:
    height, width = x.shape[-2:]
    h, w = round(height * CROP_SHARE), round(width * CROP_SHARE)
    if region == "centre":
        top, left = (height - h) // 2, (width - w) // 2
    else:
        top = height - h if region.startswith("bottom") else 0
        left = width - w if region.endswith("right") else 0
    return x[..., top : top + h, left : left + w]


def see(x: Tensor, view: View) -> Tensor:
    """A float batch `(B, C, H, W)` through a view: same shape, crops resized back (bilinear)."""
    if view.region != "whole":
        size = x.shape[-2:]
        x = F.interpolate(_crop(x, view.region), size=size, mode="bilinear", align_corners=False)
    return x.flip(-1) if view.flip else x
