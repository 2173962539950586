"""Why a whole picture is not read: too large, or of an unsupported kind."""

from __future__ import annotations

#: An image of more pixels than this is refused before it is decoded.
MAX_PIXELS = 50_000_000


class UnsupportedKind(ValueError):
    """A picture of a kind that is not read; the text names the kind."""


class TooLarge(ValueError):
    """A picture of more than `MAX_PIXELS`; the text is its size."""

    def __str__(self) -> str:
        return f"{self.args[0]} pixels, more than the limit of {MAX_PIXELS:,}"


def require_size(size: tuple[int, int]) -> None:
    """Refuses a picture (width, height) of too many pixels.

    Raises:
        TooLarge: more than `MAX_PIXELS`.
    """
    if size[0] * size[1] > MAX_PIXELS:
        raise TooLarge(f"{size[0]}x{size[1]}")
