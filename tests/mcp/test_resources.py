"""Resources and prompts, read by the official client."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference
from PIL import Image

from sogni.emulator import LocalSupernet
from sogni.mcp import resources
from sogni.mcp.prompts import PROMPTS
from tests.mcp.hosts import MODES, SMALL, Host, open_host


async def read(host: Host, uri: str) -> Any:
    (content,) = (await host.client.read_resource(uri)).contents
    assert (content.uri, content.mime_type) == (uri, "application/json")
    return json.loads(content.text)


@pytest.mark.parametrize("mode", MODES)
async def test_every_resource_can_be_read(supernet: LocalSupernet, mode: str) -> None:
    async with open_host(supernet, mode) as host:
        made = await host.made("generate_image", **SMALL)
        project_id = made["project_id"]
        listed = [it.uri for it in (await host.client.list_resources()).resources]
        assert listed == ["sogni://models", "sogni://loras", "sogni://balance", "sogni://projects"]
        models, loras, balance, projects = [await read(host, uri) for uri in listed]
        assert "krea2_turbo_fp8_scaled" in [it["id"] for it in models["models"]]
        assert "krea2-ink-wash" in [it["id"] for it in loras["loras"]]
        assert balance["max_cost_per_day"] == "1000"
        assert project_id in [it["project_id"] for it in projects["finished"]]
        templates = (await host.client.list_resource_templates()).resource_templates
        assert [it.uri_template.partition("{")[0] for it in templates] == [
            "sogni://models/", "sogni://projects/", "sogni://projects/",
        ]  # fmt: skip
        model = await read(host, "sogni://models/krea2_turbo_fp8_scaled")
        assert (model["media"], model["loras"], model["options"]["steps"]["default"]) == ("image", True, 8)
        project = await read(host, f"sogni://projects/{project_id}")
        assert [it["uri"] for it in project["results"]] == [made["results"][0]["uri"]]
        (content,) = (await host.client.read_resource(made["results"][0]["uri"])).contents
        assert content.mime_type == "image/png"
        with Image.open(BytesIO(base64.b64decode(content.blob))) as image:
            assert image.size == (256, 256)


async def test_what_cannot_be_read_is_an_error(supernet: LocalSupernet, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_host(supernet) as host:
        uri = (await host.made("generate_image", **SMALL))["results"][0]["uri"]
        for wrong, message in (
            ("sogni://nothing", "there is no resource sogni://nothing"),
            ("file:///etc/passwd", "there is no resource file:///etc/passwd"),
            ("sogni://models/nope", "nope"),
            ("sogni://projects/nope", "there is no project nope"),
            (f"{uri[:-1]}7", "has 1 results, from 0"),
            (f"{uri[:-1]}x", "must be the URI of a result"),
        ):
            with pytest.raises(MCPError, match=message):
                await host.client.read_resource(wrong)
        monkeypatch.setattr(resources, "MAX_BYTES", 100)
        with pytest.raises(MCPError, match="call get_project with save_to"):
            await host.client.read_resource(uri)


async def test_prompts_are_filled(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        listed = (await host.client.list_prompts()).prompts
        assert [it.name for it in listed] == list(PROMPTS)
        for prompt in listed:
            given = {it.name: "$10 {x}" for it in prompt.arguments if it.required}
            (message,) = (await host.client.get_prompt(prompt.name, given)).messages
            assert "$10 {x}" in message.content.text
            with pytest.raises(MCPError, match="is required"):
                await host.client.get_prompt(prompt.name, {})
            with pytest.raises(MCPError, match="there is no argument colour"):
                await host.client.get_prompt(prompt.name, {**given, "colour": "red"})
        filled = await host.client.get_prompt("song", {"topic": "rain", "style": "", "seconds": "30"})
        assert "in 30 seconds" in filled.messages[0].content.text
        assert "style: one that fits" in filled.messages[0].content.text
        with pytest.raises(MCPError, match="there is no prompt x"):
            await host.client.get_prompt("x", {})


async def test_arguments_of_templates_are_completed(supernet: LocalSupernet) -> None:
    async with open_host(supernet) as host:
        project_id = (await host.made("generate_image", **SMALL))["project_id"]

        async def completed(name: str, begun: str, uri: str = "sogni://models/{model}") -> list[str]:
            reference = ResourceTemplateReference(uri=uri)
            answer = await host.client.complete(reference, {"name": name, "value": begun})
            values: list[str] = answer.completion.values
            return values

        assert "krea2_turbo_fp8_scaled" in await completed("model", "KREA2_t")
        assert len(await completed("model", "")) == 100
        assert await completed("project_id", project_id[:8].lower()) == [project_id]
        assert await completed("index", "") == []
        answer = await host.client.complete(PromptReference(name="song"), {"name": "topic", "value": "r"})
        assert answer.completion.values == []
