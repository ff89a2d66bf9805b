"""Workflow templates: their REST calls, whose responses come with or without an envelope."""

# Templates: workflows §7.

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from sogni.core import checks
from sogni.core.checks import extra_fields, is_finite_number, json_object, path_segment
from sogni.core.failures import api_error
from sogni.core.flow import Flow
from sogni.core.http import HttpCall, HttpReply, error_of, get, post
from sogni.core.requests import request, request_done
from sogni.core.workflows.requests import WORKFLOWS
from sogni.errors import ApiError
from sogni.models.converter import read, wire_form
from sogni.models.workflows import Listing, TemplatePage, WorkflowTemplate

TEMPLATES = f"{WORKFLOWS}/templates"
LISTINGS: tuple[str, ...] = get_args(Listing)
"""Allowed values of `visibility`."""
_MAX_LIMIT = 200
_LISTS = ("inputs", "stages", "tags")
_NULL = object()


def template_path(template_id: Any) -> str:
    """Return the path of a template."""
    return f"{TEMPLATES}/{path_segment('template_id', template_id)}"


def list_call(visibility: Any, offset: Any, limit: Any) -> HttpCall:
    """Return the request for a page of 1 to 200 templates."""
    visibility = None if visibility in (None, "") else checks.one_of("visibility", visibility, LISTINGS)
    offset = checks.optional(checks.integer, "offset", offset)
    limit = checks.optional(checks.integer, "limit", limit)
    return get(
        TEMPLATES,
        visibility=visibility,
        offset=offset if offset is not None and offset >= 0 else None,
        limit=min(limit, _MAX_LIMIT) if limit is not None and limit > 0 else None,
    )


def get_call(template_id: Any) -> HttpCall:
    """Return the request for a template."""
    return get(template_path(template_id))


def create_call(template: Any) -> HttpCall:
    """Return the request that saves a template; further keys are sent unchanged."""
    return post(TEMPLATES, template_form("template", template))


def update_call(template_id: Any, changes: Any) -> HttpCall:
    """Return the request that changes some fields of a template."""
    return HttpCall(method="PATCH", path=template_path(template_id), body=template_form("changes", changes))


def delete_call(template_id: Any) -> HttpCall:
    """Return the request that deletes a template."""
    return HttpCall(method="DELETE", path=template_path(template_id))


def fork_call(template_id: Any, new_name: Any) -> HttpCall:
    """Return the request that copies a template."""
    name = checks.optional(checks.text, "new_name", new_name)
    return post(f"{template_path(template_id)}/fork", {"newName": name} if name else {})


def template_form(field: str, template: Any) -> dict[str, Any]:
    """Return a template, or a part of one, in wire form. None in a mapping is sent: it clears a field."""
    try:
        # `wire_form` omits None.
        wire = _replaced(wire_form(WorkflowTemplate, _replaced(template, None, _NULL)), _NULL, None)
    except RecursionError as error:
        raise checks.invalid_value(field, type(template).__name__, "JSON values") from error
    plain = json_object(field, wire)
    for name in _LISTS:
        checks.reject_none_items(f"{field}.{name}", plain.get(name))
    return plain


def _replaced(value: Any, old: Any, new: Any) -> Any:
    """Return a value with `new` in place of every `old` in its mappings and lists."""
    if isinstance(value, Mapping):
        return {key: _replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, old, new) for item in value]
    return new if value is old else value


_PAGE_FIELDS = frozenset({"status", "templates", "next", "nextCursor"})


def read_page(call: HttpCall, reply: HttpReply) -> TemplatePage:
    """Return the page in a response, without invalid entries. Raises `ApiError`."""
    page = unwrapped(call, reply)
    listed = page.get("templates")
    templates = [entry for entry in listed if _is_template(entry)] if isinstance(listed, list) else []
    cursors = [cursor for key in ("next", "nextCursor") if (cursor := _cursor(page.get(key))) is not None]
    return TemplatePage(
        templates=[read(WorkflowTemplate, entry, "a template in a list") for entry in templates],
        next_cursor=next(iter(cursors), None),
        extra=extra_fields(page, _PAGE_FIELDS),
    )


def _cursor(value: Any) -> int | None:
    return int(value) if is_finite_number(value) else None


def read_template(call: HttpCall, reply: HttpReply) -> WorkflowTemplate:
    """Return the template in a response. Raises `ApiError`, with the status 500 if there is none."""
    template = unwrapped(call, reply).get("template")
    if not _is_template(template):
        raise missing_member(call, "template")
    return read(WorkflowTemplate, template, f"the response to {call.method} {call.path}")


def _is_template(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str) and isinstance(entry.get("name"), str)


def unwrapped(call: HttpCall, reply: HttpReply) -> Mapping[str, Any]:
    """Return the members of a response, with or without envelope. Raises `ApiError`."""
    # Both exist: workflows §7.4.
    body = members_of(call, reply)
    data = body.get("data")
    return data if body.get("status") == "success" and isinstance(data, Mapping) else body


def members_of(call: HttpCall, reply: HttpReply) -> Mapping[str, Any]:
    """Return the members of a response without envelope; empty if it is not an object. Raises `ApiError`."""
    if not reply.ok:
        raise error_of(call, reply)
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, Mapping) else {}


def missing_member(call: HttpCall, name: str) -> ApiError:
    """Return the error for a successful response without the requested member."""
    message = f"{call.method} {call.path}: the response has no {name}"
    payload = {"status": "error", "message": message, "errorCode": 0}
    return api_error(500, message, error_code=0, payload=payload, retry_after=None, method=call.method, url=call.path)


# Flows


def list_templates(visibility: str | None, offset: int | None, limit: int | None) -> Flow[TemplatePage]:
    """Return a page of templates."""
    call = list_call(visibility, offset, limit)
    return read_page(call, (yield from request(call)))


def get_template(template_id: str) -> Flow[WorkflowTemplate]:
    """Return a template."""
    return (yield from _template(get_call(template_id)))


def create_template(template: Any) -> Flow[WorkflowTemplate]:
    """Save a template."""
    return (yield from _template(create_call(template)))


def update_template(template_id: str, changes: Any) -> Flow[WorkflowTemplate]:
    """Change a template."""
    return (yield from _template(update_call(template_id, changes)))


def delete_template(template_id: str) -> Flow[None]:
    """Delete a template."""
    yield from request_done(delete_call(template_id))


def fork_template(template_id: str, new_name: str | None) -> Flow[WorkflowTemplate]:
    """Copy a template."""
    return (yield from _template(fork_call(template_id, new_name)))


def _template(call: HttpCall) -> Flow[WorkflowTemplate]:
    reply = yield from request(call)
    return read_template(call, reply)
