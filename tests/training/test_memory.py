"""The memory of a training step stays with the process until the training ends."""

import json
import subprocess
import sys

#: Counts the pages that the kernel hands out for ten tensors of 64 MiB, one after the other. In a
#: process of its own, as glibc keeps nothing for one that has run out of memory before.
CODE = """
import json, platform, resource
from unittest.mock import patch
import torch
from fer_bench.training.memory import kept_memory

def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with patch.object(platform, "libc_ver", lambda: ("", "")), kept_memory():
    other = page_faults()
with kept_memory():
    page_faults()  # the heap grows to its size
    within = page_faults()
print(json.dumps([other, within, page_faults(), 64 * 2**20 // resource.getpagesize()]))
"""


def test_a_step_gets_the_memory_of_the_one_before() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    other, within, after, pages = json.loads(done.stdout)
    assert within < pages
    assert after >= pages  # what was kept has gone back
    assert other >= 9 * pages  # other C libraries are left as they are
