"""The WebSocket endpoint: upgrades, the handshake, and the dispatch of client frames."""
# Protocol notes: transport §6 to §13.

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from aiohttp import WSMsgType, web
from attrs import define, field

from sogni.emulator import connections as frames
from sogni.emulator.account.accounts import Account
from sogni.emulator.account.records import balance_frame, entitlement_frame, free_spark_fields
from sogni.emulator.chat.socket_jobs import SocketJobs
from sogni.emulator.connections import Connection
from sogni.emulator.faults import LostRequest, RefusedUpgrade
from sogni.emulator.projects.orders import Network
from sogni.emulator.projects.projects import Project, recovered_record
from sogni.emulator.recorder import RecordedFrame, RecordedUpgrade, query_without_secrets, without_secrets
from sogni.emulator.rendering.service import ProjectService
from sogni.emulator.responses import text_error
from sogni.emulator.state import State, send_alert


def snapshot(active: list[Project], completed: list[Project]) -> dict[str, object]:
    """Return the recovery arrays of the ``authenticated`` frame and of the HTTP route."""
    return {
        "activeProjects": [recovered_record(project) for project in active],
        "unclaimedCompletedProjects": [recovered_record(project) for project in completed],
    }


def sync_record(state: State, account: Account, app_id: str | None) -> dict[str, object]:
    """Return the response of ``/api/v1/artist/projects/sync``; reading it claims nothing."""
    active, completed = state.projects.active(account, app_id), state.projects.unclaimed(account, app_id)
    return {**snapshot(active, completed), "serverTime": round(state.clock() * 1000)}


def send_handshake(
    state: State, connection: Connection, chat_ids: list[str], language_models: Mapping[str, Any]
) -> None:
    """Send ``authenticated``, the balance and the models. Finished projects are delivered here, once.

    ``chat_ids`` are the IDs of the completions that continue on this connection.
    """
    account = connection.account
    active = state.projects.active(account, connection.app_id)
    completed = state.projects.unclaimed(account, connection.app_id)
    identity = _identity(connection, testnet=state.accounts.testnet)
    delivered = connection.send(
        "authenticated", {**identity, **snapshot(active, completed), "activeLLMJobIDs": chat_ids}
    )
    if delivered:
        for project in completed:
            project.claimed = True
    for project in active:
        if project.waiting_reason or project.job_reasons:
            connection.send("projectQueue", {"jobID": project.id, **project.reasons()})
    connection.send("balanceUpdate", balance_frame(account))
    connection.send("swarmLLMModels", language_models)
    # The service withholds the model list from a client whose projects are running (transport §9).
    connection.models_withheld = bool(state.projects.active(account))
    if not connection.models_withheld:
        connection.send("swarmModels", state.catalogue.swarm_models(connection.network))
    for announcement in reversed(state.announcements.active(account.sid, state.clock(), None)):
        if announcement.pinned:
            send_alert(connection, announcement)
    state.recorder.notify()


def _identity(connection: Connection, *, testnet: bool) -> dict[str, object]:
    account = connection.account
    return {
        "id": f"client-{connection.number}",
        "clientType": "artist",
        "username": account.username,
        "address": account.wallet_address,
        "SID": connection.number,
        "clientSID": connection.number,
        "addressSID": account.sid,
        "balanceVersion": 2,
        "tokens": account.funds.wire(),
        "isMainnet": not testnet,
        "accountWasMigrated": False,
        "hasUnclaimedAirdrop": False,
        "firstLoginAfterMigration": False,
        **_entitlement(account),
    }


def _entitlement(account: Account) -> dict[str, object]:
    """Return the entitlement fields; like older servers, none for an account that never had a subscription."""
    if account.membership is None:
        return free_spark_fields(account)
    return {"subscriptionEntitlement": entitlement_frame(account), **free_spark_fields(account)}


MAX_MESSAGE = 64 * 1024 * 1024
_CLIENT_NAME = re.compile(r"Sogni/\d+\.\d+\.\d+ \([^)]+\) \S+")
_NETWORKS: Mapping[str, Network] = {"fast": "fast", "": "relaxed"}

FrameHandler = Callable[[Connection, Any], None]


@define
class _Socket:
    """Adapts an aiohttp WebSocket to ``Wire``."""

    response: web.WebSocketResponse
    request: web.Request

    async def write(self, message: str | bytes) -> None:
        # The client may disconnect while frames are queued; the reader ends the connection.
        with contextlib.suppress(ConnectionError, RuntimeError):
            if isinstance(message, str):
                await self.response.send_str(message)
            else:
                await self.response.send_bytes(message)

    async def close(self, code: int, reason: str) -> None:
        await self.response.close(code=code, message=reason.encode())

    def abort(self) -> None:
        if self.request.transport is not None:
            self.request.transport.abort()


