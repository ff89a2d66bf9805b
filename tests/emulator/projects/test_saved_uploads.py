"""Saved uploads of the emulator: strict about requests, content, times and limits."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
import requests

from sogni.emulator import LocalSupernet, UploadLimits
from sogni.emulator.projects import saved_uploads
from tests.emulator.media.helpers import picture
from tests.emulator.wire import Wire, new_id
from tests.tables import each_row

IMAGE = picture("teal")
DAY = 24 * 3600


def described(content: bytes = IMAGE, **changes: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    body = {"sha256": sha256, "bytes": len(content), "contentType": "image/png", "name": "A picture"}
    return {name: value for name, value in {**body, **changes}.items() if value is not ...}


def prepared(wire: Wire, content: bytes = IMAGE) -> dict[str, Any]:
    reply = wire.ask("POST", "/v1/assets/prepare", described(content))
    assert reply.status_code == 200, reply.text
    record: dict[str, Any] = reply.json()["data"]
    return record


def put(record: dict[str, Any], content: bytes = IMAGE, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.put(record["uploadUrl"], data=content, headers={**record["uploadHeaders"], **named}, timeout=30)


def saved(wire: Wire, content: bytes = IMAGE) -> str:
    record = prepared(wire, content)
    if record["state"] == "uploading":
        assert put(record, content).status_code == 200
        assert wire.ask("POST", f"/v1/assets/{record['id']}/finalize", {}).status_code == 200
    return str(record["id"])


def bind(wire: Wire, saved_id: str, project_id: str | None = None, **changes: Any) -> requests.Response:
    body = {"projectId": project_id or new_id(), "type": "startingImage", **changes}
    return wire.ask("POST", f"/v1/assets/{saved_id}/bind", {k: v for k, v in body.items() if v is not ...})


def listed(wire: Wire) -> list[dict[str, Any]]:
    return list(wire.data("/v1/assets")["assets"])


@pytest.fixture
def clock(supernet: LocalSupernet) -> list[float]:
    """The time that passes for saved uploads, in seconds."""
    library = supernet._now.state.saved_uploads
    start, passed = library.clock(), [0.0]
    library.clock = lambda: start + passed[0]
    return passed


def test_a_file_is_transferred_once_and_becomes_the_input_of_projects(wire: Wire, supernet: LocalSupernet) -> None:
    assert wire.data("/v1/assets/capabilities") == {"enabled": True}
    record = prepared(wire)
    checksum = base64.b64encode(hashlib.sha256(IMAGE).digest()).decode()
    assert record["uploadHeaders"] == {
        "Content-Type": "image/png",
        "If-None-Match": "*",
        "x-amz-checksum-sha256": checksum,
    }
    assert {name: record[name] for name in ("name", "bytes", "contentType", "state")} == {
        "name": "A picture",
        "bytes": len(IMAGE),
        "contentType": "image/png",
        "state": "uploading",
    }
    assert put(record).status_code == 200
    done = wire.ask("POST", f"/v1/assets/{record['id']}/finalize", {}).json()["data"]
    assert (done["state"], done["expiresAt"] - done["createdAt"] > 29 * DAY * 1000) == ("ready", True)
    again = prepared(wire)
    assert (again["id"], again["state"], "uploadUrl" in again) == (record["id"], "ready", False)
    assert [entry["id"] for entry in listed(wire)] == [record["id"]]

    projects = [new_id() for _ in range(3)]
    for project_id in projects[:2]:
        assert bind(wire, record["id"], project_id).status_code == 200
    wire.upload(projects[2], "startingImage", IMAGE)
    assert wire.ask("DELETE", f"/v1/assets/{record['id']}").status_code == 200
    assert listed(wire) == []
    for project_id in projects:
        query = {"imageId": new_id(), "jobId": project_id, "type": "startingImage"}
        url = wire.data("/v1/image/downloadUrl", **query)["downloadUrl"]
        assert wire.http.get(url, timeout=30).content == IMAGE
    assert supernet.violations == []


@each_row(
    ("change", "problem"),
    [
        ({"sha256": ...}, "sha256 is missing"),
        ({"sha256": "A" * 64}, "sha256 must be 64"),
        ({"bytes": 0}, "bytes must be"),
        ({"bytes": 100 * 1024**2 + 1}, "bytes must be"),
        ({"bytes": 1.5}, "bytes must be"),
        ({"contentType": "image/gif"}, "contentType must be one of"),
        ({"name": ...}, "name is missing"),
        ({"name": " "}, "name must have"),
        ({"colour": "red"}, "colour is not a known key"),
    ],
)
def test_a_preparation_must_be_complete_and_known(wire: Wire, change: dict[str, Any], problem: str) -> None:
    reply = wire.ask("POST", "/v1/assets/prepare", described(**change))
    assert (reply.status_code, problem in reply.json()["message"]) == (400, True), reply.text


def test_content_must_be_what_was_announced(wire: Wire, supernet: LocalSupernet) -> None:
    record = prepared(wire)
    for content in (IMAGE[:-1], IMAGE[:-1] + b"?", IMAGE + b"?"):
        reply = put(record, content)
        assert (reply.status_code, "BadDigest" in reply.text) == (400, True)
    for name in record["uploadHeaders"]:
        headers = {key: value for key, value in record["uploadHeaders"].items() if key != name}
        assert requests.put(record["uploadUrl"], data=IMAGE, headers=headers, timeout=30).status_code == 403
    assert put(record, If_None_Match="tag").status_code == 403
    assert len(supernet.violations) >= 6
    assert wire.ask("POST", f"/v1/assets/{record['id']}/finalize", {}).status_code == 409
    assert bind(wire, record["id"]).status_code == 409
    assert put(record).status_code == 200
    assert put(record).status_code == 412
    assert wire.ask("POST", f"/v1/assets/{record['id']}/finalize", {"x": 1}).status_code == 400
    assert wire.ask("POST", f"/v1/assets/{record['id']}/finalize").status_code == 200


def test_credentials_must_not_be_sent_to_storage(wire: Wire, supernet: LocalSupernet) -> None:
    assert put(prepared(wire), api_key="x").status_code == 200
    assert [it.message for it in supernet.violations] == ["signed URLs must be used without credentials"]


def test_an_expired_url_is_refused(wire: Wire, supernet: LocalSupernet) -> None:
    record = prepared(wire)
    supernet.expire_urls()
    assert put(record).status_code == 403
    assert put(prepared(wire)).status_code == 200


def test_content_of_a_removed_file_is_refused(wire: Wire) -> None:
    record = prepared(wire)
    wire.ask("DELETE", f"/v1/assets/{record['id']}")
    assert put(record).status_code == 404


@each_row(
    ("change", "problem"),
    [
        ({"projectId": ...}, "projectId is missing"),
        ({"projectId": "x"}, "projectId must be a version-4 UUID"),
        ({"type": "poster"}, "type is not an upload of a project"),
        ({"type": "referenceAudio"}, "cannot be a file of type image/png"),
        ({"id": "startingImage1"}, "id must be the type with a number"),
        ({"type": "referenceVideo", "id": "referenceAudio2"}, "id must be the type with a number"),
        ({"role": "x"}, "role is not a known key"),
    ],
)
def test_a_binding_must_be_complete_and_known(wire: Wire, change: dict[str, Any], problem: str) -> None:
    reply = bind(wire, saved(wire), **change)
    assert (reply.status_code, problem in reply.json()["message"]) == (400, True), reply.text


def test_unknown_and_foreign_files_are_not_found(wire: Wire, supernet: LocalSupernet) -> None:
    mine = saved(wire)
    supernet.add_account("grace", "a good password", api_key="another-key")
    wire.headers = {"api-key": "another-key"}
    assert listed(wire) == []
    for saved_id in (mine, "unknown"):
        for reply in (
            bind(wire, saved_id),
            wire.ask("POST", f"/v1/assets/{saved_id}/finalize", {}),
            wire.ask("DELETE", f"/v1/assets/{saved_id}"),
        ):
            assert (reply.status_code, saved_id in reply.json()["message"]) == (404, True)
    assert prepared(wire)["id"] != mine


def test_a_project_of_another_account_gets_no_file(wire: Wire, supernet: LocalSupernet) -> None:
    project_id = wire.connect().create()
    wire.finish(project_id)
    supernet.add_account("grace", "a good password", api_key="another-key")
    wire.headers = {"api-key": "another-key"}
    assert bind(wire, saved(wire), project_id).status_code == 400


def test_the_library_holds_so_many_files_and_bytes() -> None:
    for limits in (UploadLimits(entries=1), UploadLimits(bytes=len(IMAGE) + 1)):
        with LocalSupernet(step_time=0, saved_uploads=limits) as supernet, Wire(supernet) as wire:
            first = saved(wire)
            reply = wire.ask("POST", "/v1/assets/prepare", described(IMAGE + b"2"))
            assert (reply.status_code, reply.json()["message"]) == (409, saved_uploads.FULL)
            assert prepared(wire)["id"] == first
            assert wire.data("/v1/assets")["limits"]["bytes"] == limits.bytes
            wire.ask("DELETE", f"/v1/assets/{first}")
            assert prepared(wire, IMAGE + b"2")["state"] == "uploading"


def test_a_day_has_so_many_bindings_and_copied_bytes() -> None:
    for limits in (UploadLimits(bindings_per_day=2), UploadLimits(copy_bytes_per_day=2 * len(IMAGE))):
        with LocalSupernet(step_time=0, saved_uploads=limits) as supernet, Wire(supernet) as wire:
            library = supernet._now.state.saved_uploads
            start = library.clock()
            saved_id = saved(wire)
            assert [bind(wire, saved_id).status_code for _ in range(3)] == [200, 200, 429]
            assert 0 < int(bind(wire, saved_id).headers["Retry-After"]) <= DAY
            library.clock = lambda start=start: start + DAY + 60  # type: ignore[misc]
            assert bind(wire, saved_id).status_code == 200


def test_unused_files_are_deleted_and_used_ones_stay(wire: Wire, clock: list[float]) -> None:
    used, idle = saved(wire), saved(wire, IMAGE + b"2")
    begun = prepared(wire, IMAGE + b"3")["id"]
    clock[0] = 3500
    assert prepared(wire, IMAGE + b"3")["id"] == begun
    clock[0] = 7000
    assert [entry["id"] for entry in listed(wire)] == [used, idle, begun]
    clock[0] = 7200
    assert [entry["id"] for entry in listed(wire)] == [used, idle]
    clock[0] = 20 * DAY
    assert bind(wire, used).status_code == 200
    clock[0] = 31 * DAY
    assert [entry["id"] for entry in listed(wire)] == [used]
    assert bind(wire, idle).status_code == 404
    assert prepared(wire)["state"] == "ready"
    clock[0] = 62 * DAY
    assert listed(wire) == []


def test_without_the_capability_every_request_is_refused() -> None:
    with LocalSupernet(step_time=0, saved_uploads=False) as supernet, Wire(supernet) as wire:
        assert wire.data("/v1/assets/capabilities") == {"enabled": False}
        assert wire.get("/v1/assets").status_code == 403
        assert wire.ask("POST", "/v1/assets/prepare", described()).status_code == 403
        assert bind(wire, "x").status_code == 403
        assert wire.ask("DELETE", "/v1/assets/x").status_code == 403


def test_saved_files_and_the_uses_of_a_day_survive_a_restart(tmp_path: Path) -> None:
    limits = UploadLimits(bindings_per_day=2)
    with LocalSupernet(step_time=0, data=tmp_path, saved_uploads=limits) as supernet, Wire(supernet) as wire:
        saved_id = saved(wire)
        assert bind(wire, saved_id).status_code == 200
        begun = prepared(wire, IMAGE + b"2")
        before = listed(wire)
        (supernet._now.state.saved_uploads.directory / "left-behind").write_bytes(b"x")
    with LocalSupernet(step_time=0, data=tmp_path, saved_uploads=limits) as supernet, Wire(supernet) as wire:
        assert listed(wire) == before
        project_id = new_id()
        assert bind(wire, saved_id, project_id).status_code == 200
        query = {"imageId": new_id(), "jobId": project_id, "type": "startingImage"}
        url = wire.data("/v1/image/downloadUrl", **query)["downloadUrl"]
        assert wire.http.get(url, timeout=30).content == IMAGE
        assert bind(wire, saved_id).status_code == 429
        assert put(prepared(wire, IMAGE + b"2"), IMAGE + b"2").status_code == 200
        assert wire.ask("POST", f"/v1/assets/{begun['id']}/finalize", {}).status_code == 200
        assert sorted(it.name for it in supernet._now.state.saved_uploads.directory.iterdir()) == sorted(
            [
                saved_id,
                begun["id"],
            ]
        )
        supernet.reset()
        assert listed(wire) == []
    with LocalSupernet(step_time=0, data=tmp_path) as supernet, Wire(supernet) as wire:
        assert listed(wire) == []


def test_files_are_copied_where_they_cannot_be_linked(
    wire: Wire, supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("links are not supported")

    monkeypatch.setattr(saved_uploads.os, "link", refuse)
    project_id = new_id()
    assert bind(wire, saved(wire), project_id).status_code == 200
    query = {"imageId": new_id(), "jobId": project_id, "type": "startingImage"}
    assert wire.http.get(wire.data("/v1/image/downloadUrl", **query)["downloadUrl"], timeout=30).content == IMAGE


def test_limits_are_integers() -> None:
    for given in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match="entries must be a non-negative integer"):
            UploadLimits(entries=given)  # type: ignore[arg-type]
