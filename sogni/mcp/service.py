"""State that the tools of a server share: the client, the limits, and the running projects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
from attrs import frozen

from sogni.errors import CostLimitError, NotFoundError, SogniError, ValidationError
from sogni.mcp.calls import Call
from sogni.mcp.files import Roots, data_of
from sogni_async import Job, Project, SogniClient

if TYPE_CHECKING:
    from sogni.local.spending import DaySpending, Reservation

Network = Literal["fast", "relaxed"]

LOGGER = logging.getLogger("sogni.mcp")

RESULT_URI = "sogni://projects/{}/results/{}"
CANCEL_SECONDS = 10.0
"""Time limit for canceling a project whose call has been canceled. The host waits for it."""
COST_SECONDS = 3.0
"""How long to wait for the cost of a finished project."""
COST_POLL_SECONDS = 0.25
"""Pause between two attempts: the record appears a moment after the end of a project."""
TOKEN_NAMES = {"spark": "Spark", "sogni": "Sogni"}


@frozen(kw_only=True)
class ServerOptions:
    """Limits and permissions of a server.

    Attributes:
        spending: The amount spent today, and the limit per day.
        token_type: Token that pays.
        max_cost: Maximum cost of a call, in that token. None for no limit.
        ask_above: Cost above which the user is asked for approval, if the host supports it. None never asks.
        roots: Folders that may be read from, without links; results are saved to the first one.
        host_roots: Whether the host may allow more folders. Not if it may run on another computer.
        wait: Seconds after which a call returns although its project is still running.
        max_calls: Maximum number of concurrent calls.
    """

    spending: DaySpending
    token_type: Literal["spark", "sogni"] = "spark"
    max_cost: Decimal | None = None
    ask_above: Decimal | None = Decimal(5)
    roots: tuple[Path, ...] = ()
    host_roots: bool = True
    wait: float = 50.0
    max_calls: int = 16


class Service:
    """The client and the limits of a server.

    Args:
        client: The client, which stays open.
        options: What the server may do.
    """

    def __init__(self, client: SogniClient, options: ServerOptions) -> None:
        self.client = client
        self.options = options
        self.made: set[str] = set()
        """IDs of the projects that this server has created. Their results are saved automatically."""
        self._settling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the projects that calls have left behind, for a `with` block."""
        try:
            yield
        finally:
            for task in self._settling:
                task.cancel()
            await asyncio.gather(*self._settling, return_exceptions=True)

    @property
    def network(self) -> Network:
        """Network that the client is connected to."""
        return cast(Network, self.client.account.current_account.network or "fast")

    def price(self, amount: Decimal, token: str | None = None) -> str:
        """Return an amount for display; by default of the token that pays."""
        token = token or self.options.token_type
        return f"{amount.normalize():f} {TOKEN_NAMES.get(token, token)}"

    # -- files -----------------------------------------------------------------

    async def roots(self, call: Call) -> Roots:
        """Return the folders that a call may use."""
        return Roots([*self.options.roots, *(await call.folders() if self.options.host_roots else ())])

    async def media(self, call: Call, given: str, argument: str) -> Any:
        """Return a file that a call names, as an input of a project.

        Raises:
            ValidationError: The file may not be used, or the result has no file.
        """
        if given.startswith("data:"):
            return data_of(given, argument)
        if given.startswith("sogni:"):
            return (await self.result(given, argument))[0]
        return call.files.enter_context((await self.roots(call)).open(given, argument))

    async def result(self, uri: str, argument: str = "uri") -> tuple[Job, Project]:
        """Return the finished job that the URI of a result names, and its project.

        Raises:
            ValidationError: This is not the URI of a result, or the result does not exist.
        """
        project_id, index = split_result_uri(uri, argument)
        try:
            project = await self.client.projects.attach(project_id)
        except NotFoundError:
            raise ValidationError(f"{argument}: there is no project {project_id}", field=argument) from None
        if index >= len(project.jobs):
            count = len(project.jobs)
            raise ValidationError(f"{argument}: project {project_id} has {count} results, from 0", field=argument)
        job = project.jobs[index]
        if not job.has_result_media:
            raise ValidationError(
                f"{argument}: result {index} of project {project_id} has no file; its status is {job.status}",
                field=argument,
            )
        return job, project

    # -- spending --------------------------------------------------------------

    async def reserve(self, call: Call, cost: Decimal | None, usd: Decimal | None, what: str) -> Reservation:
        """Count the cost of a project as spent, if the limits allow it and the user approves.

        Args:
            call: The call that creates the project.
            cost: The estimate, in the token that pays; None if there is none.
            usd: The estimate, in US dollars.
            what: Description of the project, for the question.

        Raises:
            CostLimitError: A limit would be exceeded, or the user did not approve.
        """
        options = self.options
        limited = options.max_cost is not None or options.spending.limit is not None
        if cost is None:
            if limited:
                raise CostLimitError("there is no estimate, so the spending limits of this server do not allow it")
            cost = Decimal()
        if options.max_cost is not None and cost > options.max_cost:
            raise CostLimitError(
                f"this would cost {self.price(cost)}, and a call may cost at most {self.price(options.max_cost)}",
                estimate=cost,
                max_cost=options.max_cost,
            )
        spending, token = options.spending, options.token_type
        if options.ask_above is not None and cost > options.ask_above and call.can_ask:
            # Nobody is asked for what the limit forbids; it is counted for good once they have approved.
            await anyio.to_thread.run_sync(lambda: spending.settle(spending.reserve(token, cost), Decimal()))
            dollars = "" if usd is None else f" (${usd:.2f})" if usd >= Decimal("0.01") else " (less than $0.01)"
            if not await call.approve(f"{cost:f} {what}", f"Spend about {self.price(cost)}{dollars} on {what}?"):
                raise CostLimitError("the user did not approve; nothing has been spent", estimate=cost)
        return await anyio.to_thread.run_sync(spending.reserve, token, cost)

    async def create(self, fields: Mapping[str, Any], reservation: Reservation, *, estimated: bool = True) -> Project:
        """Create a project, and make sure that its cost is counted.

        Args:
            fields: Fields of the project.
            reservation: The cost that has been reserved for it.
            estimated: Whether the service estimates such projects.
        """
        limited = self.options.max_cost is not None or self.options.spending.limit is not None
        limit = reservation.amount if limited and estimated else None
        try:
            # A request that is interrupted may have arrived, so that a project would run that nobody knows.
            with anyio.CancelScope(shield=True):
                project = await self.client.projects.create(max_cost=limit, **fields)
        except BaseException:
            self.options.spending.settle(reservation, Decimal())
            raise
        self.made.add(project.id)
        task = asyncio.create_task(self._settle(project, reservation))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return project

    async def _settle(self, project: Project, reservation: Reservation) -> None:
        try:
            await project.wait(check=False)
        except SogniError as error:
            LOGGER.warning("the cost of a project is unknown project=%s error=%s", project.id, error)
            return
        cost = await self.cost(project)
        if cost is not None and project.token_type == reservation.token:
            try:
                await anyio.to_thread.run_sync(self.options.spending.settle, reservation, cost)
            except OSError as error:
                LOGGER.warning("the estimate remains counted project=%s error=%s", project.id, error)

    async def cost(self, project: Project) -> Decimal | None:
        """Return the cost of a project; None if it is running, or the service does not report it."""
        with anyio.move_on_after(COST_SECONDS), suppress(SogniError):
            # The record follows the end. The event `updated` announces a cost in it, but not that there is none.
            while project.cost is None and project.finished:
                with suppress(NotFoundError):
                    return (await self.client.projects.get(project.id)).cost
                await anyio.sleep(COST_POLL_SECONDS)
        return project.cost

    async def cancel(self, project: Project) -> None:
        """Cancel a project whose call has been canceled."""
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):
            try:
                await project.cancel()
            except SogniError as error:
                LOGGER.warning("a project could not be canceled project=%s error=%s", project.id, error)


def split_result_uri(uri: str, argument: str) -> tuple[str, int]:
    """Return the project ID and index in the URI of a result.

    Raises:
        ValidationError: This is not the URI of a result.
    """
    parts = uri.removeprefix("sogni://projects/").split("/")
    if not uri.startswith("sogni://projects/") or len(parts) != 3 or parts[1] != "results" or not parts[2].isdecimal():
        raise ValidationError(
            f"{argument} must be the URI of a result, such as {RESULT_URI.format('ID', 0)}, got {uri[:200]}",
            field=argument,
        )
    return parts[0], int(parts[2][:9])
