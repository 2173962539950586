"""A run to be handed in: its record, its predictions and their digest in one zip file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO

from fer_bench.benchmark.verification import DIGEST, digest, handed_in, verify_run
from fer_bench.errors import RunFailed
from fer_bench.results.stored_run import StoredRun

#: The oldest that a zip file can say: the same run gives the same bytes.
WRITTEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Submission:
    """content: of the zip file; its paths begin with `<dataset>/<run>/`. sha256: of `content`."""

    content: bytes
    sha256: str


def submission(run: StoredRun) -> Submission:
    """A finished run as a submission.

    Raises:
        RunFailed: its record does not say what its predictions say.
        FerBenchError: as `verify_run`.
    """
    wrong = [check for check in verify_run(run) if not check.agrees]
    if wrong:
        raise RunFailed(
            f"run {run.id} is not packed: {wrong[0].name}: {wrong[0].problem}; see `verify`"
        )
    handed = handed_in(run)
    files = {DIGEST: digest(handed).encode()} | handed
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(f"{run.id}/{name}", WRITTEN), content)
    content = buffer.getvalue()
    return Submission(content=content, sha256=sha256(content).hexdigest())
