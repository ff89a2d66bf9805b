"""Hosted tools run directly, in the emulator's own event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define, field

from sogni.emulator import LocalSupernet
from sogni.emulator.tools.media_library import Media, MediaLibrary
from sogni.emulator.tools.renderer import ToolCall
from sogni.emulator.tools.runner import ToolOutcome
from tests.emulator.media.helpers import Opened, opened


@define(eq=False)
class Tools:
    supernet: LocalSupernet
    library: MediaLibrary = field(factory=MediaLibrary)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.supernet._now.server._loop).result(60)

    def call(self, name: str, seed: int, arguments: dict[str, Any]) -> ToolCall:
        return ToolCall(name=name, arguments=arguments, account=self.supernet.account, library=self.library, seed=seed)

    def run(self, name: str, *, seed: int = 7, **arguments: Any) -> ToolOutcome:
        services = self.supernet._now.server.services
        assert services is not None
        outcome: ToolOutcome = self._do(services.tools.run(self.call(name, seed, arguments)))
        return outcome

    def estimate(self, name: str, **arguments: Any) -> Any:
        services = self.supernet._now.server.services
        assert services is not None
        return self._do(services.tools.estimate(self.call(name, 0, arguments)))[0]

    def content(self, media: Media) -> bytes:
        async def read() -> bytes:
            store = self.supernet._now.state.store
            stored = store.find(media.key)
            assert stored is not None
            return (await store.ready(stored)).read_bytes()

        found: bytes = self._do(read())
        return found

    def film(self, media: Media) -> Opened:
        return opened(self.content(media))

    def still(self, **arguments: Any) -> Media:
        return self.run("generate_image", prompt="a red kite", width=256, height=256, **arguments).media[0]

    def video(self, **arguments: Any) -> Media:
        """Return one second of video, the smallest the model generates."""
        values = {"prompt": "the kite dips", "duration": 2, "width": 640, "height": 640, **arguments}
        return self.run("generate_video", **values).media[0]
