# `just` lists these; each is also a plain command to copy.

_default:
    @just --list

# Format, lint, types, layers, docs: a minute
check:
    ruff format --check .
    ruff check .
    mypy
    lint-imports
    mkdocs build --strict --quiet

# The tests to run while working
test *ARGS:
    pytest {{ARGS}}

# Browsers, processes, toolchains, damaged inputs
test-slow:
    pytest -m "slow or fuzz"

# The dashboard
app:
    streamlit run app.py

# MODEL_CARD.md from the shipped model's record
card:
    python -m scripts.write_model_card

# notebooks/*.ipynb from their sources
notebooks:
    python -m scripts.write_notebooks

# The README's pictures
screenshots:
    python -m scripts.take_screenshots

# The documentation with reload
docs:
    mkdocs serve
