"""Completions that execute tools: rounds, messages to the model, and limits (chat §10)."""

from __future__ import annotations

from typing import Any

import pytest

from sogni.core.chat.tool_rounds import begin_answer, get_answer
from sogni.core.tools.functions import function_tool
from sogni.errors import ChatError, ToolLimitError, ValidationError
from sogni.models.chat import ChatCompletionResult
from tests.core.play import PNG, STOP, Stage

HELLO = [{"role": "user", "content": "hello"}]
SENT = ("frame llmJobRequest", None)
AUTO = {"auto_execute_tools": True}


def weather(city: str) -> str:
    """Tell the weather."""
    return f"blue over {city}"


TOOL = function_tool(weather).definition


@pytest.fixture
def stage() -> Stage:
    return Stage().connects()


def answer(number: int, *frames: dict[str, Any], seconds: str = "9 s") -> tuple[str, Any]:
    """The job of a round answers, while its whole answer is waited for."""
    return f"until the response to chat job ID-{number} (run, {seconds})", tells(number, *frames)


def tells(number: int, *frames: dict[str, Any], ends: bool = True) -> Any:
    def told(stage: Stage) -> None:
        for frame in frames:
            stage.receives("jobTokens", {"jobID": f"ID-{number}", **frame})
        if ends:
            stage.receives("llmJobResult", {"jobID": f"ID-{number}", "timeTaken": 1})

    return told


def calls(name: str, arguments: str, *, times: int = 1, finish: str = "tool_calls") -> dict[str, Any]:
    one = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{**one, "index": at, "id": f"c{at}"} for at in range(times)], "finishReason": finish}


def says(text: str) -> dict[str, Any]:
    return {"content": text, "finishReason": "stop"}


def test_without_the_option_calls_are_the_answer(stage: Stage) -> None:
    result = stage.play(get_answer("m", HELLO, {"tools": [weather]}, 9), SENT, answer(1, calls("weather", "{}")))
    assert (result.tool_history, [call.function.name for call in result.tool_calls or ()]) == (None, ["weather"])
    payload = stage.frames[0][1]
    assert (payload["tools"], "stream" in payload) == ([TOOL], False)


def test_an_answer_without_calls_is_the_result(stage: Stage) -> None:
    result = stage.play(get_answer("m", HELLO, AUTO, 9), SENT, answer(1, says("hi")))
    assert (result.content, result.tool_history) == ("hi", None)
    assert stage.frames[0][1]["stream"] is False


def test_a_reason_without_calls_and_calls_for_another_reason_end_the_rounds(stage: Stage) -> None:
    none = stage.play(get_answer("m", HELLO, AUTO, 9), SENT, answer(1, {"finishReason": "tool_calls"}))
    other = stage.play(get_answer("m", HELLO, AUTO, 9), SENT, answer(2, calls("weather", "{}", finish="length")))
    assert (none.tool_history, other.tool_history) == (None, None)


def test_functions_are_called_and_the_model_is_told(stage: Stage) -> None:
    first = {"content": "let me see", **calls("weather", '{"city": "Oslo"}')}
    result = stage.play(
        get_answer("m", HELLO, {**AUTO, "tools": [weather], "token_type": "spark"}, 9),
        SENT,
        answer(1, first),
        SENT,
        answer(2, calls("weather", '{"town": 1}')),
        SENT,
        answer(3, says("blue")),
    )
    assert [payload["tokenType"] for _, payload in stage.frames] == ["spark"] * 3
    assert stage.frames[2][1]["messages"] == [
        *HELLO,
        {"role": "assistant", "content": "let me see", "tool_calls": [_wire("weather", '{"city": "Oslo"}')]},
        {"role": "tool", "content": "blue over Oslo", "tool_call_id": "c0", "name": "weather"},
        {"role": "assistant", "content": None, "tool_calls": [_wire("weather", '{"town": 1}')]},
        {
            "role": "tool",
            "content": '{"success":false,"error":"weather has no argument \'town\'"}',
            "tool_call_id": "c0",
            "name": "weather",
        },
    ]
    assert HELLO == [{"role": "user", "content": "hello"}]
    history = result.tool_history or []
    assert [(one.round, [it.success for it in one.tool_results]) for one in history] == [(0, [True]), (1, [False])]
    assert result.content == "blue"


