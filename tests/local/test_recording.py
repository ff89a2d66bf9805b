"""A recording notes the chats of its client, in its thread or task, while it lasts; and is written once."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

import sogni_async
from sogni.api.replay import RunRecorder
from sogni.errors import ServerError
from sogni.local.recording import recorded_request
from sogni.models.chat import ChatCompletionResult
from sogni.models.replay import ReplayWriteResult

ASKED = [{"role": "user", "content": "A kite?"}]
RED = ChatCompletionResult(job_id="J", content="Red.")


class Engine:
    """Carries out the one thing a recorder asks for, or fails to."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.state = SimpleNamespace(session=SimpleNamespace(credentials=SimpleNamespace(secrets=("a-secret",))))
        self.failure = failure
        self.writes = 0

    def run(self, flow: Any) -> Any:
        flow.close()
        if self.failure is not None:
            raise self.failure
        self.writes += 1
        return ReplayWriteResult(run_id="r")


class AsyncEngine(Engine):
    async def run(self, flow: Any) -> Any:
        return super().run(flow)


def recorder(engine: Engine) -> RunRecorder:
    return RunRecorder(engine, run_id=None, session_id="s", account_id=None)


def chat(engine: Engine, text: str = "Red.") -> None:
    with recorded_request(engine, "qwen", ASKED) as asked:
        asked.answer = ChatCompletionResult(job_id="J", content=text)


def contents(run: Any) -> list[str]:
    return [it.get("content", "") for it in run.record.rounds]


def test_chats_inside_are_noted_and_written_once() -> None:
    engine = Engine()
    chat(engine, "before")
    with recorder(engine) as run:
        assert run.written is None
        chat(engine, "1")
        chat(Engine(), "of another client")
        chat(engine, "2")
    chat(engine, "after")
    assert contents(run) == ["1", "2"]
    assert (run.written, engine.writes) == (ReplayWriteResult(run_id="r"), 1)
    assert run.run_id == run.record.run_id
    assert run.run_id.startswith("run_")
    assert run.record.session_id == "s"


def test_the_record_shows_no_secret() -> None:
    engine = Engine()
    with recorder(engine) as run:
        chat(engine, "it is a-secret")
        assert contents(run) == ["it is ***"]


def test_a_chat_that_fails_is_noted_also_when_the_block_goes_on() -> None:
    engine = Engine()
    with recorder(engine) as run:
        with pytest.raises(ServerError), recorded_request(engine, "qwen", ASKED):
            raise ServerError("too late", status=500)
        chat(engine)
    assert [it.get("error") for it in run.record.rounds or []] == [{"type": "ServerError", "message": "too late"}, None]
    assert "error" not in run.record.extra


def test_an_error_of_the_block_is_noted_and_goes_on() -> None:
    engine = Engine()
    with pytest.raises(ZeroDivisionError) as caught, recorder(engine) as run:
        1 / 0
    assert run.record.extra["error"] == {"type": "ZeroDivisionError", "message": "division by zero"}
    assert engine.writes == 1
    assert getattr(caught.value, "__notes__", []) == []


def test_a_failed_write_is_raised() -> None:
    with pytest.raises(ServerError), recorder(Engine(ServerError("full", status=507))) as run:
        pass
    assert run.written is None


def test_a_failed_write_never_hides_the_error_of_the_block() -> None:
    with pytest.raises(ZeroDivisionError) as caught, recorder(Engine(ServerError("full"))) as run:
        1 / 0
    assert caught.value.__notes__ == [f"run record {run.run_id} could not be written: full"]


def test_answers_from_elsewhere_can_be_added_until_it_is_written() -> None:
    engine = Engine()
    with recorder(engine) as run:
        run.add(RED, messages=ASKED, model="other")
    assert (run.record.model_id, run.record.user_request, contents(run)) == ("other", "A kite?", ["Red."])
    with pytest.raises(RuntimeError, match="has already been written"):
        run.add(RED)


def test_recordings_can_be_nested() -> None:
    engine = Engine()
    with recorder(engine) as outer:
        chat(engine, "1")
        with recorder(engine) as inner:
            chat(engine, "2")
        chat(engine, "3")
    assert (contents(outer), contents(inner)) == (["1", "2", "3"], ["2"])


def test_a_recording_is_entered_once() -> None:
    run = recorder(Engine())
    with run, pytest.raises(RuntimeError, match="entered only once"), run:
        pass
    with pytest.raises(RuntimeError, match="entered only once"), run:
        pass


def test_another_thread_is_outside() -> None:
    engine = Engine()
    with recorder(engine) as run:
        thread = threading.Thread(target=chat, args=(engine,))
        thread.start()
        thread.join()
    assert contents(run) == []


async def test_tasks_started_inside_are_inside_and_their_siblings_outside() -> None:
    engine = AsyncEngine()
    release = asyncio.Event()

    async def ask(text: str) -> None:
        chat(engine, text)

    async def late() -> None:
        await release.wait()
        chat(engine, "late")

    async def one() -> list[str]:
        recording = sogni_async.RunRecorder(engine, run_id="r", session_id=None, account_id=None)
        async with recording as run:
            await asyncio.gather(ask("1"), ask("2"))
            tasks.append(asyncio.create_task(late()))
        return contents(run)

    tasks: list[asyncio.Task[None]] = []
    both = await asyncio.gather(one(), one(), ask("outside"))
    release.set()
    await asyncio.gather(*tasks)
    assert both[:2] == [["1", "2"], ["1", "2"]]


async def test_an_awaited_recording_tells_what_failed() -> None:
    failing = AsyncEngine(ServerError("full"))
    run = sogni_async.RunRecorder(failing, run_id="r", session_id=None, account_id=None)
    with pytest.raises(ZeroDivisionError) as caught:
        async with run:
            1 / 0
    assert caught.value.__notes__ == ["run record r could not be written: full"]
    with pytest.raises(ServerError):
        async with sogni_async.RunRecorder(failing, run_id="r", session_id=None, account_id=None):
            pass
