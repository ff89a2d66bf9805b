"""The MCP server, independent of the transport."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    TextContent,
)

from sogni import __version__
from sogni.errors import SogniError, ValidationError
from sogni.mcp.arguments import checked
from sogni.mcp.calls import DONE, Call, InputNeededError
from sogni.mcp.lookups import TOOLS
from sogni.mcp.prompts import PROMPTS
from sogni.mcp.resources import RESOURCES, TEMPLATES, complete, read
from sogni.mcp.service import ServerOptions, Service
from sogni.mcp.tools import MAKERS, Tool
from sogni_async import SogniClient

LOGGER = logging.getLogger("sogni.mcp")

INSTRUCTIONS = (
    "Sogni makes images, video, music and speech. Every tool that makes something spends the user's tokens. A tool "
    "that returns a project that is still running has not failed: call get_project with its ID to wait for it. Results "
    "are named by URIs such as sogni://projects/ID/results/0, which other tools take as input, so that an image can "
    "become a video without being saved. Model IDs come from list_models."
)


def create_server(client: SogniClient, options: ServerOptions) -> Server[Any]:
    """Create a server for a client, which must stay open while the server runs.

    Args:
        client: The client.
        options: What the server may do.
    """
    service = Service(client, options)
    return _Handlers(service).server()


class _Handlers:
    """Handlers for the requests of hosts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._calls = 0

    def server(self) -> Server[Any]:
        """Return the server with these handlers."""
        return Server(
            "sogni",
            title="Sogni",
            version=__version__,
            instructions=INSTRUCTIONS,
            website_url="https://www.sogni.ai",
            lifespan=self._lifespan,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_completion=self._complete,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )

    @asynccontextmanager
    async def _lifespan(self, server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
        async with self._service.running():
            yield {}

    # -- tools -----------------------------------------------------------------

    async def _list_tools(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=[tool.declaration() for tool in TOOLS.values()])

    async def _call_tool(
        self, context: ServerRequestContext[Any], params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:100]}: {', '.join(TOOLS)}")
        limit = self._service.options.max_calls
        if self._calls >= limit:
            return _failure(f"{limit} calls are in progress, which is the limit; call again once one has finished")
        self._calls += 1
        try:
            call = Call(context, params.input_responses)
            with call.files:
                return await self._run(tool, call, params.arguments or {})
        except InputNeededError as needed:
            return InputRequiredResult(input_requests=needed.requests)
        except SogniError as error:
            return _failure(_message(error, tool.name, params.arguments or {}))
        except OSError as error:
            return _failure(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        except Exception as error:
            LOGGER.exception("a tool has failed tool=%s", tool.name)
            return _failure(f"{tool.name} has failed unexpectedly ({type(error).__name__})")
        finally:
            self._calls -= 1

    async def _run(self, tool: Tool, call: Call, given: Mapping[str, Any]) -> CallToolResult:
        arguments = checked(tool.arguments, given)
        await call.progress(0, tool.begins)
        made = await tool.run(self._service, call, arguments)
        await call.progress(DONE, "Done")
        return made

    # -- resources -------------------------------------------------------------

    async def _list_resources(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        return ListResourcesResult(resources=list(RESOURCES))

    async def _list_templates(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        return ListResourceTemplatesResult(resource_templates=list(TEMPLATES))

    async def _read_resource(
        self, context: ServerRequestContext[Any], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        try:
            return await read(self._service, str(params.uri))
        except SogniError as error:
            raise MCPError(INVALID_PARAMS, _message(error)) from None

    async def _complete(self, context: ServerRequestContext[Any], params: CompleteRequestParams) -> CompleteResult:
        if isinstance(params.ref, PromptReference):
            return CompleteResult(completion=Completion(values=[]))
        try:
            return CompleteResult(completion=await complete(self._service, params.argument.name, params.argument.value))
        except SogniError as error:
            raise MCPError(INVALID_PARAMS, _message(error)) from None

    # -- prompts ---------------------------------------------------------------

    async def _list_prompts(
        self, context: ServerRequestContext[Any], params: PaginatedRequestParams | None
    ) -> ListPromptsResult:
        return ListPromptsResult(prompts=[prompt.declaration() for prompt in PROMPTS.values()])

    async def _get_prompt(self, context: ServerRequestContext[Any], params: GetPromptRequestParams) -> GetPromptResult:
        prompt = PROMPTS.get(params.name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"there is no prompt {params.name[:100]}: {', '.join(PROMPTS)}")
        try:
            return prompt.fill(params.arguments or {})
        except ValidationError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None


def _failure(message: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=message)], is_error=True)


def _message(error: SogniError, tool: str = "", given: Mapping[str, Any] | None = None) -> str:
    """Return the message of an error, with the names of arguments instead of those of fields."""
    text = str(error) or type(error).__name__
    if isinstance(error, ValidationError):
        maker = MAKERS.get(tool)
        names = {"model_id": "model"} if maker is None else maker.arguments(given or {})
        text = re.sub(rf"\b({'|'.join(names)})\b", lambda found: names[found[0]], text)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return text + notes


__all__ = ["ServerOptions", "create_server"]
