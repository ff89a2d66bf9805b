"""Storage for tests: an S3-compatible server of moto with one bucket, and the memory of this process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

BUCKET = "pictures"
KEY, SECRET = "AKIAOFTHETESTS", "hush-hush-hush"


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of a server that knows `BUCKET`."""
    server_of = pytest.importorskip("moto.server", reason="moto[s3], flask or flask-cors is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        with suppress(FileExistsError):  # all servers of a process have the same buckets
            file_system(url).mkdir(BUCKET)
        yield url
    finally:
        server.stop()


def options_of(url: str) -> dict[str, Any]:
    """The storage options for a server."""
    return {"key": KEY, "secret": SECRET, "endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}}


def file_system(url: str) -> Any:
    """What reads and writes at a server, as somebody else would."""
    import s3fs

    options = {**options_of(url), "client_kwargs": {}, "use_listings_cache": False}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        return s3fs.S3FileSystem(**options)


@contextmanager
def empty_memory() -> Iterator[Any]:
    """The file system in memory, which all tests of a process share, without files."""
    from fsspec.implementations.memory import MemoryFileSystem

    def clear() -> None:
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]

    clear()
    try:
        yield MemoryFileSystem()
    finally:
        clear()
