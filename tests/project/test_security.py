"""What hostile files, records and visitors must not be able to do. Each test is one way in."""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from data_fixtures import encoded, face, put, zipped
from page_fixtures import make_ensemble_record, open_page, texts
from PIL import Image
from record_fixtures import make_history, make_predictions, make_record
from streamlit import config as streamlit_config
from streamlit.testing.v1 import AppTest
from table_fixtures import table
from waiting_fixtures import PATIENCE_S

from fer_bench import environment, ui
from fer_bench.data import cache
from fer_bench.data.files import archive as tree
from fer_bench.data.files import csv_table
from fer_bench.data.load import read_source
from fer_bench.data.readers import images
from fer_bench.errors import FerBenchError
from fer_bench.inference.classifier import open_classifier
from fer_bench.models.weights import DOCUMENT_FILE, read_model_document
from fer_bench.models.zoo import clip_files
from fer_bench.results.parse import parse_record
from fer_bench.results.store import ResultsStore
from fer_bench.results.stored_run import read_run
from fer_bench.specs.recipe import load_recipe
from fer_bench.ui.images.faces import safe_stem

ROOT = Path(__file__).parents[2]
#: Every Python file that users run, but for app.py, which opens nothing.
SOURCES = [
    path for folder in ("fer_bench", "pages") for path in sorted((ROOT / folder).rglob("*.py"))
]


#: They read what is known to the byte: npm's package by its digest, member by member and never
#: unpacked to disk; OpenCV's own cascade.
KNOWN_CONTENTS = ("runtime.py", "cascade.py")


# What is not in the code at all


@table(
    "pattern",
    [
        r"pickle\.(load|Unpickler|dump)|\b(joblib|dill|cloudpickle|shelve|marshal)\b|read_pickle",
        r"allow_pickle=True|trust_remote_code=True|weights_only=False",
        r"yaml\.(load|full_load|unsafe_load)\(",
        r"shell=True|os\.(system|popen)\(|\b(eval|exec)\([\"'a-z]",
        r"\.extract(all|file)?\(|unpack_archive",
        r"tempfile\.mktemp\(",
        # The styles and the script that are files and constants of our own stand in their elements.
        r"unsafe_allow_html|components\.(v1\.)?html|st\.html\((?!f?[\"']<(style|script)>\{)",
        r"xml\.(etree|dom|sax)|lxml|minidom",
        r"verify=False|_create_unverified_context",
    ],
)
def test_nothing_unsafe_is_called(pattern: str) -> None:
    unsafe = re.compile(pattern)
    files = [p for p in SOURCES if "extractor" not in p.name and p.name not in KNOWN_CONTENTS]
    assert [p.name for p in files if unsafe.search(p.read_text(encoding="utf-8"))] == []


def test_tars_are_read_in_one_place_alone() -> None:
    """`data.tar` goes through their headers, and never unpacks."""
    imports = re.compile(r"^\s*(import|from) tarfile", re.M)
    importing = {p.name for p in SOURCES if imports.search(p.read_text(encoding="utf-8"))}
    assert importing - set(KNOWN_CONTENTS) == {"tar.py"}


@pytest.mark.parametrize(("call", "safe"), [("torch.load(", "weights_only=True"),
                                           ("np.load(", "allow_pickle=False")])  # fmt: skip
def test_what_could_unpickle_is_told_not_to(call: str, safe: str) -> None:
    calls = [
        line
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if call in line
    ]
    assert calls
    assert [line for line in calls if safe not in line] == []


def test_downloads_are_pinned() -> None:
    """Two files by their SHA-256, one repository by its commit; others are named by the user."""
    ways = re.compile(r"urlopen\(|urlretrieve|import (requests|httpx)\b|hf_hub_download\(")
    users = {p.name for p in SOURCES if ways.search(p.read_text(encoding="utf-8"))}
    assert users == {"network_file.py", "pretrained.py"}
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in clip_files.REVISIONS.values())
    assert clip_files.REFERENCE_ID in clip_files.REVISIONS


# Data sets


def reasons(source: Path) -> dict[str, str]:
    return {row.id: row.reason for row in read_source(source).left_out}


def lying_zip(path: Path, name: str, claimed: int, unpacked: int) -> Path:
    """A zip with a good face, and a member that unpacks to more than both its headers claim."""
    zipped(path, {"happy/good.png": encoded(face(1))})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(unpacked))
        info = archive.getinfo(name)
    true, false = struct.pack("<L", info.file_size), struct.pack("<L", claimed)
    packed = struct.pack("<L", info.compress_size)
    path.write_bytes(path.read_bytes().replace(packed + true, packed + false))
    return path


