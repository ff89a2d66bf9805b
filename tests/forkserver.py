"""Processes for tests, forked from an interpreter that has imported both packages.

A new interpreter spends most of its time importing them, and a test about signals, streams or the end of a process does
not depend on that. Each process has its own streams, environment and working directory, and ends like any other: the
interpreter shuts down, and an uncaught exception is printed to standard error.

Tests about what is imported, and about flags of the interpreter, start a new one.
"""

from __future__ import annotations

import gc
import os
import pickle
import pkgutil
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired
from types import ModuleType
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COMMAND_LINE = "from sogni.cli import main; main()"
# Python 3.12 warns of a fork in a process with threads, which some tests are about.
WITHOUT_FORK_WARNINGS = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
NUMBER = struct.Struct("!q")


class Request(NamedTuple):
    """The code of a new process, and where it runs."""

    code: str
    arguments: tuple[str, ...]
    directory: str
    environment: dict[str, str]
    limits: Mapping[int, int]


class Process:
    """A forked process, with the interface of `subprocess.Popen`."""

    def __init__(self, pid: int, status: socket.socket, streams: list[IO[Any] | None]) -> None:
        self.pid = pid
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        with suppress(TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise TimeoutExpired("a forked process", timeout or 0)
            (self.returncode,) = NUMBER.unpack(self._status.recv(NUMBER.size))
            self._status.close()
        return self.returncode

    def communicate(self, written: Any = None, timeout: float = 60) -> tuple[Any, Any]:
        """Write the input, and read all output. When that takes too long, the process and its children are killed."""
        deadline = time.monotonic() + timeout
        with ThreadPoolExecutor(2) as readers:
            output = [it and readers.submit(_read, it) for it in (self.stdout, self.stderr)]
            try:
                if self.stdin is not None and not self.stdin.closed:
                    with suppress(BrokenPipeError), self.stdin:
                        if written:
                            self.stdin.write(written)
                stdout, stderr = [it and it.result(deadline - time.monotonic()) for it in output]
                self.wait(max(0, deadline - time.monotonic()))
            except TimeoutError as error:
                raise TimeoutExpired("a forked process", timeout) from error
            finally:
                self.kill_all()
        return stdout, stderr

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """Kill the process and its children."""
        self.kill()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Leave nothing of the process behind."""
        self.kill_all()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.wait(10)


def _read(stream: IO[Any]) -> Any:
    with stream:
        return stream.read()


class ForkServer:
    """An interpreter that has imported the packages, and forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.forkserver", str(theirs.fileno())],
                cwd=ROOT,
                # The worker threads of numerical libraries do not survive a fork.
                env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
            )

    def close(self) -> None:
        self._socket.close()
        self._process.wait(10)

    def start(
        self,
        code: str,
        *arguments: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: Any = PIPE,
        stdout: Any = PIPE,
        stderr: Any = PIPE,
        text: bool = True,
        limits: Mapping[int, int] | None = None,
    ) -> Process:
        """Run code in a new process. The limits are those of `resource`, lowered for it."""
        streams: list[IO[Any] | None] = []
        theirs: list[int] = []
        opened: list[int] = []
        for number, stream in enumerate((stdin, stdout, stderr)):
            ours = None
            if stream == DEVNULL:
                opened.append(os.open(os.devnull, os.O_RDWR))
            elif stream == PIPE:
                reading, writing = os.pipe()
                opened.append(writing if number else reading)
                mode = ("r" if number else "w") + ("" if text else "b")
                ours = open(reading if number else writing, mode, encoding="utf-8" if text else None)  # noqa: SIM115
            theirs.append(
                opened[-1] if stream in (DEVNULL, PIPE) else stream if isinstance(stream, int) else stream.fileno()
            )
            streams.append(ours)
        ending, their_ending = socket.socketpair()
        request = Request(code, arguments, str(cwd), {**os.environ, "PYTHONPATH": str(ROOT), **env}, limits or {})
        content = pickle.dumps(request)
        with their_ending:
            socket.send_fds(self._socket, [NUMBER.pack(len(content))], [*theirs, their_ending.fileno()])
        for descriptor in opened:
            os.close(descriptor)
        self._socket.sendall(content)
        (pid,) = NUMBER.unpack(ending.recv(NUMBER.size))
        return Process(pid, ending, streams)


def import_all(package: str) -> None:
    """Import a package with all its modules; pytest rewrites its plugins itself, and frameworks first need settings."""
    for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
        if module.name in ("sogni.contrib", "sogni.testing"):
            continue
        if module.ispkg:
            import_all(module.name)
        else:
            import_module(module.name)


def main() -> None:
    for package in ("sogni", "sogni_async"):
        import_all(package)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as tests:
        work = next_process(tests)
    if work is not None:
        run(*work)


def next_process(tests: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork for every request. Returns in the new process, or with nothing when the tests have ended."""
    endings: dict[int, socket.socket] = {}
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno())
    with woken, waker:
        while True:
            ready, _, _ = select.select([tests, woken], [], [])
            if woken in ready:
                woken.recv(4096)
                report_endings(endings)
            if tests in ready:
                header, descriptors, _, _ = socket.recv_fds(tests, NUMBER.size, 4)
                if not header:
                    return None
                content = tests.recv(*NUMBER.unpack(header), socket.MSG_WAITALL)
                *streams, ending = descriptors
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    for other in endings.values():
                        other.close()
                    os.close(ending)
                    return pickle.loads(content), streams
                for descriptor in streams:
                    os.close(descriptor)
                endings[pid] = socket.socket(fileno=ending)
                endings[pid].send(NUMBER.pack(pid))


def report_endings(endings: dict[int, socket.socket]) -> None:
    """Report the exit status of every process that has ended."""
    while endings:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with endings.pop(pid) as ending, suppress(OSError):
            ending.send(NUMBER.pack(os.waitstatus_to_exitcode(status)))


def run(request: Request, streams: list[int]) -> None:
    """Become the requested process. It ends when this module does."""
    # Signals to the group reach its children, too; and no process asks on the terminal of the tests.
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request.directory)
    os.environ.clear()
    os.environ.update(request.environment)
    for limit, value in request.limits.items():
        resource.setrlimit(limit, (value, value))
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding=request.environment.get("PYTHONIOENCODING"), errors=stream.errors, closefd=False)  # noqa: SIM115
        for number, mode, stream in ((0, "r", sys.stdin), (1, "w", sys.stdout), (2, "w", sys.stderr))
    )
    sys.stderr.reconfigure(line_buffering=True)
    sys.argv[1:] = request.arguments
    sys.path[0] = ""
    sys.modules["__main__"] = module = ModuleType("__main__")
    exec(compile(request.code, "<test>", "exec"), vars(module))


if __name__ == "__main__":
    main()
