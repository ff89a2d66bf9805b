"""The tools, called by the official client."""

from __future__ import annotations

import asyncio
import base64
import json
import math
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from attrs import evolve
from jsonschema import Draft202012Validator
from mcp.shared.exceptions import MCPError
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.errors import ValidationError
from sogni.mcp.arguments import checked
from sogni.mcp.calls import Call
from sogni.mcp.lookups import TOOLS
from sogni.mcp.results import picture
from sogni.mcp.service import Service
from sogni.mcp.tools import MAKERS
from sogni_async import Project
from tests.mcp.hosts import MODES, SMALL, open_host, picture_file, text_of


@pytest.mark.parametrize("mode", MODES)
async def test_every_tool_answers_and_reports_progress(supernet: LocalSupernet, tmp_path: Path, mode: str) -> None:
    async with open_host(supernet, mode, roots=(tmp_path,)) as host:
        (tmp_path / "picture.png").write_bytes(picture_file())
        image = await host.made("generate_image", **SMALL)
        uri, project_id = image["results"][0]["uri"], image["project_id"]
        calls: Mapping[str, dict[str, Any]] = {
            "generate_image": {**SMALL, "count": 2, "seed": 7},
            "edit_image": {"prompt": "at night", "images": [uri, "picture.png"]},
            "generate_video": {"prompt": "waves", "image": uri, "duration": 1},
            "generate_music": {"prompt": "a shanty", "duration": 10},
            "generate_speech": {"text": "Hello.", "voice": "ryan"},
            "estimate": {"tool": "generate_image", "arguments": SMALL},
            "list_projects": {},
            "get_project": {"project_id": project_id},
            "cancel_project": {"project_id": project_id},
            "list_models": {"media": "audio"},
            "get_model": {"model": "krea2_turbo_fp8_scaled"},
            "list_loras": {"model": "krea2_turbo_fp8_scaled"},
            "get_balance": {},
        }
        listed = (await host.client.list_tools()).tools
        assert [tool.name for tool in listed] == list(calls)
        for tool in listed:
            host.progress.clear()
            data = await host.made(tool.name, **calls[tool.name])
            Draft202012Validator(tool.output_schema).validate(data)
            progress, totals, messages = zip(*host.progress, strict=True)
            assert (progress[0], progress[-1], messages[-1]) == (0, 100, "Done")
            assert list(progress) == sorted(set(progress))
            assert set(totals) == {100}
            assert all(messages)
    assert not supernet.violations


async def test_schemas_are_valid_and_complete(supernet: LocalSupernet) -> None:
    for tool in TOOLS.values():
        for schema in (tool.arguments, tool.output):
            Draft202012Validator.check_schema(schema)
        assert all(it.get("description") for it in tool.arguments["properties"].values())
        assert set(tool.arguments["required"]) <= set(tool.arguments["properties"])
        json.dumps(tool.declaration().model_dump(mode="json"))
    assert [name for name, tool in TOOLS.items() if not tool.reads and not tool.destroys] == list(MAKERS)


async def test_a_parameter_of_a_tool_is_one_of_the_project(supernet: LocalSupernet) -> None:
    for name, maker in MAKERS.items():
        fields = {it.name for it in maker.params.__attrs_attrs__}
        for argument in TOOLS[name].arguments["properties"].keys() - {"save_to", "wait_seconds", "images"}:
            assert maker.renamed.get(argument, argument) in fields


async def test_results_are_shown_linked_and_saved(supernet: LocalSupernet, tmp_path: Path) -> None:
    async with open_host(supernet) as host:
        answer = await host.call("generate_image", prompt="a lighthouse", width=1536, height=1024)
        assert [block.type for block in answer.content] == ["text", "image", "resource_link"]
        (row,) = answer.structured_content["results"]
        assert ("path" in row, row["uri"]) == (False, answer.content[2].uri)
        assert row["url"].startswith(supernet.rest_endpoint)
        assert "not saved" in text_of(answer)
    async with open_host(supernet, declared=[tmp_path]) as host:
        (row,) = (await host.made("generate_image", **SMALL, save_to="made/here"))["results"]
        assert Path(row["path"]).parent == tmp_path / "made" / "here"
        with Image.open(row["path"]) as image:
            assert image.size == (256, 256)
        assert "url" not in row
        # Only the folders of the server are saved to without being asked.
        (row,) = (await host.made("generate_image", **SMALL))["results"]
        assert "path" not in row