def test_a_zip_that_lies_about_its_sizes_is_not_unpacked_whole(tmp_path: Path) -> None:
    source = lying_zip(tmp_path / "bomb.zip", "happy/bomb.png", 1000, 64 * 2**20)
    assert source.stat().st_size < 100_000
    tracemalloc.start()
    try:
        assert "CRC" in reasons(source)["happy/bomb.png"]
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_unpacked_bit_by_bit_are_refused(
    packing: int, tmp_path: Path
) -> None:
    source = zipped(tmp_path / "odd.zip", {"happy/good.png": encoded(face(1))})
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("happy/bomb.png", bytes(2**20), compress_type=packing)
    assert "packed in another way than deflate" in reasons(source)["happy/bomb.png"]


def test_members_of_a_zip_cannot_climb_out_of_it(tmp_path: Path) -> None:
    names = ("../../happy/a.png", "/happy/b.png", "..\\happy\\c.png", "happy/./d.png")
    source = zipped(tmp_path / "slip.zip", {n: encoded(face(i)) for i, n in enumerate(names)})
    found = tree.open_tree(source)
    assert found.names == ["happy/a.png", "happy/b.png", "happy/c.png", "happy/d.png"]
    assert read_source(source).ids.tolist() == found.names
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slip.zip"]


def blank_png(side: int) -> bytes:
    """A black picture: a thousandth of its pixels' bytes."""
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    return buffer.getvalue()


def test_pictures_that_share_a_large_size_are_made_small(tmp_path: Path) -> None:
    files = {f"happy/{i}.png": blank_png(images.MAX_SIDE + 8) for i in range(3)}
    assert read_source(zipped(tmp_path / "large.zip", files)).images.shape == (3, 224, 224)


def test_only_so_many_pixels_are_held_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    append = cache.ArrayFile.append

    def noting(self: Any, chunk: Any) -> None:
        held.extend([chunk.nbytes] if chunk.ndim == 3 else [])
        append(self, chunk)

    monkeypatch.setattr(cache.ArrayFile, "append", noting)
    monkeypatch.setattr(images, "BLOCK_BYTES", 3 * 48 * 48)
    files = {f"happy/{i}.png": encoded(face(i)) for i in range(10)}
    assert len(read_source(zipped(tmp_path / "ten.zip", files)).images) == 10
    assert held == [3 * 48 * 48] * 3 + [48 * 48]


def test_postscript_in_a_data_set_starts_no_interpreter(tmp_path: Path) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 48\n%%EndComments\n%%EOF\n"
    source = put(tmp_path / "faces", {"sad/a.jpg": script, "sad/b.png": encoded(face(1))})
    assert reasons(source)["sad/a.jpg"] == "cannot be decoded: not an image of a known format"


