"""Tables of the reference that follow from the code: errors, events, commands, the control API."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docstring_parser

ROOT = Path(__file__).resolve().parent.parent


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(" ".join(it.replace("|", "\\|").split()) for it in cells) + " |"


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join([row(*heads), "|" + "---|" * len(heads), *(row(*it) for it in rows)]) + "\n"


# -- errors ---------------------------------------------------------------------

ERRORS: dict[str, tuple[str, str]] = {
    "SogniError": ("", "The base class: catch it for everything that the service or the connection may cause."),
    "ApiError": ("no", "Look at `status`, `error_code` and `payload`. Its subclasses say what helps."),
    "ValidationError": (
        "no",
        "Change the request: the message names the field, the value and what is allowed; `findings` lists every "
        "mistake of a plan.",
    ),
    "AuthenticationError": ("no", "Check the key or sign in again; `client.check()` shows what is rejected."),
    "PermissionDeniedError": ("no", "Use an account, or a kind of sign-in, that is allowed to do this."),
    "NotFoundError": ("no", "Check the ID. It may belong to another account, or have been deleted."),
    "ConflictError": ("later", "Read the resource again: its state does not allow the request now."),
    "RateLimitError": ("later", "Wait `retry_after` seconds. Requests that are safe to repeat are repeated for you."),
    "ServerError": ("later", "Try again later. Running projects are not lost."),
    "InsufficientBalanceError": ("no", "Deposit, or pay with another `token_type`."),
    "ProjectError": ("", "Look at `code` and `original_code`; `project` is the project."),
    "ProjectFailedError": ("often", "Create the project again, unless the code below says otherwise."),
    "ProjectCanceledError": ("yes", "Nothing, if you canceled it. Otherwise create it again."),
    "PartialFailureError": ("for the rest", "`project.save()` saves the others; look at `project.failed_jobs`."),
    "PartialResultWarning": ("", "A warning: there are fewer results than requested. Look at `project.failed_jobs`."),
    "JobError": ("often", "Look at `job.error`. A job without a URL may have one later: `job.get_result_url()`."),
    "ChatError": (
        "maybe",
        "If `error.retryable`, send a new request at once. With `required_plans`: another plan, or tokens.",
    ),
    "ToolLimitError": ("no", "Raise the limit. `tool_history` has what was executed, and billed."),
    "CostLimitError": ("no", "Raise `max_cost`, or request less. `estimate` is the expected cost."),
    "SogniTimeoutError": ("yes", "Wait again: a timeout cancels nothing. `phase` says what took too long."),
    "SogniConnectionError": (
        "yes",
        "Try again. For `projects.create`, repeat the call with the same `idempotency_key`, so that you pay once.",
    ),
    "ConnectionRejectedError": ("no", "Look at `close_code`: 4015 means that another client uses the same `app_id`."),
    "ProtocolError": ("later", "Try again; if it persists, look for a newer version of the package."),
    "ClientClosedError": ("no", "Create a new client. After `os.fork()`, attach to projects of the parent by ID."),
    "WorkerError": ("yes", "Run the batch again: it continues with the projects of lost workers."),
}  # fmt: skip
"""Whether repeating helps, and what to do, for each error."""


def errors() -> str:
    """The error classes: when they are raised, and what to do."""
    module = importlib.import_module("sogni.errors")
    kinds = [getattr(module, name) for name in module.__all__ if inspect.isclass(getattr(module, name))]
    if missing := {it.__name__ for it in kinds} ^ ERRORS.keys():
        raise ValueError(f"docs/tables.py must say what to do about {', '.join(sorted(missing))}")
    rows = []
    for name, (repeat, advice) in ERRORS.items():
        kind = getattr(module, name)
        when = docstring_parser.parse(inspect.getdoc(kind) or "").short_description or ""
        rows.append((f"`{name}`", when, repeat, advice))
    return table(("error", "raised when", "repeat?", "what to do"), rows)


# -- events ---------------------------------------------------------------------

EMITTERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "client": ("sogni.client", "OnClientEvent", {
        "connected": "the socket is open and the service accepts requests",
        "disconnected": "the socket is closed for good, by you or by the service",
        "reconnecting": "the connection was lost, and an attempt to restore it is scheduled",
        "connecting": "another name of `reconnecting`",
        "toast_message": "the service sends a short message for users",
        "app_alert": "the service publishes an announcement; only with "
        "`socket_event_subscriptions={\"appAlert\": True}`",
        "subscription_limit_notice": "a request exceeds the plan of the subscription; only with "
        "`socket_event_subscriptions={\"subscriptionLimitNotice\": True}`",
    }),
    "client.projects": ("sogni.api.projects", "OnProjectsEvent", {
        "available_models": "the network announces the models that have workers",
        "project": "a project is queued, changes its place in the queue, or ends",
        "job": "a job changes: its `type` is `initiating`, `started`, `progress`, `preview`, `jobETA`, `completed` or "
        "`error`",
        "queue_changed": "the reasons why a project waits change",
        "projects_synced": "the projects have been compared with the service after a reconnection, or by `sync()`",
        "active_projects_recovered": "unfinished projects of an earlier process are found, and tracked from now on",
        "completed_projects_recovered": "projects of an earlier process are found that have completed meanwhile",
    }),
    "Project": ("sogni.base", "OnProjectEvent", {
        "progress": "the progress changes; in percent, 0 to 100",
        "updated": "attributes change, for example `cost` shortly after the end; their names",
        "queue_changed": "the reasons why the project or its jobs wait change",
        "job_started": "a worker starts a job",
        "job_completed": "a job completes",
        "job_failed": "a job fails",
        "completed": "the project ends with at least one result; the URLs of its results",
        "failed": "the project ends without a result; the reason",
        "canceled": "the project is canceled; the value is None",
    }),
    "Job": ("sogni.base", "OnJobEvent", {
        "progress": "the progress changes; in percent, 0 to 100",
        "preview": "a preview arrives, with `number_of_previews`; its URL, valid for a limited time",
        "updated": "attributes change; their names",
        "completed": "the job completes; the URL of its result, or None if it is withheld",
        "failed": "the job fails; the reason",
    }),
    "client.chat": ("sogni.api.chat", "OnChatEvent", {
        "token": "a piece of any answer arrives",
        "completed": "an answer is complete",
        "error": "a completion fails",
        "job_state": "the state of a completion changes: it waits, or a worker has started",
        "models_updated": "the language models that are available change",
    }),
    "client.current_account": ("sogni.api.account", "OnAccountEvent", {
        "updated": "attributes of the account change, such as the balance; their names",
    }),
    "client.api_client": ("sogni.api.api_client", "OnConnectionEvent", {
        "connected": "as on the client",
        "disconnected": "as on the client",
        "reconnecting": "as on the client",
        "connecting": "another name of `reconnecting`",
        "FrameType": "a frame of this type arrives; its payload",
    }),
    "client.api_client.auth": ("sogni.api.api_client", "OnAuthEvent", {
        "updated": "you sign in or get new tokens (True), or sign out (False)",
    }),
}  # fmt: skip
"""Who emits events: the module and the name of the protocol of `on`, and when each event occurs."""


def events_of(module: str, protocol: str) -> dict[str, str]:
    """The events that a protocol declares, each with the type of its value."""
    found: dict[str, str] = {}
    source = inspect.getsource(getattr(importlib.import_module(module), protocol))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            types = {it.arg: ast.unparse(it.annotation) for it in node.args.args if it.annotation}
            if "function" in types:
                value = types["function"].removeprefix("Callable[[").removesuffix("], Any]")
                names = re.findall(r"'(\w+)'", types["event"]) or [types["event"]]
                found |= dict.fromkeys(names, {"J": "Job", "": "None"}.get(value, value))
    return found


def events() -> str:
    """A table of events for each emitter."""
    parts = []
    for emitter, (module, protocol, when) in EMITTERS.items():
        found = events_of(module, protocol)
        if missing := found.keys() ^ when.keys():
            raise ValueError(f"docs/tables.py must say when {emitter} emits {', '.join(sorted(missing))}")
        rows = [(f"`{name}`", f"`{found[name]}`", text) for name, text in when.items()]
        parts.append(f"## {emitter}\n\n" + table(("event", "value", "when"), rows))
    return "\n".join(parts)


# -- the command line -------------------------------------------------------------

SAME_OPTIONS = {
    "sogni estimate image": "sogni image",
    "sogni estimate video": "sogni video",
    "sogni estimate music": "sogni music",
    "sogni batch": "sogni image",
}
"""Commands that take options of another one."""
_COMMON = 10
"""An option that this many commands have, with the same words, is described once."""


def commands() -> Iterator[tuple[str, Any]]:
    """All commands with their full names, in the order of `sogni --help`."""
    import click

    from sogni.cli.program import sogni

    def below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        yield name, command
        if isinstance(command, click.Group):
            for part, found in command.commands.items():
                if not found.hidden:
                    yield from below(f"{name} {part}", found)

    yield from below("sogni", sogni)


def options_of(command: Any) -> dict[str, tuple[str, str]]:
    """The options of a command: as they are written, with their description and their environment variable."""
    import click

    context = click.Context(command, info_name="sogni")
    found: dict[str, tuple[str, str]] = {}
    for it in command.params:
        if isinstance(it, click.Option) and not it.hidden and (record := it.get_help_record(context)):
            text = re.sub(r"\s*\[default: (.*?)\]$", r" Default: \1.", record[1])
            found[record[0]] = (text, str(it.envvar or ""))
    return found


def option_row(written: str, described: tuple[str, str]) -> tuple[str, str]:
    """The row of an option."""
    text, variable = described
    named = f" Environment: `{variable}`." if variable and variable not in text else ""
    return f"`{written}`", literal(text) + named


def literal(text: str) -> str:
    """A help text as Markdown: options, commands and environment variables are code."""
    text = re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"`\1`", text)
    text = re.sub(r"'(sogni [^']+)'", r"`\1`", text)
    return re.sub(r"(?<![\w`])([A-Z]+_[A-Z_]+)(?![\w`])", r"`\1`", text).replace("<", "&lt;")


def command_line() -> str:
    """Every command with its options."""
    found = dict(commands())
    options = {name: options_of(command) for name, command in found.items()}
    every = [item for own in options.values() for item in own.items()]
    common = dict(it for it in every if every.count(it) >= _COMMON)
    rows = [option_row(*it) for it in sorted(common.items(), key=lambda it: it[0].lstrip("-"))]
    parts = [
        "### Options of many commands\n\nThe commands list them by name only.\n\n" + table(("option", "effect"), rows)
    ]
    for name, command in found.items():
        parts.append("\n".join(command_lines(name, command, options, common)))
    return "\n".join(parts)


def command_lines(name: str, command: Any, options: Any, common: Any) -> Iterator[str]:
    """The section of one command."""
    import click

    yield f"### {name}\n"
    help_text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    for paragraph in help_text.strip().split("\n\n"):
        yield literal(" ".join(paragraph.replace("\b", "").split())) + "\n"
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```\n"
    if example:
        yield "```sh\n" + example.strip().replace("\n", " ") + "\n```\n"
    own = options[name]
    base = options.get(SAME_OPTIONS.get(name, ""), {})
    shared = {written for written, it in own.items() if base.get(written) == it and written not in common}
    rows = [option_row(written, it) for written, it in own.items() if written not in common and written not in shared]
    if rows:
        yield table(("option", "effect"), rows)
    if shared:
        yield f"Options of [{SAME_OPTIONS[name]}](#{SAME_OPTIONS[name].replace(' ', '-')}): {listed(shared, own)}.\n"
    if named := [it for it in own if it in common]:
        yield f"Also: {listed(named, own)}.\n"


def listed(names: Any, order: Any) -> str:
    """The long names of options."""
    long = [re.search(r"--[\w-]+", it) for it in order if it in set(names)]
    return ", ".join(f"`{it[0]}`" for it in long if it)


# -- the control API --------------------------------------------------------------


def control_api() -> str:
    """The requests of the control API, and the faults with their fields."""
    described = json.loads((ROOT / "docs/control-api.json").read_text(encoding="utf-8"))
    rows = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            rows.append((f"`{method.upper()} {path}`", operation.get("summary") or operation.get("description", "")))
    parts = ["## Requests\n\n" + table(("request", "effect"), rows), "## Faults\n"]
    for name, schema in sorted(described["components"]["schemas"].items()):
        if not name.startswith("fault_"):
            continue
        fields = {key: it for key, it in schema.get("properties", {}).items() if key != "name"}
        parts.append(f"### {name.removeprefix('fault_')}\n\n{markdown(schema.get('description', ''))}\n")
        parts.append(table(("field", "type", "meaning"), [field_row(key, it) for key, it in fields.items()]))
    return "\n".join(parts)


def field_row(name: str, schema: Any) -> tuple[str, str, str]:
    """The row of a field of a JSON schema."""
    parts = [schema, *schema.get("anyOf", []), *schema.get("oneOf", [])]
    allowed = [f"`{json.dumps(value)}`" for it in parts for value in it.get("enum", []) if value is not None]
    kinds = [kind for it in parts for kind in ([it["type"]] if isinstance(it.get("type"), str) else it.get("type", []))]
    shown = ", ".join(allowed) or " or ".join(it for it in dict.fromkeys(kinds) if it != "null")
    return f"`{name}`", shown or "any value", markdown(schema.get("description", ""))


def markdown(text: str) -> str:
    """Return reStructuredText as Markdown, on one line."""
    return " ".join(text.replace("``", "`").split())


# -- limits -----------------------------------------------------------------------

MIB = 1024 * 1024
LIMITS: list[tuple[str, str, str]] = [
    # what is limited, the constant, its unit
    ("HTTP connections of a client, unless `max_connections` says otherwise", "sogni.settings:MAX_CONNECTIONS", ""),
    ("A frame of the WebSocket", "sogni.settings:MAX_MESSAGE_SIZE", "MiB"),
    ("A response of the REST API, decompressed", "sogni.settings:MAX_REPLY_SIZE", "MiB"),
    ("Memory for one upload or download", "sogni.settings:TRANSFER_CHUNK", "KiB"),
    ("Redirects of a download", "sogni.core.http:MAX_REDIRECTS", ""),
    ("Name of an application (`app_source`)", "sogni.core.attribution:MAX_SOURCE_LENGTH", "characters"),
    ("`idempotency_key`", "sogni.core.projects.idempotency:MAX_KEY_LENGTH", "characters"),
    ("LoRAs of a project", "sogni.core.projects.job_requests:MAX_LORAS", ""),
    ("Keyframes of a video of MiniMax H3", "sogni.core.projects.video_requests:MAX_KEYFRAMES", ""),
    ("A file that the service saves for later projects", "sogni.core.projects.saved_uploads:MAX_SAVED_BYTES", "MiB"),
    ("Time without a frame after which a project is looked up", "sogni.core.projects.registry:INACTIVITY", "seconds"),
    ("Name of a saved file", "sogni.core.projects.file_names:MAX_NAME_BYTES", "bytes"),
    ("Images of a chat", "sogni.core.chat.images:MAX_IMAGES", ""),
    ("An image of a chat", "sogni.core.chat.images:MAX_BYTES", "MiB"),
    ("Side of an image of a chat; larger ones are scaled down", "sogni.core.chat.images:MAX_SIDE", "pixels"),
    ("Calls of local tools in one list", "sogni.core.tools.flows:MAX_DIRECT_CALLS", ""),
    ("Media of a hosted tool", "sogni.core.tools.requests:MAX_MEDIA", ""),
    ("Depth of the arguments of a plan", "sogni.core.workflows.plans:MAX_DEPTH", "levels"),
    ("Values in a plan file, YAML aliases expanded", "sogni.local.plan_files:MAX_VALUES", ""),
    ("Values in a batch file, YAML aliases expanded", "sogni.local.batch_files:MAX_VALUES", ""),
    ("Attempts to reopen an event stream without a connection", "sogni.core.workflows.event_feed:MAX_RECONNECTS", ""),
    ("Depth of a replay record; deeper values are removed", "sogni.core.replay:MAX_DEPTH", "levels"),
]  # fmt: skip


def limits() -> str:
    """Limits with their values, and the defaults of time limits and retries."""
    rows = []
    for what, place, unit in LIMITS:
        module, _, name = place.partition(":")
        value = getattr(importlib.import_module(module), name)
        divided = value / {"MiB": MIB, "KiB": 1024}.get(unit, 1)
        rows.append((what, f"{divided:,g} {unit}" if divided < MIB else f"{divided:,.0f} {unit}"))
    parts = ["## Sizes and counts\n\n" + table(("limit", "value"), rows)]
    for title, name in (("Time limits", "Timeouts"), ("Retries", "RetryPolicy")):
        kind = getattr(importlib.import_module("sogni"), name)
        described = docstring_parser.parse(inspect.getdoc(kind) or "").params
        rows = [(f"`{it.arg_name}`", it.description or "") for it in described]
        parts.append(f"## {title}\n\nFields of [`{name}`](client.md).\n\n" + table(("field", "meaning"), rows))
    return "\n".join(parts)


# -- options of chats ---------------------------------------------------------------

CHAT_OPTIONS = {
    "max_tokens": "Largest number of tokens of the answer.",
    "temperature": "How random the answer is.",
    "top_p": "Choose among the most likely tokens that have this probability together.",
    "top_k": "Choose among this many of the most likely tokens.",
    "min_p": "Leave out tokens that are less likely than this share of the most likely one.",
    "repetition_penalty": "Make tokens that have occurred less likely; 1 has no effect.",
    "frequency_penalty": "Make tokens less likely the more often they have occurred.",
    "presence_penalty": "Make tokens that have occurred less likely, however often.",
    "stop": "End the answer before this string, or one of these.",
    "tools": "Definitions in the OpenAI form, or Python functions.",
    "tool_choice": '`"auto"`, `"none"`, `"required"`, or the tool to call, in the OpenAI form.',
    "sogni_tools": "Offer the hosted tools: True, or a family of them.",
    "sogni_tool_execution": "The service executes calls of hosted tools.",
    "think": "Let the model think before it answers, or not.",
    "task_profile": "Use sampling values that suit the kind of task.",
    "response_format": "A class or a JSON schema that the answer must match, or the OpenAI form.",
    "token_type": "Token that pays. Default: that of the client.",
    "billing_mode": "Whether a subscription pays.",
    "safe_content_filter": "Filter sensitive content. Default: that of the service.",
    "app_source": "Name of the application, for statistics. Default: that of the client.",
    "attribution": "Origin of the call, for statistics.",
    "auto_execute_tools": "Execute calls of tools, and send back their results.",
    "on_tool_call": "Called with calls of tools that are neither Python functions nor media tools; returns a string.",
    "on_tool_progress": "Called with the progress of projects that tools have created.",
    "max_tool_rounds": "Largest number of rounds of tools. Default: 5.",
    "media_context": "Media that indices in calls of tools refer to. Default: the images in `messages`.",
    "media_references": "Media that hosted tools can use.",
    "api_media_references": "The same, in the form of the service.",
    "chat_template_kwargs": "Arguments of the chat template of the model; takes precedence over `think`.",
}


def chat_options() -> str:
    """The options of completions, and where they exist."""
    models = importlib.import_module("sogni.models.chat")
    calls = {"completions": models.CompletionFields, "hosted": models.HostedFields}
    types = {name: it.__forward_arg__ for kind in calls.values() for name, it in kind.__annotations__.items()}
    if missing := types.keys() ^ CHAT_OPTIONS.keys():
        raise ValueError(f"docs/tables.py must describe the options of chats {', '.join(sorted(missing))}")
    rows = []
    for name, text in CHAT_OPTIONS.items():
        only = [call for call, kind in calls.items() if name in kind.__annotations__]
        where = "" if len(only) == len(calls) else f" Only for `client.chat.{only[0]}`."
        rows.append((f"`{name}`", f"`{types[name].removesuffix(' | None')}`", text + where))
    return table(("option", "type", "meaning"), rows)


# -- hosted tools ------------------------------------------------------------------


def hosted_tools() -> str:
    """The hosted tools with their arguments."""
    from sogni import SogniTools

    rows = []
    for tool in SogniTools.all:
        function = tool["function"]
        schema = function.get("parameters", {})
        names = [f"`{it}`" + (" (required)" if it in schema.get("required", ()) else "") for it in schema["properties"]]
        summary = re.split(r"(?<=[a-z)]\.)\s", function["description"])[0]
        rows.append((f"`{function['name']}`", summary, ", ".join(names)))
    return table(("tool", "effect", "arguments"), rows)


GENERATED: dict[str, Callable[[], str]] = {
    "chat-options": chat_options,
    "command-line": command_line,
    "control-api": control_api,
    "errors": errors,
    "events": events,
    "hosted-tools": hosted_tools,
    "limits": limits,
}
"""The functions behind the fences `{generated}` of pages, by name."""
