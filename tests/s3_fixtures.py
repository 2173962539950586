"""An object store on this machine: moto's server, which s3fs finds by the usual variables."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import fsspec
import pytest
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="session")
def s3() -> Iterator[None]:
    """Whatever the tests of a process store: fsspec finds it by the variables."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of an earlier server
        yield
    server.stop()


@pytest.fixture
def lab(s3: None) -> str:
    """The URL of an empty place in a bucket of its own."""
    bucket = f"b{uuid4().hex}"
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/lab"


def objects(url: str) -> dict[str, int]:
    """What lies at a URL: names below it, and their sizes in bytes."""
    files, root = fsspec.url_to_fs(url)
    files.invalidate_cache()
    found = files.find(root, detail=True)
    return {name[len(root) + 1 :]: info["size"] for name, info in found.items()}
