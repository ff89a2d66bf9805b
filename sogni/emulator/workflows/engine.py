"""Durable workflows: starting, approving, reseeding and canceling them, and running their steps.

Every event is saved before it is published. Knows no HTTP beyond the status of a ``RefusedError``.
"""
# Protocol notes: workflows §2, §3, §5, §6.

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from attrs import define, field, frozen

from sogni.core.tools.hosted import parameters_of, tool_names
from sogni.emulator.account.accounts import Account, Token
from sogni.emulator.durable import SavedRuns
from sogni.emulator.persistence import ENDED, RunStatus, iso, saved
from sogni.emulator.projects.orders import USD_PER_TOKEN
from sogni.emulator.responses import RefusedError
from sogni.emulator.tools.media_library import Media, MediaLibrary, ToolError, UserNeededError
from sogni.emulator.tools.renderer import ToolCall
from sogni.emulator.tools.runner import ToolRunner, capacity_units
from sogni.emulator.tools.text_tools import parse_subtitles
from sogni.emulator.workflows.plans import body_problems, estimate_plan, plan_problems
from sogni.emulator.workflows.runs import INPUT_MEDIA, SETTLED, Run, Step


@define(eq=False)
class Binding:
    """Fills in the arguments of one step."""

    tools: ToolRunner
    run: Run
    step: Step
    library: MediaLibrary

    async def arguments(self) -> dict[str, object]:
        """Return the step's arguments with the results of its dependencies; raise ``ToolError`` if one is missing."""
        filled = dict(self.step.arguments)
        for dependency in self.step.depends_on:
            target = dependency["targetArgument"]
            values = await self._values(dependency)
            if not values and dependency.get("required") is not False:
                requested = f"{dependency['sourceStepId']} gives nothing for {target} ({dependency['transform']})"
                raise ToolError("DEPENDENCY_MISSING", f"The step {self.step.id} cannot run: {requested}")
            if not values:
                continue
            if self._takes_list(target):
                current = filled.get(target)
                filled[target] = [*(current if isinstance(current, list) else []), *values]
            else:
                filled[target] = values[0]
                if dependency["transform"].endswith("_index"):
                    self.library.bound[target] = self._media(dependency, dependency["transform"])[0]
        return filled

    def _takes_list(self, target: str) -> bool:
        known = parameters_of(self.step.tool)["properties"] if self.step.tool in tool_names() else {}
        if "type" in known.get(target, {}):
            return bool(known[target]["type"] == "array")
        return target in ("cues", "overlays") or target.endswith(("Indices", "_urls", "Urls"))

    async def _values(self, dependency: Mapping[str, Any]) -> list[Any]:
        transform = dependency["transform"]
        if transform in ("subtitle_cues", "subtitle_srt"):
            return self._subtitles(dependency, transform)
        media = self._media(dependency, transform)
        if transform in ("artifact_url", "image_url", "video_url", "audio_url"):
            return [self.tools.url(item) for item in media]
        if transform == "artifact_data_uri":
            return [await self._data_uri(item) for item in media]
        if transform.endswith("_index"):
            return [self.library.index(item) for item in media]
        if transform == "overlay_items":
            return self._overlays(dependency, media)
        return [{**item.wire(self.tools.url(item)), "index": self.library.index(item)} for item in media]

    def _source(self, dependency: Mapping[str, Any]) -> Step | None:
        return self.run.step(str(dependency["sourceStepId"]))

    def _media(self, dependency: Mapping[str, Any], transform: str) -> list[Media]:
        """Return the artifacts of a dependency: of one kind, one by ID or number, or all."""
        source = self._source(dependency)
        if dependency["sourceStepId"] == INPUT_MEDIA:
            media: Sequence[Media] = self.run.uploads or ()
        else:
            media = () if source is None else source.media
        kind = transform.partition("_")[0]
        kinds = {dependency.get("mediaType")} if dependency.get("mediaType") else {"image", "video", "audio"}
        if kind in ("image", "video", "audio"):
            kinds &= {kind}
        found = [item for item in media if item.kind in kinds]
        requested, index = dependency.get("sourceArtifactId"), dependency.get("sourceArtifactIndex")
        if requested is not None:
            found = [item for item in found if item.id == requested]
        if index is not None:
            found = found[index : index + 1]
        return found

    async def _data_uri(self, media: Media) -> str:
        state = self.tools.state
        stored = state.store.find(media.key)
        if stored is None:
            raise ToolError("MEDIA_NOT_FOUND", f"The {media.kind} {media.id} is no longer available")
        content = await state.store.content(stored)
        return f"data:{media.mime};base64,{base64.b64encode(content).decode('ascii')}"

    def _overlays(self, dependency: Mapping[str, Any], media: Sequence[Media]) -> list[Any]:
        source = self._source(dependency)
        items = None if source is None else source.facts.get("overlays")
        if isinstance(items, list):
            return items
        return [
            {"kind": "image", "sourceImageIndex": self.library.index(item), "position": "bottom-right"}
            for item in media
            if item.kind == "image"
        ]

    def _subtitles(self, dependency: Mapping[str, Any], transform: str) -> list[Any]:
        """Return cues or SRT from a step's findings: its cues, its SRT, or its text as one cue."""
        source = self._source(dependency)
        facts = {} if source is None else source.facts
        cues = facts.get("cues")
        if not isinstance(cues, list):
            text = next((facts[name] for name in ("srt", "response", "analysis", "answer") if facts.get(name)), None)
            if text is None:
                return []
            timed = parse_subtitles(text) if "-->" in text else [(0.0, 5.0, str(text))]
            cues = [{"startSeconds": start, "endSeconds": end, "text": words} for start, end, words in timed]
        return cues if transform == "subtitle_cues" else [_srt(cues)]


