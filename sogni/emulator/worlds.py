"""Hosted world builds: quoted, approved, rendered, reviewed, canceled.

Nothing is drawn: a build is its record and its events, which are not saved.
"""
# Protocol notes: account §18; workflows §9.

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from attrs import define

from sogni.emulator.account.accounts import Account, InsufficientFundsError, Token, decimal_text
from sogni.emulator.account.memberships import coverage_refusal
from sogni.emulator.durable import DurableRun, DurableRuns
from sogni.emulator.fields import Fields, present
from sogni.emulator.persistence import RunStatus, iso
from sogni.emulator.projects.orders import USD_PER_TOKEN, cents
from sogni.emulator.responses import NOT_FOUND, RefusedError

CONFLICT = 409
_QUOTE_SECONDS = 600.0
_TASK_SECONDS = 10.0
_USD = {"path": Decimal("0.10"), "moment": Decimal("0.05"), "collectible": Decimal("0.02")}
"""Price of a task by the kind of its hotspot."""
TaskStatus = Literal["pending", "awaiting_review", "approved", "rejected", "cancelled"]


def read_start(body: Fields) -> Mapping[str, Any]:
    """Read the body of a request to start a build; what the service would refuse becomes a finding."""
    _texts(body, "worldId", "nodeId")
    hotspots = body.raw("hotspots")
    if not isinstance(hotspots, list) or not hotspots:
        body.refuse("hotspots", "must be a list of at least one hotspot")
        hotspots = []
    for index, given in enumerate(hotspots):
        hotspot = body.object("hotspots", given, f"[{index}]")
        if hotspot is None:
            continue
        kind = hotspot.text("kind", required=True, allowed=tuple(_USD))
        _texts(hotspot, "object")
        action = hotspot.object("action", hotspot.raw("action"))
        if action is not None:
            _texts(action, "verb", "subject", "intent")
            action.leftover()
        if hotspot.has("leadsTo") and kind != "path":
            hotspot.refuse("leadsTo", "is for paths only")
        hotspot.leftover()
    body.raw("look")
    body.raw("audience")
    body.text("tokenType", allowed=("sogni", "spark"))
    body.text("billingMode", allowed=("auto", "subscription", "tokens"))
    return body.values


def _texts(fields: Fields, *keys: str) -> None:
    for key in keys:
        if fields.text(key, required=True) == "":
            fields.refuse(key, "must not be empty")


@define(eq=False)
class Task:
    """One hotspot of a build. ``takes`` counts what has been rendered for it."""

    id: str
    hotspot: Mapping[str, Any]
    status: TaskStatus = "pending"
    takes: int = 0
    note: str | None = None

    def wire(self) -> dict[str, object]:
        key = "generationId" if self.hotspot["kind"] == "path" else "interactionId"
        record: dict[str, object] = {key: self.id, "kind": self.hotspot["kind"], "status": self.status}
        return {**record, "takes": self.takes, **({} if self.note is None else {"note": self.note})}


@define(eq=False, kw_only=True)
class WorldBuild(DurableRun):
    """One build. ``reserved`` is what is reserved for it, ``quoted_until`` the time until which the quote is valid."""

    tasks: list[Task]
    token: Token
    price: Decimal
    waiting: dict[str, Any] | None = None
    quoted_until: float = 0.0
    reserved: bool = False
    reason: str | None = None

    def quote(self) -> dict[str, object]:
        return {"amount": decimal_text(self.price), "tokenType": self.token, "validUntil": iso(self.quoted_until)}

    def record(self, *, events: bool = True) -> dict[str, object]:
        """Return the build in the form of the REST API."""
        record: dict[str, object] = {
            "runId": self.id,
            "worldId": self.request["worldId"],
            "nodeId": self.request["nodeId"],
            "status": self.status,
            "tasks": [task.wire() for task in self.tasks],
            "quote": self.quote(),
            **self.times,
            **present({"waiting": self.waiting, "cancellationReason": self.reason}),
        }
        return {**record, "events": [event.wire() for event in self.log.since()]} if events else record


