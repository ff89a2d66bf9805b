"""Routes of the LoRA catalogue and of personal LoRAs, on the REST host."""
# Protocol notes: additions-5x §1, §2.

from __future__ import annotations

from aiohttp import web

from sogni.emulator.account.accounts import Account
from sogni.emulator.catalogue.loras import catalogue
from sogni.emulator.middleware import Handler
from sogni.emulator.projects.personal_loras import require_plan, source_of
from sogni.emulator.responses import error, success
from sogni.emulator.routes.account_requests import Body, for_account, for_account_body
from sogni.emulator.state import State


def add_lora_routes(app: web.Application, state: State) -> None:
    personal = state.personal_loras

    async def public(request: web.Request) -> web.Response:
        return success(catalogue(request.query.get("modelId")))

    async def list_all(_: web.Request, account: Account) -> web.Response:
        return success(personal.listing(account))

    async def usable(_: web.Request, account: Account) -> web.Response:
        require_plan(account)
        return success({"loras": [dict(lora.record) for lora in personal.usable(account).values()]})

    async def get(request: web.Request, account: Account) -> web.Response:
        return success(personal.find(account, request.match_info["id"]).record())

    async def remove(request: web.Request, account: Account) -> web.Response:
        personal.remove(account, request.match_info["id"])
        return success(None)

    async def add(_: web.Request, body: Body, account: Account) -> web.Response:
        url, name = body.text("url", required=True) or "", body.text("name", required=True) or ""
        model_id = body.text("modelId", required=True) or ""
        if body.flag("rightsConfirmed", required=True) is False:
            body.refuse("rightsConfirmed", "must be true")
        if source_of(url) is None:
            body.refuse("url", "must be a link to Hugging Face or Civitai")
        if not name.strip():
            body.refuse("name", "must not be empty")
        if model_id not in catalogue(None)["models"]:  # type: ignore[operator]  # a list of strings
            body.refuse("modelId", "is not a model that takes LoRAs")
        body.check()
        return success(personal.add(account, url, name, model_id).record())

    app.router.add_get("/v1/loras/comfy", _strict(state, public, "modelId"))
    app.router.add_get("/v1/loras/personal", _strict(state, for_account(state, list_all)))
    # The order matters: ``catalog`` would otherwise be taken for an ID.
    app.router.add_get("/v1/loras/personal/catalog", _strict(state, for_account(state, usable)))
    app.router.add_get("/v1/loras/personal/{id}", _strict(state, for_account(state, get)))
    app.router.add_delete("/v1/loras/personal/{id}", _strict(state, for_account(state, remove)))
    app.router.add_post("/v1/loras/personal", _strict(state, for_account_body(state, add)))


def _strict(state: State, handler: Handler, *known: str) -> Handler:
    """Refuse query values that the route does not have."""

    async def checked(request: web.Request) -> web.StreamResponse:
        unknown = sorted({*request.query} - {*known})
        if not unknown:
            return await handler(request)
        problem = f"{unknown[0]} is not a query value of this route"
        state.recorder.violation(f"{request.method} {request.path}", problem)
        return error(400, problem)

    return checked
