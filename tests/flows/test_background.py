"""Which flow does which background work."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.errors import ClientClosedError, SogniConnectionError
from sogni.flows.background import flow_of
from sogni.models.records import Snapshot
from sogni.protocol import chores
from sogni.settings import RetryPolicy
from tests.flows.play import JOB, MODEL, MODELS, PROJECT, Stage, bare, ok, refused

ACTIVE = "GET socket/api/v1/artist/projects/active"
RECORD = f"GET rest/v1/projects/{PROJECT}"
LIVE = f"GET rest/v2/projects/{PROJECT}"
URL = ok({"downloadUrl": "https://store/1"})
SIGN = f"GET rest/v1/image/downloadUrl?jobId={PROJECT}&imageId={JOB}&type="


def signing(stage: Stage) -> None:
    stage.receives("jobResult", {"jobID": PROJECT, "imgID": JOB})


@pytest.mark.parametrize(
    ("chore", "script"),
    [
        (chores.SignResults(PROJECT), [(SIGN + "complete", URL)]),
        (chores.SignPreview(PROJECT, JOB), [(SIGN + "preview", URL)]),
        (chores.SyncProject(PROJECT), [(RECORD, ok({"project": {"id": PROJECT}}))]),
        (chores.Reconcile(Snapshot()), [(RECORD, refused(403))]),
        (chores.Reconcile(None), [("GET socket/api/v1/artist/projects/sync?appId=app-1", refused(403))]),
        (chores.Resend(PROJECT), []),
        (chores.CheckLiveness(PROJECT), [(ACTIVE, bare({"projects": [{"id": PROJECT}]}))]),
        (chores.GiveUp(PROJECT, "too long"), [("frame jobError", None)]),
        (chores.Poll(PROJECT), [("pause 0.5 ±20%", None), (LIVE, refused(404))]),
        (chores.EndLostChats(), []),
        (chores.NameModels({MODEL: 1}, 0), [MODELS]),
        (chores.FetchAccount(), [("GET rest/v1/account/me", ok({}))]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_chore_has_its_flow(chore: Any, script: list[Any]) -> None:
    stage = Stage().connects()
    stage.project().request = None
    signing(stage)
    stage.passes(6).play(flow_of(chore), *script)


def test_an_account_that_cannot_be_read_is_no_news() -> None:
    stage = Stage(retry=RetryPolicy(attempts=1))
    stage.play(flow_of(chores.FetchAccount()), ("GET rest/v1/account/me", SogniConnectionError("gone")))


def test_the_end_of_the_client_ends_its_chores() -> None:
    me = ("GET rest/v1/account/me", ClientClosedError("closed"))
    Stage().fail(ClientClosedError, flow_of(chores.FetchAccount()), me)
