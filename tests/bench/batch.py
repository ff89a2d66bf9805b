"""Many small projects, in a process of their own: with a batch, or without; prints what one of them took, and memory.

Arguments: package, `batch` or `plain`, address of the server, number, and the directory of the results, if an earlier
run is to be continued there. Prints seconds of processor time per request,
seconds per request, and the largest resident memory in bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

from sogni.core.projects.batch_requests import batch_requests
from sogni.local.batch_files import source_rows
from sogni.local.batch_journal import BatchJournal
from tests.bench.peer import MODEL, PNG
from tests.bench.transfer import call, peak

CONCURRENCY = 8
COMMON = {"type": "image", "model_id": MODEL, "number_of_media": 1, "steps": 4}
WARM_UP = 20


def prompts(count: int) -> list[str]:
    """Prompts of projects whose results have 64 bytes."""
    return [f"64 bytes of a lighthouse, number {number}" for number in range(count)]


async def plain(package: Any, client: Any, count: int, folder: Path) -> int:
    """What a program does without a batch: create, wait for the first of several, save."""
    running: set[Any] = set()
    saved = 0
    left = prompts(count)
    while left or running:
        while left and len(running) < CONCURRENCY:
            running.add(await call(client.projects.create, **COMMON, positive_prompt=left.pop()))
        done, running = await call(package.wait, running, 60, "FIRST_COMPLETED")
        for project in done:
            saved += len(await call(project.save, folder))
    return saved


def write_list(count: int, folder: Path) -> Path:
    """Write the file of a batch."""
    path = folder / "list.jsonl"
    path.write_text("".join(json.dumps({"positive_prompt": it}) + "\n" for it in prompts(count)))
    return path


async def batch(package: Any, client: Any, count: int, folder: Path) -> int:
    """The same with a batch, from a file."""
    run = import_module(f"{package.__name__}.batch").run
    options = {"client": client, "concurrency": CONCURRENCY, "defaults": COMMON}
    report = await call(run, write_list(count, folder), folder / "out", **options)
    assert report.failed == 0
    return int(report.done + report.kept)


def earlier_run(address: str, count: int, kept: int, folder: Path) -> None:
    """Leave the journal and the results of a run that was interrupted; the results are one file."""
    rows, name = source_rows(write_list(count, folder))
    requests, _ = batch_requests(rows, COMMON, common={})
    result = folder / "out" / "result.png"
    with BatchJournal(folder / "out" / f"{name}.journal.jsonl", service=address) as journal:
        result.write_bytes(PNG)
        for request in requests[:kept]:
            journal.begins(request.key, str(uuid.uuid4()), journal.new_key(request.key))
            journal.saved(request.key, [result])


def spent() -> float:
    """Processor time of this process, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(name: str, how: str, address: str, count: int, *folder: str) -> None:
    """Measure."""
    package = import_module(name)
    client = package.SogniClient(
        api_key="bench",
        app_id=f"batch-{os.getpid()}",
        rest_endpoint=address,
        socket_endpoint=address.replace("http", "ws"),
    )
    work = {"batch": batch, "plain": plain}[how]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        await work(package, client, WARM_UP, Path(first))
        before, began = spent(), time.perf_counter()
        assert await work(package, client, count, Path(*folder or (second,))) == count
        print((spent() - before) / count, (time.perf_counter() - began) / count, peak())
    await call(client.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:]))
