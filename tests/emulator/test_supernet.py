"""Starting, closing and inspecting the emulator."""

from __future__ import annotations

import asyncio
import math
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests
from aiohttp import web

from sogni.emulator import Balance, ChatScript, Faults, LocalSupernet, RecordedRequest, RecordedUpgrade, Reward
from tests.emulator.wire import Wire, job_request, key_frame
from tests.tables import each_row


def test_closing_is_idempotent_and_ends_the_thread() -> None:
    before = set(threading.enumerate())
    supernet = LocalSupernet().start()
    with Wire(supernet) as wire:
        wire.connect().receive()
        endpoint = supernet.rest_endpoint
        supernet.close()
        assert wire.close_code() == 1001
    supernet.close()
    assert supernet.closed
    assert not [it for it in set(threading.enumerate()) - before if it.name.startswith("sogni-emulator")]
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(endpoint, timeout=5)


WRONG: list[tuple[Callable[[LocalSupernet], object], type[Exception], str]] = [
    (lambda _: LocalSupernet(balance=cast(Any, {"sparks": 1})), ValueError, "got 'sparks'; did you mean 'spark'?"),
    (
        lambda _: LocalSupernet(balance={"spark": "much"}),
        ValueError,
        "spark must be an amount of at least 0, got 'much'",
    ),
    (lambda _: LocalSupernet(balance=Balance(sogni=-1)), ValueError, "sogni must be an amount of at least 0"),
    (lambda _: LocalSupernet(balance=cast(Any, 5)), TypeError, "balance must be a Balance or a mapping, got 5"),
    (lambda _: LocalSupernet(workers=cast(Any, "4")), ValueError, "workers must be an integer of at least 1, got '4'"),
    (lambda _: LocalSupernet(workers=0), ValueError, "workers must be an integer of at least 1, got 0"),
    (lambda _: LocalSupernet(step_time=-1), ValueError, "step_time must be a non-negative number, got -1"),
    (lambda _: LocalSupernet(step_time=math.nan), ValueError, "step_time must be a non-negative number, got nan"),
    (lambda _: LocalSupernet(rest_port=70_000), ValueError, "rest_port must be a port from 0 to 65535, got 70000"),
    (lambda _: LocalSupernet(seed=cast(Any, "x")), ValueError, "seed must be an integer, got 'x'"),
    (lambda _: LocalSupernet(faults=cast(Any, [])), TypeError, "faults must be a Faults, got []"),
    (lambda _: LocalSupernet(saved_uploads=cast(Any, 5)), TypeError, "saved_uploads must be True, False or an UploadL"),
    (lambda _: Balance(spark="x"), ValueError, "the amount must be an amount, got 'x'"),
    (lambda _: Reward("1", "", "", cast(Any, "gold"), 5), ValueError, "token must be one of spark, sogni, got 'gold'"),
    (lambda it: it.account.set_balance(spark=-5), ValueError, "spark must be an amount of at least 0, got -5"),
    (lambda it: it.add_account("a", "b", spark="x"), ValueError, "spark must be an amount of at least 0, got 'x'"),
    (lambda it: it.set_subscription(cast(Any, "pro")), TypeError, "membership must be a Membership or None, got 'pro'"),
    (lambda it: it.send_limit_notice("x", severity=cast(Any, "bad")), ValueError, "severity must be one of info, warn"),
    (lambda it: it.set_personal_lora("x", cast(Any, "gone")), ValueError, "status must be one of queued, validating, "),
    (lambda it: it.drop_connections(1006), ValueError, "code must be a code that is valid in a close frame, got 1006"),
    (lambda it: it.clock.resume(cast(Any, "fast")), ValueError, "factor must be a positive number, got 'fast'"),
    (lambda it: it.chat.reply(cast(Any, 5)), ValueError, "an answer must be a string, an Answer, tool calls or a mess"),
    (lambda it: it.chat.reply(tool_calls=cast(Any, ["x"])), ValueError, "tool_calls must be pairs of a name and argum"),
    (lambda it: cast(Any, it.faults).drop(), AttributeError, "there is no fault 'drop'; did you mean drop_socket?"),
]


