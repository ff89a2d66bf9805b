"""Project requests: accept or refuse a project, charge for it, queue it, and cancel it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define

from sogni.emulator.account.accounts import ZERO, Account, InsufficientFundsError
from sogni.emulator.account.memberships import coverage_refusal
from sogni.emulator.catalogue.loras import LORAS
from sogni.emulator.connections import Connection
from sogni.emulator.faults import CancelDenial, ProjectRefusal, SocketDrop
from sogni.emulator.projects.orders import Order
from sogni.emulator.projects.projects import Job, Project
from sogni.emulator.projects.request_checks import INVALID_REQUEST, check_request, project_id_of
from sogni.emulator.projects.storage import Key
from sogni.emulator.rendering.workers import WorkerPool
from sogni.emulator.state import State

INSUFFICIENT_BALANCE = 123
"""The service's error code for insufficient funds."""
# Protocol notes: account §19.
_NO_DETAILS: Mapping[str, Any] = {}


@define(eq=False)
class ProjectService:
    """Handles project requests and cancellations."""

    state: State
    pool: WorkerPool

    def job_request(self, connection: Connection, payload: Any) -> None:
        """Handle a ``jobRequest`` frame."""
        project_id = project_id_of(payload)
        if project_id is None:
            self.state.recorder.violation(
                "jobRequest $.jobID", "must be a string; the refusal cannot be sent without it"
            )
            return
        refusal = self.state.faults.take(ProjectRefusal)
        if refusal is not None:
            _refuse(connection, project_id, refusal.error, refusal.message, refusal.details)
            return
        known = self.state.projects.find(project_id)
        if known is not None:
            self._again(connection, known, payload)
            return
        loras = {**LORAS, **self.state.personal_loras.usable(connection.account)}
        checked = check_request(payload, self.state.catalogue, self.state.kinds, connection.network, loras)
        for finding in checked.findings:
            self.state.recorder.violation(f"jobRequest {finding.where}", finding.message)
        if checked.order is None:
            _refuse(connection, project_id, checked.code, checked.message)
            return
        self._accept(connection, checked.order)

    def _accept(self, connection: Connection, order: Order) -> None:
        inputs = self._inputs(connection, order)
        if inputs is None:
            return
        covered = order.request.get("billingMode") == "subscription"
        refused = coverage_refusal(connection.account.membership) if covered else None
        if refused is not None:
            _refuse(connection, order.project_id, *refused)
            return
        try:
            project = open_project(self.state, order, connection.account, connection.app_id, inputs, covered=covered)
        except InsufficientFundsError as error:
            _refuse(connection, order.project_id, INSUFFICIENT_BALANCE, str(error))
            return
        drop = self.state.faults.take(SocketDrop, "request_received", -1)
        if drop is not None:
            connection.end(drop.code)
        self.pool.add(project)

    def _inputs(self, connection: Connection, order: Order) -> Mapping[str, Path] | None:
        """Return the uploaded files; refuse the project and return None if one is missing or of the wrong type."""
        found, missing = {}, []
        for role in order.uploads:
            stored = self.state.store.find(Key(order.project_id, "", role))
            if stored is None:
                missing.append(role)
            else:
                found[role] = stored.path
        message = self.state.kinds[order.media].wrong_uploads(found)
        if missing:
            message = f"The request says these files were uploaded, but they were not: {', '.join(missing)}"
        if message is None:
            return found
        self.state.recorder.violation("jobRequest", message)
        _refuse(connection, order.project_id, INVALID_REQUEST, message)
        return None

    def _again(self, connection: Connection, project: Project, payload: Any) -> None:
        """Answer a repeated request with the state of its project; nothing is generated twice."""
        # Protocol notes: projects-5x §9.6. Clients repeat a request unchanged.
        if payload != project.order.request:
            self.state.recorder.violation("jobRequest", "must not change when it is repeated")
        if project.account is not connection.account:
            _refuse(connection, project.id, INVALID_REQUEST, "The project ID is in use")
        elif project.waiting:
            connection.send("jobState", self.pool.queued_state(project))
        elif project.status == "completed":
            connection.send("jobState", {"type": "jobCompleted", "jobID": project.id})

    def cancel(self, connection: Connection, payload: Any) -> None:
        """Handle a ``jobError`` frame, which cancels a project."""
        # Protocol notes: projects-4.2 §14.1.
        project_id = project_id_of(payload)
        if project_id is None:
            self.state.recorder.violation("jobError $.jobID", "must be a string")
            return
        if payload.get("error") != "artistCanceled" or payload.get("isFromWorker") is not False:
            self.state.recorder.violation("jobError", "must have error 'artistCanceled' and isFromWorker false")
        refusal = self._cancel_refusal(connection, project_id)
        answer: dict[str, Any] = {"jobID": project_id, "didCancel": refusal is None}
        if refusal is not None:
            answer["error_message"] = refusal
        else:
            self.pool.cancel(self.state.projects.find(project_id))
        connection.send("artistCancelConfirmation", answer)
        self.state.recorder.notify()

    def _cancel_refusal(self, connection: Connection, project_id: str) -> str | None:
        project = self.state.projects.find(project_id, connection.account)
        if project is None:
            return "Project not found"
        if project.finished:
            return "The project is already finished"
        denial = self.state.faults.take(CancelDenial)
        return None if denial is None else denial.message


def open_project(
    state: State, order: Order, account: Account, app_id: str, inputs: Mapping[str, Path], *, covered: bool = False
) -> Project:
    """Reserve the price of a project and register it, or raise ``InsufficientFundsError``."""
    quote, now = order.work.quote(state.catalogue).times(order.count), state.clock()
    cost = ZERO if covered else quote.in_token(order.token)
    free_credits = account.funds.reserve(order.token, cost, model_id=order.model.id)
    project = Project(
        id=order.project_id,
        sid=len(state.projects) + 1,
        account=account,
        app_id=app_id,
        order=order,
        cost=cost,
        seconds=float(quote.seconds) / order.count,
        free_credits=free_credits,
        created=now,
        updated=now,
        inputs=inputs,
        jobs=[Job(index, state.ids.uuid(), _seed(state, order, index), now) for index in range(order.count)],
    )
    state.projects.add(project)
    return project


def _seed(state: State, order: Order, index: int) -> int:
    """Return the seed of a result: a single result uses that of the request, others get their own."""
    # Protocol notes: projects-4.2 §3.1.
    return state.ids.image_seed() if order.seed is None else result_seed(order.seed, index)


def result_seed(seed: int, index: int) -> int:
    """Return the seed of one of several results."""
    return (seed + index * 0x9E3779B1) % 2**32


def _refuse(
    connection: Connection, project_id: str, error: int | str, message: str, details: Mapping[str, Any] = _NO_DETAILS
) -> None:
    refusal = {"jobID": project_id, "isFromWorker": False, "error": error, "error_message": message}
    connection.send("jobError", {**refusal, **details})
