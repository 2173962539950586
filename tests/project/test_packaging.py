"""What is shipped: the wheel has all that its code reads, the image is built and started safely."""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml
from browser_fixtures import require_chromium

from benchmarks.harness.dashboard import chromium, free_port

ROOT = Path(__file__).parents[2]
SOURCES = (
    ".streamlit", "LICENSE", "README.md", "app.py", "assets", "fer_bench", "pages",
    "pyproject.toml", "requirements.txt", "results", "setup.py",
)  # fmt: skip
#: The dashboard's files, which lie outside the package in the checkout, and the shipped model's.
DASHBOARD = ("app.py", "pages", "assets", ".streamlit/config.toml", "results/default.txt")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def files_of(folder: Path) -> set[Path]:
    """Every file beneath a folder, or the file itself."""
    files = [folder] if folder.is_file() else folder.rglob("*")
    return {path for path in files if path.is_file() and "__pycache__" not in path.parts}


def shipped_files() -> set[str]:
    """Every file of the package, and those of the dashboard where the wheel has them."""
    run = (ROOT / "results/default.txt").read_text().strip()
    dashboard = [path for name in (*DASHBOARD, f"results/{run}") for path in files_of(ROOT / name)]
    return {path.relative_to(ROOT).as_posix() for path in files_of(ROOT / "fer_bench")} | {
        f"fer_bench/dashboard/{path.relative_to(ROOT).as_posix()}" for path in dashboard
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy: a build leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (ROOT / name).is_dir():  # but for what other processes compile just now
            without = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=without)
        else:
            shutil.copy(ROOT / name, folder / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--wheel-dir", folder / "dist", folder], check=True)
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fer-bench` of an environment with the wheel in it."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "venv", symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "venv", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    (packages,) = (place / "venv/lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return place / "venv/bin/fer-bench"


@pytest.fixture(scope="module")
def command(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`fer-bench ...` in an empty folder."""
    empty = tmp_path_factory.mktemp("empty")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], cwd=empty, capture_output=True, text=True)

    return call


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == shipped_files()
    assert {"fer_bench/py.typed", "fer_bench/specs/recipes/strong.yaml"} <= names


def test_what_is_shipped_reads_nothing_outside_the_package() -> None:
    """`parents[1]` of the package is the checkout: its commit, and the dashboard lie there."""
    outside = re.compile(r"fer_bench\.__file__\)\.parents?\b|__file__\)\.parents\[[2-9]")
    users = {
        name
        for path in files_of(ROOT / "fer_bench")
        if path.suffix == ".py" and outside.search(path.read_text(encoding="utf-8"))
        for name in [path.relative_to(ROOT).as_posix()]
    }
    assert users == {"fer_bench/environment.py"}


@pytest.mark.parametrize(
    ("words", "name"),
    [(("list", "models"), "resnet18"), (("list", "recipes"), "strong")],
)
def test_the_installed_command_lists_what_there_is(
    command: Command, words: tuple[str, ...], name: str
) -> None:
    done = command(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert name in [entry["name"] for entry in json.loads(done.stdout)]


def test_the_installed_command_explains_itself(command: Command) -> None:
    done = command("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: fer-bench" in done.stdout


def test_without_results_the_installed_command_says_what_to_do(command: Command) -> None:
    done = command("results")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("no runs in results")
    assert done.stderr.count("\n") == 1


def test_the_installed_dashboard_opens_by_its_certificate_and_token(
    program: Path, tmp_path: Path
) -> None:
    """Outside the checkout, with the shipped model; what Chromium calls an error fails the test."""
    require_chromium()
    port = free_port()
    words = ["app", "--https", "--token", "secret", "--port", str(port), "--json"]
    settings = {"FER_BENCH_CACHE": str(tmp_path), "FER_BENCH_CONFIG": str(tmp_path / "s.json")}
    hidden = {"FER_BENCH_RESULTS", "FER_BENCH_TOKEN", "FER_BENCH_DATA", "PYTHONPATH"}
    environment = {k: v for k, v in os.environ.items() if k not in hidden} | settings
    server = subprocess.Popen(
        [program, *words], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        address = read_document(server)["address"]
        assert address == f"https://localhost:{port}/?token=secret"
        (certificate,) = tmp_path.glob("certificates/*.pem")
        wait_for_health(port, ssl.create_default_context(cafile=str(certificate)))
        with chromium() as browser, browser.new_context(ignore_https_errors=True) as context:
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(address.partition("?")[0])
            page.get_by_role("heading", name="This dashboard asks for a token").wait_for()
            page.goto(address)
            page.get_by_role("heading", level=1, name="FER Bench").wait_for()
            page.get_by_text("Compact ResNet").first.wait_for(state="attached")
            page.get_by_role("link", name="Try an image").click()
            page.get_by_role("heading", level=1, name="Try an image").wait_for()
            page.get_by_text("happy").first.wait_for(state="attached")
    finally:
        server.terminate()
        server.wait(timeout=60)


def read_document(server: subprocess.Popen[str]) -> dict[str, Any]:
    """The JSON document that a server begins with."""
    assert server.stdout
    text = ""
    while not text.endswith("\n}\n"):
        line = server.stdout.readline()
        assert line, "the server ended"
        text += line
    document: dict[str, Any] = json.loads(text)
    return document


def wait_for_health(port: int, context: ssl.SSLContext) -> None:
    """Until Streamlit answers by this certificate."""
    end = time.monotonic() + 120
    while True:
        try:
            urlopen(f"https://localhost:{port}/_stcore/health", timeout=5, context=context).close()
            return
        except URLError as error:
            assert isinstance(error.reason, ConnectionError | TimeoutError), error
            assert time.monotonic() < end, error
            time.sleep(0.2)


# The image


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """`.ci/image`, which builds the image without Docker."""
    loader = SourceFileLoader("image_script", str(ROOT / ".ci" / "image"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # its dataclasses look there
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stages(script: ModuleType) -> list[Any]:
    parsed: list[Any] = script.parse((ROOT / "Dockerfile").read_text())
    return parsed


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return values


def told(stage: Any, word: str) -> list[str]:
    """What follows a word in a stage's instructions."""
    return [rest for one, rest in stage.steps if one == word]


def ports_in(*texts: object) -> set[str]:
    """Four-digit ports that texts name."""
    return set(re.findall(r"\b(8\d{3})\b", " ".join(map(str, texts))))


def test_the_image_has_two_stages_of_one_pinned_base(stages: list[Any]) -> None:
    bases = re.findall(r"(?m)^FROM (\S+)", (ROOT / "Dockerfile").read_text())
    assert len(stages) == len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
    assert told(stages[1], "COPY")[0] == "--from=builder /opt/venv /opt/venv"


def test_dependencies_are_installed_before_any_source_is_copied(stages: list[Any]) -> None:
    assert told(stages[0], "COPY") == ["requirements.txt ./"]
    assert [rest for rest in told(stages[1], "RUN") if "pip" in rest] == []


def test_the_image_runs_as_nobody_special(stages: list[Any]) -> None:
    assert told(stages[1], "USER") == ["10001"]
    assert "useradd --uid 10001 " in told(stages[1], "RUN")[0]
    words = [word for word, _ in stages[1].steps]
    assert words.index("USER") < words.index("HEALTHCHECK") < words.index("CMD")
    assert "RUN" not in words[words.index("USER") :]


def test_image_and_compose_agree_on_ports(stages: list[Any], compose: dict[str, Any]) -> None:
    dashboard, api = compose["services"]["dashboard"], compose["services"]["api"]
    command, check = told(stages[1], "CMD")[0], told(stages[1], "HEALTHCHECK")[0]
    assert ports_in(command) == ports_in(check) == ports_in(*dashboard["ports"]) == {"8501"}
    assert ports_in(*api["command"]) == ports_in(*api["ports"]) == {"8010"}
    assert ports_in(*api["healthcheck"]["test"]) == {"8010"}
    assert ports_in(*told(stages[1], "EXPOSE")) == {"8501", "8010"}
    assert not any("curl" in text for text in (check, *api["healthcheck"]["test"]))


@pytest.mark.parametrize("name", ["dashboard", "api"])
def test_services_are_locked_down(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [mount.partition(":")[0] for mount in service["tmpfs"]] == ["/tmp", "/home/fer"]
    assert service["mem_limit"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize(
    "name", ["Dockerfile", "compose.yaml", "README.md", "requirements.txt", ".ci/run", ".ci/image"]
)
def test_no_package_index_is_written_down(name: str) -> None:
    """pip's own default serves; whoever has another names it."""
    said = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"pypi\.org|download\.pytorch\.org|index-url[= ]\"?https?://", said)


@pytest.mark.parametrize(("index", "expected"), [("", []), ("there", ["--index-url", "there"])])
def test_the_image_takes_pytorch_from_the_index_that_was_given(
    stages: list[Any], index: str, expected: list[str]
) -> None:
    (command,) = [rest for word, rest in stages[0].steps if word == "RUN" and "torch.txt" in rest]
    install = command.partition("&&")[2].replace("pip install", "printf '%s\\n'")
    said = subprocess.run(
        ["/bin/sh", "-c", install],
        env={"TORCH_INDEX": index},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout.split() == [*expected, "-r", "torch.txt"]


def test_no_secret_stands_in_the_compose_file(compose: dict[str, Any]) -> None:
    assert compose["services"]["api"]["environment"] == ["FER_BENCH_TOKEN"]


def test_only_what_runs_gets_into_the_image(script: ModuleType) -> None:
    names = {str(path) for path in script.context_files()}
    wanted = ("app.py", "pages/run.py", "fer_bench/ui/data.py", "results/default.txt")
    assert {*wanted, "assets/logo.svg", ".streamlit/config.toml", "requirements.txt"} <= names
    tops = {name.split("/")[0] for name in names}
    assert tops <= {
        ".streamlit", "app.py", "assets", "benchmarks", "fer_bench", "pages", "requirements.txt",
        "results",
    }  # fmt: skip
    assert not [name for name in names if "secrets" in name or ".work/" in name]
    assert not [name for name in names if "__pycache__" in name]
