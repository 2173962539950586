"""A run as a folder with a short Python program: no PyTorch, no FER Bench."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files

from fer_bench.bundles.cascade import cascade_licence, cascade_xml
from fer_bench.bundles.contents import MODEL, BundleContents, detector_settings, licences

#: Files that are the same for every run.
PROGRAM = ("run.py", "faces.py", "requirements.txt")
#: FER Bench's own decoder of pictures, which becomes the package `PICTURES` of the folder.
DECODER = (
    "pixels.py", "bit_depth.py", "deep_tiff.py", "jpeg.py", "picture_errors.py",
    "unsupported_formats.py",
)  # fmt: skip
PICTURES = "pictures"
#: The decoder's one module that the folder has of its own: four packages do without simplejpeg.
LIBRARY = "jpeg_library.py"


class PythonBundle:
    """The `bundles.export.Bundle` python."""

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """See `Bundle`."""
        folder, xml = files("fer_bench.bundles") / "python", cascade_xml()
        document = contents.metadata.model_dump(mode="json") | {
            "detector": detector_settings(),
            "sha256": {MODEL: _digest(contents.model), "cascade.xml": _digest(xml)},
        }
        return (
            {name: (folder / name).read_bytes() for name in PROGRAM}
            | _decoder()
            | {
                MODEL: contents.model,
                "cascade.xml": xml,
                "README.md": _readme(contents).encode(),
                "LICENSES.txt": licences(contents, cascade_licence(xml)).encode(),
                "model.json": json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n",
            }
        )


def _digest(content: bytes) -> str:
    """With plain line ends, as Git on Windows gives text others; `faces.py` does likewise."""
    return hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()


def _decoder() -> dict[str, bytes]:
    data, folder = files("fer_bench.data.files"), files("fer_bench.bundles") / "python"
    sources = {name: (data / name).read_text(encoding="utf-8") for name in DECODER}
    sources[LIBRARY] = (folder / LIBRARY).read_text(encoding="utf-8")
    return {
        f"{PICTURES}/{name}": text.replace("fer_bench.data.files.", f"{PICTURES}.").encode()
        for name, text in sources.items()
    }


def _readme(contents: BundleContents) -> str:
    return f"""\
```bash
pip install -r requirements.txt
python run.py photo.jpg
python run.py --camera 0
```

`run.py` finds the faces and names their expressions; `--face` takes pictures that are faces.
`pictures` is FER Bench's own reading of pictures: upright, over white, 16 bits, TIFF.
Licences: LICENSES.txt.

{contents.card.text.lstrip()}"""
