"""Hosted world builds: their hotspots, records and events."""

# The wire format: account §18, workflows §9.

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from sogni.models.base import LooseModel, Model, redacted_repr
from sogni.models.runs import RUN_ENDS, RunStatus

HotspotKind = Literal["path", "moment", "collectible"]
WorldBuildDecision = Literal["confirm", "cancel", "requote"]
WorldReviewDecision = Literal["approved", "rejected"]


@frozen(kw_only=True)
class WorldAction(Model):
    """What happens at a hotspot.

    Attributes:
        verb: What is done, for example ``"open"``.
        subject: To what, for example ``"the garden gate"``.
        intent: Why, for example ``"enter the garden"``.
    """

    verb: str
    subject: str
    intent: str


@frozen(kw_only=True)
class WorldHotspot(Model):
    """A place in a node of a world that users can interact with.

    Attributes:
        kind: ``"path"`` (leads to another node), ``"moment"`` or ``"collectible"``.
        object: The object in the picture.
        action: What happens there.
        leads_to: Where a path leads, for example the ID of a node; for paths only.
    """

    kind: HotspotKind
    object: str
    action: WorldAction
    leads_to: Any = None


@frozen(kw_only=True)
class WorldBuildWaiting(LooseModel):
    """Why a world build waits for its user.

    Attributes:
        reason: ``"cost_approval_required"``, ``"review_required"``, ``"insufficient_credit"`` or
            ``"safety_review_required"``.
        message: Description for users.
    """

    reason: (
        Literal["cost_approval_required", "review_required", "insufficient_credit", "safety_review_required"]
        | str
        | None
    ) = None
    message: str | None = None


@frozen(kw_only=True)
class WorldBuildTask(LooseModel):
    """A part of a world build, for one hotspot.

    Attributes:
        generation_id: ID of the task of a path.
        interaction_id: ID of the task of a moment or a collectible.
        status: Status of the task.
    """

    generation_id: str | None = None
    interaction_id: str | None = None
    status: str | None = None

    @property
    def id(self) -> str | None:
        """The ID, for `builds.review`, whatever the kind of the hotspot."""
        return self.generation_id or self.interaction_id


@frozen(kw_only=True)
class WorldBuildEvent(LooseModel):
    """An event of a world build.

    Attributes:
        sequence: Number of the event within the build; `after` of `builds.events` and `last_event_id` of
            `builds.stream_events` accept it.
        type: Type of the event, for example ``"run_waiting"``.
        at: Time of the event.
        payload: Data of the event; its keys depend on the type.
    """

    sequence: int | None = None
    type: str = ""
    at: datetime | None = None
    payload: Mapping[str, Any] | None = field(default=None, repr=redacted_repr)


@frozen(kw_only=True)
class WorldBuild(LooseModel):
    """The state of a world build.

    Attributes:
        run_id: ID of the build.
        status: ``"queued"``, ``"running"``, ``"waiting_for_user"``, ``"completed"``, ``"partial_failure"``,
            ``"failed"`` or ``"cancelled"``.
        world_id: ID of the world.
        node_id: ID of the node that is built.
        waiting: What the build needs from its user, if it is ``"waiting_for_user"``.
        tasks: Its tasks, if the service lists them.
        events: Its events so far; empty in a list of builds.
    """

    run_id: str
    status: RunStatus | str = "queued"
    world_id: str | None = None
    node_id: str | None = None
    waiting: WorldBuildWaiting | None = None
    tasks: list[WorldBuildTask] = field(factory=list)
    events: list[WorldBuildEvent] = field(factory=list)

    @property
    def ended(self) -> bool:
        """Whether the build has ended, successfully or not."""
        return self.status in RUN_ENDS
