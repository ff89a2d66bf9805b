"""A run record that was made here leaves without secrets (replay §2)."""

from __future__ import annotations

from typing import Any

from sogni.core.replay import write_run
from sogni.models.replay import RunRecord
from tests.core.play import Stage, bare

KEY = "a-key-of-no-shape"


class Listener(Stage):
    """A stage that keeps what was sent."""

    def _answer(self, step: Any) -> Any:
        self.sent = step.call.body
        return super()._answer(step)


def test_the_keys_of_the_client_go_wherever_they_stand() -> None:
    stage = Listener(api_key=KEY)
    record = RunRecord(run_id="r", user_request=f"my {KEY}", rounds=[{"url": "https://h.example/a?sig=1", "n": 1}])
    told = {"runId": "r", "schemaVersion": 2, "redacted": True}
    written = stage.play(write_run(record), ("POST rest/v1/replay/records", bare(told)))
    assert written.redacted
    assert stage.sent == {
        "run_id": "r",
        "user_request": "my ***",
        "rounds": [{"url": "https://h.example/a?***", "n": 1}],
    }
