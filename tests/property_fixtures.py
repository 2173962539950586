"""What property tests share: few examples, the same each time, and what every reader promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fer_bench.errors import FerBenchError

few = settings(
    derandomize=True,
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
finite = st.floats(allow_nan=False, allow_infinity=False)
rates = st.floats(0, 1)
#: What JSON and YAML can hold, and what they should not.
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)

Value = TypeVar("Value")


def read_or_refused(read: Callable[[], Value]) -> Value | None:
    """What a reader gives, or None where it refuses in one sentence; nothing else may happen."""
    try:
        return read()
    except FerBenchError as error:
        require_sentence(str(error))
        return None


def require_sentence(text: str) -> None:
    assert text
    assert len(text.splitlines()) == 1, text
    text.encode()


def replaced(document: Any, steps: list[int], value: Any) -> Any:
    """A JSON document with `value` at the place that the numbers lead to."""
    if not steps or not isinstance(document, (dict, list)) or not document:
        return value
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[steps[0] % len(keys)]
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[key] = replaced(document[key], steps[1:], value)
    return copy