def _wire(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c0", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_other_calls_are_for_the_callback(stage: Stage) -> None:
    options = {**AUTO, "on_tool_call": lambda call: f"heard {call.function.name}"}
    result = stage.play(
        get_answer("m", HELLO, options, None),
        SENT,
        answer(1, calls("mine", "{}"), seconds="for ever"),
        SENT,
        answer(2, says("ok"), seconds="for ever"),
    )
    assert [one.content for one in (result.tool_history or [])[0].tool_results] == ["heard mine"]


@pytest.mark.parametrize(("most", "rounds"), [(1, 1), (2, 2), (0, 5), (None, 5)])
def test_too_many_rounds_are_an_error_with_what_was_done(stage: Stage, most: int | None, rounds: int) -> None:
    script = [step for n in range(rounds) for step in (SENT, answer(n + 1, calls("mine", "{}")))]
    options = {**AUTO, "max_tool_rounds": most, "on_tool_call": lambda call: "again"}
    error = stage.fail(ToolLimitError, get_answer("m", HELLO, options, 9), *script)
    assert [one.round for one in error.tool_history] == list(range(rounds))
    assert (error.job_id, f"after {rounds} rounds" in error.message) == (f"ID-{rounds}", True)


def test_too_many_calls_are_an_error(stage: Stage) -> None:
    script = (SENT, answer(1, calls("generate_image", "{}", times=9)))
    error = stage.fail(ToolLimitError, get_answer("m", HELLO, AUTO, 9), *script)
    assert (error.tool_history, "at most 8" in error.message) == ([], True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({**AUTO, "max_tool_rounds": -1}, "max_tool_rounds"),
        ({**AUTO, "max_tool_rounds": 1.5}, "max_tool_rounds"),
        ({**AUTO, "tools": [lambda x: x]}, "tools"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"on_tool_call": print}, "on_tool_call"),
        ({"max_tool_rounds": 3, "auto_execute_tools": None}, "max_tool_rounds"),
        ({"media_context": {}}, "media_context"),
    ],
)
def test_options_are_checked_before_anything_is_sent(stage: Stage, options: dict[str, Any], field: str) -> None:
    assert stage.fail(ValidationError, get_answer("m", HELLO, options, 9)).field == field


def test_one_flag_turns_tools_off(stage: Stage) -> None:
    said = answer(1, says("hi"))
    options = {"auto_execute_tools": False, "on_tool_call": print, "max_tool_rounds": 3}
    assert stage.play(get_answer("m", HELLO, options, 9), SENT, said).tool_history is None


@pytest.mark.parametrize("options", [{"auto_execute": True}, {**AUTO, "media_context": {"image": []}}])
def test_unknown_names_are_a_type_error(stage: Stage, options: dict[str, Any]) -> None:
    assert "did you mean" in str(stage.fail(TypeError, get_answer("m", HELLO, options, 9)))


def test_a_failed_round_is_an_error(stage: Stage) -> None:
    def fails(stage: Stage) -> None:
        stage.receives("llmJobError", {"jobID": "ID-2", "error": "invalid_request", "error_message": "no"})

    error = stage.fail(
        ChatError,
        get_answer("m", HELLO, {**AUTO, "on_tool_call": lambda call: "x"}, 9),
        SENT,
        answer(1, calls("mine", "{}")),
        SENT,
        ("until the response to chat job ID-2 (run, 9 s)", fails),
    )
    assert error.message == "no"
    assert [one.tool_results[0].content for one in error.tool_history] == ["x"]


def test_indices_stand_for_what_the_messages_tell(stage: Stage) -> None:
    messages = [{"role": "tool", "content": '{"success": true, "media_type": "video", "urls": ["v"]}'}]
    rounds = stage.play(begin_answer("m", messages, {**AUTO, "media_context": {"images": [PNG]}}), SENT)[1]
    assert rounds is not None
    made = rounds._execution.available
    assert made is not None
    assert (made.images, made.videos) == ([PNG], ["v"])