def huge_png(side: int) -> bytes:
    """The header of a picture of side² pixels, and next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">L", zlib.crc32(kind + data))
        return struct.pack(">L", len(data)) + kind + data + checksum

    header = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    source = put(tmp_path / "faces", {"sad/a.png": huge_png(10_000), "sad/b.png": encoded(face(1))})
    assert "10000x10000 pixels, more than the limit" in reasons(source)["sad/a.png"]


def test_an_annotation_that_promises_terabytes_is_no_label(tmp_path: Path) -> None:
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**13,)}
    promise = io.BytesIO()
    np.lib.format.write_array_header_1_0(promise, header)
    files = {"train_set/images/1.jpg": encoded(face(1), ".jpg"),
             "train_set/annotations/1_exp.npy": promise.getvalue()}  # fmt: skip
    with pytest.raises(FerBenchError, match=r"no image of .* could be read: .*as its label"):
        read_source(put(tmp_path / "affectnet", files))


def test_a_gzipped_table_of_one_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv.gz"
    path.write_bytes(gzip.compress(b"emotion,pixels,Usage\n0," + b"1 " * (4 * csv_table.MAX_LINE)))
    with pytest.raises(FerBenchError, match=r"cannot be read as CSV: .* or one of 1,048,576"):
        read_source(path)


def test_a_table_of_endlessly_many_lines_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINES", 10)
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "0,1,Training\n" * 10)
    with pytest.raises(FerBenchError, match=r"more than 10 lines"):
        read_source(path)


# Recipes


def test_a_recipe_that_multiplies_itself_is_refused_at_once(tmp_path: Path) -> None:
    first, *letters = "abcdefghijklmn"
    lists = [f"&{first} [{', '.join('x' * 9)}]"]
    for before, letter in zip([first, *letters], letters, strict=False):
        lists.append(f"&{letter} [{', '.join([f'*{before}'] * 9)}]")
    (tmp_path / "bomb.yaml").write_text(f"name: [{', '.join(lists)}]\nepochs: 1\n")
    with pytest.raises(FerBenchError, match=r"name: .* got \[\['x'") as refused:
        load_recipe(str(tmp_path / "bomb.yaml"))
    assert len(str(refused.value)) < 300


def test_a_recipe_nested_too_deeply_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("name: " + "[" * 1000)
    with pytest.raises(FerBenchError, match="not valid YAML: it is nested too deeply"):
        load_recipe(str(tmp_path / "deep.yaml"))


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system ['true']", "!!python/name:os.system"]
)
def test_a_recipe_runs_no_code(tag: str, tmp_path: Path) -> None:
    (tmp_path / "code.yaml").write_text(f"name: {tag}\nepochs: 1\n")
    with pytest.raises(FerBenchError, match="could not determine a constructor"):
        load_recipe(str(tmp_path / "code.yaml"))


# Records and models


@table("run", ["../../elsewhere", "/etc", "a/b", "..", ".hidden", "A", "a\nb"])
def test_an_ensembles_members_lie_beside_it(run: str) -> None:
    record = json.loads(make_ensemble_record("best", {"a": 0.5, "b": 0.5}).model_dump_json())
    record["members"][0]["run"] = run
    problem = parse_record(json.dumps(record).encode())
    assert isinstance(problem, str)
    assert problem.startswith("record.json: members.0.run: String should match pattern")


def test_an_ensemble_of_itself_is_one_sentence(tmp_path: Path) -> None:
    record = make_ensemble_record("best", {"ensemble-best": 1.0, "other": 0.0})
    members = tuple(m.model_copy(update={"run": record.name}) for m in record.members[:1])
    folder = ResultsStore(tmp_path).save(record.model_copy(update={"members": members}))
    with pytest.raises(FerBenchError, match="is made of ensemble-best, an ensemble itself"):
        open_classifier(read_run(folder))


@table("name", ["../up", "/abs", "a/b", "..", "", "A", "a\0b", "é", "-x"])
def test_no_name_leads_out_of_the_results_folder(name: str, tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    for folder, args in ((store.folder, ("fer2013", name)), (store.work_folder, (name, "run"))):
        with pytest.raises(FerBenchError, match="rename it"):
            folder(*args)


BAD_EMOTIONS = ["![x](http://evil.example/a.png)", "<script>", "=cmd()", "", "x" * 99, "a\nb"]


@table("emotion", BAD_EMOTIONS)
def test_emotions_are_words(emotion: str, tmp_path: Path) -> None:
    record = json.loads(make_record().model_dump_json())
    record["dataset"]["emotions"][0] = emotion
    problem = parse_record(json.dumps(record).encode())
    assert isinstance(problem, str)
    assert problem.startswith("record.json: dataset.emotions.0: String should match pattern")

    card = json.loads((shipped() / DOCUMENT_FILE).read_text(encoding="utf-8"))
    card["request"]["emotions"][0] = emotion
    (tmp_path / DOCUMENT_FILE).write_text(json.dumps(card))
    with pytest.raises(FerBenchError, match=r"request\.emotions\.0: String should match pattern"):
        read_model_document(tmp_path)


def shipped() -> Path:
    return ResultsStore(ROOT / "results").find("default").folder


def test_a_record_does_not_say_which_files_the_server_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FER_BENCH_CONFIG", str(tmp_path / "settings.json"))
    monkeypatch.delenv("FER_BENCH_DATA", raising=False)
    put(tmp_path / "private", {"sad/a.png": encoded(face(1))})
    record = make_record(dataset="synthetic")
    info = record.dataset.model_copy(update={"source": str(tmp_path / "private")})
    assert ui.dataset_of(record.model_copy(update={"dataset": info})) is None


def test_the_commit_is_our_own_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed into another project's checkout, FER Bench must not record that one's commit."""
    package = tmp_path / "site-packages" / "fer_bench" / "__init__.py"
    package.parent.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(environment.fer_bench, "__file__", str(package))
    assert environment.git_commit() is None


# Visitors of the pages

HOSTILE = "![x](http://evil.example/a.png) <script>alert(1)</script> [c](javascript:alert(1)) $x$"
#: Elements whose texts Streamlit shows as they are, or hands to a library that does.
AS_IT_IS = {"selectbox", "multiselect", "arrow_data_frame", "text_input", "code", "plotly_chart"}


