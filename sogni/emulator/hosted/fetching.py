"""Media that come by URL: from this emulator's own storage, from a data URI, or from somewhere else.

Used by the studio and by whoever takes media references. What was fetched lies in the store like an upload.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
from attrs import define, evolve

from ..signing import SIGNATURE, RefusedError
from ..state import State
from ..store import Key, StoredFile
from .facts import probe
from .problems import ToolError
from .shelf import Kind, Media

_LIMIT = 200 * 1024**2
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_CHUNK = 256 * 1024
FETCHED = "fetched-media"


@define(eq=False)
class Fetcher:
    """Brings media into the store. Belongs to the server's event loop."""

    state: State

    async def fetch(self, url: str, *kinds: Kind) -> Media:
        """Return the file behind a URL, of the first of the kinds that it is, or raise ``ToolError``."""
        key = self._own(url)
        if key is None:
            key = await self._data(url) if url[:5].lower() == "data:" else await self._download(url)
        stored = self.state.store.find(key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", "The storage does not hold the file the URL names")
        for kind in kinds:
            found = await self._described(key, stored, kind)
            if found is not None:
                return found
        wanted = " or ".join("a video" if kind == "video" else f"an {kind}" for kind in kinds)
        raise ToolError("INVALID_MEDIA", f"The URL does not hold {wanted}")

    async def _described(self, key: Key, stored: StoredFile, kind: Kind) -> Media | None:
        path = await self.state.store.ready(stored)
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.state.store.executor, probe, path, kind)
        if found is None:
            return None
        media = Media(id=key.item_id or key.role, kind=kind, key=key, mime=stored.content_type or found.mime)
        return evolve(media, width=found.width, height=found.height, duration=found.duration, sound=found.sound)

    def _own(self, url: str) -> Key | None:
        """Return the file a URL of this emulator's storage grants, or None for any other URL."""
        parts = urlsplit(url)
        if not url.startswith(self.state.rest_endpoint + "/storage/"):
            return None
        signature = parse_qs(parts.query).get(SIGNATURE, [""])[0]
        try:
            return self.state.signer.check("GET", signature, None)
        except RefusedError as refused:
            raise ToolError("MEDIA_NOT_FOUND", f"The storage refused the URL: {refused}") from None

    async def _data(self, url: str) -> Key:
        head, _, body = url.partition(",")
        try:
            content = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote(body).encode()
        except (binascii.Error, ValueError):
            raise ToolError("INVALID_MEDIA", "The data URI is not readable") from None
        return await self._keep(content, head[5:].partition(";")[0] or None)

    async def _download(self, url: str) -> Key:
        if urlsplit(url).scheme.lower() not in ("http", "https"):
            raise ToolError("INVALID_MEDIA", "Media URLs start with http:// or https://")
        try:
            async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as reply:
                reply.raise_for_status()
                content = bytearray()
                async for part in reply.content.iter_chunked(_CHUNK):
                    content += part
                    if len(content) > _LIMIT:
                        raise ToolError("INVALID_MEDIA", "The file behind the URL is too large")
                return await self._keep(content, reply.content_type)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # The URL may carry a signature: only the host is named.
            message = f"The file at {urlsplit(url).hostname} could not be fetched: {type(error).__name__}"
            raise ToolError("MEDIA_NOT_FOUND", message) from None

    async def _keep(self, content: bytes | bytearray, content_type: str | None) -> Key:
        path = self.state.store.new_path()
        await self.state.store.write(path, content)
        key = Key(FETCHED, self.state.chance.uuid(), "media")
        self.state.store.put(key, path, content_type)
        return key
