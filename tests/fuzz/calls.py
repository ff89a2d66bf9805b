"""The calls whose answers are mutated: one line each, the same for recording and for playing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODEL = "flux1-schnell-fp8"
VIDEO = "wan_v2.2-14b-fp8_t2v_lightx2v"
ASKED = [{"role": "user", "content": "Say one word"}]
STILL = {
    "id": "still",
    "tool_name": "generate_image",
    "arguments": {"prompt": "a kite", "width": 256, "height": 256},
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
PLAN = {"title": "Kites", "steps": [STILL]}
TEMPLATE = {
    "name": "kite",
    "inputs": [{"name": "what", "type": "text", "required": True}],
    "stages": [{"id": "still", "toolName": "generate_image", "arguments": {"prompt": "$inputs.what"}}],
}
HOTSPOT = {"kind": "moment", "object": "o", "action": {"verb": "v", "subject": "s", "intent": "i"}}
IDS = dict.fromkeys(("workflow", "run", "template", "record", "project", "image", "world", "asset"), "0" * 32)
"""What the calls are about; the recorder replaces them by what its emulator knows."""

Call = Callable[[Any, dict[str, str]], Any]
CALLS: dict[str, Call] = {
    "account_balance": lambda c, ids: c.account.account_balance(),
    "leaderboard": lambda c, ids: c.stats.leaderboard("uloginArtist", "allTime"),
    "me": lambda c, ids: c.account.me(),
    "plans": lambda c, ids: c.account.get_subscription_plans(),
    "refresh_balance": lambda c, ids: c.account.refresh_balance(),
    "refresh_subscription": lambda c, ids: c.account.refresh_subscription(),
    "rewards": lambda c, ids: c.account.rewards(),
    "transaction_history": lambda c, ids: c.account.transaction_history(),
    "transactions": lambda c, ids: c.account.transactions(limit=2),
    "usage": lambda c, ids: c.account.get_subscription_usage(),
    "trial": lambda c, ids: c.account.get_trial_eligibility(),
    "nonce": lambda c, ids: c.account.get_nonce("0x" + "1" * 40),
    "announcements": lambda c, ids: c.announcements.active(),
    "validate_username": lambda c, ids: c.account.validate_username("adalovelace"),
    "wallet_balance": lambda c, ids: c.account.wallet_balance("0x" + "1" * 40),
    "checkout": lambda c, ids: c.account.create_subscription_checkout("unlimited", "monthly"),
    "portal": lambda c, ids: c.account.create_subscription_portal_session(),
    "health": lambda c, ids: c.check(),
    "models": lambda c, ids: c.projects.get_supported_models(force_refresh=True),
    "available_models": lambda c, ids: c.projects.get_available_models("fast"),
    "model_options": lambda c, ids: c.projects.get_model_options(MODEL),
    "size_presets": lambda c, ids: c.projects.get_size_presets("fast", MODEL, force_refresh=True),
    "record": lambda c, ids: c.projects.get(ids["project"]),
    "status": lambda c, ids: c.projects.get_status(ids["project"]),
    "result": lambda c, ids: c.projects.get_result(ids["project"]),
    "sync": lambda c, ids: c.projects.sync(),
    "elsewhere": lambda c, ids: c.projects.list_elsewhere(),
    "missing": lambda c, ids: c.projects.resolve_missing([ids["project"]], delay=0.0),
    "recent": lambda c, ids: c.projects.list_recent(),
    "loras": lambda c, ids: c.projects.available_loras(force_refresh=True),
    "personal_loras": lambda c, ids: c.projects.personal_loras.list(),
    "assets": lambda c, ids: c.projects.assets.list(),
    "asset_upload": lambda c, ids: c.projects.assets.upload(PNG),
    "asset_bind": lambda c, ids: c.projects.assets.bind(ids["asset"], project_id=ids["project"], type="startingImage"),
    "asset_remove": lambda c, ids: c.projects.assets.remove(ids["asset"]),
    "asset_capabilities": lambda c, ids: c.projects.assets.capabilities(),
    "download_url": lambda c, ids: c.projects.download_url(
        image_id=ids["image"], job_id=ids["project"], type="complete"
    ),
    "upload_url": lambda c, ids: c.projects.upload_url(
        image_id=ids["image"], job_id=ids["project"], type="startingImage"
    ),
    "estimate_image": lambda c, ids: c.projects.estimate_cost(MODEL, image_count=2, step_count=4),
    "estimate_video": lambda c, ids: c.projects.estimate_video_cost(
        VIDEO, width=512, height=512, fps=16, frames=33, steps=4
    ),
    "estimate_enhancement": lambda c, ids: c.projects.estimate_enhancement_cost("medium"),
    "estimate_chat": lambda c, ids: c.chat.estimate_cost(messages=ASKED),
    "workflow_start": lambda c, ids: c.workflows.start(input=PLAN, idempotency_key="k"),
    "workflow_get": lambda c, ids: c.workflows.get(ids["workflow"]),
    "workflow_list": lambda c, ids: c.workflows.list(),
    "workflow_events": lambda c, ids: c.workflows.events(ids["workflow"]),
    "workflow_stream": lambda c, ids: c.workflows.stream_events(ids["workflow"]),
    "workflow_wait": lambda c, ids: c.workflows.wait(ids["workflow"], timeout=5),
    "workflow_cancel": lambda c, ids: c.workflows.cancel(ids["workflow"]),
    "workflow_resume": lambda c, ids: c.workflows.resume(ids["workflow"]),
    "workflow_reseed": lambda c, ids: c.workflows.reseed(ids["workflow"], idempotency_key="r"),
    "template_list": lambda c, ids: c.workflows.templates.list(),
    "template_iterate": lambda c, ids: c.workflows.templates.iterate(limit=2),
    "template_get": lambda c, ids: c.workflows.templates.get(ids["template"]),
    "template_create": lambda c, ids: c.workflows.templates.create(TEMPLATE),
    "template_fork": lambda c, ids: c.workflows.templates.fork(ids["template"], "kite 2"),
    "run_create": lambda c, ids: c.chat.runs.create(messages=ASKED, idempotency_key="k"),
    "run_get": lambda c, ids: c.chat.runs.get(ids["run"]),
    "run_stream": lambda c, ids: c.chat.runs.stream_events(ids["run"]),
    "run_wait": lambda c, ids: c.chat.runs.wait(ids["run"], timeout=5),
    "run_cancel": lambda c, ids: c.chat.runs.cancel(ids["run"]),
    "hosted_chat": lambda c, ids: c.chat.hosted.create(messages=ASKED),
    "world_start": lambda c, ids: c.worlds.builds.start(
        world_id="w", node_id="n", hotspots=[HOTSPOT], idempotency_key="k"
    ),
    "world_list": lambda c, ids: c.worlds.builds.list(),
    "world_get": lambda c, ids: c.worlds.builds.get(ids["world"]),
    "world_events": lambda c, ids: c.worlds.builds.events(ids["world"]),
    "world_stream": lambda c, ids: c.worlds.builds.stream_events(ids["world"]),
    "world_wait": lambda c, ids: c.worlds.builds.wait(ids["world"], timeout=5),
    "world_cancel": lambda c, ids: c.worlds.builds.cancel(ids["world"]),
    "replay_list": lambda c, ids: c.replay.list(),
    "replay_get": lambda c, ids: c.replay.get(ids["record"]),
    "replay_write": lambda c, ids: c.replay.write({"run_id": "r1", "rounds": []}),
}


def needs_session(name: str) -> bool:
    """Whether a call is refused with an API key; it is made by a client with cookies instead."""
    return name.startswith("world_")
