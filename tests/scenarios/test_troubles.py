"""Failures in both packages: invalid input, refusals, failed jobs, timeouts, canceling."""

from __future__ import annotations

import asyncio
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sogni.emulator import Balance, LocalSupernet, Membership
from tests.scenarios.conftest import SOON, Sdk, until


def sent(supernet: LocalSupernet) -> list[str]:
    """Frames and uploads that reached the emulator: what a refused call must not leave behind."""
    frames = [arrival.type for arrival in supernet.requests if hasattr(arrival, "type")]
    return frames + [arrival.path for arrival in supernet.requests if getattr(arrival, "method", "") in ("PUT", "POST")]


PICTURE = Image.new("RGB", (32, 32))

BAD = {
    "an unknown model": ({"model_id": "flux1-schnel-fp8"}, "model_id"),
    "a width below the bounds": ({"width": 64}, "width"),
    "a height above the bounds": ({"height": 4096}, "height"),
    "a text as width": ({"width": "256"}, "width"),
    "steps that are no number": ({"steps": "4"}, "steps"),
    "a guidance that is no number": ({"guidance": math.nan}, "guidance"),
    "no results": ({"number_of_media": 0}, "number_of_media"),
    "half a result": ({"number_of_media": 1.5}, "number_of_media"),
    "a prompt that is no text": ({"positive_prompt": 5}, "positive_prompt"),
    "an unknown sampler": ({"sampler": "warp_drive"}, "sampler"),
    "a network there is not": ({"network": "slow"}, "network"),
    "a token there is not": ({"token_type": "gold"}, "token_type"),
    "too many context images": ({"context_images": [PICTURE] * 4}, "context_images"),
    "a missing file": ({"starting_image": "no/such/file.png"}, "starting_image"),
    "an address as a file": ({"starting_image": "https://example.com/a.png"}, "starting_image"),
    "an empty file": ({"starting_image": b""}, "starting_image"),
    "a file that is no image": ({"starting_image": b"once upon a time there was a text"}, "starting_image"),
    "something that is no file": ({"starting_image": 5}, "starting_image"),
    "a control net strength above 1": (
        {"control_net": {"name": "canny", "image": PICTURE, "strength": 2}},
        "control_net.strength",
    ),
    "a control net mode there is not": (
        {"control_net": {"name": "canny", "image": PICTURE, "mode": "odd"}},
        "control_net.mode",
    ),
    "a cost limit that is no amount": ({"max_cost": "cheap"}, "max_cost"),
    "an unknown type": ({"type": "hologram"}, "type"),
    "a quality GPT Image has not": ({"model_id": "gpt-image-2", "gpt_image_quality": "auto"}, "gpt_image_quality"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_is_refused_before_anything_is_sent(
    sdk: Sdk, client: Any, supernet: LocalSupernet, case: str
) -> None:
    fields, name = BAD[case]
    with pytest.raises(sdk.ValidationError) as caught:
        await sdk.create(client, **fields)
    assert caught.value.field == name
    assert name.rpartition(".")[2] in str(caught.value)
    assert sent(supernet) == []
    assert client.projects.tracked_projects == []


async def test_a_misspelt_keyword_names_the_nearest_known_one(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    with pytest.raises(TypeError, match="positive_prompt"):
        await sdk.create(client, positiv_prompt="x")
    assert sent(supernet) == []


async def test_a_wrong_key_is_an_authentication_error(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, api_key="not-the-key") as client:
        with pytest.raises(sdk.AuthenticationError) as caught:
            await sdk.create(client)
        assert caught.value.status == 401
        assert "not-the-key" not in f"{caught.value}{caught.value!r}"
        assert not client.is_authenticated


async def test_connecting_with_a_wrong_key_is_an_authentication_error(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, api_key="not-the-key") as client:
        with pytest.raises(sdk.AuthenticationError):
            await sdk.call(client.connect, timeout=SOON)


async def test_an_unreachable_server_is_named_with_the_cause(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, rest_endpoint="http://127.0.0.1:9", socket_endpoint="ws://127.0.0.1:9") as client:
        with pytest.raises(sdk.SogniConnectionError, match=r"127\.0\.0\.1:9.*refused"):
            await sdk.create(client)
        with pytest.raises(sdk.SogniError):
            await sdk.call(client.connect, timeout=0.2)
        report = await sdk.call(client.check, timeout=0.2)
        assert [report.ok, {check.name: check.ok for check in report.checks}] == [
            False,
            {"credentials": False, "balance": False, "socket": False},
        ]


async def test_a_server_that_answers_html_is_quoted(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v4/account/balance", status=404, body="<html>lost</html>", content_type="text/html")
    with pytest.raises(sdk.NotFoundError, match="lost"):
        await sdk.call(client.account.account_balance)
    supernet.faults.http("/v4/account/balance", status=200, body="<html>hi</html>", content_type="text/html")
    with pytest.raises(sdk.ProtocolError):
        await sdk.call(client.account.account_balance)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_failure_of_a_read_is_tried_again(
    sdk: Sdk, client: Any, supernet: LocalSupernet, status: int
) -> None:
    supernet.faults.http("/v4/account/balance", status=status, retry_after=0, times=2)
    assert (await sdk.call(client.account.account_balance)).spark.net > 0


async def test_a_long_retry_after_is_left_to_the_caller(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/v4/account/balance", status=429, retry_after=600)
    with pytest.raises(sdk.RateLimitError) as caught:
        await sdk.call(client.account.account_balance)
    assert caught.value.retry_after == 600


async def test_a_failed_upload_is_tried_again(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    fault = supernet.faults.http("/storage/*", method="PUT", status=503, times=2)
    project = await sdk.create(client, starting_image=PICTURE)
    await sdk.call(project.wait, timeout=SOON)
    assert [fault.fired, project.status] == [2, "completed"]


async def test_a_refused_upload_leaves_nothing_behind(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.http("/storage/*", method="PUT", status=403, times=9)
    with pytest.raises(sdk.PermissionDeniedError):
        await sdk.create(client, starting_image=PICTURE)
    assert client.projects.tracked_projects == []
    assert "jobRequest" not in sent(supernet)


async def test_an_empty_purse_is_its_own_error(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0, balance=Balance(spark=0, sogni=0)) as supernet:
        async with sdk.client(supernet) as client:
            project = await sdk.create(client)
            with pytest.raises(sdk.InsufficientBalanceError) as caught:
                await sdk.call(project.wait, timeout=SOON)
            assert isinstance(caught.value, sdk.ProjectFailedError)
            assert caught.value.project is project


async def test_an_empty_purse_names_the_other_one(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0, balance=Balance(spark=12.5, sogni=0)) as supernet:
        async with sdk.client(supernet) as client:
            project = await sdk.create(client)
            with pytest.raises(sdk.InsufficientBalanceError) as caught:
                await sdk.call(project.wait, timeout=SOON)
            expected = f"{project.error.message}; the account has 12.5 Spark, which pays with token_type='spark'"
            assert (caught.value.message, caught.value.args) == (expected, (expected,))


async def test_free_credits_pay_for_one_model_only(sdk: Sdk) -> None:
    with LocalSupernet(step_time=0, balance=Balance(free_spark=400)) as supernet:
        async with sdk.client(supernet) as client:
            first = await sdk.create(client, model_id="krea2_turbo_fp8_scaled", token_type="spark")
            await sdk.call(first.wait, timeout=SOON)
            other = await sdk.create(client, token_type="spark")
            with pytest.raises(sdk.InsufficientBalanceError, match="free credits pay for krea2_turbo_fp8_scaled only"):
                await sdk.call(other.wait, timeout=SOON)
            chat = {"messages": [{"role": "user", "content": "Hello"}], "token_type": "spark"}
            with pytest.raises(sdk.InsufficientBalanceError, match="free credits pay for krea2_turbo_fp8_scaled only"):
                await sdk.call(client.chat.completions.create, **chat)
            balance = (await sdk.call(client.account.account_balance)).spark
        left = supernet.account.balance
        assert (first.status, other.status, left.spark, balance.net) == ("completed", "failed", 0, left.free_spark)
        assert 0 < left.free_spark < 400


async def test_a_tool_without_a_model_spends_free_credits(sdk: Sdk) -> None:
    call = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "generate_image", "arguments": '{"prompt": "a red kite"}'},
    }
    with LocalSupernet(step_time=0, balance=Balance(free_spark=400)) as supernet:
        async with sdk.client(supernet) as client:
            result = await sdk.call(client.chat.tools.execute, call, token_type="spark")
    assert result.success


async def test_a_failed_project_raises_for_every_waiter(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(0, error=5002, message="the worker left")
    project = await sdk.create(client)
    errors = []
    for _ in range(2):
        with pytest.raises(sdk.ProjectFailedError, match="the worker left") as caught:
            await sdk.call(project.wait, timeout=SOON)
        errors.append(caught.value)
    assert errors[0] is not errors[1]
    assert [errors[0].code, project.status, project.error.code] == [5002, "failed", 5002]
    assert await sdk.call(project.wait, check=False) is project
    assert project.failed_jobs == project.jobs


async def test_an_error_says_why_and_what_to_do(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    """additions-5x §4."""
    agreement = {"key": "terms", "version": 2, "model_id": "m"}
    supernet.faults.refuse_project(error="4103", message="No.", consent_required=agreement)
    refused = await sdk.create(client)
    with pytest.raises(
        sdk.ProjectFailedError, match=r"^No; accept the agreement 'terms' \(version 2\) for m"
    ) as caught:
        await sdk.call(refused.wait, timeout=SOON)
    consent = sdk.ConsentRequired(key="terms", version=2, model_id="m")
    assert (caught.value.consent_required, refused.error.consent_required) == (consent, consent)
    assert pickle.loads(pickle.dumps(refused)).error == refused.error
    supernet.faults.fail_job(vendor_failure_category="timeout", fair_use={"limit": 5})
    failed = await sdk.create(client)
    with pytest.raises(sdk.ProjectFailedError) as caught:
        await sdk.call(failed.wait, timeout=SOON)
    assert (caught.value.vendor_failure_category, caught.value.extra["fairUse"]) == ("timeout", {"limit": 5})
    with pytest.raises(sdk.JobError, match="could not be generated") as of_job:
        await sdk.call(failed.jobs[0].get_result_url)
    assert (of_job.value.vendor_failure_category, of_job.value.code) == ("timeout", 5000)


async def test_a_subscription_pays_only_if_there_is_one(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    for membership, code, advice in (
        (None, 4078, "get a plan"),
        (Membership(status="grace"), 4080, "until it succeeds, use billing_mode='tokens'"),
    ):
        supernet.set_subscription(membership)
        project = await sdk.create(client, billing_mode="subscription")
        with pytest.raises(sdk.ProjectFailedError, match=advice) as caught:
            await sdk.call(project.wait, timeout=SOON)
        assert (caught.value.code, caught.value.subscription_limit) == (code, False)
    before = supernet.account.balance
    supernet.set_subscription(Membership())
    await sdk.call((await sdk.create(client, billing_mode="subscription")).wait, timeout=SOON)
    assert supernet.account.balance == before


async def test_a_short_result_is_never_quiet(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.fail_job(1, error="genfailure", vendor_failure_category="content_policy")
    project = await sdk.create(client, number_of_media=3)
    with pytest.warns(sdk.PartialResultWarning, match=project.id):
        urls = await sdk.call(project.wait_for_completion, timeout=SOON)
    assert [len(urls), len(project.failed_jobs)] == [2, 1]
    with pytest.raises(sdk.PartialFailureError) as caught:
        await sdk.call(project.wait, strict=True)
    assert (caught.value.project, caught.value.vendor_failure_category) == (project, "content_policy")


async def test_a_withheld_result_is_no_result(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.faults.flag_nsfw(0)
    project = await sdk.create(client)
    with pytest.raises(sdk.ProjectFailedError, match="0 of 1 results, 1 withheld by the content filter") as caught:
        await sdk.call(project.wait_for_completion, timeout=SOON)
    assert caught.value.project is project
    assert await sdk.call(project.wait, timeout=SOON) is project
    job = project.jobs[0]
    assert [job.is_nsfw, job.has_result_media, job.result_url] == [True, False, None]
    with pytest.raises(sdk.JobError, match="withheld"):
        await sdk.call(job.get_result_data)


async def test_time_runs_out_without_canceling_anything(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project = await sdk.create(client)
    with pytest.raises(sdk.SogniTimeoutError) as queued:
        await sdk.call(project.wait, timeout=SOON, queue_timeout=0.05)
    with pytest.raises(sdk.SogniTimeoutError) as running:
        await sdk.call(project.wait, timeout=0.05)
    with pytest.raises(TimeoutError):
        await sdk.collect(project.events(timeout=0.05))
    assert [queued.value.phase, running.value.phase] == ["queue", "run"]
    assert project.id in str(running.value)
    supernet.resume_workers()
    assert (await sdk.call(project.wait, timeout=SOON)).status == "completed"


async def test_canceling_is_confirmed(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project = await sdk.create(client)
    heard: list[str] = []
    project.on("canceled", lambda: heard.append("canceled"))
    await sdk.call(project.cancel)
    assert [project.status, project.finished] == ["canceled", True]
    with pytest.raises(sdk.ProjectCanceledError):
        await sdk.call(project.wait, timeout=SOON)
    await until(lambda: heard)
    await sdk.call(project.cancel)
    assert client.projects.tracked_projects == []


async def test_a_declined_cancellation_leaves_the_project_running(
    sdk: Sdk, client: Any, supernet: LocalSupernet
) -> None:
    supernet.pause_workers()
    supernet.faults.deny_cancel(message="too late")
    project = await sdk.create(client)
    with pytest.raises(sdk.ConflictError, match="too late"):
        await sdk.call(project.cancel)
    supernet.resume_workers()
    assert (await sdk.call(project.wait, timeout=SOON)).status == "completed"


async def test_nothing_happens_to_a_finished_project_of_an_earlier_client(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
    async with sdk.client(supernet) as later:
        await sdk.call(later.projects.cancel, project.id)
        unknown = "00000000-0000-4000-8000-000000000000"
        with pytest.raises(sdk.NotFoundError, match=unknown):
            await sdk.call(later.projects.cancel, unknown)


async def test_a_closed_client_says_so(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet) as client:
        supernet.pause_workers()
        project = await sdk.create(client)
        waiting = asyncio.ensure_future(sdk.call(project.wait))
        await asyncio.sleep(0)
        await sdk.call(client.close)
        await sdk.call(client.close)
        with pytest.raises(sdk.ClientClosedError):
            await waiting
        with pytest.raises(sdk.ClientClosedError):
            await sdk.create(client)
        assert client.closed
    supernet.resume_workers()


async def test_a_client_without_a_socket_creates_no_project(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, disable_socket=True) as client:
        with pytest.raises(sdk.SogniConnectionError, match="disable_socket"):
            await sdk.create(client)
        assert (await sdk.call(client.account.me)).username
        assert (await sdk.call(client.check)).ok


async def test_without_credentials_the_error_says_what_to_do(sdk: Sdk, supernet: LocalSupernet) -> None:
    async with sdk.client(supernet, api_key=None) as client:
        with pytest.raises(sdk.AuthenticationError, match="SOGNI_API_KEY"):
            await sdk.create(client)


async def test_projects_pickle_and_can_be_attached(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    project = await sdk.create(client, number_of_media=2, starting_image=PICTURE)
    await sdk.call(project.wait, timeout=SOON)
    copy = pickle.loads(pickle.dumps(project))
    assert copy == project
    assert [copy.status, copy.result_urls, copy.params.model_id] == [
        "completed",
        project.result_urls,
        project.params.model_id,
    ]
    assert copy.params.starting_image is None
    with pytest.raises(sdk.ClientClosedError, match="attach"):
        await sdk.call(copy.cancel)
    attached = await sdk.call(client.projects.attach, copy)
    assert attached == project
    with pytest.raises(sdk.NotFoundError):
        await sdk.call(client.projects.attach, "00000000-0000-4000-8000-000000000000")


async def test_another_client_follows_a_running_project(sdk: Sdk, client: Any, supernet: LocalSupernet) -> None:
    supernet.pause_workers()
    project = await sdk.create(client, number_of_media=2)
    pickled = pickle.dumps(project)
    async with sdk.client(supernet) as other:
        by_id = await sdk.call(other.projects.attach, project.id)
        assert not by_id.finished
        supernet.resume_workers()
        await sdk.call(by_id.wait, timeout=SOON)
        assert len(by_id.result_urls) == 2
        again = await sdk.call(other.projects.attach, pickle.loads(pickled))
        assert again == project
    await sdk.call(project.wait, timeout=SOON)


async def test_a_project_of_another_app_id_is_followed_by_asking_after_it(sdk: Sdk, supernet: LocalSupernet) -> None:
    """The live record does not say whose it is, the list does (transport §13.1)."""
    supernet.pause_workers()
    async with sdk.client(supernet, app_id="one") as one, sdk.client(supernet, app_id="another") as another:
        project = await sdk.create(one, number_of_media=2)
        attached = await sdk.call(another.projects.attach, project.id)
        assert (await until(lambda: attached.waiting_reason)).reason == "queued"
        waiting = asyncio.ensure_future(sdk.call(attached.wait, timeout=SOON))
        supernet.resume_workers()
        await waiting
        assert (len(attached.result_urls), another.is_connected, one.is_connected) == (2, False, True)


async def test_a_result_that_cannot_be_saved_leaves_no_file(
    sdk: Sdk, client: Any, supernet: LocalSupernet, tmp_path: Path
) -> None:
    project = await sdk.create(client)
    await sdk.call(project.wait, timeout=SOON)
    supernet.faults.http("/storage/*", method="GET", truncate=True, times=99)
    with pytest.raises(sdk.SogniError):
        await sdk.call(project.save, tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_chat_nobody_serves_is_a_chat_error(sdk: Sdk, client: Any) -> None:
    message = {"role": "user", "content": "hello"}
    with pytest.raises(sdk.ChatError) as caught:
        await sdk.call(client.chat.completions.create, model="nobody", messages=[message], timeout=SOON)
    assert caught.value.error_type == "model_unavailable"
    stream = await sdk.call(client.chat.completions.create, model="nobody", messages=[message], stream=True)
    with pytest.raises(sdk.ChatError):
        await sdk.collect(stream)
    with pytest.raises(TypeError, match="temperature"):
        await sdk.call(client.chat.completions.create, messages=[message], temprature=1)
