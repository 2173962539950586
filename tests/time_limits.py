"""A time limit of its own for what a test's fixtures do after it, as a plugin of pytest.

pytest-timeout sets one timer for a test with its fixtures, and takes it away once anything failed:
a fixture that then waited at its end, for what the test had broken, would wait for ever.
"""

from __future__ import annotations

import signal

import pytest
from pytest_timeout import get_env_settings


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Starts the timer anew; it goes off again and again, as several fixtures may wait."""
    settings = get_env_settings(item.config)
    if not settings.timeout or settings.method != "signal":
        return
    hooks = item.config.hook
    hooks.pytest_timeout_cancel_timer(item=item)
    hooks.pytest_timeout_set_timer(item=item, settings=settings)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, settings.timeout)