def hostile_record(seed: int) -> dict[str, Any]:
    """A record whose every free text is Markdown and HTML."""
    values: dict[str, Any] = json.loads(make_record(seed=seed).model_dump_json())
    values["name"] = HOSTILE
    values["spec"] |= {"model": HOSTILE, "protocol": "official", "pretraining": HOSTILE,
                       "model_options": {HOSTILE: HOSTILE}}  # fmt: skip
    values["spec"]["recipe"]["description"] = HOSTILE
    values["environment"] |= {"cpu": HOSTILE, "gpu": HOSTILE, "git_commit": HOSTILE,
                              "system": HOSTILE, "python": HOSTILE,
                              "packages": {HOSTILE: HOSTILE, "torch": HOSTILE}}  # fmt: skip
    values["dataset"] |= {"source": HOSTILE, "protocol": HOSTILE, "fingerprint": HOSTILE}
    values["model"]["provenance"] |= dict.fromkeys(("architecture", "paper", "weights"), HOSTILE)
    values["training"] |= dict.fromkeys(("device", "precision", "precision_reason"), HOSTILE)
    return values


@pytest.fixture(scope="module")
def hostile_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hostile runs in folders of hostile names, a failed and an unreadable one."""
    root = tmp_path_factory.mktemp("hostile") / "results"
    store = ResultsStore(root)
    for seed, name in enumerate((HOSTILE.replace("/", "∕"), "<b>x")):
        tables = {"history": make_history(), "predictions": make_predictions(seed=seed)}
        folder = store.save(make_record(seed=seed), **tables)
        (folder / "record.json").write_text(json.dumps(hostile_record(seed)))
        folder.rename(folder.with_name(name))
    store.save(make_record(model="vit-b-16", status="failed", error=HOSTILE))
    unreadable = root / "fer2013" / "[c](javascript:alert(1))"
    unreadable.mkdir()
    (unreadable / "record.json").write_text(HOSTILE)
    assert [run.record is not None for run in store.runs()].count(True) == 3
    return root


@pytest.fixture
def hostile(results: Path, hostile_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These runs are the ones that the pages show."""
    monkeypatch.setenv("FER_BENCH_RESULTS", str(hostile_runs))


#: The dashboard's own, whole, as `ui.run_script` shows them.
OWN_SCRIPTS = {
    f"<script>{file.read_text('utf-8')}</script>" for file in ROOT.glob("fer_bench/ui/**/*.js")
}


def rendered(app: AppTest) -> Iterator[str]:
    """Every text on the page that is Markdown to Streamlit."""
    waiting: list[Any] = [app.main, app.sidebar]
    while waiting:
        node = waiting.pop()
        waiting += getattr(node, "children", {}).values()
        if getattr(node, "type", "") not in AS_IT_IS and getattr(node, "proto", None) is not None:
            yield from (text for text in strings(node.proto) if text not in OWN_SCRIPTS)


def strings(message: Any) -> Iterator[str]:
    """All texts in a protocol buffer."""
    for _, value in message.ListFields():
        for one in value if isinstance(value, (list, tuple)) or hasattr(value, "add") else [value]:
            if isinstance(one, str):
                yield one
            elif hasattr(one, "ListFields"):
                yield from strings(one)


PAGES = sorted({path.stem for path in (ROOT / "pages").glob("*.py")} - {"image", "live"})


@pytest.mark.parametrize("page", PAGES)
def test_hostile_records_stay_text_on_every_page(page: str, hostile: None) -> None:
    app = open_page(page)
    shown = [text for text in rendered(app) if not text.startswith("{")]
    live = re.compile(r"(?<!\\)(!\[|\]\(|<script|<b>|\$x)")
    assert [text for text in shown if live.search(text)] == []
    if page == "run":
        assert any("evil" in text for text in shown)  # so that the search looks at something


