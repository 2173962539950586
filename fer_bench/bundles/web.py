"""A run as a static web page: camera and photos, all of it computed in the browser."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markupsafe import Markup

import fer_bench
from fer_bench.bundles.cascade import cascade_document, cascade_licence, cascade_xml
from fer_bench.bundles.contents import MODEL, BundleContents, detector_settings, licences
from fer_bench.bundles.runtime import BACKENDS, RUNTIME, integrity, read_runtime
from fer_bench.emotions import COLOURS
from fer_bench.models.export_metadata import INPUT, OUTPUT

#: Files of the page that are the same for every run.
PAGE_FILES = (
    "app.js",
    "cascade.js",
    "detector.js",
    "faces.js",
    "icon.svg",
    "pixels.js",
    "preprocess.js",
    "style.css",
    "worker.js",
)
CDN_ORIGIN = "https://cdn.jsdelivr.net"
#: Where the page may load from, and speak to.
POLICY = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'{cdn}; worker-src 'self'; "
    "connect-src 'self' blob:{cdn}; img-src 'self' blob:; media-src 'self' blob:; "
    "style-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)


class WebBundle:
    """The `bundles.export.Bundle` web.

    Args:
        runtime: the npm package of ONNX Runtime Web as archive or folder; None fetches it.
        cdn: leave the runtime where jsDelivr serves it; the page checks it by its hash.
    """

    def __init__(self, runtime: Path | None = None, *, cdn: bool = False) -> None:
        self._cdn = cdn
        names = [name for pair in BACKENDS.values() for name in pair]
        self._runtime = {} if cdn else read_runtime(names, runtime)

    def files(self, contents: BundleContents) -> dict[str, bytes]:
        """See `Bundle`."""
        # int8 networks run on WebAssembly alone.
        backends = [b for b in BACKENDS if b == "wasm" or contents.metadata.precision == "fp32"]
        xml = cascade_xml()
        page = files("fer_bench.bundles") / "web"
        result = {name: (page / name).read_bytes() for name in PAGE_FILES}
        if not self._cdn:
            used = [name for backend in backends for name in BACKENDS[backend]]
            result |= {f"runtime/{name}": self._runtime[name] for name in used}
        result |= {
            MODEL: contents.model,
            "cascade.json": _json(cascade_document(xml)),
            "model.json": _json(self._document(contents, backends)),
            "manifest.webmanifest": _json(_manifest(contents)),
            "index.html": self._index(contents).encode(),
            "LICENSES.txt": licences(contents, cascade_licence(xml), RUNTIME.version).encode(),
        }
        # Last, so that a browser never finds a new list of files next to old files.
        worker = (page / "sw.js").read_text(encoding="utf-8")
        return result | {"sw.js": (self._file_list(result, backends) + worker).encode()}

    def _document(self, contents: BundleContents, backends: list[str]) -> dict[str, object]:
        """`model.json`: all that the scripts need to know."""
        emotions = contents.metadata.emotions
        return contents.metadata.model_dump(mode="json") | {
            "input": INPUT,
            "output": OUTPUT,
            "colours": {emotion: COLOURS.get(emotion, "#8b8d98") for emotion in emotions},
            "files": {"model": MODEL, "integrity": integrity(contents.model)},
            "runtime": {backend: self._addresses(backend) for backend in backends},
            "detector": detector_settings(),
        }

    def _addresses(self, backend: str) -> dict[str, dict[str, str]]:
        return {
            kind: {"url": self._url(name), "integrity": RUNTIME.files[name]}
            for kind, name in zip(("script", "binary"), BACKENDS[backend], strict=True)
        }

    def _url(self, name: str) -> str:
        return RUNTIME.cdn_url(name) if self._cdn else f"runtime/{name}"

    def _index(self, contents: BundleContents) -> str:
        source = (files("fer_bench.bundles") / "web" / "index.html").read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        return environment.from_string(source).render(
            run=contents.metadata.run,
            emotions=", ".join(contents.metadata.emotions),
            policy=POLICY.format(cdn=f" {CDN_ORIGIN}" if self._cdn else ""),
            cdn=self._cdn,
            card=Markup(markdown.render(contents.card.text)),  # nosec B704  # HTML in it is escaped
            version=fer_bench.__version__,
            runtime=RUNTIME.version,
        )

    def _file_list(self, written: dict[str, bytes], backends: list[str]) -> str:
        """The head of the service worker: what it keeps at once and, of `LATER`, when asked for."""
        digest = hashlib.sha256()
        for name in sorted(written):
            digest.update(name.encode() + b"\0" + hashlib.sha256(written[name]).digest())
        used = {backend: [self._url(name) for name in BACKENDS[backend]] for backend in backends}
        later = used.get("webgpu", [])
        own = ["./", *(name for name in written if not name.startswith("runtime/"))]
        lines = {
            "PREFIX": "fer-bench-",
            "VERSION": f"fer-bench-{digest.hexdigest()[:16]}",
            "FILES": own + used["wasm"],
            "LATER": later,
        }
        return "".join(f"const {name} = {json.dumps(value)};\n" for name, value in lines.items())


def _manifest(contents: BundleContents) -> dict[str, object]:
    return {
        "name": f"Expressions: {contents.metadata.run}",
        "short_name": "Expressions",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#1c2330",
        "theme_color": "#1c2330",
        "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}],
    }


def _json(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
