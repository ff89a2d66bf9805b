# Generated from sogni_async/api/worlds.py by tools/unasync.py. Do not edit.
"""Hosted world builds: `client.worlds`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sogni.api.streams import EventStream
from sogni.core import worlds
from sogni.keywords import suggest_keywords
from sogni.models.base import BillingMode
from sogni.models.worlds import (
    WorldBuild,
    WorldBuildDecision,
    WorldBuildEvent,
    WorldHotspot,
    WorldReviewDecision,
)
from sogni.settings import Attribution, TokenType, check_seconds
from sogni.transport.engine import Engine


@suggest_keywords
class WorldBuilds:
    """World builds, which run in the service. They need a signed-in session, but no socket.

    A build waits for its user at least twice: to approve its quote, and to review its results.

    Example:
        >>> with SogniClient(auth_type="token") as client:
        ...     _ = client.account.login("ada", "correct horse battery")
        ...     action = {"verb": "open", "subject": "the gate", "intent": "enter the garden"}
        ...     gate = {"kind": "path", "object": "gate", "action": action, "leads_to": "garden"}
        ...     build = client.worlds.builds.start(world_id="manor", node_id="yard", hotspots=[gate])
        ...     build = client.worlds.builds.wait(build.run_id, timeout=30)
        ...     print(build.waiting.reason)
        ...     _ = client.worlds.builds.confirm_cost(build.run_id, "confirm")
        ...     build = client.worlds.builds.wait(build.run_id, timeout=30)
        ...     for task in build.tasks:
        ...         _ = client.worlds.builds.review(build.run_id, task_id=task.id, decision="approved")
        ...     print(client.worlds.builds.get(build.run_id).status)
        cost_approval_required
        completed
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(
        self,
        *,
        world_id: str,
        node_id: str,
        hotspots: Sequence[WorldHotspot | Mapping[str, Any]],
        look: Any = None,
        audience: Any = None,
        token_type: TokenType | None = None,
        billing_mode: BillingMode | None = None,
        idempotency_key: str | None = None,
        attribution: Attribution | Mapping[str, Any] | None = None,
    ) -> WorldBuild:
        """Start a build and return while it is in progress. Nothing is charged until its quote is confirmed.

        Args:
            world_id: ID of the world.
            node_id: ID of the node that is built.
            hotspots: At least one: `WorldHotspot` objects, or mappings with their fields.
            look: How the world looks, in the form that the service expects. Default: that of the service.
            audience: Whom it is for, in the form that the service expects. Default: that of the service.
            token_type: Token that pays, `"sogni"` or `"spark"`. Default: that of the service.
            billing_mode: `"auto"`, `"subscription"` or `"tokens"`. Default: that of the service.
            idempotency_key: Calls with the same key start a single build. By default, each call has a new key, so that
                it can be repeated safely after a lost connection.
            attribution: Origin of this call, for statistics: an `Attribution`, or a mapping with its fields. It takes
                precedence over that of the client, field by field.

        Returns:
            The build.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     action = WorldAction(verb="pick up", subject="the key", intent="unlock the gate")
            ...     key = WorldHotspot(kind="collectible", object="key", action=action)
            ...     build = client.worlds.builds.start(world_id="manor", node_id="yard", hotspots=[key])
            ...     build.world_id
            'manor'
        """
        given = {name: value for name, value in locals().items() if name != "self"}
        return self._engine.run(worlds.start_build(given))

    def get(self, run_id: str) -> WorldBuild:
        """Fetch a build.

        Args:
            run_id: ID of the build.

        Returns:
            The build.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            NotFoundError: The build does not exist.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         print(client.worlds.builds.get(build.run_id).status)
        """
        return self._engine.run(worlds.get_build(run_id))

    def events(self, run_id: str, after: int | None = None) -> list[WorldBuildEvent]:
        """Fetch the events of a build so far.

        Args:
            run_id: ID of the build.
            after: Return only events with a higher `sequence`, 0 or more. Default: all.

        Returns:
            The events, in order.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: `after` is invalid. Nothing has been sent.
            NotFoundError: The build does not exist.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         print([event.type for event in client.worlds.builds.events(build.run_id, after=2)])
        """
        return self._engine.run(worlds.build_events(run_id, after))

    def stream_events(self, run_id: str, last_event_id: int | str | None = None) -> EventStream[WorldBuildEvent]:
        """Iterate over the events of a build, past and future ones, until it ends.

        Lost connections are re-established, and every event is delivered once. The iterator can be closed.

        Args:
            run_id: ID of the build.
            last_event_id: Start after the event with this `sequence`.

        Returns:
            The stream. Iterating raises an `ApiError` if the service refuses it, and `SogniConnectionError` if the
            service cannot be reached for a long time.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: An argument is invalid.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         for event in client.worlds.builds.stream_events(build.run_id):
            ...             print(event.type)
        """
        return EventStream(self._engine, worlds.build_feed(self._engine.state, run_id, last_event_id))

    def confirm_cost(self, run_id: str, decision: WorldBuildDecision) -> WorldBuild:
        """Accept or reject the quote of a build that waits for it (`cost_approval_required`), or request a new one.

        Args:
            run_id: ID of the build.
            decision: `"confirm"` to start it, `"cancel"` to end it, or `"requote"` for a new quote: a quote is valid
                for ten minutes.

        Returns:
            The build.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: `decision` is invalid. Nothing has been sent.
            NotFoundError: The build does not exist.
            ConflictError: The build does not wait for this, or its quote has expired.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         _ = client.worlds.builds.confirm_cost(build.run_id, "confirm")
        """
        return self._engine.run(worlds.confirm_cost(run_id, decision))

    def review(
        self, run_id: str, *, task_id: str, decision: WorldReviewDecision, note: str | None = None
    ) -> WorldBuild:
        """Approve or reject the result of a task, if the build waits for it (`review_required`).

        Args:
            run_id: ID of the build.
            task_id: ID of the task: `id` of one of `build.tasks`.
            decision: `"approved"` or `"rejected"`. The first rejection with a note buys another take, the second one
                ends the task without a result.
            note: What to change. Default: none.

        Returns:
            The build.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: An argument is invalid. Nothing has been sent.
            NotFoundError: The build or its task does not exist.
            ConflictError: The task does not wait for a review.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         for task in build.tasks:
            ...             _ = client.worlds.builds.review(
            ...                 build.run_id, task_id=task.id, decision="rejected", note="at night"
            ...             )
        """
        return self._engine.run(worlds.review(run_id, task_id, decision, note))

    def cancel(self, run_id: str, reason: str | None = None) -> WorldBuild:
        """Cancel a build.

        Args:
            run_id: ID of the build.
            reason: Reason to record. Default: none.

        Returns:
            The build.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            NotFoundError: The build does not exist.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         _ = client.worlds.builds.cancel(build.run_id, reason="no longer needed")
        """
        return self._engine.run(worlds.cancel_build(run_id, reason))

    def wait(self, run_id: str, timeout: float | None = None) -> WorldBuild:
        """Wait until a build ends or waits for its user (`waiting_for_user`).

        Args:
            run_id: ID of the build.
            timeout: Seconds to wait; None for no limit. A timeout cancels nothing.

        Returns:
            The build, whatever its status.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            NotFoundError: The build does not exist.
            SogniTimeoutError: The build was still in progress after `timeout`.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     for build in client.worlds.builds.list():
            ...         print(client.worlds.builds.wait(build.run_id, timeout=30).status)
        """
        return self._engine.run(worlds.wait_for_build(run_id, check_seconds("timeout", timeout)))

    def list(self, world_id: str | None = None, limit: int | None = None) -> list[WorldBuild]:
        """Fetch the builds of the account, newest first.

        Args:
            world_id: ID of a world. Default: all.
            limit: Number of builds, 1 or more. Default: that of the service.

        Returns:
            The builds, without their events.

        Raises:
            PermissionDeniedError: The client uses an API key. Nothing has been sent.
            ValidationError: An argument is invalid. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> with SogniClient(auth_type="token") as client:
            ...     _ = client.account.login("ada", "correct horse battery")
            ...     client.worlds.builds.list(limit=10)
            []
        """
        return self._engine.run(worlds.list_builds(world_id, limit))


@suggest_keywords
class Worlds:
    """Worlds of the account."""

    def __init__(self, engine: Engine) -> None:
        self._builds = WorldBuilds(engine)

    @property
    def builds(self) -> WorldBuilds:
        """Builds of worlds."""
        return self._builds
