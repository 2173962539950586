"""What holds for the files of every folder and archive: their names, and how large they may be."""

from __future__ import annotations

#: A larger file is no face image.
MAX_FILE_BYTES = 100 * 2**20
TOO_LARGE = f"larger than {MAX_FILE_BYTES >> 20} MiB"


def plain_name(name: str) -> str:
    """A member's name without what would lead out of its archive; empty where nothing is left.

    Nothing is ever unpacked to disk, so a hostile name can do nothing; this makes it a tidy id.
    """
    steps = name.replace("\\", "/").split("/")
    plain = "/".join(step for step in steps if step not in ("", ".", ".."))
    return name if plain == name else plain  # one string in memory instead of two


def is_visible(name: str) -> bool:
    """Whether a relative name is neither hidden nor one of macOS's notes."""
    return not any(step.startswith(".") or step == "__MACOSX" for step in name.split("/"))


def require_size(size: int) -> None:
    """Refuses a file of too many bytes.

    Raises:
        OSError: more than `MAX_FILE_BYTES`.
    """
    if size > MAX_FILE_BYTES:
        raise OSError(TOO_LARGE)
