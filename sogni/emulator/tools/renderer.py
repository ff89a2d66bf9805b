"""Rendering for hosted tools: project requests, fetched media, and estimates of their price.

Renders are projects like any client's and checked in the same way. An ``Estimate`` runs a tool without making anything:
it only adds up the prices.
"""
# Protocol notes: projects-4.2 §4.

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
from attrs import define, evolve, field, frozen

from sogni.emulator.account.accounts import Account, InsufficientFundsError, Token
from sogni.emulator.catalogue.models import Model
from sogni.emulator.fields import is_web_url
from sogni.emulator.media.codecs import probe
from sogni.emulator.projects.orders import Order
from sogni.emulator.projects.projects import Project
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, REQUEST_TEMPLATE, check_request
from sogni.emulator.projects.storage import AccessDeniedError, Key, Producer, StoredFile
from sogni.emulator.rendering.service import open_project
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.state import State
from sogni.emulator.tools.media_library import KINDS, Kind, Media, MediaLibrary, ToolError

_CONTEXT_SLOTS = 16
_LIMIT = 200 * 1024**2
_TIMEOUT = aiohttp.ClientTimeout(total=30)
_CHUNK = 256 * 1024
FETCHED = "fetched-media"


@define(eq=False)
class Fetcher:
    """Copies media from this emulator's storage, data URIs and other URLs into the store. Belongs to the server's event
    loop.
    """

    state: State

    async def fetch(self, url: str, *kinds: Kind) -> Media:
        """Return the file behind a URL, as the first of the kinds that fits, or raise ``ToolError``."""
        key = self._own(url)
        if key is None:
            key = await self._data(url) if url[:5].lower() == "data:" else await self._download(url)
        stored = self.state.store.find(key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", "The storage does not contain the file of the URL")
        for kind in kinds:
            found = await self._described(key, stored, kind)
            if found is not None:
                return found
        requested = " or ".join("a video" if kind == "video" else f"an {kind}" for kind in kinds)
        raise ToolError("INVALID_MEDIA", f"The URL does not contain {requested}")

    async def reference(self, entry: object) -> Media:
        """Return the file of a media reference, of its declared kind or else of any."""
        given = {"url": entry} if isinstance(entry, str) else entry
        if not isinstance(given, Mapping):
            raise ToolError("INVALID_MEDIA", "A media reference must be an object")
        url = next((given[name] for name in ("url", "dataUri", "data_uri") if isinstance(given.get(name), str)), None)
        if url is None:
            raise ToolError("INVALID_MEDIA", "A media reference must have a url")
        names = ("mediaType", "media_type", "type", "mimeType", "mime_type", "kind")
        declared = str(next((given[name] for name in names if given.get(name)), ""))
        return await self.fetch(url, *([kind for kind in KINDS if kind in declared] or KINDS))

    async def _described(self, key: Key, stored: StoredFile, kind: Kind) -> Media | None:
        found = await self.state.store.run(probe, await self.state.store.ready(stored), kind)
        if found is None:
            return None
        facts = {name: getattr(found, name) for name in ("width", "height", "duration", "sound")}
        return Media(id=key.item_id or key.role, kind=kind, key=key, mime=stored.content_type or found.mime, **facts)

    def _own(self, url: str) -> Key | None:
        """Return the file that a URL of this emulator's storage grants, or None for any other URL."""
        if not url.startswith(self.state.rest_endpoint + "/storage/"):
            return None
        parts = urlsplit(url)
        key = Key.of(unquote(parts.path.removeprefix("/storage/")))
        try:
            self.state.signer.check("GET", key, dict(parse_qsl(parts.query)), None)
        except AccessDeniedError as denied:
            raise ToolError("MEDIA_NOT_FOUND", f"The storage refused the URL: {denied}") from None
        return key

    async def _data(self, url: str) -> Key:
        head, _, body = url.partition(",")
        try:
            content = base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote(body).encode()
        except (binascii.Error, ValueError):
            raise ToolError("INVALID_MEDIA", "The data URI is malformed") from None
        return await self._keep(content, head[5:].partition(";")[0] or None)

    async def _download(self, url: str) -> Key:
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if not is_web_url(url) or host is None:
            raise ToolError("INVALID_MEDIA", "Media URLs must start with http:// or https:// and name a host")
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
            # The URL may contain a signature: name only the host.
            message = f"The file at {host} could not be fetched: {type(error).__name__}"
            raise ToolError("MEDIA_NOT_FOUND", message) from None

    async def _keep(self, content: bytes | bytearray, content_type: str | None) -> Key:
        path = self.state.store.new_path()
        await self.state.store.run(path.write_bytes, content)
        key = Key(FETCHED, self.state.ids.uuid(), "media")
        self.state.store.put(key, path, content_type)
        return key


APP_ID = "hosted-tools"
"""The app ID of projects the service starts for itself: no client receives their frames."""
_ROLES: Mapping[str, str] = {"referenceAudioIdentity": "referenceAudio"}


@frozen(kw_only=True)
class ToolCall:
    """One call.

    Attributes:
        library: The media that numbers in the arguments refer to; results are added to it.
        seed: The seed of everything random; an argument ``seed`` takes precedence.
    """

    name: str
    arguments: Mapping[str, Any]
    account: Account
    token: Token = "spark"
    library: MediaLibrary = field(factory=MediaLibrary)
    seed: int = 0
    app_source: str | None = None
    safe: bool = True
    """Whether results that the safety filter finds are withheld."""
    on_paid: Callable[[Token, Decimal], None] | None = None
    """Called for every amount charged for the call."""


@define(eq=False)
class Renderer:
    """Does the work of tools. Its methods belong to the server's event loop; cancellation cancels the project."""

    state: State
    pool: WorkerPool
    fetcher: Fetcher
    call: ToolCall
    spent: Decimal = Decimal(0)
    failures: list[ToolError] = field(factory=list)

    async def render(self, order: Order, files: Mapping[str, Media]) -> list[Media]:
        """Render the results of an order and charge for them."""
        inputs = {_ROLES.get(role, role): await self.path(media) for role, media in files.items()}
        project = self._start(order, inputs)
        try:
            await project.wait_for_end()
        except asyncio.CancelledError:
            self.pool.cancel(project)
            raise
        finally:
            project.claimed = True
        return await self._results(project)

    def order(
        self,
        model: Model,
        files: Mapping[str, Media],
        details: Mapping[str, Any],
        *,
        prompt: str,
        negative_prompt: str = "",
        seed: int,
        count: int = 1,
        output_format: str,
    ) -> Order:
        """Return the order for a request, or raise ``ToolError`` if the service refuses it.

        ``files`` maps upload roles to media; ``details`` are further keys of the key frame.
        """
        call = self.call
        frame = {
            **KEY_FRAME_TEMPLATE,
            **dict.fromkeys(("scheduler", "timeStepSpacing")),
            "strength": 0.5,
            "modelID": model.id,
            "positivePrompt": prompt,
            "stylePrompt": "",
            "seed": seed,
            **{f"has{role[0].upper()}{role[1:]}": True for role in files if not role.startswith("contextImage")},
            **details,
        }
        if model.media != "audio" and not model.id.startswith("seedance"):
            frame.setdefault("negativePrompt", negative_prompt)
        if model.media in ("image", "model"):
            slots = range(1, _CONTEXT_SLOTS + 1)
            frame |= {f"hasContextImage{slot}": f"contextImage{slot}" in files for slot in slots}
        else:
            frame |= {"comfySampler": None, "comfyScheduler": None}
        payload = {
            **REQUEST_TEMPLATE,
            "keyFrames": [frame],
            "previews": 0,
            "numberOfImages": count,
            "jobID": self.state.ids.uuid(),
            "disableSafety": not call.safe,
            "tokenType": "spark" if model.spark_only else call.token,
            "outputFormat": output_format,
            **({} if call.app_source is None else {"appSource": call.app_source}),
        }
        checked = check_request(payload, self.state.catalogue, self.state.kinds, "fast")
        if checked.order is None:
            raise ToolError("INVALID_ARGUMENTS", checked.message)
        return checked.order

    def _paid(self, token: Token, amount: Decimal) -> None:
        self.spent += amount
        if self.call.on_paid is not None:
            self.call.on_paid(token, amount)

    def _start(self, order: Order, inputs: Mapping[str, Path]) -> Project:
        try:
            project = open_project(self.state, order, self.call.account, APP_ID, inputs)
        except InsufficientFundsError as error:
            raise ToolError("INSUFFICIENT_CREDIT", str(error)) from None
        project.on_paid = partial(self._paid, order.token)
        self.pool.add(project)
        return project

    async def _results(self, project: Project) -> list[Media]:
        results = []
        for job in project.jobs:
            if job.status == "jobCompleted" and not job.withheld:
                media = described(project.order, Key(project.id, job.image_id, "complete"), job.seed)
                if self.state.store.lasting:
                    # A file that has not been written would be lost if the emulator is killed.
                    await self.path(media)
                results.append(media)
            else:
                reason = "The result was withheld by the safety filter" if job.withheld else job.message
                self.failures.append(ToolError("GENERATION_FAILED", reason or "The project was canceled"))
        if not results:
            raise self.failures[-1]
        return results

    async def make(self, media: Media, produce: Producer) -> Media:
        """Make a file from others; ``media`` has its properties."""
        item = self.state.ids.uuid()
        media = evolve(media, id=item, key=Key(APP_ID, item, "complete"))
        self.state.store.put_later(media.key, produce, media.mime)
        try:
            await self.path(media)
        except (OSError, ValueError) as error:
            raise ToolError("PROCESSING_FAILED", f"The file could not be made: {error}") from error
        return media

    async def path(self, media: Media) -> Path:
        """Return the path of a file, which exists."""
        stored = self.state.store.find(media.key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", f"The {media.kind} {media.id} is no longer available")
        return await self.state.store.ready(stored)

    async def fetch(self, url: str, kind: Kind) -> Media:
        """Return the media behind a URL or data URI."""
        return await self.fetcher.fetch(url, kind)


@define(eq=False)
class Estimate(Renderer):
    """Adds up the price of the work; nothing is made, charged or read."""

    async def render(self, order: Order, files: Mapping[str, Media]) -> list[Media]:
        price = order.work.quote(self.state.catalogue).times(order.count)
        self.spent: Decimal = self.spent + price.in_token(order.token)
        return [described(order, Key(order.project_id, str(index), ""), 0) for index in range(order.count)]

    async def make(self, media: Media, produce: Producer) -> Media:
        return media

    async def path(self, media: Media) -> Path:
        return Path()

    async def fetch(self, url: str, kind: Kind) -> Media:
        return placeholder(kind)


_PLACEHOLDERS: Mapping[Kind, Mapping[str, Any]] = {
    "image": {"mime": "image/png", "width": 1024, "height": 1024},
    "video": {"mime": "video/mp4", "width": 1280, "height": 704, "duration": 5.0, "sound": True},
    "audio": {"mime": "audio/mpeg", "duration": 30.0},
    "model": {"mime": "model/gltf-binary"},
}


def placeholder(kind: Kind) -> Media:
    """Return a placeholder for a file that does not exist yet."""
    return Media(id="", kind=kind, key=Key("", "", kind), **_PLACEHOLDERS[kind])


def described(order: Order, key: Key, seed: int) -> Media:
    """Return the properties of the result of an order."""
    length = order.duration if order.frames is None else float(Fraction(order.frames) / order.fps)
    shape: dict[str, Any] = {"width": order.width, "height": order.height, "duration": length, "sound": order.sound}
    return Media(id=key.item_id, kind=order.media, key=key, mime=order.content_type, seed=seed, **shape)