@define(eq=False)
class SocketEndpoint:
    """Accepts WebSockets and reads their frames."""

    state: State
    binary: bool
    chats: SocketJobs
    project_service: ProjectService
    _handlers: dict[str, FrameHandler] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._handlers = {
            "llmJobRequest": self.chats.request,
            "jobRequest": self.project_service.job_request,
            "jobError": self.project_service.cancel,
            "changeNetwork": self._change_network,
            "setSocketEventSubscriptions": self._subscribe,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        account = self.state.accounts.identify(request.headers)
        response = await self._injected_refusal() or self._upgrade_refusal(request, account)
        number = None if response is not None else self.state.connections.number()
        self.state.recorder.add(
            RecordedUpgrade(
                query=query_without_secrets(request.query.items()),
                headers=without_secrets(request.headers.items()),
                connection=number,
                status=101 if response is None else response.status,
            )
        )
        if response is not None or account is None or number is None:
            return response or text_error(401, "Unauthorized")
        return await self._run(request, account, number)

    async def _injected_refusal(self) -> web.Response | None:
        fault = self.state.faults.take(RefusedUpgrade)
        if fault is None:
            return None
        await asyncio.sleep(fault.delay)
        if fault.hang:
            await asyncio.Event().wait()
        return text_error(fault.status, fault.message)

    def _upgrade_refusal(self, request: web.Request, account: Account | None) -> web.Response | None:
        if account is None:
            return text_error(401, "Unauthorized")
        query, problem = request.query, None
        if not query.get("appId", "").strip():
            problem = "appId is missing"
        elif query.get("clientType") != "artist":
            problem = "clientType must be artist"
        elif query.get("forceWorkerId") not in _NETWORKS:
            problem = "forceWorkerId must be 'fast', or empty for the relaxed network"
        elif not query.get("clientName"):
            problem = "clientName is missing"
        if problem is not None:
            self.state.recorder.violation("upgrade", problem)
            return text_error(400, problem)
        if not _CLIENT_NAME.fullmatch(query["clientName"]):
            self.state.recorder.violation("upgrade clientName", "must read 'Sogni/3.0.0 (library) version'")
        return None

    async def _run(self, request: web.Request, account: Account, number: int) -> web.StreamResponse:
        # A frame counts as written once the kernel has it: what is cut afterwards still arrives.
        response = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE, compress=False, timeout=2.0, autoping=False, writer_limit=0
        )
        await response.prepare(request)
        if isinstance(request.transport, asyncio.WriteTransport):
            request.transport.set_write_buffer_limits(0)
        connection = Connection(
            number=number,
            account=account,
            app_id=request.query["appId"],
            network=_NETWORKS[request.query["forceWorkerId"]],
            faults=self.state.faults,
            wire=_Socket(response, request),
            binary=self.binary,
        )
        self._initial_subscriptions(connection, request.query.get("socketEventSubscriptions"))
        # No await between these two: ``authenticated`` must be the first frame.
        self.state.connections.add(connection)
        chat_ids = self.chats.alive(account, connection.app_id)
        send_handshake(self.state, connection, chat_ids, self.chats.swarm_models())
        self.chats.attach(connection)
        pump = asyncio.create_task(connection.pump())
        try:
            await self._read(connection, response)
        finally:
            self.state.connections.remove(connection)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            self.chats.detach(connection)
            self.state.recorder.notify()
        return response

    def _initial_subscriptions(self, connection: Connection, text: str | None) -> None:
        if text is None:
            return
        try:
            connection.subscriptions.set_flags(json.loads(text))
        except ValueError:
            self.state.recorder.violation("upgrade socketEventSubscriptions", "is not JSON")

    async def _read(self, connection: Connection, response: web.WebSocketResponse) -> None:
        async for message in response:
            if connection.frozen:
                continue
            if message.type is WSMsgType.PING:
                await response.pong(message.data)
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            if message.type is WSMsgType.BINARY:
                self.state.recorder.violation("frame", "client frames must be text frames")
            try:
                frame = frames.decode(cast("str | bytes", message.data))
            except frames.FrameError as problem:
                self.state.recorder.violation("frame", str(problem))
                continue
            self._act(connection, frame, len(message.data))

    def _act(self, connection: Connection, frame: frames.Frame, size: int) -> None:
        early = not connection.handshake_sent
        losable = frame.type in ("jobRequest", "llmJobRequest") and not early
        lost = self.state.faults.take(LostRequest) if losable else None
        dropped = early or lost is not None or connection.ended
        self.state.recorder.add(RecordedFrame(connection.number, frame.type, frame.data, dropped, size))
        if early:
            self.state.recorder.violation(frame.type, "arrived before authenticated was sent, and was dropped")
        if lost is not None and lost.drop:
            connection.end(None)
        if dropped:
            return
        handler = self._handlers.get(frame.type)
        if handler is None:
            self.state.recorder.violation(frame.type, "is not a known frame type")
        else:
            handler(connection, frame.data)

    def _change_network(self, connection: Connection, payload: object) -> None:
        if payload not in ("fast", "relaxed"):
            self.state.recorder.violation("changeNetwork", "must be 'fast' or 'relaxed'")
            return
        connection.network = payload
        connection.send("changeNetwork", {"network": payload})
        connection.send("swarmModels", self.state.catalogue.swarm_models(payload))

    def _subscribe(self, connection: Connection, payload: object) -> None:
        if not isinstance(payload, dict):
            self.state.recorder.violation("setSocketEventSubscriptions", "must be an object")
        connection.subscriptions.update(payload)
        answer = {"socketEventSubscriptions": dict(connection.subscriptions.events)}
        connection.send("socketEventSubscriptionsUpdated", answer)