# -- streamed ------------------------------------------------------------------


def chunk(number: int, *frames: dict[str, Any], ends: bool = True) -> tuple[str, Any]:
    return f"until a response (job ID-{number}) (run, for ever)", tells(number, *frames, ends=ends)


def test_chunks_of_all_rounds_follow_each_other(stage: Stage) -> None:
    done: list[ChatCompletionResult] = []
    state, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "stream": True, "tools": [weather]}), SENT)
    assert rounds is not None
    rounds.when_done = done.append
    assert (rounds.state, stage.frames[0][1]["stream"]) == (state, True)
    first = stage.play(rounds.next_chunks(), chunk(1, {"content": "wait"}, calls("weather", '{"city": "Oslo"}')))
    second = stage.play(rounds.next_chunks(), SENT, chunk(2, says("blue")))
    assert [[one.content for one in chunks] for chunks in (first, second)] == [["wait", ""], ["blue"]]
    assert (stage.play(rounds.next_chunks()), stage.play(rounds.next_chunks())) == ([], [])
    assert done == [rounds.final_result]
    assert rounds.final_result is not None
    assert (rounds.final_result.content, len(rounds.final_result.tool_history or ())) == ("blue", 1)
    assert stage.play(rounds.complete_answer(None)) is rounds.final_result


def test_a_stream_that_was_left_goes_no_further(stage: Stage) -> None:
    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "tools": [weather]}), SENT)
    assert rounds is not None
    stage.play(rounds.next_chunks(), chunk(1, calls("weather", '{"city": "Oslo"}')))
    rounds.abandoned = True
    assert stage.play(rounds.next_chunks()) == []
    assert stage.play(rounds.complete_answer(None)).finish_reason == "tool_calls"
    assert rounds.final_result is None


def test_the_limit_is_told_to_every_reader(stage: Stage) -> None:
    options = {**AUTO, "max_tool_rounds": 1, "on_tool_call": lambda call: "x"}
    _, rounds = stage.play(begin_answer("m", HELLO, options), SENT)
    assert rounds is not None
    stage.play(rounds.next_chunks(), chunk(1, calls("mine", "{}")))
    errors = [
        stage.fail(ToolLimitError, rounds.next_chunks()),
        stage.fail(ToolLimitError, rounds.complete_answer(None)),
    ]
    assert [len(error.tool_history) for error in errors] == [1, 1]
    assert errors[0] is not errors[1]


def test_without_the_option_a_stream_is_one_job(stage: Stage) -> None:
    state, rounds = stage.play(begin_answer("m", HELLO, {"stream": True}), SENT)
    assert (state.id, rounds) == ("ID-1", None)


def test_tools_that_were_interrupted_are_not_executed_again(stage: Stage) -> None:
    asked: list[str] = []
    options = {**AUTO, "on_tool_call": lambda call: asked.append(call.id) or "x"}
    _, rounds = stage.play(begin_answer("m", HELLO, options), SENT)
    assert rounds is not None
    stage.play(rounds.next_chunks(), chunk(1, calls("mine", "{}")))
    stage.play(rounds.next_chunks(), ("frame llmJobRequest", STOP))
    errors = [stage.fail(ChatError, rounds.next_chunks()), stage.fail(ChatError, rounds.complete_answer(None))]
    assert [("interrupted" in error.message, len(error.tool_history)) for error in errors] == [(True, 1)] * 2
    assert asked == ["c0"]


def test_who_reads_while_another_executes_tools_waits_for_it(stage: Stage) -> None:
    def reads_too(_: Any) -> str:
        stage.play_inside(rounds.complete_answer(5), ("until the tools that chat job ID-1 calls (run, 5 s)", STOP))
        return "x"

    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "on_tool_call": reads_too}), SENT)
    assert rounds is not None
    result = stage.play(rounds.complete_answer(9), answer(1, calls("mine", "{}")), SENT, answer(2, says("done")))
    assert (result.content, len(result.tool_history or ())) == ("done", 1)


