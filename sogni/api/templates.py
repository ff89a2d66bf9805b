"""`client.workflows.templates`: workflows that are saved and started with inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..flows import templates
from ..models.templates import Listing, TemplatePage, WorkflowTemplate


class Templates:
    """Saved workflows: `workflows.start(workflow_id=template.id, inputs=…)` runs one."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def list(
        self, visibility: Listing | None = None, offset: int | None = None, limit: int | None = None
    ) -> TemplatePage:
        """A page of templates in `.templates`; `.next_cursor` is the `offset` of the page after it.

        `visibility` is `own`, `public` or `all`, `limit` at most 200 (workflows §7.2).
        """
        return self._engine.run(templates.list_templates(visibility, offset, limit))  # type: ignore[no-any-return]

    def iterate(self, visibility: Listing | None = None, limit: int = 100) -> Iterator[WorkflowTemplate]:
        """All templates, page by page of `limit` each, as far as they are asked for."""
        offset: int | None = None
        while True:
            page = self._engine.run(templates.list_templates(visibility, offset, limit))
            yield from page.templates
            if page.next_cursor is None or page.next_cursor <= (offset or 0):
                return
            offset = page.next_cursor

    def get(self, template_id: str) -> WorkflowTemplate:
        """A template. NotFoundError."""
        return self._engine.run(templates.get_template(template_id))  # type: ignore[no-any-return]

    def create(self, template: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Save a template; returns it as the service keeps it. Keys that are not known here travel unchanged."""
        return self._engine.run(templates.create_template(template))  # type: ignore[no-any-return]

    def update(self, template_id: str, changes: WorkflowTemplate | Mapping[str, Any]) -> WorkflowTemplate:
        """Change the fields given in `changes`; in a mapping, None clears one."""
        return self._engine.run(templates.update_template(template_id, changes))  # type: ignore[no-any-return]

    def delete(self, template_id: str) -> None:
        """Delete a template. NotFoundError."""
        self._engine.run(templates.delete_template(template_id))

    def fork(self, template_id: str, new_name: str | None = None) -> WorkflowTemplate:
        """Copy a template, also one of others that is public; returns the copy."""
        return self._engine.run(templates.fork_template(template_id, new_name))  # type: ignore[no-any-return]
