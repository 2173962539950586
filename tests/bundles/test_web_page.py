"""The exported web page as its visitors meet it: served statically, in Chromium, with a camera."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from browser_fixtures import require_chromium
from export_fixtures import COMPARED
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from web_fixtures import require_runtime, small_run, write_files

from benchmarks.harness.camera import camera_arguments, write_clip
from benchmarks.harness.dashboard import ROOT, chromium
from benchmarks.web_page import serving_folder
from fer_bench.backends.select import open_backend
from fer_bench.bundles.contents import MODEL
from fer_bench.bundles.runtime import RUNTIME, read_runtime
from fer_bench.bundles.web import WebBundle
from fer_bench.data.synthetic import read_synthetic
from fer_bench.inference.classifier import FaceClassifier
from fer_bench.inference.detectors.haar import HaarDetector
from fer_bench.inference.images import read_image
from fer_bench.inference.predictor import Predictor

PHOTO = ROOT / "assets/samples/astronaut.jpg"
PATIENCE_MS = 120_000
#: Asks a worker of the page's own for faces that are there as PNG.
CLASSIFY = """async (pngs) => {
    const worker = new Worker("/worker.js", { type: "module" });
    const answer = (message, transfer) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => data.error ? reject(data.error) : resolve(data);
        worker.postMessage(message, transfer);
    });
    await answer({ start: { backend: "wasm" } });
    const rows = [];
    for (const png of pngs) {
        const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
        const bitmap = await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none" });
        const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
        context.drawImage(bitmap, 0, 0);
        const image = context.getImageData(0, 0, bitmap.width, bitmap.height);
        rows.push((await answer({ id: 1, image, isFace: true })).faces[0].probabilities);
    }
    worker.terminate();
    return rows;
}"""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A page on disk, and what its answers should be."""

    folder: Path
    predictor: Predictor


def exported(folder: Path, precision: str) -> Exported:
    """A small run as a web page."""
    package = require_runtime()
    model, contents = small_run(precision)
    write_files(folder, WebBundle(package).files(contents))
    classifier = FaceClassifier(
        name="some-run",
        model=model,
        backend=open_backend("torch-fp32", model),
        temperature=contents.metadata.temperature,
    )
    return Exported(folder=folder, predictor=Predictor(classifier, HaarDetector()))


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(tmp_path_factory.mktemp("fp32"), "fp32")


@pytest.fixture(scope="module")
def address(fp32: Exported) -> Iterator[str]:
    with serving_folder(fp32.folder) as served:
        yield served


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium whose camera sees a face."""
    require_chromium()
    clip = tmp_path_factory.mktemp("camera") / "face.mjpeg"
    write_clip(clip)
    with chromium(camera_arguments(clip)) as started:
        yield started


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A visitor with a telephone, who lets the page use the camera."""
    with browser.new_context(
        permissions=["camera"], viewport={"width": 390, "height": 800}
    ) as opened:
        opened.set_default_timeout(PATIENCE_MS)
        yield opened


def ready(context: BrowserContext, address: str) -> Page:
    """The page, its model loaded."""
    page = context.new_page()
    page.goto(address)
    page.locator("#camera:enabled").wait_for()
    return page


def status(page: Page) -> str:
    """What the page says once it has come to an end with something."""
    expect(page.locator("#status")).not_to_contain_text("…", timeout=PATIENCE_MS)
    return page.locator("#status").inner_text()


def first_bars(page: Page) -> dict[str, str]:
    """The first face's emotions and percentages."""
    rows = page.locator("#faces li").first.locator(".bar").all_inner_texts()
    return dict(row.split("\n") for row in rows)


def expected_bars(exported: Exported, photo: Path) -> dict[str, str]:
    (face, *_) = exported.predictor.predict(read_image(photo)).faces
    emotions = exported.predictor.classifier.emotions
    return {
        emotion: f"{round(p * 100)} %"
        for emotion, p in zip(emotions, face.probabilities, strict=True)
    }


# What it answers


