"""A network's tensors by name: found below any prefix, resampled where need be, and filled in."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fer_bench.errors import FerBenchError

State = dict[str, Tensor]


def backbone_state(state: State, wanted: Collection[str]) -> State:
    """The tensors below the prefix under which most of the wanted ones stand, without it.

    So the backbone's own are found in a whole classifier (`backbone.`) and in what a wrapper saved
    (`module.`, `_orig_mod.`, `model.`, or several of them).

    Args:
        wanted: the backbone's names.

    Raises:
        FerBenchError: two prefixes have equally many, at least half, so that either may be meant.
    """
    counts: Counter[str] = Counter()
    for name in state:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        counts.update(name[:start] for start in starts if name[start:] in wanted)
    if not counts or "" in (most := [p for p, n in counts.items() if n == max(counts.values())]):
        return state
    if len(most) > 1:
        if 2 * counts[most[0]] < len(wanted):
            return state
        raise FerBenchError(
            f"the weights hold {len(most)} networks of this kind, under {' and '.join(most)}: "
            "save the state dict of one of them alone"
        )
    return {k.removeprefix(most[0]): v for k, v in state.items() if k.startswith(most[0])}


def resize_positions(positions: Tensor, count: int) -> Tensor:
    """Position embeddings `(..., 1 + n*n, D)`, class token first, resampled to `count` of them.

    Bicubic, as ViT's authors change the input size (Dosovitskiy et al. 2021, section 3.2).
    Returned as they are where either number makes no square.
    """
    flat = positions.reshape(-1, positions.shape[-1])
    old, new = math.isqrt(len(flat) - 1), math.isqrt(count - 1)
    if old * old != len(flat) - 1 or new * new != count - 1:
        return positions
    grid = flat[1:].T.reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(new, new), mode="bicubic", align_corners=False)
    resized = torch.cat([flat[:1], grid.flatten(2)[0].T])
    return resized.reshape(*positions.shape[:-2], count, positions.shape[-1])


def load_weights(
    backbone: nn.Module,
    state: State,
    *,
    source: str,
    ignore: tuple[str, ...] = (),
    positions: str | None = None,
) -> None:
    """Fills a backbone with tensors by name; all must be there and fit.

    What torch's strict loading takes is taken, with its knowledge of older layouts: batch norms
    without their counters of batches, former names of a layer. On an error the backbone is left
    with some of the tensors.

    Args:
        ignore: prefixes of tensors the backbone has no use for (the old classifier).
        positions: name of the position embeddings, which are resampled where their number differs.

    Raises:
        FerBenchError: tensors missing, too many or misshapen; counts and the first are named.
    """
    wanted = backbone.state_dict()
    state = backbone_state(state, wanted)
    state = {k: v for k, v in state.items() if not k.startswith(ignore)}
    if positions in state and state[positions].shape != wanted[positions].shape:
        state[positions] = resize_positions(state[positions], wanted[positions].shape[-2])
    broken = [k for k, v in state.items() if not bool(torch.isfinite(v).all())]
    if broken:
        raise FerBenchError(
            f"the weights in {source} hold values that are no finite numbers, in {len(broken)} "
            f"tensors (first: {broken[0]}): their training has diverged; choose others"
        )
    shapes = [k for k in wanted if k in state and not _fits(state[k], wanted[k])]
    try:
        missing, extra = backbone.load_state_dict(
            {k: v for k, v in state.items() if k not in shapes}, strict=False
        )
    except RuntimeError as error:  # another shape under a former name
        reason = str(error).splitlines()[-1].strip()
        raise FerBenchError(
            f"the weights in {source} do not fit: {reason} choose weights of the same architecture"
        ) from None
    missing = [k for k in missing if k not in shapes]
    problems = [
        f"{len(names)} {what} (first: {names[0]})"
        for what, names in (("missing", missing), ("unknown", extra))
        if names
    ]
    if shapes:
        first = shapes[0]
        problems.append(
            f"{len(shapes)} of another shape (first: {first}, expected "
            f"{tuple(wanted[first].shape)}, got {tuple(state[first].shape)})"
        )
    if problems:
        raise FerBenchError(
            f"the weights in {source} do not fit: of {len(wanted)} tensors expected, "
            f"{', '.join(problems)}; choose weights of the same architecture"
        )


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    """Equal shapes; PyTorch before 0.4 saved numbers as `(1,)`, which torch still loads."""
    return tensor.shape == wanted.shape or (wanted.ndim == 0 and tensor.shape == (1,))
