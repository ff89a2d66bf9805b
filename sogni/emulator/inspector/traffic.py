"""The traffic of an emulator, in both directions and in order, and the chats that it contains.

Nothing here is sent to a client. What looks like a secret is removed before it is shown, and long values are cut.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define, field

from sogni.emulator.connections import Connection
from sogni.emulator.recorder import Arrival, RecordedRequest, RecordedUpgrade
from sogni.redaction import HIDDEN, redact

Kind = Literal["request", "upgrade", "received", "sent"]
_ENTRIES = 300
_CHATS = 20
_LONGEST_VALUE = 400
_LONGEST_DETAIL = 20_000
_SECRET_KEY = re.compile(
    r"(?i)(api[-_]?key|authorization|cookie|password|secret|signature|(access|refresh|turnstile|csrf)[-_]?token|^token$)"
)


@define(eq=False)
class Entry:
    """One request, upgrade or frame."""

    number: int
    kind: Kind
    at: float
    title: str
    data: Any
    connection: int | None = None
    status: Callable[[], int | None] = lambda: None
    count: int = 1
    """How many equal frames in a row it stands for."""
    note: str = ""


@define(eq=False)
class Chat:
    """A conversation: its last question, and the part of the answer that has been sent."""

    id: str
    at: float
    kind: str
    model: str
    question: str
    answer: str = ""
    status: str = "waiting"
    request: RecordedRequest | None = None

    def state(self) -> str:
        if self.request is None:
            return self.status
        status = self.request.status
        return "waiting" if status is None else "completed" if status < 400 else f"HTTP {status}"


@define(eq=False)
class Traffic:
    """Observes what is received and sent. Keeps the newest entries."""

    clock: Callable[[], float]
    entries: deque[Entry] = field(factory=lambda: deque(maxlen=_ENTRIES))
    chats: dict[str, Chat] = field(factory=dict)
    _count: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def clear(self) -> None:
        with self._lock:
            self.entries.clear()
            self.chats.clear()

    def newest(self, limit: int) -> list[Entry]:
        """Return the newest entries, the newest first."""
        with self._lock:
            return [entry for entry, _ in zip(reversed(self.entries), range(limit), strict=False)]

    def arrived(self, arrival: Arrival) -> None:
        """Note what a client has sent."""
        if isinstance(arrival, RecordedRequest):
            request = arrival
            data = {key: it for key, it in (("query", request.query), ("body", request.body)) if it}
            self._add("request", f"{request.method} {request.path}", data, status=lambda: request.status)
            self._note_hosted(request)
        elif isinstance(arrival, RecordedUpgrade):
            upgrade = arrival
            self._add("upgrade", "WebSocket", dict(upgrade.query), upgrade.connection, status=lambda: upgrade.status)
        else:
            note = "not acted on" if arrival.dropped else ""
            self._add("received", arrival.type, arrival.data, arrival.connection, note=note)
            if arrival.type == "llmJobRequest" and isinstance(arrival.data, Mapping):
                self._start_chat(str(arrival.data.get("jobID", "")).upper(), "socket", arrival.data)

    def sent(self, connection: Connection, type: str, payload: object) -> None:
        """Note a frame to a client."""
        with self._lock:
            last = self.entries[-1] if self.entries else None
            if last is not None and type == "jobTokens" and (last.title, last.connection) == (type, connection.number):
                last.count += 1
                last.data = payload
                repeated = True
            else:
                repeated = False
        if not repeated:
            self._add("sent", type, payload, connection.number)
        chat = self.chats.get(str(payload.get("jobID", "")).upper()) if isinstance(payload, Mapping) else None
        if chat is not None and isinstance(payload, Mapping):
            _continue(chat, type, payload)

    def _add(
        self,
        kind: Kind,
        title: str,
        data: Any,
        connection: int | None = None,
        *,
        status: Callable[[], int | None] = lambda: None,
        note: str = "",
    ) -> None:
        with self._lock:
            self._count += 1
            self.entries.append(Entry(self._count, kind, self.clock(), title, data, connection, status, note=note))

    def _note_hosted(self, request: RecordedRequest) -> None:
        hosted = {"/v1/chat/completions": "hosted", "/v1/chat/runs": "run"}.get(request.path)
        if hosted is not None and request.method == "POST" and isinstance(request.body, Mapping):
            self._start_chat(f"{hosted}-{self._count}", hosted, request.body, request)

    def _start_chat(self, id: str, kind: str, body: Mapping[str, Any], request: RecordedRequest | None = None) -> None:
        chat = Chat(id, self.clock(), kind, str(body.get("model", "")), question_of(body), request=request)
        with self._lock:
            self.chats[id] = chat
            while len(self.chats) > _CHATS:
                del self.chats[next(iter(self.chats))]


def question_of(body: Mapping[str, Any]) -> str:
    """Return the last message of a user."""
    messages = body.get("messages")
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                texts = [it.get("text") or f"[{it.get('type')}]" for it in content if isinstance(it, Mapping)]
                return " ".join(map(str, texts))
            return str(content)
    return ""


def _continue(chat: Chat, type: str, payload: Mapping[str, Any]) -> None:
    if type == "jobTokens":
        chat.status = "answering"
        chat.answer += str(payload.get("content") or "")
        for call in payload.get("tool_calls") or ():
            function = call.get("function", {})
            chat.answer += f"\n→ {function['name']} " if function.get("name") else ""
            chat.answer += str(function.get("arguments") or "")
    elif type == "llmJobResult":
        chat.status = "completed"
    elif type in ("llmJobError", "jobError"):
        chat.status = f"failed: {payload.get('error_message') or payload.get('message') or payload.get('error')}"
    elif type == "jobState":
        chat.status = str(payload.get("type") or chat.status)


def hint_of(entry: Entry) -> str:
    """Return a short summary of an entry."""
    data = entry.data if isinstance(entry.data, Mapping) else {}
    if entry.title == "jobProgress":
        return f"step {data.get('step')} of {data.get('stepCount')}"
    if entry.title == "jobRequest":
        frames = data.get("keyFrames")
        first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], Mapping) else {}
        return f"{first.get('modelID', '')}: {first.get('positivePrompt', '')}"
    if entry.title == "llmJobRequest":
        return question_of(data)
    if entry.title == "balanceUpdate":
        amounts = {name: data.get(name) for name in ("spark", "sogni")}
        return ", ".join(f"{it.get('net')} {name}" for name, it in amounts.items() if isinstance(it, Mapping))
    found = next((data[key] for key in ("error_message", "content", "type", "network") if data.get(key)), "")
    return found if isinstance(found, str) else ""


def shown(data: Any) -> str:
    """Return data as indented JSON, without secrets."""
    text = json.dumps(without_secrets(data), indent=2, ensure_ascii=False, default=str)
    # Unpaired surrogates cannot be sent.
    text = text.encode(errors="replace").decode()
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}\n… {len(text)} characters"


def without_secrets(data: Any, key: str = "") -> Any:
    """Return a copy of data without secrets, in which long strings are cut."""
    if isinstance(data, Mapping):
        return {
            str(name): HIDDEN if it and _SECRET_KEY.search(str(name)) else without_secrets(it, str(name))
            for name, it in data.items()
        }
    if isinstance(data, list | tuple):
        return [without_secrets(it, key) for it in data]
    if isinstance(data, str):
        text = data if len(data) <= _LONGEST_VALUE else f"{data[:_LONGEST_VALUE]}… ({len(data)} characters)"
        return redact(text)
    return data