async def test_a_model_names_the_files_that_it_takes(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        for model, inputs in (
            ("krea2_turbo_fp8_scaled", None),
            (
                "wan_v2.2-14b-fp8_s2v_lightx2v",
                {"image": "required", "end_image": "forbidden", "audio": "required", "video": "forbidden"},
            ),
        ):
            found = await host.made("get_model", model=model)
            assert found.get("inputs") == inputs
            Draft202012Validator(TOOLS["get_model"].output).validate(found)


async def test_an_image_of_another_program_has_the_type_of_its_content(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as other:
        project_id = (await other.made("generate_image", **SMALL, output_format="jpg"))["project_id"]
    async with open_host(supernet) as host:
        answer = await host.call("get_project", project_id=project_id)
        (row,) = answer.structured_content["results"]
        (read,) = (await host.client.read_resource(row["uri"])).contents
        assert {row["mime_type"], read.mime_type, *(it.mime_type for it in answer.content[1:])} == {"image/jpeg"}


async def test_progress_rises_and_stays_below_the_end_until_then() -> None:
    sent: list[float] = []

    async def report_progress(progress: float, total: float, message: str) -> None:
        sent.append(progress)

    call = Call(SimpleNamespace(session=SimpleNamespace(report_progress=report_progress)))  # type: ignore[arg-type]
    for percent in (0, 0, 50, 20, *[99] * 200, 100):
        await call.progress(percent, "Rendering")
    assert sent == [0, 0.01, 50, 50.01, *[round(99 + step / 100, 2) for step in range(100)], 100]


def test_pictures_are_scaled_down() -> None:
    for size, kind, shown in (
        ((64, 64), "PNG", "image/png"),
        ((2048, 512), "JPEG", "image/webp"),
        ((64, 64), "GIF", "image/webp"),
    ):
        found = picture(picture_file(size, kind))
        assert found is not None
        assert found.mime_type == shown
        with Image.open(BytesIO(base64.b64decode(found.data))) as image:
            assert max(image.size) == min(1024, *size) if size[0] == size[1] else 1024
    assert picture(b"glTF") is None


async def test_arguments_are_checked_before_anything_is_sent(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        before = len(supernet.projects)
        image = f"data:image/png;base64,{base64.b64encode(picture_file()).decode()}"
        for name, arguments, message in (
            ("generate_image", {}, "prompt is required"),
            ("generate_image", {"prompt": "x", "widht": 5}, "there is no argument widht: did you mean width?"),
            ("generate_image", {"prompt": "x", "count": 17}, "count: 17 is greater than the maximum of 16"),
            ("generate_image", {"prompt": "x", "seed": "1"}, "seed: '1' is not of type 'integer'"),
            ("generate_image", {"prompt": "x", "width": 512}, "width must be given together with height"),
            ("generate_image", {"prompt": "x", "model": "nope"}, "model: the service knows no model 'nope'"),
            ("generate_image", {"prompt": "x", "steps": 500}, "steps must be"),
            ("edit_image", {"prompt": "x", "images": []}, "images: [] "),
            ("edit_image", {"prompt": "x", "images": ["a", "b"], "strength": 0.5}, "images[0]: files cannot be used"),
            ("edit_image", {"prompt": "x", "images": ["https://example.com/a.png"]}, "got a URI with https:"),
            ("edit_image", {"prompt": "x", "images": ["data:image/png;base64,???"]}, "must be valid base64"),
            ("edit_image", {"prompt": "x", "images": ["sogni://projects/x"]}, "must be the URI of a result"),
            ("edit_image", {"prompt": "x", "images": ["sogni://projects/x/results/0"]}, "there is no project x"),
            (
                "edit_image",
                {"prompt": "x", "images": [image], "model": "pixal3d_int8_i23d"},
                "images must be given for",
            ),
            ("edit_image", {"prompt": "x", "images": [image] * 4}, "images must be at most 3"),
            ("generate_speech", {"text": "x", "voice": "ryan", "voice_description": "y"}, "exclude each other"),
            ("generate_speech", {"text": "x", "voice_description": "y", "style": "z"}, "style cannot be combined"),
            ("generate_speech", {"text": "x", "transcript": "y"}, "transcript needs voice_sample"),
            (
                "estimate",
                {"tool": "generate_image", "arguments": {"prompt": "x", "x": 1}},
                "arguments: there is no argument x",
            ),
            ("get_project", {"project_id": "x"}, "there is no project x; see list_projects"),
            ("cancel_project", {"project_id": "x"}, "there is no project x; see list_projects"),
            ("edit_image", {"prompt": "x", "images": ["x" * 5000]}, "images[0] must have at most 4,096 characters"),
            (
                "generate_video",
                {"prompt": "x", "image": "data:image/png;base64,aGk="},
                "got the file given as image (text/plain)",
            ),
            ("get_model", {"model": "nope"}, "model: the service knows no model 'nope'"),
        ):
            assert message in await host.refused(name, **arguments), arguments
        with pytest.raises(MCPError, match="there is no tool draw"):
            await host.call("draw")
        assert len(supernet.projects) == before
    # The official client cannot send it.
    with pytest.raises(ValidationError, match="hours must be a finite number, got nan"):
        checked(TOOLS["list_projects"].arguments, {"hours": math.nan})


async def test_a_failed_project_is_an_error_with_its_reason(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        supernet.faults.fail_job(message="out of memory")
        answer = await host.call("generate_image", **SMALL)
        assert answer.is_error
        assert "out of memory" in text_of(answer)
        assert answer.structured_content["status"] == "failed"


async def test_a_broken_tool_shows_no_traceback(supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> None:
        raise LookupError("a secret")

    monkeypatch.setitem(TOOLS, "get_balance", evolve(TOOLS["get_balance"], run=broken))
    async with open_host(supernet) as host:
        assert await host.refused("get_balance") == "get_balance has failed unexpectedly (LookupError)"


@pytest.mark.parametrize("mode", MODES)
async def test_a_canceled_call_cancels_its_project(supernet: LocalSupernet, mode: str) -> None:
    async with open_host(supernet, mode) as host:
        supernet.pause_workers()
        try:
            call = asyncio.ensure_future(host.call("generate_image", **SMALL))
            await until(lambda: any("has been sent" in str(message) for *_, message in host.progress))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            project_id = supernet.projects[-1]["id"]
            await until(lambda: supernet.projects[-1]["status"] in ("canceled", "cancelled"))
            assert supernet.projects[-1]["id"] == project_id
        finally:
            supernet.resume_workers()


async def test_a_call_canceled_while_its_project_is_sent_cancels_it(
    supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending, canceled, create = asyncio.Event(), asyncio.Event(), Service.create

    async def slowly(self: Service, *given: Any, **options: Any) -> Project:
        project = await create(self, *given, **options)
        sending.set()
        with anyio.CancelScope(shield=True):
            await canceled.wait()
        return project

    monkeypatch.setattr(Service, "create", slowly)
    async with open_host(supernet, "legacy") as host:
        supernet.pause_workers()
        try:
            call = asyncio.ensure_future(host.call("generate_image", **SMALL))
            await sending.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await host.made("get_balance")  # so that the server knows
            canceled.set()
            await until(lambda: supernet.projects[-1]["status"] == "canceled")
        finally:
            supernet.resume_workers()
        # Its estimate no longer counts, which is noticed a moment later.
        while (await host.made("get_balance"))["spent_today"] != "0":
            await asyncio.sleep(0.01)


async def test_a_call_returns_before_a_long_project_is_finished(supernet: LocalSupernet) -> None:
    async with open_host(supernet, wait=0) as host:
        supernet.pause_workers()
        try:
            started = await host.made("generate_image", **SMALL)
            assert (started["finished"], started["results"]) == (False, [])
            listed = await host.made("list_projects")
            assert [it["project_id"] for it in listed["running"]] == [started["project_id"]]
        finally:
            supernet.resume_workers()
        ended = await host.made("get_project", project_id=started["project_id"], wait_seconds=60)
        assert (ended["finished"], len(ended["results"])) == (True, 1)


async def test_a_running_project_can_be_canceled(supernet: LocalSupernet) -> None:
    async with open_host(supernet, wait=0) as host:
        supernet.pause_workers()
        try:
            project_id = (await host.made("generate_image", **SMALL))["project_id"]
            assert (await host.made("cancel_project", project_id=project_id))["status"] == "canceled"
            assert (await host.made("cancel_project", project_id=project_id))["status"] == "canceled"
        finally:
            supernet.resume_workers()


async def test_further_calls_are_refused_at_the_limit(supernet: LocalSupernet) -> None:
    async with open_host(supernet, max_calls=1) as host:
        supernet.pause_workers()
        try:
            first = asyncio.ensure_future(host.made("generate_image", **SMALL))
            await until(lambda: bool(host.progress))
            assert "1 calls are in progress, which is the limit" in await host.refused("get_balance")
        finally:
            supernet.resume_workers()
        await first
        await host.made("get_balance")


async def until(reached: Callable[[], bool]) -> None:
    """Wait for a state."""
    async with asyncio.timeout(30):
        while not reached():
            await asyncio.sleep(0.01)
