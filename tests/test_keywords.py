"""An unknown keyword of any public call is answered with the one that was probably meant."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

import sogni
import sogni_async
from sogni.core.chat.requests import FIELDS, HOSTED_FIELDS
from sogni.core.projects.params import PARAMS_BY_TYPE
from sogni.emulator import LocalSupernet
from sogni.keywords import suggest_keywords
from sogni.models.chat import CompletionFields
from sogni.models.converter import camel
from tests.docs.public_members import public_members
from tests.tables import each_row

PASSWORD = "correct horse battery"


def public_functions() -> dict[str, Callable[..., Any]]:
    """The functions, methods and constructors of both packages, by name; without those that take any keyword."""
    found: dict[str, Any] = {}
    for _, name, member in public_members():
        value = vars(member).get("__init__") if inspect.isclass(member) else member
        function = getattr(value, "__func__", value)
        if inspect.isfunction(function) and not inspect.unwrap(function).__code__.co_flags & inspect.CO_VARKEYWORDS:
            found[name] = function
    return found


FUNCTIONS = public_functions()


def misspelt(name: str) -> list[str]:
    """A typing error, and the name in camelCase if that differs."""
    return [name + name[-1], *({camel(name)} - {name})]


def keywords_of(function: Callable[..., Any]) -> Iterator[str]:
    for it in inspect.signature(function).parameters.values():
        if it.kind in (it.KEYWORD_ONLY, it.POSITIONAL_OR_KEYWORD) and it.name not in ("self", "cls"):
            yield it.name


def refusal(call: Callable[..., Any], *args: Any, **keywords: Any) -> TypeError:
    """The error of a call that is not made."""
    with pytest.raises(TypeError) as caught:
        made = call(*args, **keywords)
        if inspect.iscoroutine(made):
            asyncio.run(made)
    return caught.value


def test_there_are_many_public_functions() -> None:
    assert len(FUNCTIONS) > 300
    assert {"sogni.SogniClient", "sogni_async.Account.login", "sogni.Project.wait", "sogni.ImageProjectParams"} <= set(
        FUNCTIONS
    )


@each_row("name", sorted(FUNCTIONS))
def test_every_public_call_names_the_nearest_keyword(name: str) -> None:
    function = FUNCTIONS[name]
    for keyword in keywords_of(function):
        for given in misspelt(keyword):
            error = refusal(function, **{given: None})
            called = function.__qualname__.removesuffix(".__init__")
            assert str(error) == f"{called}() has no parameter {given!r}; did you mean {keyword!r}?"
            assert our_frames(error) == []
            assert is_brief(error)


def is_brief(error: BaseException) -> bool:
    """Whether IPython prints the frames of the user only."""
    return "_render_traceback_" in vars(error)


def our_frames(error: BaseException) -> list[str]:
    """The frames of this project in a traceback, without those of tests."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return [it for it in frames if re.search(r"/sogni(_async)?/", it)]


@each_row("package", [sogni, sogni_async])
def test_calls_that_take_any_keyword_name_the_nearest(package: Any) -> None:
    client = package.SogniClient(api_key="k")
    messages = [{"role": "user", "content": "Hello"}]
    calls: list[tuple[Any, dict[str, Any], Any]] = [
        (client.chat.completions.create, {"messages": messages}, FIELDS - {"stream"}),
        (client.chat.hosted.create, {"messages": messages}, HOSTED_FIELDS),
        (client.chat.conversation, {}, CompletionFields.__annotations__),
        (client.chat.conversation, {}, ["system", "model"]),
        (client.chat.conversation().ask, {"text": "Hello"}, ["images", "stream", "timeout", "max_tokens"]),
        (client.chat.completions.create, {}, ["messages"]),
        (package.SogniClient.local, {}, [*keywords_of(LocalSupernet), *keywords_of(package.SogniClient)]),
    ]
    for type_, kind in PARAMS_BY_TYPE.items():
        names = [it.name for it in attrs.fields(kind) if it.name != "type"]  # type: ignore[arg-type]
        calls += [(client.projects.create, {"type": type_}, names), (client.projects.estimate, {"type": type_}, names)]
    fields = {it.name for kind in PARAMS_BY_TYPE.values() for it in attrs.fields(kind)}  # type: ignore[arg-type]
    others = {*keywords_of(client.projects.create)} - fields
    calls.append((client.projects.create, {"type": "image"}, others))
    for call, fixed, names in calls:
        for keyword in names:
            for given in misspelt(keyword):
                error = refusal(call, **fixed, **{given: None})
                assert str(error).endswith(f" {given!r}; did you mean {keyword!r}?"), call.__qualname__
                assert is_brief(error)


@each_row("package", [sogni, sogni_async])
def test_a_mapping_is_answered_with_how_to_pass_it(package: Any) -> None:
    client = package.SogniClient(api_key="k")
    given = {"type": "image", "model_id": "m"}
    projects = client.projects
    for call in (
        projects.create, projects.estimate, projects.estimate_cost, projects.estimate_video_cost,
        projects.estimate_audio_cost, client.chat.completions.create, client.chat.runs.create, client.workflows.start,
        package.SogniClient, package.ImageProjectParams, package.Timeouts,
    ):  # fmt: skip
        assert f"use {call.__name__}(**params)" in str(refusal(call, given))


class Calls:
    """Calls with a keyword."""

    @suggest_keywords
    def fail(self, password: str, *, times: int = 1) -> tuple[str, int]:
        """Fail."""
        hidden, password = len(password), ""
        raise TypeError(f"{hidden} {times}")

    @suggest_keywords
    async def later(self, times: int) -> int:
        return times

    @staticmethod
    @suggest_keywords
    def plain(first: int, *, times: int = 1) -> tuple[int, int]:
        return first, times


def test_a_correct_call_is_passed_on() -> None:
    assert Calls.plain(1, times=2) == Calls().plain(first=1, times=2) == (1, 2)
    assert asyncio.run(Calls().later(times=2)) == 2


def test_errors_of_the_function_stay_and_show_no_argument() -> None:
    error = refusal(Calls().fail, PASSWORD)
    assert (str(error), is_brief(error)) == ("21 1", False)
    assert our_frames(error) == []
    trace, shown = error.__traceback__, ""
    while (trace := trace.tb_next if trace else None) is not None:
        shown += repr(trace.tb_frame.f_locals)
    assert PASSWORD not in shown


def test_other_mistakes_keep_the_message_of_python() -> None:
    error = refusal(Calls().fail)
    assert ("missing 1 required positional argument: 'password'" in str(error), is_brief(error)) == (True, True)
    assert "takes 2 positional arguments but 3 were given" in str(refusal(Calls().fail, "a", "b"))
    assert str(refusal(Calls().fail, "a", zzz=1)) == "Calls.fail() has no parameter 'zzz'"


def test_functions_look_as_before() -> None:
    assert str(inspect.signature(Calls.fail)) == "(self, password: 'str', *, times: 'int' = 1) -> 'tuple[str, int]'"
    assert Calls.fail.__doc__ == "Fail."
    assert str(inspect.signature(sogni.Timeouts)).startswith("(*, ")
    assert suggest_keywords(Calls.fail) is Calls.fail


@pytest.mark.skipif(sys.version_info < (3, 12), reason="functions cannot be marked before")
def test_frameworks_see_that_a_call_returns_a_coroutine() -> None:
    assert inspect.iscoroutinefunction(Calls.later)
    assert inspect.iscoroutinefunction(sogni_async.SogniClient.connect)
    assert not inspect.iscoroutinefunction(sogni.SogniClient.connect)
