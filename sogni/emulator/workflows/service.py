"""Workflow requests: starting, listing, resuming, reseeding, canceling and approving runs.

Knows no HTTP beyond the status of a ``RefusedError``.
"""
# Protocol notes: workflows §2, §5.

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from attrs import define, field, frozen

from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.persistence import iso
from sogni.emulator.projects.estimates import USD_PER_TOKEN
from sogni.emulator.responses import NOT_FOUND, RefusedError
from sogni.emulator.tools.runner import capacity_units
from sogni.emulator.workflows.engine import Engine
from sogni.emulator.workflows.plans import body_problems, estimate_plan, plan_problems
from sogni.emulator.workflows.runs import Run, Step

INSUFFICIENT_BALANCE = 123
CONFLICT = 409
_PREVIEW_LIFETIME = 600.0


@frozen(kw_only=True)
class StartRequest:
    """A request to start a plan, made from a template or given; ``body`` is the whole request."""

    plan: Mapping[str, Any]
    body: Mapping[str, Any]
    key: str | None = None
    template_id: str | None = None
    inputs: Mapping[str, Any] | None = None
    references: tuple[Mapping[str, Any], ...] = ()


@define(eq=False)
class WorkflowService:
    """Handles workflow requests. ``limit`` is the number of active workflows per account."""

    engine: Engine
    limit: int
    turn: asyncio.Lock = field(factory=asyncio.Lock)
    """Held while a start is decided: two requests with one key must not both start."""
    _keys: dict[tuple[str, str, str], str] = field(factory=dict)

    def restore(self) -> None:
        """Load the idempotency keys of saved runs."""
        self.engine.restore()
        for run in self.engine.runs.values():
            if run.idempotency_key is not None:
                self._keys[(run.owner, run.cloned_from or "", run.idempotency_key)] = run.id

    def clear(self) -> None:
        self._keys.clear()

    def find(self, id: str, account: Account) -> Run:
        run = self.engine.runs.get(id)
        if run is None or run.owner != account.wallet_address:
            raise RefusedError(404, "Workflow not found", NOT_FOUND)
        return run

    def of(self, account: Account, limit: int | None, offset: int) -> list[Run]:
        """Return an account's runs, newest first."""
        visible = [run for run in reversed(self.engine.runs.values()) if run.owner == account.wallet_address]
        return visible[offset:] if limit is None else visible[offset : offset + limit]

    def known(self, account: Account, key: str | None, body: object, source: str = "") -> Run | None:
        """Return the run that an earlier request with the same key has started."""
        known = self._keys.get((account.wallet_address, source, key)) if key else None
        run = None if known is None else self.engine.runs.get(known)
        if run is not None and run.fingerprint != fingerprint(body):
            where = "Idempotency-Key"
            self.engine.tools.state.recorder.violation(where, "was used before with a different body")
        return run

    async def start(self, account: Account, request: StartRequest) -> Run:
        """Start a workflow, or raise ``RefusedError``."""
        body = request.body
        given = body.get("media_references")
        references = [*(given if isinstance(given, list) else ()), *request.references]
        _refuse([*body_problems(body), *plan_problems(request.plan, has_media=bool(references))])
        run = self._run(account, request, references)
        await self._price(run, account, body.get("max_estimated_capacity_units"))
        self._check_limit(account)
        if request.key:
            self._keys[(run.owner, "", request.key)] = run.id
        self.engine.add(run)
        return run

    async def reseed(self, account: Account, source: Run, body: Mapping[str, Any], key: str | None) -> Run:
        """Start another take of a run that has delivered something."""
        if source.status not in ("completed", "partial_failure"):
            raise RefusedError(CONFLICT, f"A workflow that is {source.status} cannot be reseeded")
        _refuse(body_problems(body))
        overrides = body.get("seed_overrides") or {}
        unknown = [name for name in overrides if source.step(name) is None]
        _refuse([f"seed_overrides: {name!r} is not a step of the workflow" for name in unknown])
        request = StartRequest(
            plan=source.plan, body=body, key=key, template_id=source.template_id, inputs=source.inputs
        )
        run = self._run(account, request, source.references)
        run.cloned_from, run.safe_content_filter = source.id, source.safe_content_filter
        if body.get("token_type") is None:
            run.token = source.token
        run.app_source = run.app_source or source.app_source
        for step in run.steps:
            step.arguments.pop("seed", None)
            step.seed = overrides.get(step.id, step.seed)
        await self._price(run, account, None)
        run.cost_approved = True
        self._check_limit(account)
        if key:
            self._keys[(run.owner, source.id, key)] = run.id
        self.engine.add(run)
        return run

    def resume(self, run: Run, body: Mapping[str, Any]) -> bool:
        """Resume a waiting run; return False if it is not waiting."""
        _refuse(body_problems(body))
        if run.status != "waiting_for_user":
            return False
        self._check_limit(self.engine.account(run))
        run.cost_approved = True
        if body.get("token_type") in ("spark", "sogni"):
            run.token = cast(Token, body["token_type"])
        for step in run.steps:
            if step.status == "waiting_for_user":
                step.status = "pending"
                if (step.waiting or {}).get("reason") == "ask_clarifying_question":
                    step.arguments |= {"answered": True, "answer": body.get("answer") or body.get("message")}
        self.engine.resume(run)
        return True

    async def confirm_cost(self, run: Run, body: Mapping[str, Any]) -> None:
        """Decide on the cost of a run that waits for approval."""
        # Protocol notes: workflows §1; chat §14.6.
        decision = body.get("decision")
        if decision not in ("confirm", "cancel"):
            raise RefusedError(400, "decision must be confirm or cancel")
        if run.status != "waiting_for_user" or (run.waiting or {}).get("reason") != "cost_approval_required":
            raise RefusedError(CONFLICT, "The workflow is not waiting for approval of its cost")
        if decision == "cancel":
            await self.engine.cancel(run)
        else:
            self.resume(run, {})

    def _run(self, account: Account, request: StartRequest, references: list[Any]) -> Run:
        state, body = self.engine.tools.state, request.body
        now = state.clock()
        name = f"wf_{state.ids.uuid().lower()}"
        token = body.get("token_type")
        filtered = body.get("safe_content_filter")
        return Run(
            id=name,
            owner=account.wallet_address,
            plan=json.loads(json.dumps(request.plan)),
            steps=[self._step(entry, index) for index, entry in enumerate(request.plan["steps"])],
            log=self.engine.new_log(name),
            created=now,
            updated=now,
            token="sogni" if token == "sogni" else "spark",
            app_source=body.get("app_source"),
            references=references,
            safe_content_filter=filtered if isinstance(filtered, bool) else True,
            cost_approved=body.get("confirm_cost") is not False,
            template_id=request.template_id,
            inputs=None if request.inputs is None else dict(request.inputs),
            idempotency_key=request.key,
            fingerprint=fingerprint(body),
        )

    def _step(self, entry: Mapping[str, Any], index: int) -> Step:
        arguments = json.loads(json.dumps(entry.get("arguments") or {}))
        requested = arguments.get("seed")
        drawn = self.engine.tools.state.ids.image_seed()
        fixed = isinstance(requested, int) and not isinstance(requested, bool) and requested >= 0
        return Step(
            id=str(entry.get("id") or f"step-{index + 1}"),
            index=index,
            tool=entry["toolName"],
            arguments=arguments,
            depends_on=json.loads(json.dumps(entry.get("dependsOn") or [])),
            seed=requested if fixed else drawn,
        )

    async def _price(self, run: Run, account: Account, limit: object) -> None:
        """Estimate the price of a run; refuse it if it exceeds the budget or the balance."""
        total = await estimate_plan(self.engine.tools, run, account)
        run.preview = self._preview(run, total)
        units = run.preview["totalEstimatedCapacityUnits"]
        if isinstance(limit, int | float) and units > limit:
            details = {"estimatedCapacityUnits": units, "maxEstimatedCapacityUnits": limit}
            message = f"The workflow is estimated at {units} capacity units; the limit is {limit}"
            raise RefusedError(400, message, details=details)
        balance = account.balance
        # Free credits may not pay for every step; one they do not pay for pauses the run.
        owned = balance.spark + balance.free_spark if run.token == "spark" else balance.sogni
        if total > owned:
            details = {"required": str(total), "available": str(owned), "tokenType": run.token}
            raise RefusedError(402, "Insufficient balance for the workflow", INSUFFICIENT_BALANCE, details=details)

    def _preview(self, run: Run, total: Decimal) -> dict[str, Any]:
        state = self.engine.tools.state
        steps = [
            {"stepId": step.id, "toolName": step.tool, "capacityUnits": capacity_units(step.estimate)}
            for step in run.steps
        ]
        return {
            "totalEstimatedCapacityUnits": sum(step["capacityUnits"] for step in steps),
            "estimatedCost": float(total),
            "estimatedUSD": float(total * USD_PER_TOKEN[run.token]),
            "tokenType": run.token,
            "validityUntil": iso(state.clock() + _PREVIEW_LIFETIME),
            "perStepBreakdown": steps,
        }

    def _check_limit(self, account: Account) -> None:
        active = sum(run.status in ("queued", "running") for run in self.of(account, None, 0))
        if active >= self.limit:
            details = {"activeWorkflows": active, "activeWorkflowLimit": self.limit}
            message = f"The limit of {self.limit} active workflows is reached; wait for one to end"
            raise RefusedError(CONFLICT, message, details=details)


def fingerprint(body: object) -> str:
    """Return a digest that identifies a request body."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def _refuse(problems: list[str]) -> None:
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        text = "; ".join(problems[:5]) + more
        raise RefusedError(400, f"Invalid workflow request: {text}", details={"problems": problems})
