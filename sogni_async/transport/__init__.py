"""The I/O of the asyncio front end: the only modules of the package that open sockets and start tasks."""

from __future__ import annotations

from importlib.util import find_spec


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


# Importing it takes long, so that is left to the modules that use it.
if not _is_installed("aiohttp"):
    raise ModuleNotFoundError(
        "sogni_async needs aiohttp, which is not installed: pip install 'sogni[async]'", name="aiohttp"
    )
