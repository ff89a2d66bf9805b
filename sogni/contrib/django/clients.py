"""The clients of a process, which are created on first use and shared by all threads."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from sogni.client import SogniClient
from sogni.contrib.django.conf import client_auth, configuration

if TYPE_CHECKING:
    import sogni_async
    from sogni.emulator import LocalSupernet


class _Clients:
    """What is shared within a process. A forked child keeps the client, which resets itself there.

    An emulator belongs to the process that started it, and serves the children, too.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.client: SogniClient | None = None
        # asyncio clients belong to an event loop. A server has one; tests and `async_to_sync` have others.
        self.of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, sogni_async.SogniClient] = WeakKeyDictionary()
        self.supernet: LocalSupernet | None = None
        self.started_in = os.getpid()


_clients = _Clients()


def _renew_after_fork() -> None:
    # Another thread of the parent may have held the lock.
    _clients.lock = threading.RLock()
    _clients.of_loops = WeakKeyDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)


def _options() -> dict[str, Any]:
    """Return the arguments of a client. With `LOCAL`, this starts the emulator of the process."""
    found = configuration()
    if found.local is None:
        return {"auth_type": client_auth(found), **found.client}
    if _clients.supernet is None:
        from sogni.emulator import LocalSupernet

        _clients.supernet = LocalSupernet(**found.local).start()
        _clients.started_in = os.getpid()
    supernet = _clients.supernet
    endpoints = {"rest_endpoint": supernet.rest_endpoint, "socket_endpoint": supernet.socket_endpoint}
    return {**found.client, "api_key": supernet.api_key, **endpoints}


def get_client() -> SogniClient:
    """Return the client of this process. The first call creates it, but opens no connection.

    Safe to call from any thread, and before a server forks its workers. Do not close it.

    Returns:
        The client, configured by `SOGNI`.

    Raises:
        ImproperlyConfigured: `SOGNI` has an unknown key or an invalid value.
        ValidationError: A setting of the client is invalid.

    Example:
        >>> get_client().account.me().username
        'local-artist'
    """
    client = _clients.client
    if client is None:
        with _clients.lock:
            client = _clients.client
            if client is None:
                client = _clients.client = SogniClient(**_options())
    return client


def get_async_client() -> sogni_async.SogniClient:
    """Return the asyncio client of this process and of the running event loop, for async views.

    Returns:
        The client, configured by `SOGNI`.

    Raises:
        RuntimeError: No event loop is running.
        ImproperlyConfigured: `SOGNI` has an unknown key or an invalid value.
        ValidationError: A setting of the client is invalid.

    Example:
        >>> async def username(request):
        ...     return JsonResponse({"username": (await get_async_client().account.me()).username})
    """
    loop = asyncio.get_running_loop()
    with _clients.lock:
        client = _clients.of_loops.get(loop)
        if client is None:
            import sogni_async

            client = _clients.of_loops[loop] = sogni_async.SogniClient(**_options())
    return client


def close_clients() -> None:
    """Stop following projects, and close the client and the emulator of this process. The next use creates new ones.

    Servers do not need to call it, but tests do. Close an asyncio client in its event loop: `await
    get_async_client().close()`.

    Example:
        >>> close_clients()
    """
    from sogni.contrib.django.follower import follower

    follower.stop()
    with _clients.lock:
        client, _clients.client = _clients.client, None
        _clients.of_loops = WeakKeyDictionary()
        supernet, _clients.supernet = _clients.supernet, None
    if client is not None:
        client.close()
    if supernet is not None and _clients.started_in == os.getpid():
        supernet.close()


def on_setting_changed(setting: str, **_: Any) -> None:
    """Create new clients after a test has overridden `SOGNI`."""
    from sogni.contrib.django.models import renew_storage

    if setting in ("SOGNI", "STORAGES", "MEDIA_ROOT", "MEDIA_URL"):
        renew_storage()
    if setting == "SOGNI":
        close_clients()
