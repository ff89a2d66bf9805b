"""An emulator in a process of its own, which can be killed and restarted on the same data and port."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.forkserver import Process

PROGRAM = """
import sys, threading
from sogni.emulator import LocalSupernet
supernet = LocalSupernet(data=sys.argv[1], step_time=float(sys.argv[2]), seed=3, rest_port=int(sys.argv[3])).start()
for rule in sys.argv[4:]:
    supernet.faults.cut_stream("*/stream", after_events=int(rule), truncate=True)
print(supernet.rest_endpoint, supernet.socket_endpoint, supernet.api_key, flush=True)
threading.Event().wait()
"""


def lasting_port() -> int:
    """A free port that systems do not select for others, so that it is still free for a restart."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


class EmulatorProcess:
    """A running process. ``cuts`` are event counts after which its next streams are cut, in order."""

    def __init__(
        self,
        start_process: Callable[..., Process],
        directory: Path,
        step_time: float,
        port: int = 0,
        *,
        cuts: tuple[int, ...] = (),
    ) -> None:
        values = (str(directory), str(step_time), str(port or lasting_port()), *map(str, cuts))
        self.process = start_process(PROGRAM, *values, cwd=directory.parent, env={})
        assert self.process.stdout is not None
        self.rest_endpoint, self.socket_endpoint, self.api_key = self.process.stdout.readline().split()
        self.port = int(self.rest_endpoint.rpartition(":")[2])

    def kill(self) -> None:
        """Kill the process, without any cleanup. May be called again."""
        self.process.close()