@define(eq=False)
class WorldBuilds(DurableRuns[WorldBuild]):
    """The builds of all accounts."""

    not_found = "World build not found"

    def start(self, account: Account, body: Mapping[str, Any], key: str | None) -> WorldBuild:
        """Start a build, or return the one that an earlier request with the same key has started."""
        known = self.known(account, key, body)
        if known is not None:
            return known
        covered = body.get("billingMode") == "subscription"
        refusal = coverage_refusal(account.membership) if covered else None
        if refusal is not None:
            raise RefusedError(402, refusal[1], refusal[0])
        now = self.state.clock()
        token: Token = "sogni" if body.get("tokenType") == "sogni" else "spark"
        usd = sum((_USD[hotspot["kind"]] for hotspot in body["hotspots"]), Decimal(0))
        build = WorldBuild(
            id=f"wb_{self.state.ids.uuid().lower()}",
            account=account,
            request=body,
            key=key,
            tasks=[Task(self.state.ids.uuid().lower(), hotspot) for hotspot in body["hotspots"]],
            log=self.new_log(),
            created=now,
            updated=now,
            token=token,
            price=Decimal(0) if covered else cents(usd / USD_PER_TOKEN[token]),
        )
        self.add(build)
        build.happened("run_started", {"worldId": body["worldId"], "nodeId": body["nodeId"]})
        self.launch(build, self._plan(build))
        return build

    # Decisions

    def decide(self, build: WorldBuild, decision: str) -> None:
        """Confirm, cancel or renew a quote."""
        if (build.waiting or {}).get("reason") not in ("cost_approval_required", "insufficient_credit"):
            raise RefusedError(CONFLICT, "The build is not waiting for approval of its cost", CONFLICT)
        if decision == "cancel":
            self.cancel(build, "cost_rejected")
        elif decision == "requote":
            self._quote(build)
        elif self.state.clock() > build.quoted_until:
            raise RefusedError(CONFLICT, "The quote has expired; request a new one", CONFLICT)
        else:
            self._confirm(build)

    def _confirm(self, build: WorldBuild) -> None:
        try:
            build.account.funds.reserve(build.token, build.price)
        except InsufficientFundsError as error:
            self._wait(build, "insufficient_credit", str(error), {"quote": build.quote()})
            return
        build.reserved = True
        self._run(build, "cost_confirmed", {"quote": build.quote()})

    def review(self, build: WorldBuild, task_id: str, decision: str, note: str | None) -> None:
        """Approve or reject the latest take of a task. The first rejection with a note buys another take."""
        task = next((it for it in build.tasks if it.id == task_id), None)
        if task is None:
            raise RefusedError(404, "The build has no such task", NOT_FOUND)
        if task.status != "awaiting_review":
            raise RefusedError(CONFLICT, f"The task is not waiting for a review: it is {task.status}", CONFLICT)
        again = decision == "rejected" and note is not None and task.takes == 1
        task.status, task.note = ("pending" if again else "approved" if decision == "approved" else "rejected"), note
        build.happened("task_reviewed", {**task.wire(), "decision": decision})
        statuses = {it.status for it in build.tasks}
        if "awaiting_review" in statuses:
            self._wait_for_review(build)
        elif "pending" in statuses:
            self._run(build, "run_resumed", {})
        else:
            mixed: RunStatus = "partial_failure" if "approved" in statuses else "failed"
            self._end(build, "completed" if statuses == {"approved"} else mixed)

    def cancel(self, build: WorldBuild, reason: str | None) -> None:
        """Cancel a build; one that has ended stays as it is."""
        if build.ended:
            return
        build.reason = reason or "cancelled_by_user"
        if build.task is not None:
            build.task.cancel()
        for task in build.tasks:
            task.status = task.status if task.status in ("approved", "rejected") else "cancelled"
        self._end(build, "cancelled")

    # Progress

    async def _step(self) -> None:
        await self.state.clock.sleep(self.state.clock.stage_seconds(_TASK_SECONDS, 0))
        await self.state.clock.running.wait()

    async def _plan(self, build: WorldBuild) -> None:
        await self._step()
        self._quote(build)

    def _quote(self, build: WorldBuild) -> None:
        build.quoted_until = self.state.clock() + _QUOTE_SECONDS
        self._wait(build, "cost_approval_required", "The cost must be approved", {"quote": build.quote()})

    def _run(self, build: WorldBuild, type: str, payload: Mapping[str, Any]) -> None:
        build.status, build.waiting = "running", None
        build.happened(type, payload)
        self.launch(build, self._render(build))

    async def _render(self, build: WorldBuild) -> None:
        for task in build.tasks:
            if task.status == "pending":
                await self._step()
                task.takes += 1
                task.status = "awaiting_review"
                build.happened("task_rendered", task.wire())
        self._wait_for_review(build)

    def _wait_for_review(self, build: WorldBuild) -> None:
        ids = [task.id for task in build.tasks if task.status == "awaiting_review"]
        self._wait(build, "review_required", "Results must be reviewed", {"taskIds": ids})

    def _wait(self, build: WorldBuild, reason: str, message: str, details: Mapping[str, Any]) -> None:
        build.status = "waiting_for_user"
        build.waiting = {"reason": reason, "message": message, "details": dict(details)}
        build.happened("run_waiting", build.waiting)
        self.state.recorder.notify()

    def _end(self, build: WorldBuild, status: RunStatus) -> None:
        build.status, build.waiting = status, None
        if build.reserved:
            # A rendered task costs its share whether or not its takes are approved; the others are free.
            rendered = sum(_USD[task.hotspot["kind"]] for task in build.tasks if task.takes)
            spent = cents(rendered / USD_PER_TOKEN[build.token]) if build.price else build.price
            build.account.funds.settle(build.token, build.price, spent, description="World build")
        build.happened(f"run_{status}", {"status": status}, ends=True)
        self.state.recorder.notify()

    def clear(self) -> None:
        """Cancel and remove every build."""
        for build in self.runs.values():
            self.cancel(build, "reset")
        DurableRuns.clear(self)
