"""`client.workflows.templates`: workflows that are saved and started with inputs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from sogni.core.checks import naming_the_nearest
from sogni.core.workflows import flows as workflows
from sogni.core.workflows import templates
from sogni.core.workflows.requests import artifact_paths
from sogni.models.base import BillingMode, TokenType
from sogni.models.workflows import (
    Listing,
    MediaReference,
    TemplatePage,
    WorkflowEvent,
    WorkflowRecord,
    WorkflowReseed,
    WorkflowResumption,
    WorkflowSseEvent,
    WorkflowTemplate,
)
from sogni.plans import WorkflowInput
from sogni.settings import check_seconds
from sogni_async.api.streams import EventStream
from sogni_async.transport.engine import Engine


class Templates:
    """Saved workflows: `workflows.start(workflow_id=template.id, inputs=…)` runs one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(
        self, visibility: Listing | None = None, offset: int | None = None, limit: int | None = None
    ) -> TemplatePage:
        """A page of templates in `.templates`; `.next_cursor` is the `offset` of the page after it.

        `visibility` is `own`, `public` or `all`, `limit` at most 200 (workflows §7.2).
        """
        return await self._engine.run(templates.list_templates(visibility, offset, limit))

    async def iterate(self, visibility: Listing | None = None, limit: int = 100) -> AsyncIterator[WorkflowTemplate]:
        """All templates, page by page of `limit` each, as far as they are asked for."""
        offset: int | None = None
        while True:
            page = await self._engine.run(templates.list_templates(visibility, offset, limit))
            for template in page.templates:
                yield template
            if page.next_cursor is None or page.next_cursor <= (offset or 0):
                return
            offset = page.next_cursor

    async def get(self, template_id: str) -> WorkflowTemplate:
        """A template. NotFoundError."""
        return await self._engine.run(templates.get_template(template_id))

    async def create(self, template: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Save a template; returns it as the service keeps it. Keys that are not known here travel unchanged."""
        return await self._engine.run(templates.create_template(template))

    async def update(self, template_id: str, changes: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Change the fields given in `changes`; in a mapping, None clears one."""
        return await self._engine.run(templates.update_template(template_id, changes))

    async def delete(self, template_id: str) -> None:
        """Delete a template. NotFoundError."""
        await self._engine.run(templates.delete_template(template_id))

    async def fork(self, template_id: str, new_name: str | None = None) -> WorkflowTemplate:
        """Copy a template, also one of others that is public; returns the copy."""
        return await self._engine.run(templates.fork_template(template_id, new_name))


# `client.workflows`: plans of several steps that the service carries out, whether or not anybody watches.


class Workflows:
    """Durable workflows, and the templates they are saved as. They need no socket.

    >>> from sogni_async import SogniClient
    >>> step = {"tool_name": "generate_image", "arguments": {"prompt": "a red kite", "width": 256, "height": 256}}
    >>> async with SogniClient.local() as client:
    ...     workflow = await client.workflows.start(input={"title": "Kites", "steps": [step]})
    ...     workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
    >>> workflow.status
    'completed'
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._templates = Templates(engine)

    @property
    def templates(self) -> Templates:
        """Saved workflows."""
        return self._templates

    @naming_the_nearest
    async def start(
        self,
        *,
        input: WorkflowInput | Mapping[str, Any] | None = None,
        workflow_id: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        media_references: Sequence[MediaReference | Mapping[str, Any]] | None = None,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        confirm_cost: bool | None = None,
        max_estimated_capacity_units: float | None = None,
        safe_content_filter: bool | None = None,
        app_source: str | None = None,
        idempotency_key: str | None = None,
        strict: bool = False,
    ) -> WorkflowRecord:
        """Start a workflow; returns its record while it runs.

        Either `input`, a plan, or `workflow_id`, the id of a template, with its `inputs`. The structure of a plan
        is checked before anything is sent, with `strict` also the names and arguments of its tools. Media are given
        by http or https addresses (`upload` makes one). Repeated starts with the same `idempotency_key` are one
        workflow; without one a key is made for this call and kept when it has to be repeated (workflows §2, §8).
        Raises `ValidationError` before anything is sent, `ConflictError` while too many workflows run, else an
        `ApiError`.
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return await self._engine.run(workflows.start_workflow(given))

    async def list(self, limit: int | None = None, offset: int | None = None) -> list[WorkflowRecord]:
        """The workflows of the account, `limit` of them after the first `offset`."""
        return await self._engine.run(workflows.list_workflows(limit, offset))

    async def get(self, workflow_id: str) -> WorkflowRecord:
        """The record of a workflow, with its `.artifacts`. NotFoundError."""
        return await self._engine.run(workflows.get_workflow(workflow_id))

    async def events(self, workflow_id: str) -> Sequence[WorkflowEvent]:
        """What happened in a workflow so far."""
        return await self._engine.run(workflows.workflow_events(workflow_id))

    def stream_events(
        self, workflow_id: str, after: int | str | None = None, last_event_id: int | str | None = None
    ) -> EventStream[WorkflowSseEvent]:
        """Iterate over the events of a workflow, those that were and those to come.

        It ends at `completed`, `failed` or `cancelled`, or where the service ends it after `partial_failure`.
        `last_event_id` is the `.id` of the last event that is known already; `after` says the same without telling
        the service that it is a resumption (workflows §6). A lost connection is opened again, and every event comes
        once. The iterator can be closed.
        """
        return EventStream(self._engine, workflows.workflow_feed(workflow_id, after, last_event_id))

    async def wait(self, workflow_id: str, timeout: float | None = None) -> WorkflowRecord:
        """The record of a workflow once it has ended or is `waiting_for_user`, whatever its status.

        Raises `SogniTimeoutError` after `timeout` seconds; the workflow goes on.
        """
        seconds = check_seconds("timeout", timeout)
        return await self._engine.run(workflows.wait_for_workflow(workflow_id, seconds))

    @naming_the_nearest
    async def resume(
        self,
        workflow_id: str,
        *,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        app_source: str | None = None,
    ) -> WorkflowResumption:
        """Let a workflow go on that is `waiting_for_user`; `.resumed` tells whether it does because of this call."""
        given = {name: value for name, value in locals().items() if name not in ("self", "workflow_id")}
        return await self._engine.run(workflows.resume_workflow(workflow_id, given))

    @naming_the_nearest
    async def reseed(
        self,
        workflow_id: str,
        *,
        seed_overrides: Mapping[str, int] | None = None,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        app_source: str | None = None,
        idempotency_key: str | None = None,
    ) -> WorkflowReseed:
        """Start another take of a workflow that has ended; `.workflow` is the new one.

        `seed_overrides` maps ids of steps to seeds, the other steps get new ones. Repeated calls with the same
        `idempotency_key` are one take; without one every call is another (workflows §5).
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "workflow_id")}
        return await self._engine.run(workflows.reseed_workflow(workflow_id, given))

    async def cancel(self, workflow_id: str) -> WorkflowRecord:
        """End a workflow; steps under way stop when they can."""
        return await self._engine.run(workflows.cancel_workflow(workflow_id))

    async def save_artifacts(
        self, workflow_id: str, directory: str | PathLike[str], *, overwrite: bool = False
    ) -> Sequence[Path]:
        """Download everything a workflow made into a directory; returns the paths in the order of its artifacts.

        A file is named by workflow, place and id of the artifact, its suffix by its content; it appears under its
        name only when it is complete. An existing file with other content is kept: the new one gets a number,
        unless `overwrite` is true.
        """
        flow = workflows.save_artifacts(workflow_id, artifact_paths(directory, workflow_id), overwrite=overwrite)
        return await self._engine.run(flow)

    async def upload(self, media: Any) -> MediaReference:
        """Upload an image, audio or video and return a reference to it, for `media_references`.

        `media` is a path, bytes, a binary file, a PIL image or a finished `Job`. Its address is valid for a limited
        time. Bind it in a plan with a dependency on `$input_media` (workflows §4). Raises `ValidationError`.
        """
        return await self._engine.run(workflows.upload_reference(media))
