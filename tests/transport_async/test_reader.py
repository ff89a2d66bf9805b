"""The reader task on a socket whose every byte is the test's."""

from __future__ import annotations

import threading

import sogni.core.connection.flows as sending
from sogni.core.connection.messages import encode_frame
from sogni.core.flow import catch_up, connect
from sogni.settings import Settings
from sogni_async.transport.engine import Engine
from tests.transport.websocket_peers import GUARD, Connection, serving

FRAMES = 20


async def test_whoever_catches_up_finds_applied_what_had_come() -> None:
    greeted, sent = threading.Event(), threading.Event()

    def handle(peer: Connection) -> None:
        peer.upgrade()
        peer.send(encode_frame("authenticated", {"clientType": "artist"}).encode())
        for number in range(FRAMES):
            assert greeted.wait(GUARD)
            greeted.clear()
            peer.send(encode_frame("changeNetwork", {"network": f"network {number}"}).encode())
            sent.set()
        peer.until_closed()

    with serving(handle) as url:
        settings = Settings(
            api_key="k", auth_type="api_key", app_id="APP", rest_endpoint="http://127.0.0.1:1", socket_endpoint=url
        )
        engine = Engine(settings, lambda engine, value: value)
        try:
            await engine.run(connect())
            await engine.run(sending.ready(GUARD))
            for number in range(FRAMES):
                greeted.set()
                # The loop stands still: what comes meanwhile lies in the system's buffer.
                assert sent.wait(GUARD)
                sent.clear()
                await engine.run(catch_up())
                assert engine.state.announced_network == f"network {number}"
        finally:
            await engine.close()
