"""pytest plugin with fixtures for a local Supernet and its clients.

Requires the extra `emulator`, and `async` for the asyncio client. Every pytest run loads the plugin once the package is
installed, so it imports only pytest until a fixture or the marker `sogni` is used.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import sogni_async
    from sogni import SogniClient
    from sogni.emulator import Faults, LocalSupernet
    from sogni.testing.emulators import Emulators
    from sogni.testing.markers import Request
    from sogni.testing.playback import Cassette

__all__ = ["Cassette", "Fault", "fault", "sogni_async_client", "sogni_cassette", "sogni_client", "sogni_supernet"]


def __getattr__(name: str) -> Any:
    """Import names that only the annotations of fixtures need."""
    if name == "Cassette":
        from sogni.testing.playback import Cassette

        return Cassette
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_MARKER = (
    "sogni(step_time=0, faults=[], expect=None, strict=False, **options): options of the emulator of a test, its "
    "faults, what must arrive at it, and whether violations of the protocol fail the test"
)


class Fault:
    """A fault for an emulator, as created by `fault`.

    Args:
        name: Name of the method of `sogni.emulator.Faults`.
        args: Its positional arguments. Default: none.
        fields: Its keywords. Default: none.

    Attributes:
        name: Name of the method.
        args: Its positional arguments.
        fields: Its keywords.
    """

    __slots__ = ("args", "fields", "name")

    def __init__(self, name: str, args: tuple[Any, ...] = (), fields: Mapping[str, Any] | None = None, /) -> None:
        self.name: str = name
        self.args: tuple[Any, ...] = args
        self.fields: Mapping[str, Any] = fields or {}

    def __repr__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.fields.items())]
        return f"fault.{self.name}({', '.join(arguments)})"


class _Faults:
    """Represents the fault plan of an emulator that is not running yet."""

    def __getattr__(self, name: str) -> Callable[..., Fault]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **fields: Fault(name, args, fields)


if TYPE_CHECKING:
    fault: Faults
else:
    fault = _Faults()
"""Faults for the marker ``sogni``, with the methods of `sogni.emulator.Faults`.

Example:
    ``@pytest.mark.sogni(faults=[fault.http("/v1/account/me", status=503)])``
