"""The tools of `sogni chat --tools`: decides what a model may call, what is told of it, and where files go.

Called by the command `chat`. What tools do is told on standard error; results are saved when an answer is whole.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from sogni.cli.connection_options import Access, accessing
from sogni.cli.exit_codes import Command, say, words_of
from sogni.cli.input_files import BEGINS_WITHIN, STDIN, read_input, read_optional_stdin, text_of
from sogni.cli.output import check_directory, on_terminal, print_json, print_paths, write, writing
from sogni.cli.params import TOKEN, check_text
from sogni.core.chat.requests import DEFAULT_MODEL
from sogni.core.tools.hosted import SogniTools
from sogni.errors import ApiError, ChatError, ProtocolError, SogniTimeoutError, ValidationError
from sogni.models.answers import ThinkingFilter, without_thinking
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolExecutionProgress

if TYPE_CHECKING:
    from sogni.api.conversation import Conversation
    from sogni.client import SogniClient
    from sogni.models.chat import ChatCompletionResult

_TOLD = {"creating": "begins", "completed": "is done", "failed": "failed"}


@frozen
class Toolbox:
    """The media tools, and the directory for what they make."""

    directory: Path

    def options(self) -> dict[str, Any]:
        """What a completion is asked with."""
        return {"tools": SogniTools.direct, "auto_execute_tools": True, "on_tool_progress": self.tell}

    def tell(self, call: ToolCall, progress: ToolExecutionProgress) -> None:
        """Say when a tool begins and ends, where a person reads it."""
        if progress.status in _TOLD and on_terminal(sys.stderr):
            say(f"{call.function.name} {_TOLD[progress.status]}")

    def save(self, client: SogniClient, answer: Any) -> list[Path]:
        """Save what was made; reasons of what was not are told."""
        if answer is None:
            return []
        for turn in answer.tool_history or ():
            for result in turn.tool_results:
                if not result.success:
                    say(f"{result.tool_name}: {(result.error or '').removeprefix(f'{result.tool_name}: ')}")
        with writing(self.directory, "what the tools made is not saved"):
            return client.chat.tools.save(answer, self.directory)


# `sogni chat`: one answer, or a conversation.
#
# With a prompt, or with something on standard input, it answers and ends; on a terminal without a prompt it goes on
# until Ctrl-D. What the model thinks is not shown.


FAREWELLS = frozenset({"/exit", "/quit"})
Asking = dict[str, Any]
Saving = Callable[[Any], list[Path]]


@frozen(kw_only=True)
class Talk:
    """How answers are asked for: options of every question, and the images of the first."""

    system: str | None
    images: tuple[Path, ...]
    timeout: float | None
    options: Asking
    tools: Toolbox | None = None


def talking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a talk; it gets them as `talk`."""

    @wraps(function)
    def command(
        *args: Any,
        system: str | None,
        images: tuple[Path, ...],
        timeout: float | None,
        think: bool,
        json_schema: Any,
        tools: bool,
        output_dir: Path,
        prompt: str | None,
        **given: Any,
    ) -> Any:
        options = {name: given.pop(name) for name in ("model", "max_tokens", "temperature", "token_type")}
        options = {name: value for name, value in options.items() if value is not None}
        if json_schema is not None:
            options["response_format"] = json_schema
        toolbox = None
        if tools:
            check_directory(output_dir)
            toolbox = Toolbox(output_dir)
            options |= toolbox.options()
        talk = Talk(system=system, images=images, timeout=timeout, options={**options, "think": think}, tools=toolbox)
        return function(*args, prompt=prompt, talk=talk, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _schema(context: click.Context, parameter: click.Parameter, path: Path | None) -> Any:
    """The JSON schema in a file. BadParameter for what is none."""
    if path is None:
        return None
    try:
        schema = json.loads(text_of(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}", context, parameter) from None
    if not isinstance(schema, dict) or not schema:
        raise click.BadParameter(f"{path} does not hold a JSON schema", context, parameter)
    return schema


_OPTIONS = (
    click.argument("prompt", required=False, callback=check_text),
    click.option("-m", "--model", default=DEFAULT_MODEL, show_default=True, help="The language model to ask."),
    click.option("-s", "--system", metavar="TEXT", callback=check_text, help="How the model is to behave."),
    click.option(
        "-i",
        "--image",
        "images",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A picture to talk about; made smaller when it is too large. Repeatable.",
    ),
    click.option("--think", is_flag=True, help="Let the model think before it answers."),
    click.option(
        "--json-schema",
        type=click.Path(path_type=Path),
        callback=_schema,
        metavar="FILE",
        help="Answer with JSON that fits the schema in a file.",
    ),
    click.option("--tools", is_flag=True, help="Let the model make images, videos and music, and save them."),
    click.option(
        "-o",
        "--output-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(),
        metavar="DIRECTORY",
        help="Where to save what --tools makes; the current directory by default.",
    ),
    click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer, in tokens."),
    click.option("--temperature", type=float, help="How freely the model chooses its words, from 0 to 2."),
    TOKEN,
    click.option(
        "--timeout", type=float, default=300, show_default=True, metavar="SECONDS", help="Give an answer up after this."
    ),
)


@click.command("chat", cls=Command)
@accessing
@talking
def chat(access: Access, prompt: str | None, talk: Talk) -> None:
    """Ask a language model, or talk to one.

    What comes through a pipe is asked, too, after PROMPT, if it begins within a few seconds. Without either, a
    conversation begins, which ends with Ctrl-D; Ctrl-C breaks an answer off.
    """
    question = _question(prompt, talk.timeout)
    if question == "":
        raise click.UsageError("PROMPT is empty")
    if question is None and (access.as_json or "response_format" in talk.options):
        raise click.UsageError("--json and --json-schema need a PROMPT, or something on standard input")
    if question is None and not on_terminal(sys.stdin):
        raise click.UsageError("there is nothing to ask: give a PROMPT, or something on standard input")
    images = _parts(talk.images)
    with access.client(talk.timeout) as client:
        conversation = client.chat.conversation(system=talk.system, **talk.options)
        if question is None:
            converse(conversation, images, talk.timeout, _typed(), saving=_saving(client, talk))
        else:
            answer(conversation, question, images, talk, as_json=access.as_json, saving=_saving(client, talk))


def _saving(client: SogniClient, talk: Talk) -> Saving:
    """What saves the media of an answer; nothing without tools."""
    toolbox = talk.tools
    return (lambda result: []) if toolbox is None else lambda result: toolbox.save(client, result)


def _question(prompt: str | None, timeout: float | None) -> str | None:
    """The prompt, and what comes through a pipe; None when there is neither.

    With a prompt, a pipe that does not begin is left alone: programs pass on theirs without ever closing it.
    """
    prompt = prompt if prompt is None or prompt.strip() else ""
    if sys.stdin is None or sys.stdin.closed or on_terminal(sys.stdin):
        return prompt
    content = read_optional_stdin(timeout) if prompt else read_input(STDIN, timeout)
    if content is None:
        say(f"nothing came through standard input within {BEGINS_WITHIN:g} seconds; asking the PROMPT alone")
        return prompt
    try:
        piped = text_of(content).strip()
    except UnicodeDecodeError:
        raise click.UsageError("standard input is no text in UTF-8") from None
    return "\n\n".join(text for text in (prompt, piped) if text) or None


def _parts(images: tuple[Path, ...]) -> list[Any]:
    from sogni.local.chat_files import image_part

    parts = []
    for path in images:
        try:
            parts.append(image_part(path, resize=True))
        except ValidationError as error:
            raise ValidationError(f"--image {path}: {error.message}", field="image") from error
    return parts


def answer(
    conversation: Conversation, question: str, images: list[Any], talk: Talk, *, as_json: bool, saving: Saving
) -> None:
    """Answer one question: as it comes on a terminal, else when it is whole. ChatError, ProtocolError."""
    structured = "response_format" in talk.options
    if not as_json and not structured and on_terminal(sys.stdout):
        print_paths(saving(_stream(conversation, question, images, talk.timeout)))
        return
    result = conversation.ask(question, images=images, timeout=talk.timeout)
    parsed = _parsed(result) if structured else None
    paths = saving(result)
    if as_json:
        files = {"files": [str(path) for path in paths]} if talk.tools else {}
        print_json({**to_dict(result), **({"parsed": parsed} if structured else {}), **files})
    elif structured:
        print_json(parsed)
    else:
        write(without_thinking(result.content))
        print_paths(paths)


def _parsed(result: Any) -> Any:
    try:
        return result.parsed
    except ProtocolError as error:
        raise ProtocolError(f"{error}: {result.content[:200]!r}") from error


def converse(
    conversation: Conversation, images: list[Any], timeout: float | None, lines: Iterator[str], *, saving: Saving
) -> None:
    """Answer line after line. What fails is told, and the conversation goes on."""
    for line in lines:
        question = line.strip()
        if question in FAREWELLS:
            return
        if not question:
            continue
        try:
            print_paths(saving(_stream(conversation, question, images, timeout)))
        except KeyboardInterrupt:
            say("the answer was broken off; the service finishes and bills it")
            continue
        except (ChatError, SogniTimeoutError, ApiError) as error:
            say(words_of(error))
            continue
        images = []


def _stream(
    conversation: Conversation, question: str, images: list[Any], timeout: float | None
) -> ChatCompletionResult | None:
    """Write an answer as it comes; returns all of it."""
    shown = ThinkingFilter()
    with conversation.ask(question, images=images, stream=True, timeout=timeout) as stream:
        try:
            for chunk in stream:
                write(shown.feed(chunk.content), end="")
        finally:
            # Also when it ends in the middle: what is said then begins a line of its own.
            write(shown.end())
    return stream.final_result


def _typed() -> Iterator[str]:
    """What a person types, line by line, until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  lines can be edited, and earlier ones fetched
    while True:
        try:
            if not on_terminal(sys.stdout):
                # Answers go elsewhere; the person still wants to know when to type.
                click.echo("> ", nl=False, err=True)
            yield input("> " if on_terminal(sys.stdout) else "")
        except EOFError:
            click.echo()
            return
