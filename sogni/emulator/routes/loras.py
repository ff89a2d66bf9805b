"""Routes of the LoRA catalogue and of personal LoRAs, on the REST host."""
# Protocol notes: additions-5x §1, §2.

from __future__ import annotations

from sogni.emulator.catalogue.loras import catalogue
from sogni.emulator.projects.personal_loras import require_plan, source_of
from sogni.emulator.routes.router import Call, Routes

ROUTES = Routes()


@ROUTES("GET", "/v1/loras/comfy", access="public", query=("modelId",), refuses=True)
def _public(call: Call) -> object:
    return catalogue(call.request.query.get("modelId"))


@ROUTES("GET", "/v1/loras/personal", query=(), refuses=True)
def _list(call: Call) -> object:
    return call.state.personal_loras.listing(call.account)


# The order matters: ``catalog`` would otherwise be taken for an ID.
@ROUTES("GET", "/v1/loras/personal/catalog", query=(), refuses=True)
def _usable(call: Call) -> object:
    require_plan(call.account)
    return {"loras": [dict(lora.record) for lora in call.state.personal_loras.usable(call.account).values()]}


@ROUTES("GET", "/v1/loras/personal/{id}", query=(), refuses=True)
def _get(call: Call) -> object:
    return call.state.personal_loras.find(call.account, call.path("id")).record()


@ROUTES("DELETE", "/v1/loras/personal/{id}", query=(), refuses=True)
def _remove(call: Call) -> object:
    call.state.personal_loras.remove(call.account, call.path("id"))
    return None


@ROUTES("POST", "/v1/loras/personal", query=(), refuses=True)
def _add(call: Call) -> object:
    body = call.body
    url, name, model_id = (body.text(key, required=True) or "" for key in ("url", "name", "modelId"))
    if body.flag("rightsConfirmed", required=True) is False:
        body.refuse("rightsConfirmed", "must be true")
    if source_of(url) is None:
        body.refuse("url", "must be a link to Hugging Face or Civitai")
    if not name.strip():
        body.refuse("name", "must not be empty")
    if model_id not in catalogue(None)["models"]:
        body.refuse("modelId", "is not a model that takes LoRAs")
    body.check()
    return call.state.personal_loras.add(call.account, url, name, model_id).record()
