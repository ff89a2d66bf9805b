"""Workflow templates: asking for them, saving, changing and copying them (workflows §7).

Called by `client.workflows.templates`. Needs no socket.
"""

from __future__ import annotations

from typing import Any

from ..models.templates import TemplatePage, WorkflowTemplate
from ..protocol import template_calls as calls
from ..protocol.http import HttpCall
from .requests import request, request_done
from .steps import Flow


def list_templates(visibility: str | None, offset: int | None, limit: int | None) -> Flow[TemplatePage]:
    """A page of templates."""
    call = calls.list_call(visibility, offset, limit)
    return calls.read_page(call, (yield from request(call)))


def get_template(template_id: str) -> Flow[WorkflowTemplate]:
    """Ask for a template."""
    return (yield from _template(calls.get_call(template_id)))


def create_template(template: Any) -> Flow[WorkflowTemplate]:
    """Save a template."""
    return (yield from _template(calls.create_call(template)))


def update_template(template_id: str, changes: Any) -> Flow[WorkflowTemplate]:
    """Change a template."""
    return (yield from _template(calls.update_call(template_id, changes)))


def delete_template(template_id: str) -> Flow[None]:
    """Delete a template."""
    yield from request_done(calls.delete_call(template_id))


def fork_template(template_id: str, new_name: str | None) -> Flow[WorkflowTemplate]:
    """Copy a template."""
    return (yield from _template(calls.fork_call(template_id, new_name)))


def _template(call: HttpCall) -> Flow[WorkflowTemplate]:
    reply = yield from request(call)
    return calls.read_template(call, reply)
