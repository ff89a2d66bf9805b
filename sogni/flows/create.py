"""Creating a project: decides the order of checking, uploading, registering and sending (projects-4.2 §4.6).

Everything that can be refused here is refused before anything is uploaded; the project is tracked
before its frame is written, so that no answer is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from ..errors import CostLimitError, ValidationError
from ..models.params import ProjectParams
from ..protocol.attribution import workload
from ..protocol.client_state import ClientState
from ..protocol.job_state import JobState
from ..protocol.media_types import sniff
from ..protocol.project_kinds import kind_of
from ..protocol.project_params import project_params
from ..protocol.project_state import ProjectState
from ..protocol.tool_media import Remote
from ..protocol.upload_plan import UploadItem
from .cancel import cancel_frame
from .catalogue import model_options
from .estimates import DEFAULT_TOKEN, estimate_params
from .requests import FAILURES
from .sending import send_frame
from .steps import Flow, change, compute, new_id, open_media, write_frame
from .transfers import fetch_address, spool_result, upload_media

Sources = list[list[tuple[UploadItem, Any]]]


def create_project(
    given: ProjectParams | None,
    fields: Mapping[str, Any],
    max_cost: Any = None,
    announce: Callable[[str], None] | None = None,
    *,
    unattended: bool = False,
) -> Flow[ProjectState]:
    """Check, upload and send a project; returns it once its request was written.

    `announce` is called with the project's id before anything of it is sent. ValidationError, TypeError,
    CostLimitError come before that, too; then ApiError, connection errors. An `unattended` one is in nobody's
    hands but the caller's: interrupted while it is sent, it is canceled.
    """
    limit = cost_limit(max_cost)
    params = project_params(given, fields)
    kind = kind_of(params)
    params = kind.check(params)
    yield from change(lambda state, _: state.check_may_connect())
    sources: Sources = []
    try:
        yield from _open_sources(kind.uploads(params), sources)
        options = yield from model_options(params.model_id)
        project_id = yield from new_id()
        settings = yield from change(lambda state, _: state.settings)
        payload = kind.request(params, project_id=project_id, options=options, app_source=settings.app_source)
        payload |= workload(settings.attribution, params.attribution, project_id)
        for group in sources:
            for item, source in group:
                kind.annotate(payload, item, source.content_type)
        if limit is not None:
            yield from affordable(params, limit)
        if announce is not None:
            yield from compute("announcing the project", partial(announce, project_id))
        yield from upload_media(project_id, sources)
    finally:
        _close(sources)
    return (yield from submit(project_id, params, payload, unattended=unattended))


def check_media(params: ProjectParams) -> Flow[None]:
    """Look at every file of a project that is created later. ValidationError, OSError."""
    sources: Sources = []
    try:
        yield from _open_sources(kind_of(params).uploads(params), sources)
    finally:
        _close(sources)


def _close(sources: Sources) -> None:
    for group in sources:
        for _, source in group:
            source.close()


def _open_sources(groups: list[list[UploadItem]], sources: Sources) -> Flow[None]:
    """Look at every file before anything is sent, so that a bad one costs nothing."""
    for group in groups:
        opened: list[tuple[UploadItem, Any]] = []
        sources.append(opened)
        for item in group:
            source = yield from open_source(item.field, item.media)
            opened.append((item, source))
            source.content_type = item.check(source.name, sniff(source.head, item.slot))


def open_source(name: str, media: Any) -> Flow[Any]:
    """A media source for any input; a finished job stands for its result, a trusted address for what is there."""
    if isinstance(media, Remote):
        return (yield from fetch_address(media))
    state = media if isinstance(media, JobState) else getattr(media, "_state", None)
    if state is not None and hasattr(state, "has_result_media"):
        if not state.has_result_media:
            raise ValidationError(
                f"{name}: job {state.id} is {state.status} and has no result to use",
                field=name,
                value=state.id,
                allowed="a completed job",
            )
        return (yield from spool_result(state, name))
    return (yield from open_media(name, media))


def submit(project_id: str, params: Any, payload: dict[str, Any], *, unattended: bool = False) -> Flow[ProjectState]:
    """Track a project and write its request; a request that was not written leaves nothing behind."""

    perhaps_sent = False

    def register(state: ClientState, now: float) -> ProjectState:
        project = ProjectState(
            project_id,
            params,
            state.out,
            now=now,
            kind=state.kind_of(params.model_id),
            listening=state.listening,
        )
        project.request = payload
        project.being_sent = True
        state.track(project, now)
        return project

    def sending(state: ClientState, now: float) -> None:
        nonlocal perhaps_sent
        perhaps_sent = True
        project.app_id = state.app_id
        project.sent_at = now
        project.sent_generation = state.connection.generation

    project = yield from change(register)
    try:
        yield from send_frame("jobRequest", payload, sending)
    except FAILURES:
        project.abandon()
        raise
    except BaseException as interruption:
        # Nobody knows whether the frame went out. If it may have, the project is not forgotten: it is tracked,
        # and the next reconciliation tells what became of it.
        if not perhaps_sent:
            project.abandon()
        elif unattended and not isinstance(interruption, GeneratorExit | SystemExit):
            yield from write_frame("jobError", cancel_frame(project_id))
        raise
    finally:
        project.being_sent = False
    return project


def cost_limit(max_cost: Any) -> Decimal | None:
    """A cost limit as an exact amount. ValidationError for what is none."""
    if max_cost is None:
        return None
    try:
        amount = Decimal(str(max_cost)) if not isinstance(max_cost, bool) else None
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite() or amount < 0:
        raise ValidationError(
            f"max_cost must be an amount of 0 or more, not {max_cost!r}",
            field="max_cost",
            value=max_cost,
            allowed="0 or more",
        )
    return amount


def affordable(params: ProjectParams, limit: Decimal, left: Decimal | None = None) -> Flow[Decimal]:
    """What the project with these params costs. CostLimitError above the limit, or when that is not to be had.

    `left` is what remains of the limit when it is for several projects.
    """
    bound, shown = (limit, f"max_cost={limit}") if left is None else (left, f"what is left of max_cost={limit}: {left}")
    try:
        estimate = yield from estimate_params(params)
    except FAILURES as error:
        raise CostLimitError(f"no estimate to hold against max_cost={limit}: {error}", max_cost=limit) from error
    cost = estimate.token
    if cost is None or cost > bound:
        token = params.token_type or DEFAULT_TOKEN
        raise CostLimitError(
            f"the estimate is {'unknown' if cost is None else f'{cost} {token}'}, above {shown}",
            estimate=estimate,
            max_cost=limit,
        )
    return cost
