"""No secret can be found in an error: not in its chain, and not in the locals of our frames in its tracebacks."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from tests.scenarios.conftest import SOON, Sdk

PASSWORD = "correct-horse-battery"
TYPED = "another-Password-1"
OURS = re.compile(r"/sogni(_async)?/(?!emulator/)")
SIGNED = "X-Amz-Signature="
SECRET_FORMS = re.compile(r"X-Amz-Signature=[0-9a-f]{8}|eyJ[\w-]{10,}\.[\w-]{10,}|0x[0-9a-fA-F]{64,}|AKIA\w{8}")
STORAGE_DOCUMENT = (
    '<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature does not match</Message>'
    "<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 20260101</StringToSign>"
    "<SignatureProvided>0f0f0f0f0f0f0f0f0f0f0f0f</SignatureProvided></Error>"
)


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1) as running:
        running.add_account("ada", PASSWORD, spark=500, sogni=50)
        yield running


def chain_of(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """The error and everything it came from, hidden or not."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from chain_of(error.__cause__, seen)
    yield from chain_of(error.__context__, seen)


def frames_of(trace: TracebackType | None) -> Iterator[tuple[str, str, Any]]:
    """Place, name and value of every local of ours."""
    while trace is not None:
        code = trace.tb_frame.f_code
        if OURS.search(code.co_filename):
            for name, value in dict(trace.tb_frame.f_locals).items():
                yield f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno} {code.co_name}", name, value
        trace = trace.tb_next


def leaks(error: BaseException, secrets: list[str]) -> list[str]:
    """Where a secret can be read: in the texts of the errors, or in the repr of a local."""
    found = []
    for one in chain_of(error):
        told = [("message", "", f"{one} {one!r} {vars(one)} {one.args}")]
        told += [(where, name, repr(value)) for where, name, value in frames_of(one.__traceback__)]
        for where, name, text in told:
            if any(secret in text for secret in secrets) or SECRET_FORMS.search(text):
                found.append(f"{where} {name}: {text[:200]}")
    return found


async def failure(sdk: Sdk, function: Any, *args: Any, **keywords: Any) -> BaseException:
    """What a call raises."""
    try:
        await sdk.call(function, *args, **keywords)
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def key_client(sdk: Sdk, supernet: LocalSupernet, **options: Any) -> Any:
    return sdk.client(supernet, **{"retry": sdk.RetryPolicy(attempts=1), **options})


CALLS: dict[str, Any] = {
    "me": lambda c, p: (c.account.me,),
    "balance": lambda c, p: (c.account.account_balance,),
    "login": lambda c, p: (c.account.login, "ada", TYPED),
    "create_account": lambda c, p: (c.account.create, "bob", "b@example.com", TYPED),
    "withdraw": lambda c, p: (c.account.withdraw, TYPED, 1),
    "deposit": lambda c, p: (c.account.deposit, TYPED, 1),
    "approve": lambda c, p: (c.account.approve_token_usage, TYPED, "account"),
    "switched_arguments": lambda c, p: (c.account.withdraw, 1, TYPED),
    "models": lambda c, p: (c.projects.get_supported_models,),
    "estimate": lambda c, p: (c.projects.estimate_cost, "flux1-schnell-fp8"),
    "create": lambda c, p: (c.projects.create, fields(starting_image=p)),
    "save": lambda c, p: (c.projects.assets.upload, p),
    "chat": lambda c, p: (c.chat.estimate_cost,),
    "workflows": lambda c, p: (c.workflows.list,),
    "runs": lambda c, p: (c.chat.runs.get, "r1"),
    "replay": lambda c, p: (c.replay.list,),
    "connect": lambda c, p: (c.connect, 0.5),
    "tokens": lambda c, p: (c.set_tokens, "x" + TYPED, "y" + TYPED),
}


def fields(**more: Any) -> dict[str, Any]:
    given = {"type": "image", "model_id": "flux1-schnell-fp8", "positive_prompt": "a kite", "network": "fast"}
    return {**given, "width": 256, "height": 256, "starting_image_strength": 0.5, **more}