@pytest.mark.parametrize(("page", "key"), [("run", "run"), ("compare", "runs"), ("latency", "run")])
@pytest.mark.parametrize("wanted", ["fer2013/../../../../../etc/passwd", HOSTILE])
def test_an_address_names_no_file(page: str, key: str, wanted: str, hostile: None) -> None:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=PATIENCE_S)
    app.run()
    app.query_params[key] = wanted
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert "passwd" not in "".join(box.value or "" for box in app.selectbox)
    assert not [text for text in rendered(app) if "<script>" in text]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("../../etc/passwd.jpg", "passwd"),
        ("..\\..\\boot.ini", "boot"),
        ("/abs/face.png", "face"),
        ("<img src=x onerror=alert(1)>.jpg", "img_src_x_onerror_alert_1"),
        ("....", "picture"),
    ],
)
def test_names_in_a_downloaded_zip_are_file_names(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


# Places on the server


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what the server is bound to."""
    before = streamlit_config.get_option("server.address")
    monkeypatch.delenv("FER_BENCH_ALLOW_PATHS", raising=False)
    yield lambda value: streamlit_config.set_option("server.address", value)
    streamlit_config.set_option("server.address", before)


@pytest.mark.parametrize(
    ("bound", "variable", "allowed"),
    [
        ("localhost", None, True),
        ("127.0.0.1", None, True),
        ("::1", None, True),
        (None, None, False),
        ("0.0.0.0", None, False),
        ("::", None, False),
        ("192.168.1.2", None, False),
        ("faces.example.org", None, False),
        ("localhost", "0", False),
        ("localhost", "yes", False),
        (None, "1", True),
    ],
)
def test_visitors_name_paths_only_on_their_own_machine(
    bound: str | None,
    variable: str | None,
    allowed: bool,
    results: Path,
    address: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address(bound)
    if variable is not None:
        monkeypatch.setenv("FER_BENCH_ALLOW_PATHS", variable)
    assert ui.may_name_paths() is allowed


def test_on_an_open_server_the_data_are_named_by_who_runs_it(hostile: None, address: Any) -> None:
    address("0.0.0.0")
    app = open_page("errors")
    assert not app.text_input
    assert "whoever runs it sets FER_BENCH_DATA" in texts(app)


def test_on_an_open_server_visitors_choose_no_history(results: Path, address: Any) -> None:
    address("0.0.0.0")
    app = open_history()
    assert not app.text_input and not app.toggle
    assert "whoever runs it sets FER_BENCH_HISTORY" in texts(app)


def test_a_history_that_the_server_names_says_that_it_is_shared(
    results: Path, address: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address("0.0.0.0")
    monkeypatch.setenv("FER_BENCH_HISTORY", str(tmp_path / "kept"))
    app = open_history()
    assert [toggle.key for toggle in app.toggle] == ["history-on", "history-shown"]
    assert "Everyone who opens this page can look at it and delete it." in texts(app)
    assert not (tmp_path / "kept").exists()


def open_history() -> AppTest:
    """The history's part of the image page alone."""

    def page() -> None:
        from fer_bench.inference.adjust import Adjustment
        from fer_bench.ui.images.analysis import Treatment
        from fer_bench.ui.images.history import show_history

        show_history([], Treatment(adjustment=Adjustment(), detector="haar"), {})

    app = AppTest.from_function(page, default_timeout=PATIENCE_S).run()
    assert not app.exception
    return app


def test_the_dashboard_listens_to_its_own_machine_unless_told_otherwise() -> None:
    lines = (ROOT / ".streamlit" / "config.toml").read_text().splitlines()
    assert 'address = "localhost"' in lines
    assert "maxUploadSize = 50" in lines


# What we depend on


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    """`.ci/audit`."""
    loader = SourceFileLoader("audit_script", str(ROOT / ".ci" / "audit"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def entry(name: str, *ids: str) -> dict[str, Any]:
    vulnerabilities = [{"id": one, "fix_versions": ["2.0"]} for one in ids]
    return {"name": name, "version": "1.0", "vulns": vulnerabilities}


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        ([entry("good"), entry("bad", "CVE-1", "CVE-2")],
         ["bad 1.0: CVE-1, mended in 2.0", "bad 1.0: CVE-2, mended in 2.0"]),
        ([entry("good"), {"name": "ours", "skip_reason": "not found"}], []),
        ([{"name": "requests", "skip_reason": "not found on PyPI"}], None),
    ],
)  # fmt: skip
def test_an_index_that_knows_nothing_is_not_taken_for_good_news(
    audit: ModuleType, dependencies: list[dict[str, Any]], said: list[str] | None
) -> None:
    assert audit.findings({"dependencies": dependencies}) == said


def test_what_the_requirements_need_is_audited_too(audit: ModuleType) -> None:
    found = audit.installed(["streamlit>=1", "not-installed>=1", 'colorama; os_name == "nt"'])
    assert {"streamlit", "altair", "pandas"} <= {name.lower() for name in found}
    assert not {"not-installed", "colorama"} & {name.lower() for name in found}
    assert all(re.fullmatch(r"[\w.!]+", version) for version in found.values())
