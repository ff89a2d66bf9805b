"""Saved uploads: the service keeps files, so that one file for many projects is transferred once.

`use_saved_upload` does so for the inputs of a project. Saving is an optimization: if the service refuses it, the file
is uploaded as usual. Once it has accepted a file, failures are failures of the project.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from attrs import evolve, frozen

from sogni.core.checks import path_segment
from sogni.core.flow import Flow, State, change, compute, pause, until, upload
from sogni.core.http import HttpCall, HttpReply, data_of, error_of, get, json_of, post, read_data
from sogni.core.projects.upload_library import UploadLibrary
from sogni.core.projects.uploads import UploadItem
from sogni.core.requests import repeated, request
from sogni.core.shared_requests import shared
from sogni.errors import ApiError, AuthenticationError, ProtocolError
from sogni.models.converter import read
from sogni.models.saved_uploads import SavedUpload, SavedUploadCapabilities
from sogni.redaction import Secret, SecretUrl

T = TypeVar("T")

# Protocol notes: additions-5x §8, projects-5x §6.1.
SAVED_TYPES = frozenset({
    "image/png", "image/jpeg", "image/webp", "video/mp4", "video/quicktime", "video/webm", "audio/mp4", "audio/mpeg",
    "audio/flac", "audio/wav", "audio/x-wav", "audio/wave",
})  # fmt: skip
MAX_SAVED_BYTES = 100 * 1024 * 1024
DEFAULT_NAME = "Saved upload"

_PREPARE = "/v1/assets/prepare"
_DISABLED = frozenset({403, 404, 503})
"""Statuses that mean that the service keeps no files for this account."""
_NOT_SAVED = frozenset({400, 403, 404, 409, 410, 503})
"""Statuses with which the service refuses to keep one file."""
_CONFLICT = 409
_FULL = re.compile(r"\bfull\b", re.IGNORECASE)
_ALREADY_THERE = 412
_BUSY = 423
_PAUSES_WHILE_BUSY = (0.25, 0.5, 1.0, 2.0)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@frozen
class Refusal:
    """The service does not keep a file."""

    error: ApiError

    @property
    def full(self) -> bool:
        """Whether there is no room for another file."""
        return self.error.status == _CONFLICT and _FULL.search(self.error.message) is not None


@frozen
class _Prepared:
    """The record of a file, unchecked, and the request that transfers its content."""

    record: Any
    put: HttpCall | None


def use_saved_upload(project_id: str, item: UploadItem, source: Any) -> Flow[bool]:
    """Pass a file to a project by way of the saved uploads; False if it must be uploaded as usual."""
    if not can_be_saved(source.content_type, source.size):
        return False
    library = yield from change(_library_in_use)
    if library is None or not (yield from capabilities_of(library)).enabled:
        return False
    try:
        saved = yield from save(library, source, DEFAULT_NAME)
        if isinstance(saved, Refusal):
            if saved.full:
                yield from change(lambda _, now: library.full(now))
            return False
        yield from bind(library, saved.id, {"projectId": project_id, "type": item.role, "id": item.id})
    except ApiError as error:
        error.add_note(f"while uploading {item.field}")
        raise
    return True


def can_be_saved(content_type: str | None, size: int) -> bool:
    """Whether the service keeps files of this type and size."""
    return content_type in SAVED_TYPES and 1 <= size <= MAX_SAVED_BYTES


def _library_in_use(state: State, now: float) -> UploadLibrary | None:
    """Return the saved uploads of the account, None if `create` does not use them now."""
    return None if not state.settings.saved_uploads or state.upload_library.paused(now) else state.upload_library


def capabilities_of(library: UploadLibrary) -> Flow[SavedUploadCapabilities]:
    """Return whether the service keeps files for the account; known for a minute."""
    known = yield from change(lambda _, now: library.capabilities(now))
    if known is not None:
        return known
    return (yield from shared(library.requests, "capabilities", partial(_request_capabilities, library)))


def _request_capabilities(library: UploadLibrary) -> Flow[SavedUploadCapabilities]:
    call = get("/v1/assets/capabilities")

    def send() -> Flow[SavedUploadCapabilities | HttpReply]:
        # Once: 503 is an answer.
        reply = yield from request(evolve(call, repeatable=False))
        return SavedUploadCapabilities(enabled=False) if reply.status in _DISABLED else reply

    outcome = yield from repeated(call, send)
    found = read_data(SavedUploadCapabilities, call, outcome) if isinstance(outcome, HttpReply) else outcome
    yield from change(lambda _, now: library.keep_capabilities(found, now))
    return found


def save(library: UploadLibrary, source: Any, name: str) -> Flow[SavedUpload | Refusal]:
    """Have the service keep a file. It is only transferred if the service does not have it yet."""
    sha256 = yield from compute(f"hashing {source.name}", source.sha256)
    body = {"sha256": sha256, "bytes": source.size, "contentType": source.content_type, "name": name}
    target = (sha256, source.content_type)
    return (
        yield from shared(library.requests, target, partial(_in_turn, library, partial(_save, library, source, body)))
    )


def _in_turn(library: UploadLibrary, send: Callable[[], Flow[T]]) -> Flow[T]:
    """Run `send` once few enough other uploads are running."""
    own = object()
    try:
        yield from change(lambda _, __: library.arrive(own))
        yield from until(
            (library,),
            lambda _: library.may_run(own) or None,
            timeout=None,
            phase="transfer",
            waiting_for="other uploads",
        )
        outcome = yield from send()
    except GeneratorExit:
        raise
    except BaseException:
        yield from change(partial(_leave, library, own))
        raise
    yield from change(partial(_leave, library, own))
    return outcome


def _leave(library: UploadLibrary, own: object, state: State, _: float) -> None:
    library.leave(own)
    state.out.wake(library)


def _save(library: UploadLibrary, source: Any, body: Mapping[str, Any]) -> Flow[SavedUpload | Refusal]:
    yield from change(partial(_check_account, library))
    call = post(_PREPARE, body)
    reply = yield from _when_free(call)
    if reply.status in _NOT_SAVED:
        error = error_of(call, reply)
        assert isinstance(error, ApiError)
        return Refusal(error)
    # No local variable holds the URL, which grants access: error reports may show them all.
    prepared = _taken_apart(data_of(call, reply), source.size)
    saved = read(SavedUpload, prepared.record, f"the response to POST {_PREPARE}")
    if saved.state == "ready":
        return saved
    if prepared.put is None:
        raise ProtocolError(f"POST {_PREPARE}: the response has no valid uploadUrl and uploadHeaders")
    yield from _transfer(prepared.put, source)
    yield from change(partial(_check_account, library))
    call = post(f"/v1/assets/{path_segment('id', saved.id)}/finalize")
    record = _taken_apart(data_of(call, (yield from _when_free(call))), source.size).record
    return read(SavedUpload, record, f"the response to POST {call.path}")


def _taken_apart(data: Any, size: int) -> _Prepared:
    """Separate a record from the request that transfers the content. Never raises, because the locals hold the URL."""
    if not isinstance(data, Mapping):
        return _Prepared(data, None)
    record = {name: value for name, value in data.items() if name not in _TRANSFER}
    url, headers = (data.get(name) for name in _TRANSFER)
    if not isinstance(url, str) or not isinstance(headers, Mapping) or not all(map(_is_header, headers.items())):
        return _Prepared(record, None)
    own = {} if "content-length" in map(str.lower, headers) else {"Content-Length": str(size)}
    put = HttpCall(
        method="PUT",
        path=SecretUrl(url),
        host="storage",
        headers={name: Secret(value) for name, value in {**headers, **own}.items()},
        repeatable=True,
        redirects=False,
    )
    return _Prepared(record, put)


_TRANSFER = ("uploadUrl", "uploadHeaders")


def _is_header(item: tuple[Any, Any]) -> bool:
    """Whether a header can be sent. The HTTP libraries would quote an invalid one in their errors."""
    name, value = item
    sendable = isinstance(name, str) and isinstance(value, str) and value.isascii() and value.isprintable()
    return sendable and _HEADER_NAME.fullmatch(name) is not None


def _transfer(call: HttpCall, source: Any) -> Flow[None]:
    reply = yield from repeated(call, lambda: upload(call, source))
    if not reply.ok and reply.status != _ALREADY_THERE:
        raise error_of(call, reply)


def bind(library: UploadLibrary, asset_id: str, fields: Mapping[str, Any]) -> Flow[None]:
    """Make the copy of a saved file for a project."""
    yield from change(partial(_check_account, library))
    body = {name: value for name, value in fields.items() if value is not None}
    call = post(f"/v1/assets/{path_segment('asset_id', asset_id)}/bind", body)
    json_of(call, (yield from _when_free(call)))


def _when_free(call: HttpCall) -> Flow[HttpReply]:
    """Send a request; again, after a pause, while the service is busy with the file."""
    for seconds in _PAUSES_WHILE_BUSY:
        reply = yield from request(call)
        if reply.status != _BUSY:
            return reply
        yield from pause(seconds)
    return (yield from request(call))


def _check_account(library: UploadLibrary, state: State, _: float) -> None:
    """Raise `AuthenticationError` if another account has signed in, or the account has signed out."""
    if state.upload_library is library:
        return
    if not state.session.signed_in:
        raise state.session.signed_out_error()
    raise AuthenticationError("another account has signed in during the upload", status=401)