FAULTS: dict[str, dict[str, Any]] = {
    "unauthorised": {"status": 401},
    "broken": {"status": 500, "body": "<html>oops</html>"},
    "nonsense": {"body": '{"status":"success","data":'},
    "odd": {
        "body": {
            "status": "success",
            "data": {"token": 7, "refreshToken": ".".join(("eyJ" + "a" * 30, "b" * 30, "c" * 20))},
        }
    },
    "cut": {"disconnect": True},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_call_shows_no_secret(sdk: Sdk, supernet: LocalSupernet, picture: bytes, fault: str) -> None:
    found: list[str] = []
    failed = 0
    secrets = [supernet.api_key, TYPED]
    for name, made in CALLS.items():
        async with key_client(sdk, supernet) as client:
            supernet.faults.http("*", times=10**6, **FAULTS[fault])
            supernet.faults.refuse_upgrade(times=3, status=401)
            function, *args = made(client, picture)
            keywords = {"messages": [{"role": "user", "content": "x"}]} if name == "chat" else {}
            try:
                await sdk.call(function, *args, **keywords)
            except Exception as error:
                failed += 1
                found += [f"{name}: {it}" for it in leaks(error, secrets)]
            supernet.faults.clear()
    assert failed > len(CALLS) / 2
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", ["nonce", "login", "withdraw/permit", "token/withdraw", "refresh-token"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_failing_session_shows_no_secret(sdk: Sdk, supernet: LocalSupernet, path: str, fault: str) -> None:
    found: list[str] = []
    async with key_client(sdk, supernet, api_key=None, auth_type="token") as client:
        session = await sdk.call(client.account.login, "ada", PASSWORD)
        wallet = await sdk.call(client.account.get_wallet, "ada", PASSWORD)
        pair = session.tokens
        secrets = [PASSWORD, pair.token, pair.refresh_token, wallet.private_key[2:]]
        supernet.faults.http(f"*{path}", times=10**6, **FAULTS[fault])
        calls = [(client.account.withdraw, PASSWORD, 1), (client.account.login, "ada", PASSWORD)]
        calls += [(client.set_tokens, None, pair.refresh_token)]
        for function, *args in calls:
            try:
                await sdk.call(function, *args)
            except Exception as error:
                found += [f"{function.__name__}: {it}" for it in leaks(error, secrets)]
    assert not found, "\n".join(found)


@pytest.fixture
def picture() -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "fault",
    [{"status": 403, "body": STORAGE_DOCUMENT, "content_type": "application/xml"}, {"disconnect": True}],
    ids=["refused", "cut"],
)
async def test_a_failing_transfer_shows_no_signed_url(
    sdk: Sdk, supernet: LocalSupernet, picture: bytes, tmp_path: Path, fault: dict[str, Any]
) -> None:
    found: list[str] = []
    async with AsyncExitStack() as opened, key_client(sdk, supernet) as client:
        project = await sdk.create(client)
        await sdk.call(project.wait, timeout=SOON)
        result = await sdk.call(client.projects.get_result, project.id)
        supernet.faults.http("/storage/*", times=10**6, **fault)
        job = project.jobs[0]
        calls = [(project.save, tmp_path), (job.save, tmp_path), (job.get_result_data,), (job.open,)]
        calls.append((result.save, tmp_path / "later"))
        calls += [(client.projects.assets.upload, picture), (client.projects.create, fields(starting_image=picture))]
        usual = await opened.enter_async_context(key_client(sdk, supernet, saved_uploads=False))
        calls.append((usual.projects.create, fields(starting_image=picture)))
        for function, *args in calls:
            error = await failure(sdk, function, *args)
            assert "AWS4" not in str(error)
            assert "0f0f0f0f" not in str(error)
            found += [f"{function.__name__}: {it}" for it in leaks(error, [supernet.api_key, "0f0f0f0f"])]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", ["/v1/assets/*/finalize", "/v1/assets/*/bind", "/v1/assets/prepare"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_saving_a_file_that_fails_shows_no_signed_url(
    sdk: Sdk, supernet: LocalSupernet, picture: bytes, path: str, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    found: list[str] = []
    async with key_client(sdk, supernet) as client:
        supernet.faults.http(path, times=10**6, **FAULTS[fault])
        for function, given in (
            (client.projects.create, fields(starting_image=picture)),
            (client.projects.assets.upload, picture),
        ):
            try:
                await sdk.call(function, given)
            except Exception as error:
                found += leaks(error, [supernet.api_key])
    assert not found, "\n".join(found)
    assert SECRET_FORMS.search(caplog.text) is None


def test_what_is_refused_at_once_shows_no_secret(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOGNI_API_KEY", "from-the-environment-" + TYPED)
    found: list[str] = []
    for given in (
        {"api_key": "key\n" + TYPED},
        {"api_key": TYPED, "network": "slow"},
        {"api_key": TYPED, "rest_endpoint": "nowhere"},
        {"network": "slow"},
    ):
        try:
            sdk.SogniClient(**given)
        except sdk.ValidationError as error:
            found += [f"{given.keys()}: {it}" for it in leaks(error, [TYPED])]
        else:
            raise AssertionError(given)
        gc.collect()
    assert not found, "\n".join(found)


async def test_a_proxy_that_fails_shows_no_password(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {"rest_endpoint": "http://sogni.invalid", "socket_endpoint": "ws://sogni.invalid", "api_key": "k" * 20}
    given = {**nowhere, "proxy": f"http://ada:{TYPED}@127.0.0.1:9", "retry": sdk.RetryPolicy(attempts=1)}
    client = sdk.SogniClient(**given)
    found = leaks(await failure(sdk, client.account.me), [TYPED, "k" * 20])
    found += leaks(await failure(sdk, client.connect, 0.5), [TYPED, "k" * 20])
    await sdk.call(client.close)
    assert not found, "\n".join(found)


async def test_events_show_no_signed_url(sdk: Sdk, supernet: LocalSupernet) -> None:
    seen: list[Any] = []
    async with key_client(sdk, supernet) as client:
        client.projects.on("job", seen.append)
        project = await sdk.create(client, number_of_previews=2)
        seen += await sdk.collect(project.events())
        await sdk.call(project.wait, timeout=SOON)
        record = await sdk.call(client.projects.get, project.id)
        url = await sdk.call(project.jobs[0].get_result_url)
        assert SIGNED in url
        assert type(url) is str
        assert type(project.result_urls[0]) is str
        shown = repr([*seen, record, project, *project.jobs])
    assert "job" in shown
    assert SIGNED not in shown
