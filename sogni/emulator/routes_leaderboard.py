"""The REST host's route of the leaderboard, open to everybody (account §12.4).

Installed by the server. Pages count from 1; page 0 is taken for the first one.
"""

from __future__ import annotations

from aiohttp import web

from .account_requests import RefusedError, answering, query, whole_query
from .leaderboard import NETWORKS, PERIODS, TYPES, ranking
from .replies import success
from .state import State

_PAGE = 20
_LARGEST_PAGE = 1000


def add_leaderboard_route(app: web.Application, state: State) -> None:
    async def leaderboard(request: web.Request) -> web.Response:
        board = _word(request, "type", TYPES)
        period = _word(request, "period", PERIODS)
        network = _word(request, "network", NETWORKS, default="all")
        limit = whole_query(request, "limit", _PAGE, minimum=1, maximum=_LARGEST_PAGE)
        first = max(0, whole_query(request, "page", 1) - 1) * limit
        now = whole_query(request, "date", 0) or state.clock()
        entries = ranking(state.accounts.all(), board, period, network, now)
        for name in ("username", "address"):
            wanted = query(request, name).lower()
            entries = [entry for entry in entries if wanted in ("", entry[name].lower())]
        return success(entries[first : first + limit])

    app.router.add_get("/v1/leaderboard/", answering(leaderboard))


def _word(request: web.Request, name: str, allowed: tuple[str, ...], *, default: str = "") -> str:
    given = query(request, name) or default
    if given not in allowed:
        raise RefusedError(400, f"{name} must be one of {', '.join(allowed)}")
    return given