@each_row("call, error, message", WRONG)
def test_bad_input_is_refused(
    supernet: LocalSupernet, call: Callable[[LocalSupernet], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(supernet)


def test_connections_that_arrive_while_it_closes_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[socket.socket] = []
    supernet = LocalSupernet().start()
    at = urlsplit(supernet.socket_endpoint)
    clean_up = web.AppRunner.cleanup

    async def cleanup(runner: web.AppRunner) -> None:
        with suppress(ConnectionRefusedError):
            waiting.extend(socket.create_connection((at.hostname, at.port), timeout=30) for _ in range(5))
        for _ in range(2):
            await asyncio.sleep(0)
        await clean_up(runner)

    monkeypatch.setattr(web.AppRunner, "cleanup", cleanup)
    supernet.close()
    assert waiting
    for connection in waiting:
        with connection, suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_a_closed_emulator_raises() -> None:
    supernet = LocalSupernet()
    supernet.close()
    for ask in (lambda: supernet.rest_endpoint, lambda: supernet.projects, supernet.pause_workers):
        with pytest.raises(RuntimeError, match="not running"):
            ask()


def test_a_failed_thread_start_leaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    supernet = LocalSupernet()
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="new thread"):
        patch.setattr(threading.Thread, "start", refuses)
        supernet.start()
    with supernet:
        assert not supernet.closed


def test_an_emulator_starts_once() -> None:
    with LocalSupernet() as supernet, pytest.raises(RuntimeError):
        supernet.start()


def test_a_port_in_use_is_an_error_that_leaves_nothing_behind() -> None:
    with LocalSupernet() as supernet:
        port = int(supernet.rest_endpoint.rpartition(":")[2])
        with pytest.raises(OSError):
            LocalSupernet(rest_port=port).start()


def test_options_take_effect() -> None:
    faults = Faults()
    options = {"api_key": "my key", "faults": faults, "balance": {"spark": "1.5"}}
    with LocalSupernet(**options) as supernet:  # type: ignore[arg-type]
        assert supernet.api_key == "my key"
        assert supernet.faults is faults
        assert supernet.account.balance == Balance(spark=Decimal("1.5"), sogni=Decimal(0))
        assert supernet.rest_endpoint.startswith("http://127.0.0.1:")
        assert supernet.socket_endpoint.startswith("ws://127.0.0.1:")


def test_a_balance_that_is_set_reaches_connected_clients(wire: Wire, supernet: LocalSupernet) -> None:
    wire.connect().next("balanceUpdate")
    supernet.account.set_balance(spark="12.5", sogni=3)
    update = wire.next("balanceUpdate")
    assert (update["spark"]["net"], update["sogni"]["net"]) == ("12.5", "3")


def test_two_emulators_share_nothing() -> None:
    with LocalSupernet(step_time=0) as one, LocalSupernet(step_time=0) as two, Wire(one) as wire:
        assert one.api_key != two.api_key
        wire.connect().finish(wire.create())
        assert len(one.projects) == 1
        assert not two.projects
        assert not two.requests


def test_the_same_seed_gives_the_same_ids_and_seeds() -> None:
    seen = []
    for _ in range(2):
        with LocalSupernet(step_time=0, seed=3) as supernet, Wire(supernet) as wire:
            wire.connect().create(job_request(frame=key_frame(seed=...)))
            result = wire.next("jobResult")
            seen.append((result["imgID"], result["lastSeed"]))
    assert seen[0] == seen[1]


def test_wait_for_times_out(supernet: LocalSupernet) -> None:
    with pytest.raises(TimeoutError):
        supernet.wait_for(lambda: False, timeout=0.05)
    assert supernet.wait_for(lambda: 7) == 7


def test_waiting_for_the_end_returns_once_it_was_closed() -> None:
    supernet = LocalSupernet().start()
    assert not supernet.wait_closed(timeout=0.01)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(supernet.wait_closed, 10)
        supernet.close()
        assert waiting.result()
    assert supernet.wait_closed()


def test_its_methods_may_be_called_from_many_threads(supernet: LocalSupernet) -> None:
    calls: list[Callable[[], object]] = [
        lambda: supernet.projects,
        lambda: supernet.requests,
        lambda: supernet.account.set_balance(spark=5),
        supernet.pause_workers,
        supernet.resume_workers,
        supernet.drop_connections,
        supernet.expire_urls,
    ]
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(call) for call in calls * 20]:
            done.result()


