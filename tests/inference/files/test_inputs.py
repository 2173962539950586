"""What words on the command line mean, where they name no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fer_bench.errors import FerBenchError
from fer_bench.inference.files.inputs import find_inputs


@pytest.mark.parametrize(
    ("word", "code", "sentence"),
    [
        ("https://example.org/face.jpg", None, "got the address .*: download it first"),
        ("nowhere/face.jpg", "missing_file", "No such file or directory: check the path"),
        ("fase.jpg", "missing_file", r"did you mean 'face\.jpg'\?"),
    ],
)
def test_a_word_that_names_nothing_is_refused(
    word: str, code: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("face.jpg").touch()
    with pytest.raises(FerBenchError, match=sentence) as caught:
        find_inputs([word])
    assert code in (None, caught.value.code)


def test_pictures_and_videos_are_found_by_how_they_begin(tmp_path: Path) -> None:
    starts = {
        "phone": b"\0\0\0\x18ftypheic",
        "film": b"\0\0\0\x18ftypisom",
        "notes": b"\0\0\0\x18text",
    }
    for name, start in starts.items():
        (tmp_path / name).write_bytes(start + bytes(20))
    found = find_inputs([str(tmp_path)])
    assert {one.name.name: one.is_video for one in found.files} == {"phone": False, "film": True}
    assert found.passed_over == (
        f"passed over in {tmp_path}: 1 file neither image nor video (notes)",
    )