@pytest.mark.parametrize(("precision", "least"), [("fp32", 0.99), ("int8", 0.98)])
def test_the_page_names_200_faces_as_predict_does(
    precision: str, least: float, browser: Browser, tmp_path: Path
) -> None:
    page_of = exported(tmp_path, precision)
    images = read_synthetic(n_per_class=29, seed=3).images[:200]
    rows = page_of.predictor.classifier.probabilities(list(images))
    pngs = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "png")
        pngs.append(base64.b64encode(buffer.getvalue()).decode())
    with serving_folder(tmp_path) as address, browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{address}icon.svg")
        given = np.array(page.evaluate(CLASSIFY, pngs))
    assert (given.argmax(1) == rows.argmax(1)).mean() >= least
    if precision == "fp32":
        assert np.abs(given - rows).max() < 1e-3
    assert len(set(rows.argmax(1).tolist())) > 3


def test_a_photo_gets_the_box_and_bars_that_predict_gives(
    context: BrowserContext, address: str, fp32: Exported
) -> None:
    page = ready(context, address)
    page.set_input_files("#file", PHOTO)
    page.locator("#faces li").first.wait_for()
    assert status(page) == "1 face."
    assert first_bars(page) == expected_bars(fp32, PHOTO)
    assert "fp32 on WebAssembly" in page.locator("#speed").inner_text()


def test_several_faces_are_numbered_largest_first(
    context: BrowserContext, address: str, fp32: Exported, tmp_path: Path
) -> None:
    face = Image.open(PHOTO).convert("RGB").crop((100, 0, 400, 300))
    both = Image.new("RGB", (700, 400))
    both.paste(face.resize((220, 220)), (20, 20))
    both.paste(face.resize((360, 360)), (300, 20))
    both.save(tmp_path / "both.png")
    page = ready(context, address)
    page.set_input_files("#file", tmp_path / "both.png")
    page.locator("#faces li").nth(1).wait_for()
    n_faces = len(fp32.predictor.predict(read_image(tmp_path / "both.png")).faces)
    assert n_faces >= 2
    assert status(page) == f"{n_faces} faces."
    titles = page.locator("#faces h2").all_inner_texts()
    assert [title.partition(":")[0] for title in titles] == [
        f"Face {number}" for number in range(1, n_faces + 1)
    ]


def test_a_picture_of_one_face_needs_no_search(
    context: BrowserContext, address: str, fp32: Exported, tmp_path: Path
) -> None:
    drawn = COMPARED.images[0]
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    (row,) = fp32.predictor.classifier.probabilities([drawn])
    page = ready(context, address)
    page.get_by_label("The photo is one face").check()
    page.set_input_files("#file", tmp_path / "drawn.png")
    page.locator("#faces li").wait_for()
    assert list(first_bars(page).values()) == [f"{round(p * 100)} %" for p in row]


# The camera


def test_the_camera_is_followed_and_stopped(context: BrowserContext, address: str) -> None:
    page = ready(context, address)
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#status")).to_have_text("1 face.", timeout=PATIENCE_MS)
    assert page.locator("#faces li").count() == 1
    frames = "() => document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"
    before = page.evaluate(frames)
    speed = page.locator("#speed").inner_text()
    expect(page.locator("#speed")).not_to_have_text(speed, timeout=PATIENCE_MS)
    page.wait_for_function(f"before => ({frames})() > before", arg=before, timeout=PATIENCE_MS)
    page.get_by_role("button", name="Stop camera").click()
    assert status(page) == "Camera stopped."
    assert page.locator("#faces li").count() == 0


def test_a_camera_that_comes_late_is_closed(context: BrowserContext, address: str) -> None:
    """Asked for twice, and a photo chosen meanwhile: nobody would see that it is on."""
    context.add_init_script("""
        const cameras = navigator.mediaDevices, ask = cameras.getUserMedia.bind(cameras);
        const allowed = new Promise((resolve) => { window.allow = resolve; });
        window.tracks = [];
        cameras.getUserMedia = async (wanted) => {
            await allowed;
            const stream = await ask(wanted);
            window.tracks.push(...stream.getTracks());
            return stream;
        };
    """)
    page = ready(context, address)
    for _ in range(2):
        page.get_by_role("button", name="Start camera").click()
    page.set_input_files("#file", PHOTO)
    page.locator("#faces li").wait_for()
    page.evaluate("allow()")
    closed = "() => tracks.length === 2 && tracks.every((track) => track.readyState === 'ended')"
    page.wait_for_function(closed)
    assert status(page) == "1 face."
    assert page.locator("#photo").is_visible()


