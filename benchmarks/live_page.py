"""The live page in headless Chromium with a numbered 640x480 clip at 30 fps as its camera.

* `fps`, `fresh_share`: frames that the browser decoded a second, and the share of those it showed
  whose number differs from the one before,
* `lag_ms_*`: from a number's showing in a plain preview of the camera to its showing in the page's
  video, both in the same document and clock,
* `overlay_age_ms_*`: from the frame that was analysed to the one it is drawn on, by the page,
* `cycles_*`: the server's memory and threads after each of `--cycles` times Start and Stop;
  changes are from the second cycle, the first fills caches,
* `minutes_*`: the same while it plays for `--minutes`, from the first half minute.

Prints one JSON line. Run it from the repository's root: `python -m benchmarks.live_page`; with
`--clip` the model is a CLIP ViT-B/32 with random weights instead of `--model`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.camera import READ_NUMBER, camera_arguments, write_clip
from benchmarks.harness.dashboard import ROOT, Server, chromium, running
from benchmarks.harness.live_visitor import LiveVisitor, process_figures
from benchmarks.harness.loopback import isolated
from benchmarks.leaderboard_page import MODELS, made_up_metrics, made_up_record
from fer_bench.emotions import FER2013
from fer_bench.environment import Environment, capture
from fer_bench.models.build import build_model
from fer_bench.models.classifier import ModelRequest
from fer_bench.models.weights import model_files
from fer_bench.results.store import DEFAULT, ResultsStore

CLIP = "clip_vit_b_32"
WARM_UP_S = 5.0
SAMPLE_EVERY_S = 5.0
#: Logs when which number showed: in the page's video and, where `preview`, in the camera's own.
WATCH = f"""async ([seconds, preview]) => {{
    const read = {READ_NUMBER};
    const logs = {{page: [], camera: []}}, videos = {{page: document.querySelector('video')}};
    if (preview) {{
        const video = videos.camera = document.createElement('video');
        video.muted = true;
        video.style = 'position: fixed; left: 0; top: 0; width: 64px';
        document.body.append(video);
        video.srcObject = await navigator.mediaDevices.getUserMedia(
            {{video: {{width: 640, height: 480, frameRate: 30}}}});
        await video.play();
    }}
    let over = false;
    for (const [name, video] of Object.entries(videos)) {{
        const canvas = document.createElement('canvas');
        const next = () => video.requestVideoFrameCallback((now) => {{
            logs[name].push([now, read(video, canvas)]);
            if (!over) next();
        }});
        next();
    }}
    const quality = () => videos.page.getVideoPlaybackQuality().totalVideoFrames;
    const decoded = quality(), started = performance.now();
    await new Promise((done) => setTimeout(done, 1000 * seconds));
    const fps = 1000 * (quality() - decoded) / (performance.now() - started);
    over = true;
    if (preview) {{
        videos.camera.srcObject.getTracks().forEach((track) => track.stop());
        videos.camera.remove();
    }}
    return {{fps, ...logs}};
}}"""

Log = Sequence[tuple[float, int | None]]


def save_clip(root: Path, environment: Environment) -> str:
    """A run of CLIP ViT-B/32 with random weights; its `dataset/run`."""
    metrics = {"test": made_up_metrics(np.random.default_rng(0))}
    record = made_up_record(MODELS.index(CLIP), metrics, environment)
    model = build_model(ModelRequest(name=CLIP, emotions=FER2013))
    folder = ResultsStore(root).save(record, network=model_files(model, "float16"))
    return f"{folder.parent.name}/{folder.name}"


def copy_run(name: str, root: Path) -> str:
    """Copies a stored run with its weights; its `dataset/run`."""
    stored = Path(os.environ.get("FER_BENCH_RESULTS") or ROOT / "results")
    found = ResultsStore(stored).find(name)
    run = found.id
    shutil.copytree(found.folder, root / run)
    return run


def fresh_share(shown: Log) -> float:
    """The share of frames whose number is not that of the frame before."""
    numbers = [number for _, number in shown]
    return float(np.mean([a != b for a, b in pairwise(numbers)]))


def lags(camera: Log, page: Log) -> list[float]:
    """Milliseconds by which each number came later on the page than from the camera."""
    first: dict[int, list[float]] = {}
    for at, number in camera:
        if number is not None:
            first.setdefault(number, []).append(at)
    found = []
    for at, number in page:
        earlier = [then for then in first.get(-1 if number is None else number, []) if then <= at]
        # A loop lasts 8.5 s: a number of the loop before is no answer.
        if earlier and at - earlier[-1] < 4000:
            found.append(at - earlier[-1])
    return found


def percentiles(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """`name_p50` and `name_p90`; None without values."""
    return {
        f"{name}_p{p}": round(float(np.percentile(values, p)), 1) if values else None
        for p in (50, 90)
    }


def measure_video(visitor: LiveVisitor, seconds: float) -> dict[str, Any]:
    """Pace and freshness, then the lag, which needs a second video next to the page's."""
    alone = visitor.frame.evaluate(WATCH, [seconds, False])
    beside = visitor.frame.evaluate(WATCH, [seconds, True])
    return {
        "fps": round(alone["fps"], 2),
        "fresh_share": round(fresh_share(alone["page"]), 4),
        "unreadable_share": round(float(np.mean([n is None for _, n in alone["page"]])), 4),
        **percentiles("lag_ms", lags(beside["camera"], beside["page"])),
    }


