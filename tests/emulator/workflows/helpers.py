"""Workflows without the SDK: plans, requests, event streams."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.emulator.wire import DEADLINE, Payload, Wire

ROOT = "/v1/creative-agent/workflows"
ENDS = ("completed", "partial_failure", "failed", "cancelled", "waiting_for_user")
SMALL = {"width": 256, "height": 256}


def step(id: str, tool: str, *takes: Payload, **arguments: Any) -> Payload:
    found: Payload = {"id": id, "toolName": tool, "arguments": arguments}
    return {**found, "dependsOn": list(takes)} if takes else found


def takes(source: str, target: str, transform: str, **more: Any) -> Payload:
    return {"sourceStepId": source, "targetArgument": target, "transform": transform, **more}


def still(id: str = "still", **arguments: Any) -> Payload:
    return step(id, "generate_image", prompt="a red kite", **{**SMALL, **arguments})


def plan(*steps: Payload, **more: Any) -> Payload:
    return {"input": {"title": "Kite", "steps": list(steps)}, **more}


FILM = (
    still(),
    step("clip", "animate_photo", takes("still", "sourceImageIndex", "image_index"), prompt="it sways", duration=2),
    step("more", "animate_photo", takes("still", "sourceImageIndex", "image_index"), prompt="it dips", duration=2),
    step("song", "generate_music", prompt="a calm song", duration=10),
    step(
        "film",
        "stitch_video",
        takes("clip", "videoIndices", "video_index"),
        takes("more", "videoIndices", "video_index"),
        takes("song", "audioIndex", "audio_index", mediaType="audio"),
    ),
)


def start(wire: Wire, body: Payload, **headers: str) -> Payload:
    reply = wire.ask("POST", ROOT, body, **headers)
    assert reply.status_code == 202, reply.text
    found: Payload = reply.json()["data"]["workflow"]
    return found


def get(wire: Wire, id: str) -> Payload:
    found: Payload = wire.data(f"{ROOT}/{id}")["workflow"]
    return found


def ended(wire: Wire, id: str, *, seconds: float = 60.0) -> Payload:
    """Return the record once the workflow has ended or waits for its user."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        record = get(wire, id)
        if record["status"] in ENDS:
            return record
        time.sleep(0.02)
    raise AssertionError(f"the workflow is still {record['status']}")


def run(wire: Wire, *steps: Payload, **more: Any) -> Payload:
    return ended(wire, start(wire, plan(*steps, **more))["workflowId"])


def frames(wire: Wire, id: str, **options: Any) -> list[Payload]:
    """Return all frames until the stream ends."""
    headers = {**wire.headers, "Accept": "text/event-stream", **options.pop("headers", {})}
    url = f"{wire.supernet.rest_endpoint}{ROOT}/{id}/events/stream"
    text = b""
    with wire.http.get(url, params=options, headers=headers, stream=True, timeout=DEADLINE) as reply:
        assert reply.status_code == 200, reply.text
        try:
            for part in reply.iter_content(None):
                text += part
        except OSError:
            pass
    whole = text.decode().rpartition("\n\n")[0]
    return [_frame(block) for block in whole.split("\n\n") if block and not block.startswith(":")]


def _frame(block: str) -> Payload:
    fields = dict(line.split(": ", 1) for line in block.splitlines())
    return {"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
