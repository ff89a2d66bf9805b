"""The asyncio shell: the only modules of the package that open sockets and start tasks."""

from __future__ import annotations

try:
    import aiohttp  # noqa: F401
except ModuleNotFoundError as _error:
    if _error.name != "aiohttp":
        raise
    raise ModuleNotFoundError(
        "sogni_async needs aiohttp, which is not installed: pip install 'sogni[async]'", name="aiohttp"
    ) from None
