"""Resources that hosts can read without calling a tool: models, LoRAs, the balance, and past results."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from mcp_types import (
    BlobResourceContents,
    Completion,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from sogni.errors import NotFoundError, ValidationError
from sogni.mcp.lookups import balance_data, loras_data, model_data, models_data, recent_projects
from sogni.mcp.results import image_type, mime_type, text_of, without_none
from sogni.mcp.service import RESULT_URI, Service

MAX_BYTES = 25 * 1024 * 1024
"""Largest result that is returned as a resource; it is sent as one message."""

COMPLETIONS = 100
"""Most values that the protocol allows."""

_JSON = "application/json"


def _resource(path: str, title: str, text: str) -> Resource:
    return Resource(uri=f"sogni://{path}", name=path, title=title, description=text, mime_type=_JSON)


RESOURCES = (
    _resource("models", "Models", "The models that can be used now, with the number of workers of each."),
    _resource("loras", "LoRAs", "The LoRAs, with the models that they are for."),
    _resource("balance", "Balance", "The balance of the account and the spending limits of this server."),
    _resource("projects", "Projects", "The running projects, and those that have finished in the last week."),
)

TEMPLATES = (
    ResourceTemplate(
        uri_template="sogni://models/{model}",
        name="model",
        title="Model",
        description="What a model accepts: ranges, defaults, sizes and files.",
        mime_type=_JSON,
    ),
    ResourceTemplate(
        uri_template="sogni://projects/{project_id}",
        name="project",
        title="Project",
        description="State and results of a project.",
        mime_type=_JSON,
    ),
    ResourceTemplate(
        uri_template="sogni://projects/{project_id}/results/{index}",
        name="result",
        title="Result",
        description="The file of a result: an image, video or audio file.",
    ),
)


async def read(service: Service, uri: str) -> ReadResourceResult:
    """Return a resource.

    Raises:
        ValidationError: The resource does not exist.
        SogniError: The service did not deliver it.
    """
    parts = [unquote(part) for part in uri.removeprefix("sogni://").split("/")] if uri.startswith("sogni://") else []
    match parts:
        case ["models"]:
            return _json(uri, await models_data(service, idle=True))
        case ["models", *rest] if rest and all(rest):  # IDs may contain slashes
            return _json(uri, await model_data(service, "/".join(rest)))
        case ["loras"]:
            return _json(uri, await loras_data(service))
        case ["balance"]:
            return _json(uri, await balance_data(service))
        case ["projects"]:
            return _json(uri, await recent_projects(service, 168, 100))
        case ["projects", project_id] if project_id:
            return _json(uri, await _project(service, project_id))
        case ["projects", _, "results", _]:
            return await _result(service, uri)
    known = ", ".join([*(str(it.uri) for it in RESOURCES), *(it.uri_template for it in TEMPLATES)])
    raise ValidationError(f"there is no resource {uri[:200]}: {known}", field="uri")


async def complete(service: Service, name: str, begun: str) -> Completion:
    """Return the values that an argument of a template can have.

    Args:
        service: The service.
        name: Name of the argument.
        begun: What the user has entered so far.
    """
    found: list[str] = []
    if name == "model":
        found = [it["id"] for it in (await models_data(service, idle=True))["models"]]
    elif name == "project_id":
        listed = await recent_projects(service, 168, 100)
        found = [it["project_id"] for it in (*listed["running"], *listed["finished"])]
    found = [it for it in found if it.lower().startswith(begun.lower())]
    return Completion(values=found[:COMPLETIONS], total=len(found), has_more=len(found) > COMPLETIONS)


def _json(uri: str, data: Mapping[str, Any]) -> ReadResourceResult:
    text = json.dumps(without_none(data), ensure_ascii=False)
    return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type=_JSON, text=text)])


async def _project(service: Service, project_id: str) -> dict[str, Any]:
    try:
        project = await service.client.projects.attach(project_id)
    except NotFoundError:
        raise ValidationError(f"there is no project {project_id}", field="uri") from None
    return {
        "project_id": project.id,
        "status": project.status,
        "finished": project.finished,
        "model": project.params.model_id,
        "cost": text_of(await service.cost(project)),
        "token": project.token_type,
        "results": [
            {
                "index": index,
                "status": job.status,
                "seed": job.seed,
                "uri": RESULT_URI.format(project.id, index) if job.has_result_media else None,
            }
            for index, job in enumerate(project.jobs)
        ],
    }


async def _result(service: Service, uri: str) -> ReadResourceResult:
    job, project = await service.result(uri)
    content = bytearray()
    async with await job.open() as file:
        while chunk := await file.read(256 * 1024):
            content += chunk
            if len(content) > MAX_BYTES:
                limit = MAX_BYTES // 1024**2
                raise ValidationError(
                    f"the result is larger than {limit} MiB; call get_project with save_to", field="uri"
                )
    # A model refuses an image whose type is another one than declared.
    kind = image_type(content) or mime_type(project)
    blob = base64.b64encode(content).decode("ascii")
    return ReadResourceResult(contents=[BlobResourceContents(uri=uri, mime_type=kind, blob=blob)])
