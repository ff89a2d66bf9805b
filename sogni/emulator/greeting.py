"""What a client is told when its WebSocket opens: who it is, what became of its projects, which models
there are.

Called by the socket endpoint (transport §6.1, §9.1), its snapshot also by the recovery routes (transport
§13.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .accounts import Account
from .connections import Connection
from .project_records import recovered_record
from .projects import Project
from .state import State


def snapshot(active: list[Project], completed: list[Project]) -> dict[str, Any]:
    """The two arrays of recovery, in both the frame and the HTTP answer."""
    return {
        "activeProjects": [recovered_record(project) for project in active],
        "unclaimedCompletedProjects": [recovered_record(project) for project in completed],
    }


def sync_record(state: State, account: Account, app_id: str | None) -> dict[str, Any]:
    """The answer of ``/api/v1/artist/projects/sync``: read-only, so it repeats itself."""
    active, completed = state.projects.active(account, app_id), state.projects.unclaimed(account, app_id)
    return {**snapshot(active, completed), "serverTime": round(state.clock() * 1000)}


def greet(state: State, connection: Connection, chat_ids: list[str], language_models: Mapping[str, Any]) -> None:
    """Send ``authenticated``, the balance and the models. Finished projects are delivered once, here.

    chat_ids: the completions that the client is handed back.
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
    connection.send("balanceUpdate", account.balance_frame())
    connection.send("swarmLLMModels", language_models)
    # The service keeps the model list from an artist whose projects are running (transport §9).
    connection.models_withheld = bool(state.projects.active(account))
    if not connection.models_withheld:
        connection.send("swarmModels", state.catalogue.swarm_models(connection.network))
    state.journal.notify()


def _identity(connection: Connection, *, testnet: bool) -> dict[str, Any]:
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
        "tokens": account.tokens(),
        "isMainnet": not testnet,
        "accountWasMigrated": False,
        "hasUnclaimedAirdrop": False,
        "firstLoginAfterMigration": False,
        **_entitlement(account),
    }


def _entitlement(account: Account) -> dict[str, Any]:
    """Older servers say nothing of subscriptions here; so does this one of an account that never had any."""
    if account.membership is None:
        return account.free_spark_fields()
    return {"subscriptionEntitlement": account.entitlement_frame(), **account.free_spark_fields()}
