"""The setting `SOGNI`: its system check, and the clients that are made of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.contrib.django.conftest import settings_of
from tests.forkserver import Process
from tests.processes.conftest import own_state

BAD: dict[str, tuple[Any, list[str], str]] = {
    "no mapping": ([], ["sogni.E001"], "SOGNI must be a mapping, got list"),
    "unknown key": ({"API_KEI": "k"}, ["sogni.E001"], "SOGNI has no key 'API_KEI'; did you mean 'API_KEY'?"),
    "local": ({"LOCAL": "yes"}, ["sogni.E001"], "SOGNI['LOCAL'] must be True, False or a mapping"),
    "storage": ({"LOCAL": True, "STORAGE": "s3"}, ["sogni.E001"], "must be a key of STORAGES ('default', 'private'"),
    "path": ({"LOCAL": True, "UPLOAD_TO": 3}, ["sogni.E001"], "SOGNI['UPLOAD_TO'] must be a string, got 3"),
    "client": ({"API_KEY": "k", "NETWORK": "slow"}, ["sogni.E002"], "network must be "),
    "no key": ({}, ["sogni.E003"], "There is no API key."),
    "good": ({"API_KEY": "k", "NETWORK": "relaxed", "MAX_COST": "0.5"}, [], ""),
    "emulator": ({"LOCAL": {"step_time": 0}}, [], ""),
    "token": ({"AUTH_TYPE": "token"}, [], ""),
}


@pytest.mark.parametrize("name", BAD)
def test_the_system_check_reports(name: str, configured: None) -> None:
    from django.core.checks import run_checks
    from django.test import override_settings

    given, expected, message = BAD[name]
    with override_settings(SOGNI=given):
        found = [it for it in run_checks() if (it.id or "").startswith("sogni.")]
    assert [it.id for it in found] == expected
    assert message in "".join(it.msg for it in found)


def test_the_emulator_is_reported_in_production(configured: None) -> None:
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(SOGNI={"LOCAL": True}, DEBUG=False):
        assert [it.id for it in run_checks() if (it.id or "").startswith("sogni.")] == ["sogni.W001"]


def test_results_without_a_directory_of_their_own_are_reported(configured: None) -> None:
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(SOGNI={"LOCAL": True}, MEDIA_ROOT=""):
        assert [it.id for it in run_checks() if (it.id or "").startswith("sogni.")] == ["sogni.W002"]
    with override_settings(SOGNI={"LOCAL": True, "STORAGE": "private"}, MEDIA_ROOT=""):
        assert [it.id for it in run_checks() if (it.id or "").startswith("sogni.")] == []


def test_the_key_is_in_no_message_and_no_repr(configured: None) -> None:
    from django.test import override_settings

    from sogni.contrib.django import conf

    with override_settings(SOGNI={"API_KEY": "sk-very-secret", "NETWORK": "slow"}):
        (message,) = conf.check_settings()
        assert "sk-very-secret" not in str(message) + repr(conf.configuration())


def test_a_process_has_one_client(app: ModuleType, supernet: LocalSupernet) -> None:
    with ThreadPoolExecutor(8) as threads:
        clients = set(threads.map(lambda _: app.get_client(), range(64)))
    (client,) = clients
    assert client.account.me().username == supernet.account.username
    app.close_clients()
    assert client.closed
    assert app.get_client() is not client


def test_a_loop_has_one_asyncio_client(app: ModuleType, supernet: LocalSupernet) -> None:
    async def use() -> Any:
        client = app.get_async_client()
        assert client is app.get_async_client()
        assert (await client.account.me()).username == supernet.account.username
        await client.close()
        return client

    assert asyncio.run(use()) is not asyncio.run(use())


FORKED = """
import os, threading
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["sogni.contrib.django"], SOGNI={setting!r})
django.setup()
from sogni.contrib.django import clients, close_clients, get_client
client = get_client()
client.account.me()
clients._clients.lock.acquire()  # as another thread of the parent may at any time
pid = os.fork()
if pid == 0:
    assert get_client() is client
    project = client.projects.create(type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse")
    project.wait(timeout=20)
    close_clients()
else:
    print(os.waitpid(pid, 0)[1])
    clients._clients.lock.release()
    print(client.account.me().username)
"""


@pytest.mark.parametrize("local", [False, True], ids=["service", "emulator"])
def test_a_forked_child_uses_the_client_of_its_parent(
    local: bool, start_process: Callable[..., Process], supernet: LocalSupernet, configured: None, tmp_path: Path
) -> None:
    setting = {"LOCAL": {"step_time": 0}} if local else settings_of(supernet)
    process = start_process(FORKED.format(setting=setting), cwd=tmp_path, env=own_state(tmp_path))
    assert process.communicate(timeout=60)[0].split() == ["0", "local-artist"]