def measure_overlay(visitor: LiveVisitor) -> dict[str, Any]:
    """What the page says of its pace and of its overlays' age."""
    metrics = visitor.page.get_by_test_id("stMetric").all_inner_texts()
    values = {lines[0]: lines[-1] for lines in (text.split("\n") for text in metrics)}
    median = re.search(r"Median age of an overlay: (\d+)", visitor.counts.inner_text())
    return {
        "overlay_age_ms_p50": int(median[1]) if median else None,
        **{
            key: _number(values.get(name, ""))
            for key, name in (
                ("overlay_age_ms_p90", "Overlay age"),
                ("server_fps", "Video"),
                ("analyses_per_second", "Analyses"),
                ("detect_ms_p50", "Detect"),
                ("classify_ms_p50", "Classify"),
            )
        },
    }


def _number(text: str) -> int | None:
    found = re.search(r"\d+", text)
    return int(found[0]) if found else None


def measure_cycles(visitor: LiveVisitor, server: Server, cycles: int) -> dict[str, Any]:
    """Start and Stop, again and again; the server's figures a few seconds after each Stop."""
    taken = []
    for _ in range(cycles):
        visitor.start()
        visitor.wait_for_frames(60)
        visitor.stop()
        time.sleep(3)  # the connection's threads end
        taken.append(process_figures(server.pid))
    return _summary("cycles", taken, 1)


def measure_minutes(visitor: LiveVisitor, server: Server, minutes: float) -> dict[str, Any]:
    """The server's figures while the video plays."""
    taken = []
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(SAMPLE_EVERY_S)
        taken.append(process_figures(server.pid))
    return _summary("minutes", taken, round(30 / SAMPLE_EVERY_S))


def _summary(name: str, taken: Sequence[tuple[float, int]], warm: int) -> dict[str, Any]:
    """First (after `warm` samples, where there are more), last and extreme figures."""
    used = taken[warm:] or taken[-1:]
    if not used:
        return {}
    memory, threads = [m for m, _ in used], [n for _, n in used]
    return {
        f"{name}_rss_mb_first": round(memory[0], 1),
        f"{name}_rss_mb_last": round(memory[-1], 1),
        f"{name}_rss_mb_most": round(max(memory), 1),
        f"{name}_rss_change_percent": round(100 * (memory[-1] / memory[0] - 1), 2),
        f"{name}_threads_first": threads[0],
        f"{name}_threads_last": threads[-1],
        f"{name}_threads_most": max(threads),
    }


def measure(arguments: argparse.Namespace, folder: Path, environment: Environment) -> Any:
    """All of it, in one visit to a fresh server."""
    root = folder / "results"  # of one run, which the page therefore takes
    run = save_clip(root, environment) if arguments.clip else copy_run(arguments.model, root)
    clip = folder / "camera.mjpeg"
    write_clip(clip)
    variables = {
        "FER_BENCH_RESULTS": str(root),
        "FER_BENCH_CONFIG": str(folder / "settings.json"),
        "FER_BENCH_ICE_SERVERS": "",
    }
    with (
        isolated() as alone,
        running(variables, "benchmarks.harness.loopback") as server,
        chromium(camera_arguments(clip)) as browser,
        browser.new_context(
            permissions=["camera"], viewport={"width": 1440, "height": 900}
        ) as context,
    ):
        visitor = LiveVisitor(page=context.new_page())
        visitor.open(server.address)
        figures: dict[str, Any] = {"run": run, "network": "loopback only" if alone else "host"}
        if arguments.cycles:
            figures |= {"cycles": arguments.cycles}
            figures |= measure_cycles(visitor, server, arguments.cycles)
        visitor.start()
        time.sleep(WARM_UP_S)
        figures |= measure_video(visitor, arguments.seconds) | measure_overlay(visitor)
        if arguments.minutes:
            figures |= {"minutes": arguments.minutes}
            figures |= measure_minutes(visitor, server, arguments.minutes)
        visitor.stop()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT, help="a run with weights: name or dataset/name")
    parser.add_argument("--clip", action="store_true", help="a random CLIP ViT-B/32 instead")
    parser.add_argument("--seconds", type=float, default=20, help="each measurement of the video")
    parser.add_argument("--cycles", type=int, default=20, help="times Start and Stop")
    parser.add_argument("--minutes", type=float, default=5, help="of playing while memory is read")
    parser.add_argument("--quick", action="store_true", help="5 s, 2 cycles and no minutes")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.cycles, arguments.minutes = 5, 2, 0
    environment = capture()
    with tempfile.TemporaryDirectory() as folder:
        figures = {
            "benchmark": "live_page",
            **measure(arguments, Path(folder), environment),
            "cpu": environment.processor,
            "cpu_cores": environment.cpu_cores,
            "python": platform.python_version(),
            **{name: version(name) for name in ("streamlit", "streamlit-webrtc", "aiortc")},
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
