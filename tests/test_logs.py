"""The log of the package: what happens, told at the right level, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import sogni
import sogni_async
from sogni import ValidationError
from sogni.emulator import LocalSupernet
from sogni.logs import configure, log_exchange, logger
from sogni.settings import VERSION


@pytest.fixture(autouse=True)
def unchanged_logger() -> Iterator[None]:
    level, handlers = logger.level, logger.handlers[:]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


async def make_an_image(package: str, supernet: LocalSupernet) -> str:
    params = {"type": "image", "model_id": "krea2_turbo_fp8_scaled", "positive_prompt": "a secret garden"}
    if package == "sogni":
        with supernet.client() as client:
            project = client.projects.create(**params)
            project.wait(timeout=60)
    else:
        async with supernet.async_client() as client:
            project = await client.projects.create(**params)
            await project.wait(timeout=60)
    return project.id


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
async def test_a_project_from_its_request_to_its_end(package: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "sogni"), LocalSupernet(step_time=0) as supernet:
        supernet.faults.http("*/downloadUrl", status=503, retry_after=0)
        project_id = await make_an_image(package, supernet)
        key = supernet.api_key
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    starts = (
        "connected to 127.0.0.1:",
        f"project {project_id}: requesting image with krea2_turbo_fp8_scaled, 1 results",
        "GET /v1/image/downloadUrl: status 503; attempt 2 follows in ",
        f"project {project_id} completed after ",
        "disconnected from 127.0.0.1:",
    )
    assert [line for start in starts for line in told if line.startswith(start)] == told
    debug = [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG]
    assert "sending jobRequest" in debug
    assert any(line.startswith("received ") and "jobResult" in line for line in debug)
    assert any("/v1/account/me: 200 after " in line for line in debug)
    for line in (*told, *debug):
        assert key not in line
        assert "?" not in line
        assert "garden" not in line


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
async def test_a_lost_connection(package: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sogni"), LocalSupernet(step_time=0) as supernet:
        supernet.faults.drop_socket(before="completed", code=1011)
        await make_an_image(package, supernet)
        supernet.faults.refuse_upgrade()
        await make_an_image(package, supernet)
    lost = [text for text in caplog.messages if " was lost (" in text]
    failed = [text for text in caplog.messages if text.startswith("could not connect to 127.0.0.1:")]
    assert (len(lost), len(failed)) == (1, 1)
    assert "code 1011" in lost[0]
    assert "; reconnecting in " in lost[0]


@pytest.mark.parametrize("package", ["sogni", "sogni_async"])
async def test_every_request_names_the_package(package: str) -> None:
    with LocalSupernet(step_time=0) as supernet:
        await make_an_image(package, supernet)
        agents = {it.headers.get("user-agent") for it in supernet.requests if hasattr(it, "headers")}
    assert agents == {f"sogni-python/{VERSION}"}


@pytest.mark.parametrize("package", [sogni, sogni_async])
def test_the_environment_turns_it_on(
    package: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for level in ("Debug", "info"):
        monkeypatch.setenv("SOGNI_LOG", level)
        package.SogniClient(api_key="some-key")  # type: ignore[attr-defined]
    logger.debug("hidden")
    logger.info("shown once")
    assert capsys.readouterr().err.endswith(" sogni INFO: shown once\n")
    monkeypatch.setenv("SOGNI_LOG", "loud")
    with pytest.raises(ValidationError, match="SOGNI_LOG must be one of debug, info, warning, error, got 'loud'"):
        package.SogniClient(api_key="some-key")  # type: ignore[attr-defined]


def test_no_level_changes_nothing() -> None:
    before = (logger.level, logger.handlers[:])
    configure(None)
    configure("")
    assert (logger.level, logger.handlers) == before


def test_the_query_of_a_url_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "sogni"):
        log_exchange("GET", "https://user:password@host:81/path?X-Amz-Signature=abc", 200, 0.25)
    assert caplog.messages == ["GET host:81/path: 200 after 0.250 s"]
