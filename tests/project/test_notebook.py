"""The quickstart notebook runs from top to bottom on drawn faces."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def test_the_quickstart_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_BENCH_DATA", "synthetic")
    monkeypatch.setenv("FER_BENCH_RESULTS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=200).execute()

    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    text = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert "synthetic" in text
    assert text.count("(95 %: ") == 2
    figures = [o for o in outputs if "application/vnd.plotly.v1+json" in o.get("data", {})]
    assert len(figures) == 3
    assert len(list(tmp_path.glob("synthetic/*/record.json"))) == 2
