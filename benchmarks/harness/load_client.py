"""A client that costs little: prepared requests over connections that stay open.

httpx and aiohttp take a millisecond or two of CPU for a request with a file, about as much as the
server that is to be measured.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BOUNDARY = "load"


@dataclass(kw_only=True)
class Outcome:
    """What came of a number of requests.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: of each, seconds.
        statuses: answers by status; 0 for a connection that broke.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        """Requests that were not answered 200."""
        return self.statuses.total() - self.statuses[200]


def upload(address: str, picture: bytes) -> bytes:
    """A whole request with one picture."""
    host = urlsplit(address).netloc
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    ).encode()
    body += picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


async def load(
    address: str,
    pictures: Sequence[bytes],
    *,
    concurrency: int,
    seconds: float = float("inf"),
    requests: float = float("inf"),
) -> Outcome:
    """Keeps `concurrency` requests under way for so many seconds, or until there were so many."""
    outcome = Outcome()
    sent = [upload(address, picture) for picture in pictures]
    started = time.perf_counter()
    begun = 0

    async def visitor() -> None:
        nonlocal begun
        to = urlsplit(address)
        reader, writer = await asyncio.open_connection(to.hostname, to.port)
        while begun < requests and time.perf_counter() - started < seconds:
            begun += 1
            asked = time.perf_counter()
            try:
                writer.write(sent[begun % len(sent)])
                status = await _status(reader)
            except (OSError, EOFError):
                outcome.statuses[0] += 1
                reader, writer = await asyncio.open_connection(to.hostname, to.port)
                continue
            outcome.latencies.append(time.perf_counter() - asked)
            outcome.statuses[status] += 1
        writer.close()

    await asyncio.gather(*(visitor() for _ in range(concurrency)))
    outcome.seconds = time.perf_counter() - started
    return outcome


async def _status(reader: asyncio.StreamReader) -> int:
    """Reads one answer to its end. (asyncio's IncompleteReadError is an EOFError.)"""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])
