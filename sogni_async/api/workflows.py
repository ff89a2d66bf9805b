"""Durable workflows and their templates: `client.workflows`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, overload

from sogni.core.checks import integer
from sogni.core.workflows import flows as workflows
from sogni.core.workflows import templates
from sogni.core.workflows.requests import artifact_paths
from sogni.keywords import suggest_keywords
from sogni.local.storage import directory_or_storage, hidden
from sogni.models.base import BillingMode
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
from sogni.settings import Attribution, TokenType, check_seconds
from sogni_async.api.streams import EventStream
from sogni_async.transport.engine import Engine


@suggest_keywords
class Templates:
    """Saved workflows. `workflows.start(workflow_id=template.id, inputs=…)` runs one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list(
        self, visibility: Listing | None = None, offset: int | None = None, limit: int | None = None
    ) -> TemplatePage:
        """Fetch a page of templates. `iterate` returns all of them.

        Args:
            visibility: `"own"`, `"public"`, `"all"`, `"private"` or `"team"`. Default: that of the service.
            offset: Number of templates to skip. Default 0.
            limit: Number of templates per page, at most 200. Default: that of the service.

        Returns:
            The page. Its templates are in `.templates`; `.next_cursor` is the `offset` of the next page, or None.

        Raises:
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> [template.id for template in (await client.workflows.templates.list("public")).templates]
            ['sys-teaser', ...]
        """
        return await self._engine.run(templates.list_templates(visibility, offset, limit))

    async def iterate(self, visibility: Listing | None = None, limit: int = 100) -> AsyncIterator[WorkflowTemplate]:
        """Iterate over all templates. Pages are fetched as needed.

        Args:
            visibility: As in `list`.
            limit: Number of templates per page, at most 200. Default 100.

        Yields:
            The templates.

        Raises:
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused a request.

        Example:
            >>> names = [template.name async for template in client.workflows.templates.iterate("public")]
        """
        offset: int | None = None
        while True:
            page = await self._engine.run(templates.list_templates(visibility, offset, limit))
            for template in page.templates:
                yield template
            if page.next_cursor is None or page.next_cursor <= (offset or 0):
                return
            offset = page.next_cursor

    async def get(self, template_id: str) -> WorkflowTemplate:
        """Fetch a template.

        Args:
            template_id: ID of the template.

        Returns:
            The template.

        Raises:
            NotFoundError: The template does not exist.

        Example:
            >>> [it.name for it in (await client.workflows.templates.get("sys-teaser")).inputs]
            ['brief', 'aspect_ratio', 'seconds']
        """
        return await self._engine.run(templates.get_template(template_id))

    async def create(self, template: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Save a template.

        Args:
            template: A `WorkflowTemplate`, or a mapping with its fields or its keys in the wire format. Stages have the
                keys of the wire format. Unknown keys are sent unchanged.

        Returns:
            The template as saved by the service.

        Raises:
            ValidationError: JSON cannot represent the template, or the service rejects it.
            ApiError: The service refused the request.

        Example:
            >>> stage = {"id": "still", "toolName": "generate_image", "arguments": {"prompt": "a red kite"}}
            >>> template = await client.workflows.templates.create({"name": "Kites", "stages": [stage]})
            >>> template.name
            'Kites'
        """
        return await self._engine.run(templates.create_template(template))

    async def update(self, template_id: str, changes: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Change some fields of a template.

        Args:
            template_id: ID of the template.
            changes: The new values. In a mapping, None clears a field; in a `WorkflowTemplate`, None leaves it
                unchanged.

        Returns:
            The changed template.

        Raises:
            NotFoundError: The template does not exist.
            ValidationError: JSON cannot represent the changes, or the service rejects them.
            ApiError: The service refused the request.

        Example:
            >>> template = await client.workflows.templates.fork("sys-teaser")
            >>> (await client.workflows.templates.update(template.id, {"name": "Trailer"})).name
            'Trailer'
        """
        return await self._engine.run(templates.update_template(template_id, changes))

    async def delete(self, template_id: str) -> None:
        """Delete a template.

        Args:
            template_id: ID of the template.

        Raises:
            NotFoundError: The template does not exist.
            ApiError: The service refused the request.

        Example:
            >>> template = await client.workflows.templates.fork("sys-teaser")
            >>> await client.workflows.templates.delete(template.id)
        """
        await self._engine.run(templates.delete_template(template_id))

    async def fork(self, template_id: str, new_name: str | None = None) -> WorkflowTemplate:
        """Copy a template, for example a public one of another user.

        Args:
            template_id: ID of the template.
            new_name: Name of the copy. Default: chosen by the service.

        Returns:
            The copy.

        Raises:
            NotFoundError: The template does not exist.
            ApiError: The service refused the request.

        Example:
            >>> (await client.workflows.templates.fork("sys-teaser", new_name="My teaser")).name
            'My teaser'
        """
        return await self._engine.run(templates.fork_template(template_id, new_name))


@suggest_keywords
class Workflows:
    """Durable workflows: the service runs their steps, whether or not a client is connected. They need no socket.

    Example:
        >>> step = {"tool_name": "generate_image", "arguments": {"prompt": "a red kite"}}
        >>> workflow = await client.workflows.start(input={"title": "Kites", "steps": [step]})
        >>> workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
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
        attribution: Attribution | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        strict: bool = False,
    ) -> WorkflowRecord:
        """Start a workflow and return while it runs.

        The workflow is either a plan (`input`) or a template (`workflow_id`, `inputs`). The structure of a plan is
        checked before anything is sent.

        Args:
            input: The plan: a `WorkflowInput`, or a mapping with its fields or its keys in the wire format.
            workflow_id: ID of the template to run.
            inputs: Values for the inputs of the template. Only with `workflow_id`.
            media_references: Media for the steps, by http or https URL; see `upload`. Steps use them through a
                dependency on `$input_media`.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            confirm_cost: Accept the cost in advance. Default: that of the service.
            max_estimated_capacity_units: Maximum estimate that is accepted, in capacity units. Default: none.
            safe_content_filter: Filter sensitive content. The default of the service is True.
            app_source: Name of the application, as the service records it. Default: that of the client.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.
            idempotency_key: Calls with the same key start a single workflow. By default, each call has a new key, so
                that it can be repeated safely after a lost connection.
            strict: Check also the names and arguments of the tools. Default False.

        Returns:
            The record of the workflow.

        Raises:
            ValidationError: An argument or the plan is invalid. Nothing has been sent.
            ConflictError: Too many workflows are running.
            ApiError: The service refused the request.

        Example:
            >>> workflow = await client.workflows.start(
            ...     input={"steps": [{"tool_name": "finalize_response", "arguments": {"message": "Done."}}]}
            ... )
            >>> (await client.workflows.wait(workflow.workflow_id, timeout=30)).status
            'completed'
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return await self._engine.run(workflows.start_workflow(given))

    async def list(self, limit: int | None = None, offset: int | None = None) -> list[WorkflowRecord]:
        """Fetch a page of the workflows of the account. `iterate` returns all of them.

        Args:
            limit: Number of workflows. Default: that of the service.
            offset: Number of workflows to skip. Default 0.

        Returns:
            The records, without a cursor.

        Raises:
            ValidationError: An argument is not an integer. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> [workflow.status for workflow in await client.workflows.list(limit=10)]
            [...]
        """
        return await self._engine.run(workflows.list_workflows(limit, offset))

    async def iterate(self, limit: int = 100) -> AsyncIterator[WorkflowRecord]:
        """Iterate over all workflows of the account, newest first. Pages are fetched as needed.

        Args:
            limit: Number of workflows per page. Default 100.

        Yields:
            The records. Workflows started in the meantime are not included.

        Raises:
            ValidationError: The limit is not an integer of 1 or more. Nothing has been sent.
            ApiError: The service refused a request.

        Example:
            >>> titles = [workflow.title async for workflow in client.workflows.iterate()]
        """
        page_size = integer("limit", limit, low=1)
        seen: set[str] = set()
        offset = 0
        while page := await self._engine.run(workflows.list_workflows(page_size, offset)):
            offset += len(page)
            for record in page:
                # A workflow that is started meanwhile moves the others to later pages.
                if record.workflow_id not in seen:
                    seen.add(record.workflow_id)
                    yield record

    async def get(self, workflow_id: str) -> WorkflowRecord:
        """Fetch the record of a workflow.

        Args:
            workflow_id: ID of the workflow.

        Returns:
            The record, with its `.artifacts`.

        Raises:
            NotFoundError: The workflow does not exist.

        Example:
            >>> step = {"tool_name": "finalize_response", "arguments": {"message": "Done."}}
            >>> workflow = await client.workflows.start(input={"title": "Empty", "steps": [step]})
            >>> (await client.workflows.get(workflow.workflow_id)).title
            'Empty'
        """
        return await self._engine.run(workflows.get_workflow(workflow_id))

    async def events(self, workflow_id: str) -> Sequence[WorkflowEvent]:
        """Fetch the events of a workflow so far.

        Args:
            workflow_id: ID of the workflow.

        Returns:
            The events, oldest first.

        Raises:
            NotFoundError: The workflow does not exist.

        Example:
            >>> step = {"tool_name": "finalize_response", "arguments": {"message": "Done."}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> len(await client.workflows.events(workflow.workflow_id)) > 0
            True
        """
        return await self._engine.run(workflows.workflow_events(workflow_id))

    def stream_events(
        self, workflow_id: str, after: int | str | None = None, last_event_id: int | str | None = None
    ) -> EventStream[WorkflowSseEvent]:
        """Iterate over the events of a workflow, past and future ones, until it ends.

        The stream ends with the status `completed`, `failed` or `cancelled`, or when the service closes it after
        `partial_failure`. Lost connections are re-established, and every event is delivered once. The iterator can be
        closed.

        Args:
            workflow_id: ID of the workflow.
            after: Start after the event with this `.id`.
            last_event_id: Like `after`, and also inform the service that the stream is resumed.

        Returns:
            The stream. Iterating raises an `ApiError` if the service refuses it, and `SogniConnectionError` if the
            service cannot be reached for a long time.

        Raises:
            ValidationError: An argument is invalid.

        Example:
            >>> step = {"tool_name": "finalize_response", "arguments": {"message": "Done."}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> statuses = [event.status async for event in client.workflows.stream_events(workflow.workflow_id)]
            >>> statuses[-1]
            'completed'
        """
        return EventStream(self._engine, workflows.workflow_feed(workflow_id, after, last_event_id))

    async def wait(self, workflow_id: str, timeout: float | None = None) -> WorkflowRecord:
        """Wait until a workflow ends or waits for its user (`waiting_for_user`).

        Args:
            workflow_id: ID of the workflow.
            timeout: Seconds to wait; None for no limit. A timeout cancels nothing.

        Returns:
            The record, whatever its status.

        Raises:
            NotFoundError: The workflow does not exist.
            SogniTimeoutError: The workflow was still running after `timeout`.

        Example:
            >>> step = {"tool_name": "ask_clarifying_question", "arguments": {"question": "Which color?"}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> (await client.workflows.wait(workflow.workflow_id, timeout=30)).status
            'waiting_for_user'
        """
        seconds = check_seconds("timeout", timeout)
        return await self._engine.run(workflows.wait_for_workflow(workflow_id, seconds))

    async def resume(
        self,
        workflow_id: str,
        *,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        app_source: str | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
    ) -> WorkflowResumption:
        """Resume a workflow that waits for its user (`waiting_for_user`).

        Args:
            workflow_id: ID of the workflow.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            app_source: Name of the application, as the service records it. Default: that of the client.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.

        Returns:
            The record in `.workflow`; `.resumed` is True if this call resumed it.

        Raises:
            NotFoundError: The workflow does not exist.
            ApiError: The service refused the request.

        Example:
            >>> step = {"tool_name": "ask_clarifying_question", "arguments": {"question": "Which color?"}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
            >>> (await client.workflows.resume(workflow.workflow_id)).resumed
            True
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "workflow_id")}
        return await self._engine.run(workflows.resume_workflow(workflow_id, given))

    async def reseed(
        self,
        workflow_id: str,
        *,
        seed_overrides: Mapping[str, int] | None = None,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        app_source: str | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> WorkflowReseed:
        """Start another run of a workflow that has completed or failed in part, with other seeds.

        Args:
            workflow_id: ID of the workflow.
            seed_overrides: Seeds by step ID. The other steps get new random seeds.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            app_source: Name of the application, as the service records it. Default: that of the client.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.
            idempotency_key: Calls with the same key start a single run. By default, every call starts a new one.

        Returns:
            The record of the new run in `.workflow`.

        Raises:
            NotFoundError: The workflow does not exist.
            ConflictError: Too many workflows are running.
            ApiError: The service refused the request.

        Example:
            >>> step = {"id": "still", "tool_name": "generate_image", "arguments": {"prompt": "a red kite"}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
            >>> again = await client.workflows.reseed(workflow.workflow_id, seed_overrides={"still": 7})
            >>> again.cloned_from_run_id == workflow.workflow_id
            True
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "workflow_id")}
        return await self._engine.run(workflows.reseed_workflow(workflow_id, given))

    async def cancel(self, workflow_id: str) -> WorkflowRecord:
        """Cancel a workflow. Running steps stop as soon as they can.

        Args:
            workflow_id: ID of the workflow.

        Returns:
            The record.

        Raises:
            NotFoundError: The workflow does not exist.
            ApiError: The service refused the request.

        Example:
            >>> step = {"tool_name": "ask_clarifying_question", "arguments": {"question": "Which color?"}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
            >>> (await client.workflows.cancel(workflow.workflow_id)).status
            'cancelled'
        """
        return await self._engine.run(workflows.cancel_workflow(workflow_id))

    @overload
    async def save_artifacts(
        self, workflow_id: str, directory: PathLike[str], *, overwrite: bool = ..., storage_options: None = ...
    ) -> Sequence[Path]: ...
    @overload
    async def save_artifacts(
        self, workflow_id: str, directory: str, *, overwrite: bool = ..., storage_options: Mapping[str, Any]
    ) -> Sequence[str]: ...
    @overload
    async def save_artifacts(
        self, workflow_id: str, directory: str, *, overwrite: bool = ..., storage_options: None = ...
    ) -> Sequence[Path] | Sequence[Any]: ...
    async def save_artifacts(
        self,
        workflow_id: str,
        directory: str | PathLike[str],
        *,
        overwrite: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> Sequence[Path] | Sequence[Any]:
        """Download all artifacts of a workflow to a directory or to object storage.

        Downloads are streamed, and files and objects appear once they are complete. Their names contain the IDs of
        workflow and artifact and the position of the artifact; the suffix fits the content.

        Args:
            workflow_id: ID of the workflow.
            directory: The directory, which is created if necessary, or a storage URL such as ``s3://bucket/prefix``
                (extra ``sogni[fsspec]``).
            overwrite: Replace existing files with different content. By default the new files get numbers.
            storage_options: Options of fsspec for a URL, such as credentials and the endpoint. By default fsspec uses
                the environment. With options, type checkers know that the result is a list of URLs.

        Returns:
            The paths of the saved files, or the URLs of the objects, in the order of the artifacts.

        Raises:
            NotFoundError: The workflow does not exist.
            ApiError: The service refused a download.
            SogniConnectionError: The service cannot be reached.
            ValidationError: The URL is invalid. Nothing has been downloaded.
            OSError: A file or object cannot be written.
            ImportError: A URL is given, and fsspec or the library for its protocol is not installed.

        Example:
            >>> step = {"tool_name": "generate_image", "arguments": {"prompt": "a red kite"}}
            >>> workflow = await client.workflows.start(input={"steps": [step]})
            >>> workflow = await client.workflows.wait(workflow.workflow_id, timeout=30)
            >>> len(await client.workflows.save_artifacts(workflow.workflow_id, "kites"))
            1
        """
        directory, storage_options = hidden(directory, storage_options)
        path_for = artifact_paths(directory_or_storage(directory, storage_options), workflow_id)
        return await self._engine.run(workflows.save_artifacts(workflow_id, path_for, overwrite=overwrite))

    async def upload(self, media: Any) -> MediaReference:
        """Upload an image, audio or video file for `media_references`.

        Args:
            media: A path, bytes, a binary file object, a PIL image or a finished `Job`.

        Returns:
            A reference to the file. Its URL is valid for a limited time.

        Raises:
            ValidationError: The media cannot be read, or its format is not accepted.
            ApiError: The service refused the upload.
            SogniConnectionError: The service cannot be reached.

        Example:
            >>> from PIL import Image
            >>> reference = await client.workflows.upload(Image.new("RGB", (64, 64), "teal"))
            >>> reference.media_type
            'image'
        """
        return await self._engine.run(workflows.upload_reference(media))
