"""Workflow templates: ownership, checks, and runs made from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.emulator.wire import Payload, Wire
from tests.emulator.workflows.helpers import ROOT, SMALL, ended

PATH = f"{ROOT}/templates"
STAGE = {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "$inputs.brief in oil", **SMALL}}
TEMPLATE: Payload = {
    "name": "Oil",
    "description": "A painting.",
    "inputs": [{"name": "brief", "type": "text", "required": True}],
    "stages": [STAGE],
    "somethingNew": {"kept": True},
}


@pytest.fixture
def other(supernet: LocalSupernet) -> Iterator[Wire]:
    account = supernet.add_account("somebody", "a password", api_key="another-key")
    with Wire(supernet) as wire:
        wire.headers["api-key"] = str(account.api_key)
        yield wire


def create(wire: Wire, **changes: Any) -> Payload:
    reply = wire.ask("POST", PATH, {**TEMPLATE, **changes})
    assert reply.status_code == 201, reply.text
    found: Payload = reply.json()["data"]["template"]
    return found


def test_a_template_is_kept_as_given_and_signed_by_its_author(wire: Wire, supernet: LocalSupernet) -> None:
    made = create(wire, id="mine", author="system")
    assert made["id"] != "mine"
    assert made["author"]["displayName"] == supernet.account.username
    assert {key: made[key] for key in TEMPLATE} == TEMPLATE
    assert (made["visibility"], made["category"], made["version"]) == ("private", "custom", "1.0.0")
    assert wire.data(f"{PATH}/{made['id']}")["template"] == made


def test_changes_are_merged_and_deleting_forgets(wire: Wire) -> None:
    made = create(wire)
    reply = wire.ask("PATCH", f"{PATH}/{made['id']}", {"name": "Chalk", "id": "x"})
    changed = reply.json()["data"]["template"]
    assert (changed["name"], changed["id"], changed["stages"]) == ("Chalk", made["id"], made["stages"])
    assert wire.ask("DELETE", f"{PATH}/{made['id']}").status_code == 200
    assert wire.get(f"{PATH}/{made['id']}").status_code == 404


def test_private_ones_are_hidden_and_public_ones_are_read_only(wire: Wire, other: Wire) -> None:
    private, public = create(wire)["id"], create(wire, visibility="public")["id"]
    assert other.get(f"{PATH}/{private}").status_code == 404
    assert other.ask("PATCH", f"{PATH}/{private}", {"name": "x"}).status_code == 404
    assert other.get(f"{PATH}/{public}").status_code == 200
    assert other.ask("PATCH", f"{PATH}/{public}", {"name": "x"}).status_code == 403
    assert other.ask("DELETE", f"{PATH}/{public}").status_code == 403
    fork = other.ask("POST", f"{PATH}/{public}/fork", {"newName": "Mine"}).json()["data"]["template"]
    assert (fork["name"], fork["visibility"], fork["author"]["displayName"]) == ("Mine", "private", "somebody")
    assert other.ask("POST", f"{PATH}/{public}/fork").json()["data"]["template"]["name"] == "Oil (copy)"


def test_lists_by_visibility(wire: Wire, other: Wire) -> None:
    own, shared = create(wire)["id"], create(other, visibility="public")["id"]
    create(other)

    def ids(**query: str) -> list[str]:
        return [entry["id"] for entry in wire.data(PATH, **query)["templates"]]

    system = ["sys-teaser", "sys-music-film", "sys-makeover"]
    assert ids(visibility="own") == ids(visibility="private") == [own]
    assert ids(visibility="team") == []
    assert ids(visibility="public") == [*system, shared]
    assert ids() == ids(visibility="all") == [*system, own, shared]
    assert wire.get(PATH, visibility="theirs").status_code == 400


def test_the_cursor_is_the_offset_of_the_next_page(wire: Wire) -> None:
    first = wire.data(PATH, limit="2")
    assert ([entry["id"] for entry in first["templates"]], first["next"]) == (["sys-teaser", "sys-music-film"], 2)
    last = wire.data(PATH, limit="2", offset=str(first["next"]))
    assert ([entry["id"] for entry in last["templates"]], last["next"]) == (["sys-makeover"], None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"visibility": "team"}, "visibility"),
        ({"category": "other-things"}, "category"),
        ({"inputs": [{"name": "a", "type": "colour"}]}, "inputs[0].type"),
        ({"inputs": [{"name": "a", "type": "text"}, {"name": "a", "type": "text"}]}, "declared twice"),
        ({"inputs": [{"name": f"i{n}", "type": "text"} for n in range(17)]}, "at most 16"),
        ({"inputs": []}, "$inputs.brief is not declared"),
        ({"stages": [{"toolName": "paint_house"}]}, "unknown tool"),
        ({"stages": "none"}, "stages"),
    ],
)
def test_an_invalid_template_is_refused(wire: Wire, changes: Payload, said: str) -> None:
    reply = wire.ask("POST", PATH, {**TEMPLATE, **changes})
    assert reply.status_code == 400
    assert said in reply.json()["message"]


def test_a_run_fills_in_the_inputs(wire: Wire) -> None:
    made = create(wire)
    reply = wire.ask("POST", ROOT, {"workflow_id": made["id"], "inputs": {"brief": "a kite"}})
    record = ended(wire, reply.json()["data"]["workflow"]["workflowId"])
    assert (record["status"], record["title"], record["templateId"]) == ("completed", "Oil", made["id"])
    assert record["steps"][0]["arguments"]["prompt"] == "a kite in oil"


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "inputs.brief is required"),
        ({"brief": 3}, "must be a text"),
        ({"brief": "a", "more": "b"}, "not declared"),
        ({"brief": "data:image/png;base64,AAAA"}, "inline data"),
        ([], "must be an object"),
    ],
)
def test_invalid_inputs_are_refused(wire: Wire, inputs: Any, said: str) -> None:
    reply = wire.ask("POST", ROOT, {"workflow_id": create(wire)["id"], "inputs": inputs or None})
    if inputs == []:
        reply = wire.ask("POST", ROOT, {"workflow_id": create(wire)["id"], "inputs": []})
    assert reply.status_code == 400
    assert said in reply.json()["message"]


def test_an_unknown_template_is_not_found(wire: Wire) -> None:
    assert wire.ask("POST", ROOT, {"workflow_id": "nothing"}).status_code == 404


def test_media_among_the_inputs_become_uploads(wire: Wire) -> None:
    from tests.emulator.media.helpers import picture
    from tests.emulator.wire import new_id

    job = new_id()
    wire.upload(job, "startingImage", picture("teal"))
    url = wire.data("/v1/image/downloadUrl", imageId=new_id(), jobId=job, type="startingImage")["downloadUrl"]
    body = {"workflow_id": "sys-makeover", "inputs": {"photo": url, "style": "ink"}}
    record = ended(wire, wire.ask("POST", ROOT, body).json()["data"]["workflow"]["workflowId"])
    assert record["status"] == "completed", record
    stage = {"id": "a", "toolName": "edit_image", "arguments": {"prompt": "x", "sourceImageIndex": "$inputs.photo"}}
    own = create(wire, inputs=[{"name": "photo", "type": "image"}], stages=[stage])["id"]
    reply = wire.ask("POST", ROOT, {"workflow_id": own, "inputs": {"photo": url}})
    record = ended(wire, reply.json()["data"]["workflow"]["workflowId"])
    assert (record["status"], record["steps"][0]["arguments"]["sourceImageIndex"]) == ("completed", -1)


def test_the_templates_of_the_service_run(wire: Wire) -> None:
    inputs = {"brief": "a kite", "aspect_ratio": "1:1", "seconds": 2}
    reply = wire.ask("POST", ROOT, {"workflow_id": "sys-teaser", "inputs": inputs})
    assert ended(wire, reply.json()["data"]["workflow"]["workflowId"])["status"] == "completed"
    inputs["aspect_ratio"] = "5:1"
    assert wire.ask("POST", ROOT, {"workflow_id": "sys-teaser", "inputs": inputs}).status_code == 400
