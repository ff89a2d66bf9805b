"""Isolate tests from the host they run on, and from each other.

Every test runs without the user's keys, endpoints and proxies, with a state directory and a temporary
directory of the test run. A test that leaves a thread, a descriptor (socket, pipe, selector, or a file in
the run's directories) or a temporary file fails. What fixtures of a wider scope own is no leak: it is there
before the test, appears while such a fixture is set up, or was started by one of their threads. What a
library keeps for the whole process is exempted by `@pytest.mark.keeps_resources("reason")`.

Runs of many files are parallel; `-n` with a number overrides it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
import pytest

from tests.forkserver import ForkServer, Process

with suppress(ImportError):
    # Before a test file imports the signing library by itself, and raises the recursion limit for all others.
    import sogni.core.account.ethereum  # noqa: F401

# Without cached bytecode, each process of the run and each process that a test starts compiles all modules anew, which
# takes longer than most tests.
sys.dont_write_bytecode = False

# Generating inputs is slow on a busy machine, which is no fault of a test.
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")

NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
OUR_SETTINGS = ("SOGNI_API_KEY", "SOGNI_APP_ID", "SOGNI_TOKEN_TYPE", "SOGNI_REST_ENDPOINT", "SOGNI_SOCKET_ENDPOINT")
PROXY_SETTINGS = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY")
USER_DIRECTORIES = ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")

# Threads and sockets end on their own threads, a moment after close() has returned; on a busy machine, a longer one.
PATIENCE_SECONDS = 10.0

# Removed by their makers, but only when the process ends.
FOREIGN_TEMPORARY = ("pymp-", "ipykernel_", "pytest-of-")

# Fewer are run sooner than further processes have started.
FILES_FOR_PARALLEL = 20

DESCRIPTORS = "/proc/self/fd"

# A thread, a descriptor with what it stands for, or a temporary file.
Held: TypeAlias = threading.Thread | tuple[int, str] | str

_started_by: weakref.WeakKeyDictionary[threading.Thread, weakref.ref[threading.Thread]]
_started_by = weakref.WeakKeyDictionary()
_start = threading.Thread.start

# While a test runs: what fixtures of a wider scope made during it.
_excused: set[Held] | None = None

# The number of loaded modules when what they hold was last taken out of collections.
_modules_frozen = 0


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are cores, because tests also wait; none for a few files."""
    chosen = [Path(argument.partition("::")[0]) for argument in config.args]
    files = sum(1 for path in chosen for _ in path.rglob("test_*.py"))
    # Benchmarks and fuzz tests measure time, and `-s` shows what this process prints.
    if files < FILES_FOR_PARALLEL or config.option.markexpr in ("bench", "fuzz") or config.option.capture == "no":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + 1


def _start_and_remember(thread: threading.Thread) -> None:
    """Remember who starts a thread: the workers of a session's emulator belong to it, not to a test."""
    _started_by[thread] = weakref.ref(threading.current_thread())
    _start(thread)


def pytest_configure(config: pytest.Config) -> None:
    threading.Thread.start = _start_and_remember
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As a shell starts what it does not wait for; the processes of tests would be deaf to Ctrl-C, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    threading.Thread.start = _start


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keys, endpoints, proxies and directories of the user are out of reach."""
    temporary = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        for name in (*OUR_SETTINGS, *PROXY_SETTINGS):
            patch.delenv(name, raising=False)
            patch.delenv(name.lower(), raising=False)
        patch.delenv(NO_BYTECODE, raising=False)
        for name in USER_DIRECTORIES:
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.setenv("TMPDIR", temporary)
        patch.setattr(tempfile, "tempdir", temporary)
        yield


@pytest.fixture(scope="session")
def forkserver(_own_environment: None) -> Iterator[ForkServer]:
    """Starts processes that need not import the packages."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def start_process(forkserver: ForkServer) -> Iterator[Callable[..., Process]]:
    """Run code in a process of its own, which ends with the test at the latest."""
    started: list[Process] = []

    def start(code: str, *arguments: str, **options: Any) -> Process:
        started.append(forkserver.start(code, *arguments, **options))
        return started[-1]

    yield start
    for process in started:
        process.close()


@pytest.fixture(scope="module", autouse=True)
def _cheap_collections() -> None:
    """Take what is loaded by now out of later collections, so that one after every test is affordable."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest, _own_environment: None) -> Iterator[None]:
    """Fail a test that leaves a thread, a descriptor or a temporary file."""
    global _excused
    before, _excused = held(), set()
    yield
    excused, _excused = _excused, None
    # Also makes an unclosed socket or file say so (ResourceWarning) in the test that made it.
    gc.collect()
    if request.node.get_closest_marker("keeps_resources") is None:
        fail_if_left(before, excused)
    freeze_modules()


def fail_if_left(before: set[Held], excused: set[Held]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := left_over(before, excused)) and time.monotonic() < deadline:
        time.sleep(0.005)
        gc.collect()
    if left:
        pytest.fail("the test leaves behind:\n  " + "\n  ".join(sorted(map(str, left))), pytrace=False)


def freeze_modules() -> None:
    """Take modules that a test has imported out of later collections, too.

    What a test holds when this freezes it is never freed, so most tests must freeze nothing.
    """
    global _modules_frozen
    if len(sys.modules) != _modules_frozen:
        gc.freeze()
        _modules_frozen = len(sys.modules)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    """A fixture of a wider scope that is first asked for inside a test owns what it makes."""
    if _excused is None or fixturedef.scope == "function":
        return (yield)
    before = held()
    try:
        return (yield)
    finally:
        _excused.update(held() - before)


def held() -> set[Held]:
    """What this process holds right now."""
    return {*threading.enumerate(), *descriptors(), *temporary_files()}


def left_over(before: set[Held], excused: set[Held]) -> set[Held]:
    """What is held beyond that, save threads (transitively) started by a thread that may live on."""
    owners = {it for it in before | excused if isinstance(it, threading.Thread)} - {threading.main_thread()}
    return {
        it for it in held() - before - excused if not isinstance(it, threading.Thread) or not descends_from(it, owners)
    }


def descends_from(thread: threading.Thread, owners: set[threading.Thread]) -> bool:
    """Whether one of the owners started the thread, or started who started it."""
    # A loop of a wider scope keeps its default executor's threads until it is closed; a loop that is never
    # closed says so itself (ResourceWarning).
    if thread.name.startswith("asyncio_"):
        return True
    parent = _started_by.get(thread)
    while parent is not None and (starter := parent()) is not None:
        if starter in owners:
            return True
        parent = _started_by.get(starter)
    return False


def descriptors() -> Iterator[tuple[int, str]]:
    """Open sockets, pipes and selectors, and files of the test run; nothing where there is no /proc."""
    ours = ("socket:", "pipe:", "anon_inode:", str(Path(tempfile.gettempdir()).parent))
    try:
        numbers = os.listdir(DESCRIPTORS)
    except OSError:
        return
    for number in numbers:
        try:
            target = os.readlink(f"{DESCRIPTORS}/{number}")
        except OSError:  # the descriptor of this very listing, or closed meanwhile
            continue
        if target.startswith(ours):
            yield int(number), target


def temporary_files() -> Iterator[str]:
    """What stands in the run's temporary directory."""
    directory = tempfile.gettempdir()
    return (f"{directory}/{it}" for it in os.listdir(directory) if not it.startswith(FOREIGN_TEMPORARY))
