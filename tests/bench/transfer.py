"""One large upload or download, in a process of its own; prints by how many bytes its memory grew at most.

Arguments: package, `up` or `down`, address of the server, size. A small transfer of the same kind comes first,
so that what is loaded and kept by any transfer is not counted.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.peer import MODEL, PNG

SMALL = 4 * 1000 * 1000


def status(name: str) -> int:
    """A line of what Linux tells of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def forget_peak() -> int:
    """Begin a new maximum where the system can do that; returns the memory to compare with."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
        return status("VmRSS")
    return peak()


def peak() -> int:
    """The most memory this process has had, in bytes."""
    with suppress(OSError, KeyError):
        return status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def call(function: Callable[..., Any], *args: Any, **fields: Any) -> Any:
    """Call or await."""
    outcome = function(*args, **fields)
    return await outcome if inspect.isawaitable(outcome) else outcome


async def transfer(client: Any, direction: str, size: int, folder: Path) -> None:
    """Create a project with a starting image of that size, or save its result of that size."""
    image = folder / f"{size}.png"
    with image.open("wb") as file:
        file.write(PNG)
        file.truncate(size if direction == "up" else SMALL)
    down = SMALL if direction == "up" else size
    given = {"type": "image", "model_id": MODEL, "positive_prompt": str(down), "number_of_media": 1}
    project = await call(client.projects.create, **given, starting_image=image)
    await call(project.wait, timeout=60)
    if direction == "down":
        saved = await call(project.jobs[0].save, folder / "result")
        assert saved.stat().st_size == size
        saved.unlink()


async def main(package: str, direction: str, address: str, size: int) -> None:
    """Measure."""
    client = import_module(package).SogniClient(
        api_key="bench",
        app_id=f"transfer-{os.getpid()}",
        rest_endpoint=address,
        socket_endpoint=address.replace("http", "ws"),
    )
    with tempfile.TemporaryDirectory() as folder:
        await transfer(client, direction, SMALL, Path(folder))
        before = forget_peak()
        await transfer(client, direction, size, Path(folder))
        print(peak() - before)
    await call(client.close)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