def test_two_readers_have_the_tools_run_once_and_get_the_same_answer(stage: Stage) -> None:
    asked: list[str] = []
    kept: list[Any] = []
    options = {**AUTO, "on_tool_call": lambda call: asked.append(call.id) or "x"}
    _, rounds = stage.play(begin_answer("m", HELLO, options), SENT)
    assert rounds is not None
    rounds.when_done = kept.append

    def another_is_faster(stage: Stage) -> None:
        script = (answer(1, calls("mine", "{}")), SENT, answer(2, says("done")))
        assert stage.play_inside(rounds.complete_answer(9), *script).content == "done"

    result = stage.play(
        rounds.complete_answer(8), ("until the response to chat job ID-1 (run, 8 s)", another_is_faster)
    )
    assert (result.content, asked, len(kept)) == ("done", ["c0"], 1)


@pytest.mark.parametrize(
    ("choice", "later"),
    [
        ("required", None),
        ({"type": "function", "function": {"name": "mine"}}, None),
        ("auto", "auto"),
        ("none", "none"),
    ],
)
def test_a_forced_call_is_forced_once(stage: Stage, choice: Any, later: Any) -> None:
    options = {**AUTO, "tool_choice": choice, "on_tool_call": lambda call: "x"}
    stage.play(get_answer("m", HELLO, options, 9), SENT, answer(1, calls("mine", "{}")), SENT, answer(2, says("done")))
    assert [payload.get("tool_choice") for _, payload in stage.frames] == [choice, later]
    assert options["tool_choice"] == choice


def test_a_stream_that_is_left_while_tools_run_asks_no_more(stage: Stage) -> None:
    def leaves(_: Any) -> str:
        assert rounds is not None
        rounds.abandoned = True
        return "x"

    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "on_tool_call": leaves}), SENT)
    assert rounds is not None
    stage.play(rounds.next_chunks(), chunk(1, calls("mine", "{}")))
    assert (stage.play(rounds.next_chunks()), len(rounds.history), len(stage.frames)) == ([], 1, 1)


def test_no_chunk_is_lost_when_the_answer_is_read_elsewhere(stage: Stage) -> None:
    """A thread that waits for the result is faster than the one that iterates."""
    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "on_tool_call": lambda call: "x"}), SENT)
    assert rounds is not None
    first = {"content": "let me see", **calls("mine", "{}")}
    stage.play(rounds.complete_answer(9), answer(1, first), SENT, answer(2, {"content": "There is "}, says("nothing.")))
    chunks = [stage.play(rounds.next_chunks()) for _ in range(3)]
    assert [[one.content for one in some] for some in chunks] == [["let me see"], ["There is ", "nothing."], []]


def test_who_iterates_while_another_executes_tools_waits_for_the_next_round(stage: Stage) -> None:
    inside: list[Any] = []

    def reads_too(_: Any) -> str:
        inside.append(stage.play_inside(rounds.next_chunks(5)))
        wait = "until the tools that chat job ID-1 calls (run, 5 s)"
        stage.play_inside(rounds.next_chunks(5), (wait, STOP))
        return "x"

    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "on_tool_call": reads_too}), SENT)
    assert rounds is not None
    result = stage.play(rounds.complete_answer(9), answer(1, calls("mine", "{}")), SENT, answer(2, says("done")))
    assert [len(chunks) for chunks in inside] == [1]
    assert [one.content for one in stage.play(rounds.next_chunks())] == ["done"] == [result.content]


def test_of_two_who_have_read_a_round_to_its_end_one_goes_on(stage: Stage) -> None:
    """The other finds it read already."""

    def ends_and_is_read(stage: Stage) -> None:
        tells(1, calls("mine", "{}"))(stage)
        assert len(stage.play_inside(rounds.next_chunks(9))) == 1
        assert [one.content for one in stage.play_inside(rounds.next_chunks(9), SENT, last)] == ["done"]

    _, rounds = stage.play(begin_answer("m", HELLO, {**AUTO, "on_tool_call": lambda call: "x"}), SENT)
    assert rounds is not None
    last = ("until a response (job ID-2) (run, 9 s)", tells(2, says("done")))
    waits = ("until a response (job ID-1) (run, 8 s)", ends_and_is_read)
    assert stage.play(rounds.next_chunks(8), waits) == []
    assert rounds.final_result is not None
