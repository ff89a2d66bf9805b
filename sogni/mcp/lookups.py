"""Tools for estimates, models, LoRAs, the balance, and past and running projects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mcp_types import CallToolResult

from sogni import to_dict
from sogni.errors import NotFoundError, ValidationError
from sogni.mcp.arguments import Schema, checked, object_schema
from sogni.mcp.calls import Call
from sogni.mcp.results import PROJECT, project_result, result, text_of
from sogni.mcp.service import Service
from sogni.mcp.tools import MAKERS, MAKING_TOOLS, SAVE_TO, WAIT, Arguments, Tool, folder_of, follow, name_of

_TEXT: Schema = {"type": "string"}
_PROJECT_ID: Schema = {"type": "string", "minLength": 1, "maxLength": 100, "description": "ID of the project."}
_LIMIT: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": 100,
    "default": 50,
    "description": "Most entries to return. Default: 50.",
}
_SEARCH: Schema = {"type": "string", "description": "Return only those whose ID or name contains this."}


def _list_of(name: str, properties: Mapping[str, Schema], *required: str) -> Schema:
    """Return the schema of a list, and of its length before it was limited."""
    return object_schema(
        {
            name: {"type": "array", "items": object_schema(properties, *required)},
            "total": {"type": "integer", "description": "Number of entries before limit."},
        },
        name,
        "total",
    )


def matches(search: str | None, *names: str) -> bool:
    """Whether one of the names contains the search term."""
    return search is None or any(search.lower() in name.lower() for name in names)


# -- estimates ---------------------------------------------------------------

_MAKING = {tool.name: tool for tool in MAKING_TOOLS}


async def _estimate(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    name = arguments["tool"]
    given = checked(_MAKING[name].arguments, arguments["arguments"], "arguments: ")
    maker = MAKERS[name]
    cost, usd, exact = await maker.estimate(service, await maker.fields(service, call, given))
    options = service.options
    return result(
        {
            "token": options.token_type,
            "cost": text_of(cost),
            "usd": text_of(usd),
            "exact": exact,
            **spending_data(service),
            "allowed": cost is not None
            and (options.max_cost is None or cost <= options.max_cost)
            and (options.spending.limit is None or options.spending.spent(options.token_type) + cost
                 <= options.spending.limit),
        }
    )  # fmt: skip


def spending_data(service: Service) -> dict[str, str | None]:
    """Return the spending limits of the server, and the amount spent today."""
    spending = service.options.spending
    return {
        "max_cost": text_of(service.options.max_cost),
        "max_cost_per_day": text_of(spending.limit),
        "spent_today": text_of(spending.spent(service.options.token_type)) if spending.limit is not None else None,
    }


_SPENDING: Mapping[str, Schema] = {
    "max_cost": {**_TEXT, "description": "Most that a call may cost, if that is limited."},
    "max_cost_per_day": {**_TEXT, "description": "Most that may be spent per day (UTC), if that is limited."},
    "spent_today": {**_TEXT, "description": "What has been spent today, if that is limited."},
}

ESTIMATE = Tool(
    name="estimate",
    title="Estimate a cost",
    text="Estimate what a call of one of the other tools would cost. Nothing is made or spent, and no file is sent.",
    arguments=object_schema(
        {
            "tool": {"type": "string", "enum": list(_MAKING), "description": "Name of the tool."},
            "arguments": {"type": "object", "description": "The arguments that the tool would be called with."},
        },
        "tool",
        "arguments",
    ),
    output=object_schema(
        {
            "token": {"type": "string", "description": "Token that would pay."},
            "cost": {**_TEXT, "description": "Cost in that token, unless the service gives no estimate."},
            "usd": {**_TEXT, "description": "Cost in US dollars."},
            "exact": {"type": "boolean", "description": "False for speech: its length is guessed from the text."},
            "allowed": {"type": "boolean", "description": "Whether the spending limits allow it."},
            **_SPENDING,
        },
        "token",
        "exact",
        "allowed",
    ),
    run=_estimate,
    begins="Estimating the cost",
)

# -- projects ----------------------------------------------------------------

_LISTED = object_schema(
    {
        "project_id": {"type": "string"},
        "status": _TEXT,
        "model": _TEXT,
        "finished_at": _TEXT,
        "results": {"type": "integer", "description": "Number of results."},
    },
    "project_id",
)


async def recent_projects(service: Service, hours: float, limit: int) -> dict[str, Any]:
    """Return the running projects of the account, and those that finished recently."""
    projects = service.client.projects
    running: dict[str, dict[str, Any]] = {}
    for project in projects.tracked_projects:
        if not project.finished:
            running[project.id] = {"status": project.status, "model": project.params.model_id}
    for record in await projects.list_elsewhere():
        running.setdefault(record.id, {"status": record.status, "model": record.model and record.model.id})
    recent = await projects.list_recent(since=datetime.now(UTC) - timedelta(hours=hours), limit=100)
    finished = [
        {
            "project_id": it.id,
            "status": "completed",
            "model": it.model_id,
            "finished_at": None if it.finished_at is None else it.finished_at.isoformat(),
            "results": len(it.jobs),
        }
        for it in recent
        if it.id not in running
    ]
    return {
        "running": [{"project_id": project_id, **state} for project_id, state in running.items()],
        "finished": finished[:limit],
    }


async def _list_projects(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    return result(await recent_projects(service, arguments.get("hours", 24), arguments.get("limit", 50)))


LIST_PROJECTS = Tool(
    name="list_projects",
    title="List projects",
    text="List the running projects of the account and those that have finished lately, newest first, also those of "
    "other programs. get_project returns the results of one.",
    arguments=object_schema(
        {
            "hours": {
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 168,
                "default": 24,
                "description": "How far to look back, up to a week. Default: 24.",
            },
            "limit": _LIMIT,
        }
    ),
    output=object_schema(
        {"running": {"type": "array", "items": _LISTED}, "finished": {"type": "array", "items": _LISTED}},
        "running",
        "finished",
    ),
    run=_list_projects,
)


async def _get_project(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    folder = await folder_of(service, call, arguments) if "save_to" in arguments else None
    project_id = arguments["project_id"]
    project = await _attach(service, project_id)
    # The project is not of this call, so it continues if the call is canceled.
    await follow(call, project, arguments.get("wait_seconds", service.options.wait))
    if folder is None and project.id in service.made:
        folder = await folder_of(service, call, arguments)
    return await project_result(service, project, folder, name_of(project.params.positive_prompt, project))


async def _attach(service: Service, project_id: str) -> Any:
    try:
        return await service.client.projects.attach(project_id)
    except NotFoundError:
        raise ValidationError(f"there is no project {project_id}; see list_projects", field="project_id") from None


GET_PROJECT = Tool(
    name="get_project",
    title="Get a project",
    text="Get the state and the results of a project, and wait for it if it is still running: one that another tool "
    "has started, or one of list_projects.",
    arguments=object_schema({"project_id": _PROJECT_ID, "save_to": SAVE_TO, "wait_seconds": WAIT}, "project_id"),
    output=PROJECT,
    run=_get_project,
)


async def _cancel_project(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    project_id = arguments["project_id"]
    # An unknown project cannot be told from one that has ended when it is canceled.
    status = await _status(service, project_id)
    if not status.finished:
        await service.client.projects.cancel(project_id)
        status = await _status(service, project_id)
    return result(
        {"project_id": project_id, "status": status.status, "finished": status.finished},
        f"Project {project_id} is {status.status}.",
    )


async def _status(service: Service, project_id: str) -> Any:
    try:
        return await service.client.projects.get_status(project_id)
    except NotFoundError:
        raise ValidationError(f"there is no project {project_id}; see list_projects", field="project_id") from None


CANCEL_PROJECT = Tool(
    name="cancel_project",
    title="Cancel a project",
    text="Cancel a running project. Finished results of it remain, and nothing happens if it has ended.",
    arguments=object_schema({"project_id": _PROJECT_ID}, "project_id"),
    output=object_schema(
        {"project_id": {"type": "string"}, "status": {"type": "string"}, "finished": {"type": "boolean"}},
        "project_id",
        "status",
        "finished",
    ),
    run=_cancel_project,
    reads=False,
    destroys=True,
    begins="Canceling",
)

# -- models and LoRAs --------------------------------------------------------


async def models_data(
    service: Service, media: str | None = None, search: str | None = None, limit: int = 1000, *, idle: bool = False
) -> dict[str, Any]:
    """Return models, those with most workers first."""
    network = service.network
    found = [
        model
        for model in await service.client.projects.get_available_models(network)
        if (idle or model.worker_count > 0) and media in (None, model.media) and matches(search, model.id, model.name)
    ]
    found.sort(key=lambda it: -it.worker_count)
    rows = [{"id": it.id, "name": it.name, "media": it.media, "workers": it.worker_count} for it in found[:limit]]
    return {"models": rows, "total": len(found)}


async def _list_models(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    options = {name: arguments[name] for name in ("media", "search") if name in arguments}
    idle = arguments.get("include_idle", False)
    return result(await models_data(service, **options, limit=arguments.get("limit", 50), idle=idle))


LIST_MODELS = Tool(
    name="list_models",
    title="List models",
    text="List the models that can be used now, those with most workers first. get_model tells what one accepts.",
    arguments=object_schema(
        {
            "media": {"type": "string", "enum": ["image", "video", "audio"], "description": "What the models make."},
            "search": _SEARCH,
            "include_idle": {
                "type": "boolean",
                "default": False,
                "description": "Also list models that no worker serves now. Default: false.",
            },
            "limit": _LIMIT,
        }
    ),
    output=_list_of(
        "models",
        {
            "id": _TEXT,
            "name": _TEXT,
            "media": _TEXT,
            "workers": {"type": "integer", "description": "Workers that serve it now."},
        },
        "id",
        "media",
    ),
    run=_list_models,
)


async def model_data(service: Service, model_id: str) -> dict[str, Any]:
    """Return the options of a model."""
    projects = service.client.projects
    options = await projects.get_model_options(model_id)
    data: dict[str, Any] = {"id": model_id, "media": options.type, "options": to_dict(options), "inputs": None}
    data["size_presets"] = []
    if options.type == "image":
        network = service.network
        presets = await projects.get_size_presets(network, model_id)
        data["size_presets"] = [{"id": it.id, "width": it.width, "height": it.height} for it in presets]
    if options.type == "video":
        video, assets = MAKERS["generate_video"], projects.get_video_asset_config(model_id).assets
        data["inputs"] = assets and {name: getattr(assets, video.renamed[name]) for name in video.files}
    data["loras"] = await projects.supports_loras(model_id)
    return data


async def _get_model(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    return result(await model_data(service, arguments["model"]))


GET_MODEL = Tool(
    name="get_model",
    title="Get a model",
    text="Get what a model accepts: ranges and defaults of steps, guidance, size, duration and others, its samplers, "
    "voices and languages, named sizes, the files it needs, and whether there are LoRAs for it.",
    arguments=object_schema(
        {"model": {"type": "string", "minLength": 1, "description": "ID of the model; see list_models."}}, "model"
    ),
    output=object_schema(
        {
            "id": {"type": "string"},
            "media": {"type": "string"},
            "options": {"type": "object", "description": "Range and default of each parameter."},
            "size_presets": {
                "type": "array",
                "items": object_schema(
                    {"id": {"type": "string"}, "width": {"type": "integer"}, "height": {"type": "integer"}},
                    "id", "width", "height",
                ),
            },
            "inputs": {
                "type": "object",
                "description": "Whether each file of generate_video is required, optional or forbidden.",
                "additionalProperties": _TEXT,
            },
            "loras": {"type": "boolean", "description": "Whether there are LoRAs for it."},
        },
        "id", "media", "options",
    ),
    run=_get_model,
)  # fmt: skip


async def loras_data(
    service: Service, model: str | None = None, search: str | None = None, limit: int = 1000
) -> dict[str, Any]:
    """Return LoRAs."""
    catalog = await service.client.projects.available_loras(model)
    found = [it for it in catalog if matches(search, it.lora_id, it.name, it.description or "")]
    rows = [
        {
            "id": it.lora_id,
            "name": it.name,
            "description": it.description,
            "models": list(it.model_ids or ()),
            "strength": None if it.ui is None else it.ui.default,
        }
        for it in found[:limit]
    ]
    return {"loras": rows, "total": len(found)}


async def _list_loras(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    options = {name: arguments[name] for name in ("model", "search") if name in arguments}
    return result(await loras_data(service, **options, limit=arguments.get("limit", 50)))


LIST_LORAS = Tool(
    name="list_loras",
    title="List LoRAs",
    text="List the LoRAs, which change the style or the subject of a model's results.",
    arguments=object_schema(
        {
            "model": {"type": "string", "description": "Return only the LoRAs for this model."},
            "search": _SEARCH,
            "limit": _LIMIT,
        }
    ),
    output=_list_of(
        "loras",
        {
            "id": _TEXT,
            "name": _TEXT,
            "description": _TEXT,
            "models": {"type": "array", "items": _TEXT},
            "strength": {"type": "number", "description": "Usual strength."},
        },
        "id",
        "name",
    ),
    run=_list_loras,
)

# -- balance -----------------------------------------------------------------


async def balance_data(service: Service) -> dict[str, Any]:
    """Return the balance of the account and the limits of the server."""
    balances = await service.client.account.refresh_balance()
    return {
        "token": service.options.token_type,
        "spark": text_of(balances.spark.net),
        "sogni": text_of(balances.sogni.net),
        **spending_data(service),
    }


async def _get_balance(service: Service, call: Call, arguments: Arguments) -> CallToolResult:
    return result(await balance_data(service))


GET_BALANCE = Tool(
    name="get_balance",
    title="Get the balance",
    text="Get the balance of the account, the spending limits of this server, and what has been spent today.",
    arguments=object_schema({}),
    output=object_schema(
        {
            "token": {"type": "string", "description": "Token that pays."},
            "spark": {**_TEXT, "description": "Balance in Spark."},
            "sogni": {**_TEXT, "description": "Balance in Sogni."},
            **_SPENDING,
        },
        "token",
        "spark",
        "sogni",
    ),
    run=_get_balance,
)

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        *MAKING_TOOLS,
        ESTIMATE,
        LIST_PROJECTS,
        GET_PROJECT,
        CANCEL_PROJECT,
        LIST_MODELS,
        GET_MODEL,
        LIST_LORAS,
        GET_BALANCE,
    )
}
"""All tools, in the order in which hosts list them."""
