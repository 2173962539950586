"""The memory of a training step stays with the process until the training ends."""

import json
import subprocess
import sys

#: Pages that the kernel hands out for ten tensors of 64 MiB, one after the other. In a process of
#: its own, as glibc keeps nothing for one that has run out of memory before.
COUNTED = """
import json, platform, resource
import torch
from fer_bench.training.memory import kept_memory

if {other_library}:
    platform.libc_ver = lambda: ("", "")

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with kept_memory():
    page_faults()  # the heap grows to its size
    within = page_faults()
print(json.dumps([within, page_faults(), 64 * 2**20 // resource.getpagesize()]))
"""


def counted(*, other_library: bool) -> tuple[int, int, int]:
    """Page faults within the block and after it, and the pages of a tensor."""
    code = COUNTED.format(other_library=other_library)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    within, after, pages = json.loads(done.stdout)
    return within, after, pages


def test_a_step_gets_the_memory_of_the_one_before() -> None:
    within, after, pages = counted(other_library=False)
    assert within < pages
    assert after >= pages  # what was kept has gone back


def test_other_c_libraries_are_left_alone() -> None:
    within, _, pages = counted(other_library=True)
    assert within >= 9 * pages