def test_mirroring_turns_the_boxes_with_the_video(context: BrowserContext, address: str) -> None:
    page = ready(context, address)
    page.get_by_role("button", name="Start camera").click()
    expect(page.locator("#status")).to_have_text("1 face.", timeout=PATIENCE_MS)
    middle = """() => {
        const canvas = document.getElementById("overlay");
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        let sum = 0, count = 0;
        for (let i = 3; i < data.length; i += 4) {
            if (data[i]) { sum += ((i - 3) / 4) % width / width; count++; }
        }
        return sum / count;
    }"""
    turned = page.evaluate(middle)
    assert "mirrored" in (page.locator("#stage").get_attribute("class") or "")
    page.get_by_label("Mirror").uncheck()
    speed = page.locator("#speed").inner_text()
    expect(page.locator("#speed")).not_to_have_text(speed, timeout=PATIENCE_MS)
    straight = page.evaluate(middle)
    assert turned > 0.5 > straight
    assert abs(turned + straight - 1) < 0.08


@pytest.mark.parametrize(
    ("camera", "sentence"),
    [
        (
            "getUserMedia = () => Promise.reject(new DOMException('', 'NotFoundError'))",
            "No camera found: plug one in, or choose a photo.",
        ),
        (
            "getUserMedia = () => Promise.reject(new DOMException('', 'NotReadableError'))",
            "The camera is in use by another program: close that one, then start again.",
        ),
    ],
    ids=["none", "taken"],
)
def test_a_camera_that_does_not_start_is_one_sentence(
    camera: str, sentence: str, context: BrowserContext, address: str
) -> None:
    context.add_init_script(f"if (navigator.mediaDevices) navigator.mediaDevices.{camera};")
    page = ready(context, address)
    page.get_by_role("button", name="Start camera").click()
    assert status(page) == sentence


def test_a_refused_camera_is_one_sentence(browser: Browser, address: str) -> None:
    with browser.new_context(permissions=[]) as context:
        context.set_default_timeout(PATIENCE_MS)
        page = ready(context, address)
        page.get_by_role("button", name="Start camera").click()
        assert status(page).startswith("The camera is not allowed: allow it in")


# Pictures that are none, files that are damaged


def test_bad_pictures_get_one_sentence(
    context: BrowserContext, address: str, tmp_path: Path
) -> None:
    (tmp_path / "damaged.jpg").write_bytes(PHOTO.read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("no picture")
    Image.new("RGB", (300, 200), "gray").save(tmp_path / "empty.png")
    page = ready(context, address)
    for name in ("damaged.jpg", "text.jpg"):
        page.set_input_files("#file", PHOTO)
        page.locator("#faces li").first.wait_for()
        page.set_input_files("#file", tmp_path / name)
        expect(page.locator("#status.problem")).to_have_text(
            f"{name} is damaged or no picture that this browser can read: "
            "choose a JPEG, PNG or WebP.",
            timeout=PATIENCE_MS,
        )
        assert page.locator("#photo").is_hidden()
    page.set_input_files("#file", tmp_path / "empty.png")
    assert status(page) == "No face found: try more light, a frontal view, or a larger face."


def test_a_photo_of_50_megapixels_is_shrunk_and_answered(
    context: BrowserContext, address: str, tmp_path: Path
) -> None:
    Image.open(PHOTO).convert("RGB").resize((7071, 7071)).save(tmp_path / "large.jpg", quality=70)
    page = ready(context, address)
    page.set_input_files("#file", tmp_path / "large.jpg")
    page.locator("#faces li").first.wait_for()
    said = status(page)
    assert page.locator("#faces li").count() >= 1
    assert said.endswith(" The photo was shrunk to 4000 × 4000 pixels.")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (MODEL, f"{MODEL} is damaged or cannot be reached"),
        ("runtime/ort-wasm-simd-threaded.wasm", "threaded.wasm is damaged or cannot be reached"),
        ("runtime/ort.wasm.bundle.min.mjs", "min.mjs is damaged or cannot be reached"),
        ("cascade.json", "cascade.json is damaged"),
        ("detector.js", "worker.js or a script that it loads is missing or damaged"),
    ],
)
def test_a_damaged_file_is_named(
    name: str, said: str, context: BrowserContext, address: str
) -> None:
    context.route(f"**/{name}", lambda route: route.fulfill(body=b"[1, damaged"))
    page = context.new_page()
    page.goto(address)
    found = status(page)
    assert found.startswith("The model cannot be loaded: ")
    assert found.endswith(f"{said}: copy the whole folder to the server again.")