"""

_SUPERNET: pytest.StashKey[tuple[LocalSupernet, Request]] = pytest.StashKey()
_WRONG: pytest.StashKey[str] = pytest.StashKey()
_CASSETTE: pytest.StashKey[Cassette] = pytest.StashKey()
_PASSED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings of the plugin."""
    parser.addini(
        "sogni_strict",
        "fail tests whose requests break the protocol or use unknown routes, and those whose faults are never used",
        type="bool",
        default=False,
    )
    parser.addini(
        "sogni_cassettes",
        "directory of recorded traffic that tests with the fixture sogni_cassette replay (default: cassettes)",
        default="cassettes",
    )
    parser.getgroup("sogni").addoption(
        "--sogni-record",
        metavar="DIR",
        help="record the traffic of tests with the fixture sogni_cassette, which use the real service: it costs what "
        "they do. Needs SOGNI_API_KEY; keys, tokens and signatures are not recorded",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", _MARKER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Reject markers with unknown options or faults before the first test runs."""
    wrong = []
    for item in items:
        if item.get_closest_marker("sogni") is not None:
            try:
                _request_of(item)
            except ValueError as error:
                item.stash[_WRONG] = str(error)
                wrong.append(f"{item.nodeid}: {error}")
    # The workers of pytest-xdist cannot report it; there, the tests fail.
    if wrong and not hasattr(config, "workerinput"):
        raise pytest.UsageError(*wrong)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose marker is invalid."""
    if (message := item.stash.get(_WRONG, None)) is not None:
        pytest.fail(message, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that passed if the emulator received requests that its marker or recording does not allow."""
    result = yield
    found, cassette = item.stash.get(_SUPERNET, None), item.stash.get(_CASSETTE, None)
    if found is not None and (problem := found[1].problem(found[0])) is not None:
        pytest.fail(problem, pytrace=False)
    if cassette is not None and cassette.unmatched:
        pytest.fail("\n".join(["the recording does not fit:", *cassette.unmatched]), pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the requests that the emulator received to the report of a failed test."""
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
        if report.failed:
            report.sections += _sections(item)
    return report


def _sections(item: pytest.Item) -> list[tuple[str, str]]:
    sections = []
    found, cassette = item.stash.get(_SUPERNET, None), item.stash.get(_CASSETTE, None)
    if found is not None and (requests := found[0].requests):
        from sogni.emulator.assertions import listing

        sections.append(("requests at sogni_supernet", "\n".join(listing(requests))))
    if cassette is not None and (cassette.unmatched or cassette.unread or cassette.missing):
        lines = [
            *cassette.unmatched,
            *cassette.unread,
            *(f"{it} was recorded, and has not arrived" for it in cassette.missing),
        ]
        sections.append(("differences from sogni_cassette", "\n".join(lines)))
    return sections


def _request_of(item: pytest.Item) -> Request:
    from sogni.testing.markers import MarkerError, Request

    try:
        return Request.of(item.iter_markers("sogni"), strict=bool(item.config.getini("sogni_strict")))
    except MarkerError as error:
        raise MarkerError(f"the marker sogni: {error}") from None


@pytest.fixture(scope="session")
def _sogni_emulators() -> Iterator[Emulators]:
    from sogni.testing.emulators import Emulators

    emulators = Emulators()
    yield emulators
    emulators.close()


@pytest.fixture
def sogni_supernet(request: pytest.FixtureRequest) -> Iterator[LocalSupernet]:
    """A local Supernet without simulated delays, with fresh state for every test.

    The tests of a session use the same emulator one after the other, unless the marker ``sogni`` specifies other
    options. After each, it is reset: connections are closed, and key and ports change.

    Args:
        request: The `request` object of pytest.

    Yields:
        The running emulator.
    """
    wanted = _request_of(request.node)
    emulators: Emulators = request.getfixturevalue("_sogni_emulators")
    with emulators.lend(wanted.options) as supernet:
        wanted.prepare(supernet)
        request.node.stash[_SUPERNET] = (supernet, wanted)
        try:
            yield supernet
        finally:
            del request.node.stash[_SUPERNET]


@pytest.fixture
def sogni_cassette(request: pytest.FixtureRequest) -> Iterator[Cassette]:
    """Recorded traffic of the real service, which `sogni_client` and `sogni_async_client` then use.

    With ``--sogni-record=DIR``, the traffic of the test is recorded if the test passes. Without it, the recording is
    replayed, without account and network, and a request that was not recorded fails the test.

    Args:
        request: The `request` object of pytest.

    Yields:
        The recording.
    """
    from sogni.testing.cassettes import CassetteError, cassette_path
    from sogni.testing.playback import record, replay

    config, item = request.config, request.node
    directory: str | None = config.getoption("--sogni-record")
    folder = config.rootpath / config.getini("sogni_cassettes")
    if directory is not None:
        folder = config.invocation_params.dir / directory
    file = item.path.relative_to(config.rootpath) if item.path.is_relative_to(config.rootpath) else Path(item.path.name)
    path = cassette_path(folder, file, ".".join(item.nodeid.split("::")[1:]))
    try:
        cassette = replay(path) if directory is None else record(path, os.environ)
    except CassetteError as error:
        pytest.fail(str(error), pytrace=False)
    item.stash[_CASSETTE] = cassette
    try:
        yield cassette
    finally:
        del item.stash[_CASSETTE]
        cassette.close()
    if item.stash.get(_PASSED, False):
        cassette.save()


@pytest.fixture
def sogni_client(request: pytest.FixtureRequest) -> Iterator[SogniClient]:
    """A blocking client connected to `sogni_supernet`, or to `sogni_cassette` if the test uses it.

    Args:
        request: The `request` object of pytest.

    Yields:
        The client.
    """
    with _service(request).client() as client:
        yield client


@pytest.fixture
def sogni_async_client(request: pytest.FixtureRequest) -> Iterator[sogni_async.SogniClient]:
    """An asyncio client for `sogni_supernet`, or for `sogni_cassette` if the test uses it. It is not connected yet.

    It is closed at the end of the test, in its loop. Works with every plugin that runs coroutine functions as tests, in
    all modes.

    Args:
        request: The `request` object of pytest.

    Yields:
        The client.
    """
    client = _service(request).async_client()
    _close_after(request.node, client)
    yield client
    if not client.closed:
        _close_without_loop(client)


def _service(request: pytest.FixtureRequest) -> LocalSupernet | Cassette:
    """Return the service that a client of the test connects to."""
    name = "sogni_cassette" if "sogni_cassette" in request.fixturenames else "sogni_supernet"
    found: LocalSupernet | Cassette = request.getfixturevalue(name)
    return found


def _close_after(item: Any, client: Any) -> None:
    """Wrap a coroutine test so that it closes the client, because a plain fixture cannot reach its loop afterwards."""
    test = getattr(item, "obj", None)
    if not inspect.iscoroutinefunction(test):
        return

    run: Callable[..., Any] = test

    @wraps(run)
    async def closing(*args: Any, **kwargs: Any) -> Any:
        try:
            return await run(*args, **kwargs)
        finally:
            await client.close()

    item.obj = closing


def _close_without_loop(client: Any) -> None:
    """Close a client that no coroutine test has closed, in a new loop."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.close())
    finally:
        loop.close()
