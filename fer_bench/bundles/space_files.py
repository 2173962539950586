"""A run as a Space of the Hugging Face hub: the web page, or a Streamlit app."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Protocol

from huggingface_hub import SpaceCardData

from fer_bench.bundles.contents import BundleContents
from fer_bench.bundles.python_folder import PythonBundle
from fer_bench.bundles.web import WebBundle
from fer_bench.registry import Entry, Registry

PORT = 8501
#: Files of the Streamlit app that are the same for every run, and what they are called here.
PROGRAM = {
    "app.py": "app.py",
    "Dockerfile": "Dockerfile",
    ".streamlit/config.toml": "config.toml",
}


class Space(Protocol):
    """A `bundles.export.Bundle` that the hub can run; `sdk` is what it runs it as."""

    sdk: str

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """See `Bundle`."""
        ...


SPACES = Registry(
    "Space",
    {
        "static": Entry(f"{__name__}:StaticSpace", "the web page, which computes in the browser"),
        "streamlit": Entry(f"{__name__}:StreamlitSpace", "a Streamlit app, which the hub computes"),
    },
)


class StaticSpace:
    """The web page with the README that makes it a Space.

    Args:
        runtime, cdn: as for `WebBundle`.
    """

    sdk = "static"

    def __init__(self, runtime: Path | None = None, *, cdn: bool = False) -> None:
        self._page = WebBundle(runtime, cdn=cdn)

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """See `Bundle`."""
        readme = _readme(contents, sdk=self.sdk, app_file="index.html")
        return {"README.md": readme} | self._page.files(contents)


class StreamlitSpace:
    """The Python folder with a Streamlit app, and the container that starts it.

    A container, as the hub has given up Streamlit as a kind of its own.
    """

    sdk = "docker"

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """See `Bundle`."""
        folder, below = files("fer_bench.bundles") / "space", PythonBundle().files(contents)
        wanted = below["requirements.txt"] + (folder / "requirements.txt").read_bytes()
        return (
            below
            | {name: (folder / ours).read_bytes() for name, ours in PROGRAM.items()}
            | {
                "requirements.txt": wanted,
                "README.md": _readme(contents, sdk=self.sdk, app_file="app.py", port=PORT),
            }
        )


def _readme(contents: BundleContents, sdk: str, app_file: str, port: int | None = None) -> bytes:
    """The model card below the settings of a Space."""
    data = SpaceCardData(
        title=f"Expressions: {contents.metadata.run}"[:96],
        sdk=sdk,
        app_file=app_file,
        app_port=port,
        license=contents.card.data.get("license"),
        license_name=contents.card.data.get("license_name"),
        tags=["facial-emotion-recognition", "fer-bench"],
        emoji="🙂",
        colorFrom="indigo",
        colorTo="gray",
        pinned=False,
        short_description="Names the expression on a face",
    )
    return f"---\n{data.to_yaml()}\n---\n{contents.card.text}".encode()
