"""Where hosted tools work: renders are projects like any client's, cuts and looks are made on the side.

Used by the tools through `Studio`, which really works, or `Estimate`, which only adds up what the work would
cost. The order of calls in a tool is therefore its price list as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from attrs import define, evolve, field, frozen

from ..accounts import Account, InsufficientFundsError, Token
from ..intake import result_seed
from ..orders import AudioOrder, ImageOrder, Order, VideoOrder
from ..projects import Job, Project
from ..requests_check import check_request
from ..state import State
from ..store import Key, Producer
from ..workers import WorkerPool
from .fetching import Fetcher
from .problems import ToolError
from .requests import Wanted, request
from .shelf import Kind, Media

APP_ID = "hosted-tools"
"""The app id of projects the service starts for itself: no client listens to it."""
_ROLES: Mapping[str, str] = {"referenceAudioIdentity": "referenceAudio"}


@frozen(kw_only=True)
class Payer:
    """Who pays for a tool, with which token, and in whose name projects are started."""

    account: Account
    token: Token
    app_source: str | None = None
    safe: bool = True
    """Whether results that the safety filter finds are withheld."""


@frozen(kw_only=True)
class Cut:
    """A file that is made from others: what writes it, and what it will be."""

    produce: Producer
    kind: Kind
    mime: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sound: bool = False


class Bench(Protocol):
    """What a tool can ask for."""

    state: State

    async def render(self, wanted: Wanted) -> list[Media]:
        """Have results rendered and paid for."""
        ...

    async def cut(self, cut: Cut) -> Media:
        """Have a file made from others."""
        ...

    async def path(self, media: Media) -> Path:
        """Return the path of a file that exists."""
        ...

    async def fetch(self, url: str, kind: Kind) -> Media:
        """Return what a URL or a data URI holds."""
        ...


@define(eq=False)
class Studio:
    """Does the work. Its methods belong to the server's event loop; a cancelled one cancels its project."""

    state: State
    pool: WorkerPool
    fetcher: Fetcher
    payer: Payer
    on_paid: Callable[[Token, Decimal], None] | None = None
    spent: Decimal = Decimal(0)
    failures: list[ToolError] = field(factory=list)

    async def render(self, wanted: Wanted) -> list[Media]:
        order = order_of(self.state, wanted, self.payer)
        inputs = {_ROLES.get(role, role): await self.path(media) for role, media in wanted.files.items()}
        project = self._start(order, inputs)
        try:
            await project.over.wait()
        except asyncio.CancelledError:
            self.pool.cancel(project)
            raise
        finally:
            project.claimed = True
        return await self._results(project)

    def _paid(self, token: Token, amount: Decimal) -> None:
        self.spent += amount
        if self.on_paid is not None:
            self.on_paid(token, amount)

    def _start(self, order: Order, inputs: Mapping[str, Path]) -> Project:
        state, cost = self.state, self.state.kinds[order.media].quote(order).in_token(order.token)
        try:
            self.payer.account.reserve(order.token, cost)
        except InsufficientFundsError as error:
            raise ToolError("INSUFFICIENT_CREDIT", str(error)) from None
        now = state.clock()
        project = Project(
            id=order.project_id,
            sid=len(state.projects) + 1,
            account=self.payer.account,
            app_id=APP_ID,
            order=order,
            cost=cost,
            created=now,
            updated=now,
            inputs=inputs,
            jobs=[self._job(order, index, now) for index in range(order.count)],
            on_paid=partial(self._paid, order.token),
        )
        state.projects.add(project)
        self.pool.add(project)
        return project

    def _job(self, order: Order, index: int, now: float) -> Job:
        return Job(index, self.state.chance.uuid(), result_seed(order.seed or 0, index), now)

    async def _results(self, project: Project) -> list[Media]:
        made = []
        for job in project.jobs:
            if job.status == "jobCompleted" and not job.withheld:
                media = described(project.order, Key(project.id, job.image_id, "complete"), job.seed)
                if self.state.store.lasting:
                    # What is only described would be forgotten when the emulator is killed.
                    await self.path(media)
                made.append(media)
            else:
                reason = "The result was withheld by the safety filter" if job.withheld else job.message
                self.failures.append(ToolError("GENERATION_FAILED", reason or "The project was canceled"))
        if not made:
            raise self.failures[-1]
        return made

    async def cut(self, cut: Cut) -> Media:
        item = self.state.chance.uuid()
        key = Key(APP_ID, item, "complete")
        self.state.store.put_later(key, cut.produce, cut.mime)
        media = Media(
            id=item,
            kind=cut.kind,
            key=key,
            mime=cut.mime,
            width=cut.width,
            height=cut.height,
            duration=cut.duration,
            sound=cut.sound,
        )
        try:
            await self.path(media)
        except (OSError, ValueError) as error:
            raise ToolError("PROCESSING_FAILED", f"The file could not be made: {error}") from error
        return media

    async def path(self, media: Media) -> Path:
        stored = self.state.store.find(media.key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", f"The {media.kind} {media.id} is not kept any more")
        return await self.state.store.ready(stored)

    async def fetch(self, url: str, kind: Kind) -> Media:
        return await self.fetcher.fetch(url, kind)


@define(eq=False)
class Estimate:
    """Adds up what the work would cost; nothing is made, charged or read."""

    state: State
    payer: Payer
    total: Decimal = Decimal(0)

    async def render(self, wanted: Wanted) -> list[Media]:
        order = order_of(self.state, wanted, self.payer)
        self.total += self.state.kinds[order.media].quote(order).in_token(order.token)
        return [described(order, Key(order.project_id, str(index), ""), 0) for index in range(order.count)]

    async def cut(self, cut: Cut) -> Media:
        media = placeholder(cut.kind)
        return evolve(media, width=cut.width, height=cut.height, duration=cut.duration, sound=cut.sound)

    async def path(self, media: Media) -> Path:
        return Path()

    async def fetch(self, url: str, kind: Kind) -> Media:
        return placeholder(kind)


def placeholder(kind: Kind) -> Media:
    """Return what stands for a file that is still to be made."""
    mime = {"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg"}[kind]
    media = Media(id="", kind=kind, key=Key("", "", kind), mime=mime)
    if kind == "audio":
        return evolve(media, duration=30.0)
    media = evolve(media, width=1024, height=1024)
    return media if kind == "image" else evolve(media, width=1280, height=704, duration=5.0, sound=True)


def order_of(state: State, wanted: Wanted, payer: Payer) -> Order:
    """Return the order for a request, or raise ``ToolError`` for one that the service does not take."""
    payload = request(wanted, state.chance.uuid(), payer.token, payer.app_source, safe=payer.safe)
    checked = check_request(payload, state.catalogue, state.kinds, "fast")
    if checked.order is None:
        raise ToolError("INVALID_ARGUMENTS", checked.message)
    return checked.order


def described(order: Order, key: Key, seed: int) -> Media:
    """Return what the result of an order is."""
    media = Media(id=key.item_id, kind="image", key=key, mime="", seed=seed)
    if isinstance(order, ImageOrder):
        mime = {"jpg": "image/jpeg"}.get(order.output_format, f"image/{order.output_format}")
        return evolve(media, mime=mime, width=order.width, height=order.height)
    if isinstance(order, VideoOrder):
        seconds = float(Fraction(order.frames) / order.fps)
        facts: dict[str, Any] = {"width": order.width, "height": order.height, "duration": seconds}
        mime = "video/quicktime" if order.output_format == "mov" else "video/mp4"
        return evolve(media, kind="video", mime=mime, sound=order.sound != "none", **facts)
    assert isinstance(order, AudioOrder)
    mime = {"mp3": "audio/mpeg"}.get(order.output_format, f"audio/{order.output_format}")
    return evolve(media, kind="audio", mime=mime, duration=order.duration)
