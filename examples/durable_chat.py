"""Run a chat that the service carries on by itself: durable_chat.py [PROMPT…]

It asks before it spends. Its events are printed as they happen, even if the connection is lost in between.
"""

import os
import sys

from sogni import ChatRunEvent, ChatRunRecord, SogniClient


def approve(client: SogniClient, run: ChatRunRecord) -> None:
    """Approve the cost of the run; a real program would ask its user."""
    details = run.waiting.details if run.waiting else None
    preview = details.cost_approval_preview if details else None
    if details is None or preview is None or details.tool_call_id is None:
        client.chat.runs.cancel(run.run_id, "nothing to approve")
        return
    print(f"approved {preview.total_estimated_capacity_units} {preview.token_type}")
    client.chat.runs.confirm_cost(
        run.run_id, tool_call_id=details.tool_call_id, decision="confirm", accepted_cost_preview=preview
    )


def tell(event: ChatRunEvent) -> None:
    if event.type != "assistant_delta":
        print(event.type)


words = " ".join(sys.argv[1:]) or "Draw a red kite at 512x512"
with SogniClient(disable_socket=True) if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    run = client.chat.runs.create(
        messages=[{"role": "user", "content": words}], runtime_config={"require_job_confirmation": True}
    )
    with client.chat.runs.stream_events(run.run_id) as events:
        for event in events:
            tell(event)
            if event.type == "run_waiting_for_user":
                approve(client, client.chat.runs.get(run.run_id))
    run = client.chat.runs.get(run.run_id)
    print(run.status)
    for artifact in run.artifacts:
        print((artifact.url or "").partition("?")[0])
