"""The words that pages explain."""

from fer_bench.results.leaderboard.glossary import TERMS, explain


def test_each_word_is_explained_once_in_the_order_asked() -> None:
    assert explain("tta", "official", "tta", "of no entry") == (
        f"**tta**: {TERMS['tta']}  \n**official**: {TERMS['official']}"
    )
