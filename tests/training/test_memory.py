"""The memory of a training step stays with the process until the training ends."""

import platform
import resource

import pytest
import torch

from fer_bench.training.memory import kept_memory

#: 64 MiB, more than glibc keeps by itself.
FLOATS = 16 * 2**20


def page_faults(tensors: int) -> int:
    """The pages that the kernel hands out for so many tensors, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(tensors):
        torch.zeros(FLOATS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_step_gets_the_memory_of_the_one_before() -> None:
    pages = FLOATS * 4 // resource.getpagesize()
    with kept_memory():
        page_faults(4)  # the heap grows to its size
        assert page_faults(10) < pages
    assert page_faults(10) >= pages  # and what was kept has gone back


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    pages = FLOATS * 4 // resource.getpagesize()
    with kept_memory():
        assert page_faults(10) >= 9 * pages
