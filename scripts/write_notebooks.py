"""Writes `notebooks/*.ipynb` from `notebooks/source/*.py`, which are what to edit.

    python -m scripts.write_notebooks

A source is a Python file in percent format: `# %%` begins a cell of code, `# %% [markdown]` one of
text, and `# %% setup` stands for the cells of setup.py. `{badges}` and `{repository}` are filled
from the one setting `repository` in pyproject.toml.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"
#: Cells that several notebooks have.
SHARED = ("setup", "data")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


#: Below badges whose address nobody has filled in yet.
UNSET = (
    "*These badges lead nowhere yet: OWNER stands for the account where your copy lies. Put its "
    "address into `repository` in `pyproject.toml`, then run `python -m scripts.write_notebooks`; "
    "or upload this notebook to Colab or Kaggle and fill in `REPOSITORY` in its first cell.*"
)


def names() -> list[str]:
    """The notebooks, without their ends."""
    return sorted(path.stem for path in SOURCES.glob("*.py") if path.stem not in SHARED)


def repository() -> str:
    """Where the project is cloned from."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(settings["tool"]["fer_bench"]["repository"])


def notebook_text(name: str) -> str:
    """What `notebooks/NAME.ipynb` should hold: no outputs, and always the same bytes."""
    cells = _cells((SOURCES / f"{name}.py").read_text(encoding="utf-8"), _badges(name))
    for number, cell in enumerate(cells):
        cell["id"] = f"{name[:20]}-{number}"
    colab = {"accelerator": "GPU", "colab": {"name": f"{name}.ipynb"}}
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}, **colab},
    )
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)
    return text.rstrip("\n") + "\n"


def _cells(source: str, badges: str) -> list[NotebookNode]:
    cells: list[NotebookNode] = []
    for kind, body in re.findall(r"(?ms)^# %% ?([^\n]*)\n(.*?)(?=^# %%|\Z)", source):
        if kind in SHARED:
            cells += _cells((SOURCES / f"{kind}.py").read_text(encoding="utf-8"), badges)
        elif kind == "[markdown]":
            text = re.sub(r"(?m)^# ?", "", body).strip()
            cells.append(nbformat.v4.new_markdown_cell(text.replace("{badges}", badges)))
        else:
            code = body.strip().replace("{repository}", repository())
            cells.append(nbformat.v4.new_code_cell(code))
    return cells


def _badges(name: str) -> str:
    """Links that open the notebook on Colab and Kaggle."""
    address = repository()
    path = f"{address.removeprefix('https://github.com/')}/blob/main/notebooks/{name}.ipynb"
    colab, kaggle = "https://colab.research.google.com", "https://kaggle.com"
    badges = (
        f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({colab}/github/{path}) "
        f"[![Open in Kaggle]({kaggle}/static/images/open-in-kaggle.svg)]"
        f"({kaggle}/kernels/welcome?src=https://github.com/{path})"
    )
    return f"{badges}\n\n{UNSET}" if "OWNER" in address else badges


def main() -> None:
    for name in names():
        path = NOTEBOOKS / f"{name}.ipynb"
        path.write_text(notebook_text(name), encoding="utf-8")
        sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    main()
