"""The command `sogni chat`: a single answer, or a conversation on a terminal.

With a prompt or with input from a pipe it answers and exits; on a terminal without a prompt it converses until Ctrl-D.
Lines of a conversation that begin with the name of one of its commands (`/help` lists them) are not sent.
The model's reasoning is not shown. Media created by `--tools` is saved once the answer is complete.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from functools import wraps
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import define, evolve, field, frozen

from sogni.cli.connection_options import ConnectionOptions, connection_options
from sogni.cli.exit_codes import Command, Interrupted, error_text, print_cost, print_note, print_stderr
from sogni.cli.input_files import STDIN, STDIN_START_SECONDS, decode_text, read_input, read_optional_stdin
from sogni.cli.known_names import complete_chat_models
from sogni.cli.output import OutputDirectory, check_directory, print_json, print_paths, write, writing
from sogni.cli.params import check_encodable, token_option
from sogni.cli.preview import show_previews
from sogni.cli.profiles import setting
from sogni.cli.run_project import save_command
from sogni.core.chat.requests import DEFAULT_MODEL
from sogni.core.checks import did_you_mean
from sogni.core.tools.hosted import SogniTools
from sogni.display import on_terminal
from sogni.errors import ApiError, ChatError, ProtocolError, SogniError, SogniTimeoutError, ValidationError
from sogni.models.answers import ThinkingFilter, without_thinking
from sogni.models.converter import to_dict
from sogni.models.tools import ToolCall, ToolExecutionProgress

if TYPE_CHECKING:
    from sogni.api.conversation import Conversation
    from sogni.client import SogniClient
    from sogni.models.chat import ChatCompletionResult

_TOOL_MESSAGES = {"creating": "started", "completed": "completed", "failed": "failed"}


@frozen
class Toolbox:
    """The media tools and the directory for their results."""

    directory: Path | str

    def options(self) -> dict[str, Any]:
        """Return the arguments of a completion with tools."""
        return {"tools": SogniTools.direct, "auto_execute_tools": True, "on_tool_progress": self.print_progress}

    def print_progress(self, call: ToolCall, progress: ToolExecutionProgress) -> None:
        """Print when a tool starts and ends, if standard error is a terminal."""
        if progress.status in _TOOL_MESSAGES and on_terminal(sys.stderr):
            print_note(f"{call.function.name} {_TOOL_MESSAGES[progress.status]}")

    def save(self, client: SogniClient, answer: Any) -> list[Path] | list[Any]:
        """Save the results of the tools and print the errors of those that failed."""
        if answer is None:
            return []
        for turn in answer.tool_history or ():
            for result in turn.tool_results:
                if not result.success:
                    print_stderr(f"{result.tool_name}: {(result.error or '').removeprefix(f'{result.tool_name}: ')}")
        with writing(self.directory, "the results of the tools were not saved"):
            return client.chat.tools.save(answer, self.directory)


@frozen(kw_only=True)
class ToolResults:
    """The results of the tools of one command: those that are saved, and those that are not saved yet."""

    client: SogniClient
    toolbox: Toolbox
    local: bool
    _saved: set[str] = field(factory=set)

    def save(self, answer: Any) -> list[Path] | list[Any]:
        """Save the results of an answer."""
        paths = self.toolbox.save(self.client, answer)
        self._saved.update(self._unsaved())
        return paths

    def left_behind(self) -> str:
        """Name the command that saves the remaining results; an empty string if there are none."""
        ids = [] if self.local else self._unsaved()
        return f"{save_command(*ids)} fetches the results of the tools" if ids else ""

    def _unsaved(self) -> list[str]:
        ended = [it for it in self.client.projects.tracked_projects if it.finished and it.result_urls]
        return [it.id for it in ended if not it.recovered and it.id not in self._saved]


EXIT_COMMANDS = frozenset({"/exit", "/quit"})
HELP = (
    ("/image FILE", "attach an image to the next question"),
    ("/tools", "let the model create media, or no longer"),
    ("/save [FILE]", "save the conversation as JSON"),
    ("/new", "forget the conversation"),
    ("/exit", "end, like Ctrl-D"),
)
SAVED_NAME = "chat.json"


@frozen(kw_only=True)
class ChatOptions:
    """Options for all questions, and the images of the first one."""

    system: str | None
    images: tuple[Path, ...]
    timeout: float | None
    options: dict[str, Any]
    toolbox: Toolbox
    tools: bool = False
    count: int = 1

    def asking(self) -> dict[str, Any]:
        """Return the options that a question adds to those of the conversation."""
        return self.toolbox.options() if self.tools else {}


def chat_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the chat options to a command, which receives them as `talk`."""

    @wraps(function)
    def command(
        *args: Any,
        system: str | None,
        images: tuple[Path, ...],
        timeout: float | None,
        think: bool,
        json_schema: Any,
        tools: bool,
        count: int,
        output_dir: Path | str,
        prompt: str | None,
        **given: Any,
    ) -> Any:
        options = {name: given.pop(name) for name in ("model", "max_tokens", "temperature", "token_type")}
        options = {name: value for name, value in options.items() if value is not None}
        if json_schema is not None:
            options["response_format"] = json_schema
        if tools:
            check_directory(output_dir)
        talk = ChatOptions(
            system=system,
            images=images,
            timeout=timeout,
            options={**options, "think": think},
            toolbox=Toolbox(output_dir),
            tools=tools,
            count=count,
        )
        return function(*args, prompt=prompt, talk=talk, **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _schema(context: click.Context, parameter: click.Parameter, path: Path | None) -> Any:
    """Return the JSON schema in a file. Raises BadParameter if it does not contain one."""
    if path is None:
        return None
    try:
        schema = json.loads(decode_text(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}", context, parameter) from None
    if not isinstance(schema, dict) or not schema:
        raise click.BadParameter(f"{path} does not contain a JSON schema", context, parameter)
    return schema


_OPTIONS = (
    click.argument("prompt", required=False, callback=check_encodable),
    click.option(
        "-m",
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        shell_complete=complete_chat_models,
        help="Use this language model.",
    ),
    click.option(
        "-s", "--system", metavar="TEXT", callback=check_encodable, help="Instruct the model with a system prompt."
    ),
    click.option(
        "-i",
        "--image",
        "images",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Attach an image, which is resized if it is too large. Repeatable.",
    ),
    click.option("--think", is_flag=True, help="Let the model reason before it answers. Default: no reasoning."),
    click.option(
        "--json-schema",
        type=click.Path(path_type=Path),
        callback=_schema,
        metavar="FILE",
        help="Answer with JSON that conforms to the schema in FILE.",
    ),
    click.option(
        "-n",
        "--count",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Answer this many times, each time without knowledge of the other answers.",
    ),
    click.option("--tools", is_flag=True, help="Let the model create images, videos and music, and save them."),
    click.option(
        "-o",
        "--output-dir",
        type=OutputDirectory(),
        default=lambda: setting("output_dir") or ".",
        show_default=False,
        metavar="DIRECTORY",
        help="Save the results of --tools here. Default: that of the profile, else the current directory.",
    ),
    click.option(
        "--max-tokens", type=click.IntRange(min=1), help="Limit the answer to this many tokens. Default: the model's."
    ),
    click.option("--temperature", type=float, help="Sample with this temperature, 0 to 2. Default: the model's."),
    token_option("", "sogni"),
    click.option(
        "--timeout",
        type=float,
        default=300,
        show_default=True,
        metavar="SECONDS",
        help="Stop waiting for an answer after this many seconds.",
    ),
)


@click.command("chat", cls=Command)
@connection_options
@chat_options
def chat(connection: ConnectionOptions, prompt: str | None, talk: ChatOptions) -> None:
    """Ask a language model a question, or start a conversation.

    Input from a pipe is appended to PROMPT if it starts within three seconds. Without a prompt and a pipe, a
    conversation starts. Ctrl-D ends it; Ctrl-C interrupts an answer; /help lists its commands.

    Example: git diff | sogni chat "Write a commit message for this:"
    """
    question = _question(prompt, talk.timeout)
    if question == "":
        raise click.UsageError("PROMPT must not be empty")
    if question is None and (connection.as_json or "response_format" in talk.options):
        raise click.UsageError("--json and --json-schema require a PROMPT or standard input")
    if question is None and talk.count > 1:
        raise click.UsageError("--count requires a PROMPT or standard input")
    if question is None and not on_terminal(sys.stdin):
        raise click.UsageError("no question: give a PROMPT or pipe one to standard input")
    images = _image_parts(talk.images)
    with connection.client(talk.timeout) as client:
        results, spent = ToolResults(client=client, toolbox=talk.toolbox, local=connection.local), Spent()
        if question is None:
            conversation = client.chat.conversation(system=talk.system, **talk.options)
            try:
                converse(conversation, images, talk, _typed_lines(), results, spent)
            finally:
                spent.print()
            return
        documents: list[Any] = []
        try:
            for number in range(talk.count):
                if number and not documents:
                    write("")
                conversation = client.chat.conversation(system=talk.system, **talk.options)
                document = answer(conversation, question, images, talk, results, spent, as_json=connection.as_json)
                documents += [] if document is None else [document]
        except KeyboardInterrupt:
            raise Interrupted("; ".join(filter(None, ("interrupted", results.left_behind())))) from None
        except (SogniError, OSError) as error:
            if hint := results.left_behind():
                error.add_note(hint)
            raise
        finally:
            if client.chat.models:
                connection.remember(client, "chat", {name: {} for name in client.chat.models}, complete=True)
            if documents:
                print_json(documents if talk.count > 1 else documents[0])
            spent.print()


def _question(prompt: str | None, timeout: float | None) -> str | None:
    """Return the prompt and the input from a pipe, or None if there is neither.

    With a prompt, a pipe without data is ignored: programs pass theirs on without ever closing it.
    """
    prompt = prompt if prompt is None or prompt.strip() else ""
    if sys.stdin is None or sys.stdin.closed or on_terminal(sys.stdin):
        return prompt
    content = read_optional_stdin(timeout) if prompt else read_input(STDIN, timeout)
    if content is None:
        print_note(f"no standard input within {STDIN_START_SECONDS:g} seconds; using PROMPT alone")
        return prompt
    try:
        piped = decode_text(content).strip()
    except UnicodeDecodeError:
        raise click.UsageError("standard input is not UTF-8 text") from None
    return "\n\n".join(text for text in (prompt, piped) if text) or None


def _image_parts(images: tuple[Path, ...], option: str = "--image") -> list[Any]:
    from sogni.local.chat_files import image_part

    parts = []
    for path in images:
        try:
            parts.append(image_part(path, resize=True))
        except ValidationError as error:
            message = error.message.removeprefix("image: ")
            raise ValidationError(f"{option} {path}: {message}", field="image") from error
    return parts


def answer(
    conversation: Conversation,
    question: str,
    images: list[Any],
    talk: ChatOptions,
    results: ToolResults,
    spent: Spent,
    *,
    as_json: bool,
) -> Any:
    """Print the answer to one question: streamed on a terminal, otherwise once it is complete.

    With a schema or `as_json`, return the document to print instead.
    """
    structured = "response_format" in talk.options
    if not as_json and not structured and on_terminal(sys.stdout):
        streamed = _stream(conversation, question, images, talk.timeout, **talk.asking())
        spent.add(streamed)
        _print_results(results.save(streamed))
        return None
    result = conversation.ask(question, images=images, timeout=talk.timeout, **talk.asking())
    spent.add(result)
    parsed = _parsed(result) if structured else None
    paths = results.save(result)
    if as_json:
        files = {"files": [str(path) for path in paths]} if talk.tools else {}
        return {**to_dict(result), **({"parsed": parsed} if structured else {}), **files}
    if structured:
        return parsed
    write(without_thinking(result.content))
    print_paths(paths)
    return None


def _print_results(paths: list[Path]) -> None:
    print_paths(paths)
    show_previews(paths)


class Spent:
    """The known costs of answers, without those of their tools."""

    def __init__(self) -> None:
        self._amounts: dict[str | None, Decimal] = {}

    def add(self, result: ChatCompletionResult | None) -> None:
        """Add the cost of an answer."""
        cost = None if result is None else result.cost
        if cost is None or cost.cost_in_token is None:
            return
        amounts = {"spark": cost.cost_in_spark, "sogni": cost.cost_in_sogni}
        token = next((token for token, it in amounts.items() if it == cost.cost_in_token), None)
        self._amounts[token] = self._amounts.get(token, Decimal(0)) + cost.cost_in_token

    def print(self) -> None:
        """Print the sum for each token."""
        for token, amount in self._amounts.items():
            print_cost(amount, token)


@define
class Turn:
    """Settings for the next question, made by commands of the conversation."""

    images: list[Any]
    talk: ChatOptions
    saved: set[Path] = field(factory=set)

    def run(self, conversation: Conversation, line: str) -> bool:
        """Run a command. Return False if the line is a question instead."""
        name, _, argument = line.partition(" ")
        run = {
            "/image": self._image,
            "/tools": self._tools,
            "/save": self._save,
            "/new": self._new,
            "/help": self._help,
        }
        if name in run:
            try:
                run[name](conversation, argument.strip())
            except (ImportError, OSError, SogniError, click.UsageError) as error:
                print_stderr(error_text(error))
            return True
        if re.fullmatch(r"/[a-z]+", name):
            # It would be paid for, and is hardly a question.
            print_stderr(f"there is no command {name}{did_you_mean(name, run)}; /help lists them")
            return True
        return False

    def _image(self, conversation: Conversation, argument: str) -> None:
        path = Path(argument).expanduser()
        self.images = [*self.images, *_image_parts((path,), "/image")]
        print_note(f"{path} belongs to the next question")

    def _tools(self, conversation: Conversation, argument: str) -> None:
        check_directory(self.talk.toolbox.directory)
        self.talk = evolve(self.talk, tools=not self.talk.tools)
        print_note(f"tools are {'on' if self.talk.tools else 'off'}")

    def _save(self, conversation: Conversation, argument: str) -> None:
        directory = self.talk.toolbox.directory
        default = (Path() if isinstance(directory, str) else directory) / SAVED_NAME  # not in a storage
        path = Path(argument).expanduser() if argument else _free(default)
        if path.exists() and path not in self.saved:
            raise click.UsageError(f"{path} exists: give another name")
        conversation.save(path)
        self.saved.add(path)
        print_paths([path])

    def _new(self, conversation: Conversation, argument: str) -> None:
        conversation.clear()
        self.images = []
        print_note("the conversation is forgotten")

    def _help(self, conversation: Conversation, argument: str) -> None:
        for name, purpose in HELP:
            write(f"{name:14} {purpose}")


def _free(path: Path) -> Path:
    """Return the path, with a number added if the file exists."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(1))
    return next(it for it in chain((path,), numbered) if not it.exists())


def _parsed(result: Any) -> Any:
    try:
        return result.parsed
    except ProtocolError as error:
        raise ProtocolError(f"{error}: {result.content[:200]!r}") from error


def converse(
    conversation: Conversation,
    images: list[Any],
    talk: ChatOptions,
    lines: Iterator[str],
    results: ToolResults,
    spent: Spent,
) -> None:
    """Answer line after line. After an error the conversation continues."""
    turn = Turn(images=images, talk=talk)
    for line in lines:
        question = line.strip()
        if question in EXIT_COMMANDS:
            break
        if not question or turn.run(conversation, question):
            continue
        try:
            result = _stream(conversation, question, turn.images, talk.timeout, **turn.talk.asking())
            spent.add(result)
            _print_results(results.save(result))
        except KeyboardInterrupt:
            ending = "answer interrupted; the service completes and bills it"
        except (ChatError, SogniTimeoutError, ApiError) as error:
            ending = error_text(error)
        else:
            turn.images = []
            continue
        print_stderr("; ".join(filter(None, (ending, results.left_behind()))))


def _stream(
    conversation: Conversation, question: str, images: list[Any], timeout: float | None, **options: Any
) -> ChatCompletionResult | None:
    """Print an answer while it arrives and return the complete result."""
    shown = ThinkingFilter()
    with conversation.ask(question, images=images, stream=True, timeout=timeout, **options) as stream:
        try:
            for chunk in stream:
                write(shown.feed(chunk.content), end="")
        finally:
            # Ends the line after an interrupted answer, too, so that a message starts on a new one.
            write(shown.end())
    return stream.final_result


def _typed_lines() -> Iterator[str]:
    """Yield typed lines until Ctrl-D."""
    with suppress(ImportError):
        import readline  # noqa: F401  enables line editing and history
    while True:
        try:
            if not on_terminal(sys.stdout):
                # Answers are redirected, but the prompt must still be visible.
                click.echo("> ", nl=False, err=True)
            yield input("> " if on_terminal(sys.stdout) else "")
        except (EOFError, KeyboardInterrupt) as ending:
            click.echo()  # what is printed at the end starts on a new line
            if isinstance(ending, EOFError):
                return
            raise