def test_a_missing_file_is_named(context: BrowserContext, address: str) -> None:
    context.route("**/cascade.json", lambda route: route.fulfill(status=404))
    page = context.new_page()
    page.goto(address)
    assert "cascade.json is missing: copy the whole folder" in status(page)


def test_a_page_with_the_line_ends_of_windows_names_the_same_faces(
    fp32: Exported, context: BrowserContext, tmp_path: Path
) -> None:
    """Git writes text files with them there."""
    files = {
        str(file.relative_to(fp32.folder)): file.read_bytes()
        if file.suffix in {".onnx", ".wasm"}
        else file.read_bytes().replace(b"\n", b"\r\n")
        for file in fp32.folder.rglob("*")
        if file.is_file()
    }
    write_files(tmp_path, files)
    with serving_folder(tmp_path) as address:
        page = context.new_page()
        page.goto(address)
        assert status(page).startswith("Ready.")
        page.set_input_files("#file", PHOTO)
        page.locator("#faces li").first.wait_for()
        assert first_bars(page) == expected_bars(fp32, PHOTO)


# What it is


def test_the_page_works_without_its_server_once_loaded(
    fp32: Exported, context: BrowserContext
) -> None:
    with serving_folder(fp32.folder) as address:
        page = ready(context, address)
        page.locator("html[data-offline=ready]").wait_for()
    page.reload()
    page.locator("#camera:enabled").wait_for()
    page.set_input_files("#file", PHOTO)
    page.locator("#faces li").first.wait_for()
    assert first_bars(page) == expected_bars(fp32, PHOTO)


def test_nothing_leaves_the_page(context: BrowserContext, address: str) -> None:
    seen: list[str] = []
    context.on("request", lambda request: seen.append(request.url))
    page = ready(context, address)
    page.set_input_files("#file", PHOTO)
    page.locator("#faces li").first.wait_for()
    assert all(url.startswith((address, "blob:")) for url in seen)
    assert {request for request in seen if "model.onnx" in request}
    refused = page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.message)"
    )
    assert "Failed to fetch" in refused
    page.locator("html[data-offline=ready]").wait_for()
    worker = """() => new Promise((resolve) => {
        navigator.serviceWorker.controller
            ? resolve(navigator.serviceWorker.controller.state) : resolve("none");
    })"""
    assert page.evaluate(worker) == "activated"


def test_a_telephone_shows_all_of_it(context: BrowserContext, address: str) -> None:
    page = ready(context, address)
    page.set_input_files("#file", PHOTO)
    page.locator("#faces li").first.wait_for()
    page.locator("summary").click()
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert page.locator("#card h1").inner_text() == "Card"
    assert page.locator("#card script").count() == 0  # what a card says is text
    assert "<script>x</script>" in page.locator("#card").inner_text()


def test_it_can_be_installed(context: BrowserContext, address: str) -> None:
    page = ready(context, address)
    page.locator("html[data-offline=ready]").wait_for()
    session = context.new_cdp_session(page)
    manifest = session.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert json.loads(manifest["data"])["name"] == "Expressions: some-run"
    assert session.send("Page.getInstallabilityErrors")["installabilityErrors"] == [
        {"errorId": "in-incognito", "errorArguments": []}
    ]


# From a CDN


@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
def test_a_small_page_takes_only_the_pinned_runtime(
    is_damaged: bool, context: BrowserContext, tmp_path: Path
) -> None:
    package = require_runtime()
    _, contents = small_run()
    files = WebBundle(cdn=True).files(contents)
    assert not [name for name in files if name.startswith("runtime/")]
    write_files(tmp_path, files)

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        assert route.request.url == RUNTIME.cdn_url(name)
        body = read_runtime([name], package)[name]
        headers = {"access-control-allow-origin": "*"}
        route.fulfill(body=body + b" " if is_damaged else body, headers=headers)

    context.route("https://cdn.jsdelivr.net/**", answer)
    with serving_folder(tmp_path) as address:
        page = context.new_page()
        page.goto(address)
        said = status(page)
    if is_damaged:
        assert "The model cannot be loaded: https://cdn.jsdelivr.net/npm/onnxruntime-web@" in said
        assert "is damaged or cannot be reached" in said
    else:
        assert said.startswith("Ready.")
