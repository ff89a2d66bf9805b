"""A client without the SDK: requests, websocket-client, and hand-written frames."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

import requests
import websocket

from sogni.emulator import LocalSupernet
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE, REQUEST_TEMPLATE

DEADLINE = 30.0
Payload = dict[str, Any]


def new_id() -> str:
    return str(uuid.uuid4()).upper()


def key_frame(**changes: Any) -> Payload:
    """Return a key frame as a 5.x client sends it for a Flux image; a change to ``...`` removes the key."""
    frame = {
        **KEY_FRAME_TEMPLATE,
        "strength": 0.5,
        "scheduler": None,
        "timeStepSpacing": None,
        "modelID": "flux1-schnell-fp8",
        "positivePrompt": "a lighthouse over the ocean",
        "negativePrompt": "",
        "stylePrompt": "",
        "steps": 4,
        "guidanceScale": 1,
        "sizePreset": "custom",
        "width": 256,
        "height": 256,
        **{f"hasContextImage{slot}": False for slot in range(1, 17)},
    }
    return _changed(frame, changes)


def job_request(project_id: str | None = None, frame: Payload | None = None, **changes: Any) -> Payload:
    request = {
        **REQUEST_TEMPLATE,
        "keyFrames": [frame or key_frame()],
        "previews": 0,
        "numberOfImages": 1,
        "jobID": project_id or new_id(),
        "disableSafety": False,
        "tokenType": "spark",
        "outputFormat": "png",
    }
    return _changed(request, changes)


def _changed(values: Payload, changes: Payload) -> Payload:
    return {key: value for key, value in {**values, **changes}.items() if value is not ...}


class Wire:
    """One client: HTTP to both hosts, and at most one WebSocket at a time."""

    def __init__(self, supernet: LocalSupernet, *, app_id: str = "wire-test", network: str = "fast") -> None:
        self.supernet = supernet
        self.app_id = app_id
        self.network = network
        self.headers = {"api-key": supernet.api_key}
        self.http = requests.Session()
        self.http.trust_env = False
        self.socket: websocket.WebSocket | None = None

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        self.http.close()

    def connect(self, **parameters: str) -> Wire:
        self.disconnect()
        query = {
            "appId": self.app_id,
            "clientName": "Sogni/3.0.0 (wire-test) 1.0.0",
            "clientType": "artist",
            "forceWorkerId": "fast" if self.network == "fast" else "",
            **parameters,
        }
        url = requests.Request("GET", self.socket_host() + "/", params=query).prepare().url or ""
        self.socket = websocket.create_connection(
            url.replace("http", "ws", 1), header=self.headers, timeout=DEADLINE, http_no_proxy=["*"]
        )
        return self

    def disconnect(self) -> None:
        """Cut the connection without a close frame."""
        if self.socket is not None:
            self.socket.shutdown()  # type: ignore[no-untyped-call]
            self.socket = None

    def send(self, type: str, payload: Any) -> None:
        data = base64.b64encode(json.dumps(payload).encode()).decode()
        self.send_text(json.dumps({"type": type, "data": data}))

    def send_text(self, text: str) -> None:
        assert self.socket is not None
        self.socket.send(text)

    def receive(self) -> tuple[str, Any]:
        """Return the next frame; raise if the connection has ended."""
        assert self.socket is not None
        envelope = json.loads(self.socket.recv())
        return envelope["type"], json.loads(base64.b64decode(envelope["data"]))

    def until(self, found: Callable[[str, Any], bool]) -> list[tuple[str, Any]]:
        """Return all frames up to the first that matches."""
        seen = []
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            seen.append(self.receive())
            if found(*seen[-1]):
                return seen
        raise AssertionError(f"not among {[got for got, _ in seen]}")

    def next(self, type: str, state: str | None = None) -> Any:
        """Return the payload of the next frame of a type."""
        frames = self.until(lambda got, data: got == type and state in (None, (data or {}).get("type")))
        return frames[-1][1]

    def close_code(self) -> int:
        """Read until the server closes, and return its code; 0 if it cut the connection."""
        assert self.socket is not None
        while True:
            try:
                opcode, frame = self.socket.recv_data_frame(control_frame=True)
            except (websocket.WebSocketConnectionClosedException, ConnectionError):
                return 0
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(frame.data[:2], "big")

    def create(self, request: Payload | None = None) -> str:
        payload = request or job_request()
        self.send("jobRequest", payload)
        return str(payload["jobID"]).upper()

    def finish(self, project_id: str) -> list[tuple[str, Any]]:
        """Return all frames until the project is complete."""
        return self.until(
            lambda got, data: got == "jobState" and data["type"] == "jobCompleted" and data["jobID"] == project_id
        )

    def socket_host(self) -> str:
        return self.supernet.socket_endpoint.replace("ws", "http", 1)

    def get(self, path: str, **query: str) -> requests.Response:
        host = self.socket_host() if path.startswith("/api/") else self.supernet.rest_endpoint
        return self.http.get(host + path, params=query, headers=self.headers, timeout=DEADLINE)

    def data(self, path: str, **query: str) -> Any:
        reply = self.get(path, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Send one JSON request to the REST host; underscores in header names become dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.supernet.rest_endpoint + path
        return self.http.request(method, url, json=body, headers={**self.headers, **named}, timeout=DEADLINE)

    def upload(self, project_id: str, role: str, content: bytes, content_type: str = "image/png") -> None:
        query = {"imageId": new_id(), "jobId": project_id, "type": role, "contentType": content_type}
        url = self.data("/v1/image/uploadUrl", **query)["uploadUrl"]
        reply = self.http.put(url, data=content, headers={"Content-Type": content_type}, timeout=DEADLINE)
        assert reply.status_code == 200, reply.text

    def upload_media(self, project_id: str, role: str, content: bytes) -> None:
        url = self.data("/v1/media/uploadUrl", jobId=project_id, type=role)["uploadUrl"]
        reply = self.http.put(url, data=content, timeout=DEADLINE)
        assert reply.status_code == 200, reply.text

    def download_media(self, project_id: str, item_id: str, **query: str) -> requests.Response:
        located = self.data("/v1/media/downloadUrl", jobId=project_id, id=item_id, type="complete", **query)
        reply = self.http.get(located["downloadUrl"], timeout=DEADLINE)
        assert reply.status_code == 200, reply.text
        return reply

    def download(self, project_id: str, image_id: str, role: str = "complete", **query: str) -> bytes:
        located = self.data("/v1/image/downloadUrl", jobId=project_id, imageId=image_id, type=role, **query)
        reply = self.http.get(located["downloadUrl"], timeout=DEADLINE)
        assert reply.status_code == 200, reply.text
        return reply.content


def of_type(frames: list[tuple[str, Any]], type: str) -> list[Any]:
    return [data for got, data in frames if got == type]
