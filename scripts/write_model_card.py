"""Writes `MODEL_CARD.md`, the card of the shipped model, from the stored run.

    python -m scripts.write_model_card

Run it when another run became the default: no number in the card is typed by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fer_bench.results.store import DEFAULT, ResultsStore
from fer_bench.studies.model_card.card import model_card

ROOT = Path(__file__).parents[1]
CARD = ROOT / "MODEL_CARD.md"
ORIGIN = """\
---

Written by `python -m scripts.write_model_card` from the run in `results/`; the dashboard shows the
same card for every model at hand.
"""


def card_text() -> str:
    """What the file should hold."""
    store = ResultsStore(ROOT / "results")
    run = store.find(DEFAULT)
    return f"{model_card(run, store.predictions(run), DEFAULT).text.lstrip()}\n{ORIGIN}"


def main() -> None:
    CARD.write_text(card_text(), encoding="utf-8")
    sys.stdout.write(f"{CARD.name}: {CARD.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