def _srt(cues: Sequence[Mapping[str, Any]]) -> str:
    blocks = [
        f"{number}\n{_clock(cue['startSeconds'])} --> {_clock(cue['endSeconds'])}\n{cue['text']}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def _clock(seconds: float) -> str:
    total, milli = divmod(round(seconds * 1000), 1000)
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d},{milli:03d}"


_log = logging.getLogger(__name__)
_WAITS = {"INSUFFICIENT_CREDIT": "insufficient_credit"}
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
class Workflows(SavedRuns[Run]):
    """The workflows of all accounts. ``limit`` is the number of active ones per account."""

    kind = "workflow"
    not_found = "Workflow not found"

    tools: ToolRunner
    limit: int
    turn: asyncio.Lock = field(factory=asyncio.Lock)
    """Held while a start is decided: two requests with one key must not both start."""

    def loaded(self, account: Account, body: Mapping[str, Any]) -> Run:
        run = Run(id="", account=account, log=self.new_log(), created=0, updated=0, plan={}, steps=[])
        run.load(body)
        return run

    def interrupted(self, run: Run) -> None:
        """Reset interrupted steps, so that they start again; finished ones stay finished."""
        for step in run.steps:
            if step.status == "running":
                step.status = "pending"
                with self.state.archive.transaction():
                    step.give_back(run.account)
                    self.keep(run)

    def resume_all(self) -> None:
        """Resume the saved, unfinished runs."""
        for run in self.runs.values():
            if run.status in ("queued", "running"):
                self.launch(run, self._work(run))

    # Requests

    async def start(self, account: Account, request: StartRequest) -> Run:
        """Start a workflow, or raise ``RefusedError``."""
        body = request.body
        given = body.get("media_references")
        references = [*(given if isinstance(given, list) else ()), *request.references]
        _refuse([*body_problems(body), *plan_problems(request.plan, has_media=bool(references))])
        run = self._made(account, request, references)
        await self._price(run, account, body.get("max_estimated_capacity_units"))
        return self._launch_new(run)

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
        run = self._made(account, request, source.references)
        run.cloned_from, run.safe_content_filter = source.id, source.safe_content_filter
        if body.get("token_type") is None:
            run.token = source.token
        run.app_source = run.app_source or source.app_source
        for step in run.steps:
            step.arguments.pop("seed", None)
            step.seed = overrides.get(step.id, step.seed)
        await self._price(run, account, None)
        run.cost_approved = True
        return self._launch_new(run)

    def _launch_new(self, run: Run) -> Run:
        """Save a new run, publish that it is queued, and start it."""
        self._check_limit(run.account)
        self.add(run)
        self._move(run, "queued")
        if run.preview is not None:
            self._publish(run, "billing_preview", {"billingPreview": run.preview})
        self.launch(run, self._work(run))
        return run

    def _made(self, account: Account, request: StartRequest, references: list[Any]) -> Run:
        body, now = request.body, self.state.clock()
        filtered = body.get("safe_content_filter")
        return Run(
            id=f"wf_{self.state.ids.uuid().lower()}",
            account=account,
            log=self.new_log(),
            created=now,
            updated=now,
            request=body,
            key=request.key,
            plan=json.loads(json.dumps(request.plan)),
            steps=[self._step(entry, index) for index, entry in enumerate(request.plan["steps"])],
            token="sogni" if body.get("token_type") == "sogni" else "spark",
            app_source=body.get("app_source"),
            references=references,
            safe_content_filter=filtered if isinstance(filtered, bool) else True,
            cost_approved=body.get("confirm_cost") is not False,
            template_id=request.template_id,
            inputs=None if request.inputs is None else dict(request.inputs),
        )

    def _step(self, entry: Mapping[str, Any], index: int) -> Step:
        arguments = json.loads(json.dumps(entry.get("arguments") or {}))
        requested, drawn = arguments.get("seed"), self.state.ids.image_seed()
        fixed = isinstance(requested, int) and not isinstance(requested, bool) and requested >= 0
        return Step(
            id=str(entry.get("id") or f"step-{index + 1}"),
            index=index,
            tool=entry["toolName"],
            arguments=arguments,
            depends_on=json.loads(json.dumps(entry.get("dependsOn") or [])),
            seed=requested if fixed else drawn,
        )

    def resume(self, run: Run, body: Mapping[str, Any]) -> bool:
        """Resume a waiting run; return False if it is not waiting."""
        _refuse(body_problems(body))
        if run.status != "waiting_for_user":
            return False
        self._check_limit(run.account)
        run.cost_approved = True
        if body.get("token_type") in ("spark", "sogni"):
            run.token = cast(Token, body["token_type"])
        for step in run.steps:
            if step.status == "waiting_for_user":
                step.status = "pending"
                if (step.waiting or {}).get("reason") == "ask_clarifying_question":
                    step.arguments |= {"answered": True, "answer": body.get("answer") or body.get("message")}
        # Its status changes at once, so it cannot be resumed twice.
        self._move(run, "running")
        self.launch(run, self._work(run))
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
            await self.cancel(run)
        else:
            self.resume(run, {})

    async def _price(self, run: Run, account: Account, limit: object) -> None:
        """Estimate the price of a run; refuse it if it exceeds the budget or the balance."""
        total = await estimate_plan(self.tools, run, account)
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
        steps = [
            {"stepId": step.id, "toolName": step.tool, "capacityUnits": capacity_units(step.estimate)}
            for step in run.steps
        ]
        return {
            "totalEstimatedCapacityUnits": sum(step["capacityUnits"] for step in steps),
            "estimatedCost": float(total),
            "estimatedUSD": float(total * USD_PER_TOKEN[run.token]),
            "tokenType": run.token,
            "validityUntil": iso(self.state.clock() + _PREVIEW_LIFETIME),
            "perStepBreakdown": steps,
        }

    def _check_limit(self, account: Account) -> None:
        active = sum(run.status in ("queued", "running") for run in self.of(account))
        if active >= self.limit:
            details = {"activeWorkflows": active, "activeWorkflowLimit": self.limit}
            message = f"The limit of {self.limit} active workflows is reached; wait for one to end"
            raise RefusedError(CONFLICT, message, details=details)

    async def cancel(self, run: Run) -> None:
        """Cancel a run and what is being rendered; finished results stay."""
        if run.task is not None:
            run.task.cancel()
            await asyncio.gather(run.task, return_exceptions=True)
        # It may have been canceled in the meantime.
        if not run.ended:
            self._cancel_task(run)
            self._move(run, "cancelled", "The workflow was canceled")

    @staticmethod
    def _cancel_task(run: Run) -> None:
        for step in run.steps:
            if step.status not in SETTLED:
                step.status = "cancelled"

    # Execution

    async def _work(self, run: Run) -> None:
        try:
            await self._prepare(run)
            await self._advance(run)
        except UserNeededError as needed:
            self._wait_for_user(run, {"reason": needed.reason, "message": needed.message, "details": needed.details})
        except ToolError as problem:
            self._fail(run, problem)
        except Exception:
            # A run that stopped silently would keep its clients waiting forever.
            _log.exception("the emulator could not carry out workflow %s", run.id)
            self._fail(run, ToolError("INTERNAL_ERROR", "The workflow failed in the emulator"))

    def _fail(self, run: Run, problem: ToolError) -> None:
        run.error = problem.wire()
        self._cancel_task(run)
        self._move(run, "failed", problem.message)

    async def _prepare(self, run: Run) -> None:
        if not run.cost_approved:
            raise UserNeededError("cost_approval_required", "The cost of the workflow needs approval", run.preview)
        if run.status != "running":
            self._move(run, "running")
        if run.uploads is None:
            run.uploads = [await self.tools.fetcher.reference(entry) for entry in run.references]
            self.keep(run)

    async def _advance(self, run: Run) -> None:
        """Run the steps, as many concurrently as their dependencies allow, until none can start."""
        working: dict[asyncio.Task[None], Step] = {}
        try:
            while True:
                self._skip_hopeless(run)
                for step in run.steps:
                    if step.status == "pending" and self._ready(run, step):
                        working[self._begin(run, step)] = step
                if not working:
                    break
                done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    del working[task]
                    task.result()
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        self._conclude(run)

    def _begin(self, run: Run, step: Step) -> asyncio.Task[None]:
        step.status, step.started, step.waiting, step.error = "running", self.state.clock(), None, None
        self._publish(run, "step_started", {"step": step.brief()})
        return asyncio.create_task(self._run_step(run, step))

    @staticmethod
    def _ready(run: Run, step: Step) -> bool:
        sources = (run.step(source) for source in step.sources)
        return all(source is not None and source.status in SETTLED for source in sources)

    def _skip_hopeless(self, run: Run) -> None:
        """Skip the steps whose required sources failed; in order, because skipping one affects later ones."""
        for step in run.steps:
            needed = {str(entry["sourceStepId"]) for entry in step.depends_on if entry.get("required") is not False}
            failed = [other.id for other in run.steps if other.id in needed and other.status in ("failed", "skipped")]
            if step.status == "pending" and failed:
                step.status = "skipped"
                step.error = {"code": "DEPENDENCY_FAILED", "message": f"The step {failed[0]} failed"}
                self._publish(run, "step_skipped", {"step": step.brief()})

    async def _run_step(self, run: Run, step: Step) -> None:
        results = [media for source in step.sources for media in self._made_by(run, source)]
        library = MediaLibrary(run.results, run.uploads or [], sorted(results, key=run.results.index))
        try:
            arguments = await Binding(self.tools, run, step, library).arguments()
            outcome = await self.tools.run(
                ToolCall(
                    name=step.tool,
                    arguments=arguments,
                    account=run.account,
                    token=run.token,
                    library=library,
                    seed=step.seed,
                    app_source=run.app_source,
                    safe=run.safe_content_filter,
                    on_paid=lambda token, amount: self._paid(run, step, token, amount),
                )
            )
        except UserNeededError as needed:
            self._step_waits(run, step, needed.reason, needed.message, needed.details)
            return
        except ToolError as problem:
            if problem.code in _WAITS:
                self._step_waits(run, step, _WAITS[problem.code], problem.message, {})
                return
            step.status, step.error, step.ended = "failed", problem.wire(), self.state.clock()
            self._publish(run, "step_failed", {"step": step.brief()})
            return
        step.status, step.ended = "completed", self.state.clock()
        step.media, step.parts = list(outcome.media), list(outcome.parts)
        step.facts, step.indices = dict(outcome.facts), dict(outcome.indices)
        step.problems = [problem.wire() for problem in outcome.problems]
        media = {"media": saved(step.media)} if step.media else {}
        self._publish(run, "step_completed", {"step": step.brief(), **step.indices, **media})

    def _paid(self, run: Run, step: Step, token: Token, amount: Decimal) -> None:
        step.paid.add(token, amount)
        self.keep(run)

    @staticmethod
    def _made_by(run: Run, source: str) -> list[Media]:
        step = run.step(source)
        return [] if step is None else step.media

    def _step_waits(self, run: Run, step: Step, reason: str, message: str, details: dict[str, Any]) -> None:
        step.status = "waiting_for_user"
        step.waiting = {"reason": reason, "message": message, "details": {"stepId": step.id, **details}}
        with self.state.archive.transaction():
            step.give_back(run.account)
            self._publish(run, "step_waiting_for_user", {"step": step.brief(), "waiting": step.waiting})

    def _conclude(self, run: Run) -> None:
        waiting = next((step for step in run.steps if step.status == "waiting_for_user"), None)
        if waiting is not None:
            self._wait_for_user(run, waiting.waiting or {})
            return
        failed = [step for step in run.steps if step.status in ("failed", "skipped")]
        delivered = any(step.status == "completed" for step in run.steps)
        if not failed:
            self._move(run, "completed")
            return
        first = next((step for step in failed if step.status == "failed"), failed[0])
        run.error = {**(first.error or {}), "stepId": first.id}
        self._move(run, "partial_failure" if delivered else "failed", str(run.error.get("message", "")))

    def _wait_for_user(self, run: Run, waiting: dict[str, Any]) -> None:
        run.waiting = waiting
        self._move(run, "waiting_for_user", str(waiting.get("message", "")))

    def _move(self, run: Run, status: RunStatus, message: str = "") -> None:
        run.status = status
        if status != "waiting_for_user":
            run.waiting = None
        payload_fields: dict[str, Any] = {"status": status}
        if message:
            payload_fields["message"] = message
        if run.waiting is not None:
            payload_fields |= {"waitingReason": run.waiting.get("reason"), "waiting": run.waiting}
        if run.error is not None and status in ("failed", "partial_failure"):
            payload_fields["error"] = run.error
        self._publish(run, "workflow_status", payload_fields, ends=status in ENDED)

    def _publish(self, run: Run, type: str, payload: dict[str, Any], *, ends: bool = False) -> None:
        run.happened(type, payload, ends=ends)
        self.state.recorder.notify()


def _refuse(problems: list[str]) -> None:
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        text = "; ".join(problems[:5]) + more
        raise RefusedError(400, f"Invalid workflow request: {text}", details={"problems": problems})
