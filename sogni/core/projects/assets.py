"""List, save, bind and remove saved uploads."""

from __future__ import annotations

from sogni.core.checks import invalid_value, optional, path_segment, text
from sogni.core.flow import Flow, State, change
from sogni.core.http import HttpCall, get
from sogni.core.media import sniff
from sogni.core.projects.create import open_source
from sogni.core.projects.saved_uploads import (
    MAX_SAVED_BYTES,
    SAVED_TYPES,
    Refusal,
    bind,
    can_be_saved,
    capabilities_of,
    save,
)
from sogni.core.projects.upload_library import UploadLibrary
from sogni.core.requests import request_done, request_model
from sogni.models.params import MediaInput
from sogni.models.saved_uploads import SavedUpload, SavedUploadCapabilities, SavedUploadList

# Protocol notes: additions-5x §8.


def capabilities() -> Flow[SavedUploadCapabilities]:
    """Return whether the service keeps files for the account."""
    return (yield from capabilities_of((yield from change(_library))))


def saved_uploads() -> Flow[SavedUploadList]:
    """Request the list of all saved uploads."""
    return (yield from request_model(SavedUploadList, get("/v1/assets")))


def save_upload(media: MediaInput, name: str) -> Flow[SavedUpload]:
    """Save a file, which is only transferred if the service does not have it yet."""
    text("name", name, empty=False)
    library = yield from change(_library)
    source = yield from open_source("media", media)
    try:
        source.content_type = sniff(source.head)
        if not can_be_saved(source.content_type, source.size):
            given = f"{source.name} ({source.content_type or 'unknown type'}, {source.size} bytes)"
            allowed = f"a file of 1 to {MAX_SAVED_BYTES} bytes of type {', '.join(sorted(SAVED_TYPES))}"
            raise invalid_value("media", source.name, allowed, f"media must be {allowed}, got {given}")
        saved = yield from save(library, source, name)
    finally:
        source.close()
    if isinstance(saved, Refusal):
        raise saved.error
    return saved


def bind_upload(asset_id: str, *, project_id: str, type: str, id: str | None) -> Flow[None]:
    """Make a saved upload an input of a project."""
    path_segment("asset_id", asset_id)
    fields = {
        "projectId": text("project_id", project_id, empty=False),
        "type": text("type", type, empty=False),
        "id": optional(text, "id", id, empty=False),
    }
    yield from bind((yield from change(_library)), asset_id, fields)


def remove_upload(asset_id: str) -> Flow[None]:
    """Delete a saved upload."""
    call = HttpCall(method="DELETE", path=f"/v1/assets/{path_segment('asset_id', asset_id)}")
    yield from request_done(call)
    yield from change(lambda state, _: state.upload_library.resume())


def _library(state: State, _: float) -> UploadLibrary:
    return state.upload_library