def test_many_projects_at_once_all_finish() -> None:
    with LocalSupernet(step_time=0) as supernet, Wire(supernet) as wire:
        wire.connect()
        for _ in range(200):
            wire.create()
        supernet.wait_for(
            lambda: len(supernet.projects) == 200 and all(it["finished"] for it in supernet.projects),
            timeout=30,
        )


def test_a_process_that_never_closes_leaves_no_files(tmp_path: Path) -> None:
    script = "from sogni.emulator import LocalSupernet; it = LocalSupernet().start(); print(it.rest_endpoint)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"TMPDIR": str(tmp_path), "PATH": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_without_its_libraries_the_extra_is_named() -> None:
    script = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "try:\n    import sogni.emulator\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "sogni[emulator]" in done.stdout


def test_a_reset_gives_the_next_test_a_fresh_emulator(wire: Wire, supernet: LocalSupernet) -> None:
    before = supernet.account.balance
    supernet.faults.fail_job(times=9)
    supernet.pause_workers()
    wire.connect().create()
    wire.next("jobState", "queued")
    supernet.reset()
    assert not supernet.projects
    assert not supernet.requests
    assert not supernet.violations
    assert supernet.account.balance == before
    wire.finish(wire.create())


def test_renewing_locks_earlier_clients_out(wire: Wire, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v1/account/me", hang=True)
    key, endpoint, address = supernet.api_key, supernet.rest_endpoint, supernet.socket_endpoint
    wire.connect().receive()
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(requests.get, f"{endpoint}/v1/account/me", timeout=30)
        supernet.assert_requested("GET /v1/account/me", timeout=30)
        supernet.renew()
        with pytest.raises(requests.exceptions.ConnectionError):
            hanging.result(timeout=30)
    assert wire.close_code() == 0
    assert supernet.connection_count == 0
    assert {key, endpoint, address}.isdisjoint((supernet.api_key, supernet.rest_endpoint, supernet.socket_endpoint))
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(endpoint, timeout=30)
    assert supernet.requests == []
    with Wire(supernet) as another:
        another.finish(another.connect().create())
        assert [it.connection for it in supernet.requests if isinstance(it, RecordedUpgrade)] == [1]


def test_a_reset_restores_settings_and_keeps_a_given_key() -> None:
    with LocalSupernet(step_time=0, api_key="given") as supernet:
        supernet.set_token_lifetimes(access=-1)
        supernet.chat.kept_seconds = 0.1
        supernet.renew()
        assert (supernet.api_key, supernet.chat.kept_seconds) == ("given", ChatScript().kept_seconds)
        with supernet.client() as client:
            client.account.login(supernet.account.username, str(supernet.account.password))
            assert client.account.me().username == supernet.account.username


def test_files_do_not_survive_a_reset(wire: Wire, supernet: LocalSupernet) -> None:
    project = wire.connect().create()
    wire.upload(project, "startingImage", b"content")
    wire.finish(project)
    (upload,) = supernet.assert_requested("PUT /storage/*", times=1)
    supernet.reset()
    assert isinstance(upload, RecordedRequest)
    assert requests.get(supernet.rest_endpoint + upload.path, timeout=30).status_code == 403


def test_clients_are_made_with_key_and_endpoints(supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, make in (("sogni", supernet.client), ("sogni_async", supernet.async_client)):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(SogniClient=dict))
        assert make(app_id="x") == {
            "api_key": supernet.api_key,
            "rest_endpoint": supernet.rest_endpoint,
            "socket_endpoint": supernet.socket_endpoint,
            "app_id": "x",
        }
