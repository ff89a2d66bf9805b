"""Drive the published Sogni clients, as black boxes, through everything they offer against the emulator.

Called by `.ci/run`. The clients are installed from the registries into a cache outside of the repository
(SOGNI_CONFORMANCE_CACHE, else `sogni-conformance` in the cache directory of the user); one that cannot be installed is
skipped, with the reason printed. `clients/steps.mjs` and `clients/steps.py` make the calls; the answers that both
must get are here, in `ANSWERS`. Then the steps in `FAULTS` are repeated while something goes wrong.
Exit code 1: a step fails, or has an answer other than the expected one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from sogni.emulator import Answer, Balance, Call, LocalSupernet, Membership
from sogni.emulator.account.records import balance_frame
from sogni.emulator.catalogue.loras import LORAS
from sogni.emulator.faults import Rule
from sogni.emulator.recorder import Arrival, RecordedFrame, RecordedRequest

HERE = Path(__file__).parent
ENOUGH = 5
"""What is wrong with a client before it is driven no further: every step of a broken emulator would take its time."""
LIMITS = (20.0, 40.0, 60.0)
"""Seconds that a step may take, at its first and its further attempts.

5.70.0 misses about one result in two hundred when both cores are busy, also without any fault, and then waits for it
until its own time limit. What is wrong with the emulator is wrong at every attempt.
"""
TOO_LONG = "no answer within"


ABSENT = object()
"""The answer of a client that has no such method."""


class Refused(str):
    """The answer of a client that reported an error; all of them are equal."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Refused)

    def __ne__(self, other: object) -> bool:
        return not self == other


def describe(answer: Any) -> str:
    """An answer, in words."""
    if answer is ABSENT:
        return "no such method"
    if isinstance(answer, Refused):
        return f"an error {answer}".rstrip()
    return json.dumps(answer)


class Published(NamedTuple):
    """A published client, and the steps that its version has no methods for."""

    package: str
    version: str
    absent: frozenset[str] = frozenset()
    own: Mapping[str, Any] = MappingProxyType({})
    """Other answers of this version: what it does not know yet, and its faults."""

    @property
    def is_javascript(self) -> bool:
        return self.package.startswith("@")

    def __str__(self) -> str:
        return f"{self.package} {self.version}"


PYTHON_ONLY = frozenset({"project_result", "recent_projects", "world"})
LATER = frozenset(
    [
        "loras",
        "image_with_a_lora",
        "personal_loras",
        "saved_uploads",
        "saved_upload_bound",
        "project_status",
        "projects_elsewhere",
        "resolve_missing",
        "sync",
        "announcements",
    ]
)
"""What came after 5.1."""
NOT_YET = dict.fromkeys(("speech", "upscaled_video", "model_3d", "last_frame", "run_cost"), Refused(""))
"""Models, and the preview of a cost that is confirmed, that 5.1 does not know."""
CLIENTS = (
    Published("@sogni-ai/sogni-client", "5.1.0", frozenset({"hosted_tool", *PYTHON_ONLY, *LATER}), NOT_YET),
    Published("@sogni-ai/sogni-client", "5.54.0", PYTHON_ONLY),
    # It looks for the list of announcements beside the envelope, and so never finds one.
    Published("sogni-client", "5.70.0", own={"announcements": [[], 0, 404]}),
)

ANSWERS: dict[str, Any] = {
    "models": True,
    "image": ["png", "png"],
    "image_formats": [["jpeg"], ["png"]],
    "starting_image": ["png"],
    "control_net": ["png"],
    "context_images": ["png"],
    "video": ["mp4"],
    "video_from_an_image": ["mp4"],
    "video_from_sound": ["mp4"],
    "video_from_a_video": ["mp4"],
    "music": ["mp3"],
    "speech": ["mp3"],
    "upscaled_video": ["mp4"],
    "model_3d": ["glb"],
    "video_between_two_frames": ["mp4"],
    "last_frame": "png",
    "result_again": ["png", "png"],
    "url_helpers": [[True, True], "png", "mp3"],
    "charge": "as estimated",
    "catalogue": [True, True, True],
    "events": [],
    "enhance": "png",
    "cancel": ["canceled", "canceled"],
    "project_record": [True, "completed"],
    "estimates": [True, True, True, True],
    "options_and_sizes": ["number", True],
    "chat": ["Hello there.", "stop"],
    "chat_stream": ["Hello there.", "Hello there."],
    "chat_tools": ["get_weather", {"city": "Oslo"}],
    "chat_tool_result": "It is snowing.",
    "tools_in_the_client": [True, "png", [["call-1", True], ["call-2", True]]],
    "chat_vision": "A picture.",
    "chat_json": ["name"],
    "chat_estimate": True,
    "hosted": "Hello there.",
    "hosted_tool": "success",
    "run": ["completed", True],
    "run_canceled": "cancelled",
    "run_cost": ["cost_approval_required", 400, "completed", 1],
    "workflow_resumed": ["ask_clarifying_question", True, "completed"],
    "workflow": ["completed", True, True, True],
    "workflow_reseed": "completed",
    "workflow_cancel": "cancelled",
    "templates": ["Dragon", "Copy", True, 404],
    "replay": [True, "a kite"],
    "loras": [
        sorted(lora.id for lora in LORAS.values() if "krea2_turbo_fp8_scaled" in lora.models),
        8,
        [],
        True,
        True,
        100,
    ],
    "image_with_a_lora": ["png"],
    "personal_loras": ["ready", "Mine", 1, 1, 0],
    "saved_uploads": [[["png"], ["png"]], 1, "image/png", "ready", 0, 404],
    "saved_upload_bound": ["A picture", True, "ready", "png", True],
    "project_status": [True, "completed", True],
    "project_result": [["completed", "image", 7], "png"],
    "recent_projects": [True, "krea2_turbo_fp8_scaled", ["completed"]],
    "projects_elsewhere": [],
    "resolve_missing": ["lost"],
    "sync": ["completed", [], []],
    "announcements": [[["Maintenance", "toast"]], 0, 404],
    "subscription": ["number", False, "string"],
    "world": ["review_required", 1, "completed", "cancelled", True],
    "plans": [True, True, "none", "none"],
    "new_account": ["string", 108, "success", True, True],
    "tokens": [2, 0.5, 400, 404],
    "tokens_restored": True,
    "cookies": False,
    "network": ["relaxed", "fast"],
    "balance": True,
    "history": [True, True, True],
    "leaderboard": True,
    "sign_in": [True, True, False],
    "wrong_key": 401,
}


def charge(supernet: LocalSupernet, answer: list[Any]) -> str:
    """Whether a project cost what had been estimated, by the books of the emulator."""
    project, estimate = answer
    (number,) = (str(one["SID"]) for one in supernet.projects if one["id"] == project)
    entries = [one for one in supernet.account.ledger.newest_first() if one.source_sid == number]
    paid = -sum(one.amount for one in entries)
    return "as estimated" if abs(float(paid) - estimate) < ROUNDING else f"{paid} instead of {estimate}"


def unbalanced(supernet: LocalSupernet, owned: Balance, *, all_ended: bool) -> str:
    """What is wrong with the books: balances that the transactions do not explain, or money held for nothing.

    A step that was cut short may leave something that waits, and money that is held for it.
    """

    def difference() -> dict[str, str]:
        entries = supernet.account.ledger.newest_first()
        found = {}
        for token in ("spark", "sogni"):
            expected = getattr(owned, token) + sum(one.amount for one in entries if one.token == token)
            balance = balance_frame(supernet.account)[token]
            if Decimal(balance["settled"]) != expected or (all_ended and Decimal(balance["debit"])):
                found[token] = f"{balance} instead of {expected}"
        return found

    with suppress(TimeoutError):
        supernet.wait_for(lambda: not difference())
    return str(difference() or "")


ROUNDING = 1e-6
JUDGED: Mapping[str, Callable[[LocalSupernet, list[Any]], Any]] = {"charge": charge}
"""Steps whose answer is compared with what the emulator knows, and so becomes the one in `ANSWERS`."""


def weather(messages: list[Any]) -> Answer:
    """Call the tool of the request; its result is the answer."""
    if messages[-1]["role"] == "tool":
        return Answer(messages[-1]["content"])
    return Answer(calls=(Call("get_weather", {"city": "Oslo"}),))


def script_chats(supernet: LocalSupernet) -> None:
    """Give the language models the answers that the steps expect."""
    supernet.chat.reply("Hello there.", when="Say hello", times=None)
    supernet.chat.reply("A picture.", when="What is this?", times=None)
    supernet.chat.reply(weather, when="weather", times=None)


class Fault(NamedTuple):
    """Something that goes wrong during a step, and what the step does then: by default, what it always does."""

    circumstance: str
    inject: Callable[[LocalSupernet], object]
    step: str
    answer: Any = None
    refused: bool = False
    """Whether the published clients give up and report it. The same step, repeated, succeeds."""
    not_for: tuple[str, ...] = ()
    """Versions that never send the request, or never return from it. Recovery after a reconnect came with 5.24, saved
    uploads with 5.42."""


FAULTS = (
    Fault(
        "the socket drops while it renders",
        lambda net: net.faults.drop_socket(at="started"),
        "image",
        not_for=("5.1.0",),
    ),
    Fault(
        "the socket drops before it completes",
        lambda net: net.faults.drop_socket(before="completed"),
        "music",
        not_for=("5.1.0",),
    ),
    Fault("an answer is slow", lambda net: net.faults.http(delay=1.0), "estimates"),
    Fault("a result is slow", lambda net: net.faults.http("/storage/*", method="GET", delay=1.0), "image"),
    Fault(
        "a signed upload URL is refused",
        lambda net: net.faults.http("*/uploadUrl", status=503),
        "starting_image",
        refused=True,
        not_for=("5.54.0", "5.70.0"),
    ),
    Fault(
        "a saved upload is refused",
        lambda net: net.faults.http("*/bind", status=503),
        "starting_image",
        refused=True,
        not_for=("5.1.0",),
    ),
    Fault(
        "a signed result URL is refused",
        lambda net: net.faults.http("*/downloadUrl", status=503),
        "image",
        answer=["png"],
    ),
    Fault(
        "requests are limited",
        lambda net: net.faults.http("/v1/creative-agent/workflows", status=429, retry_after=0),
        "workflow",
        refused=True,
    ),
    Fault(
        "a stream is cut",
        lambda net: net.faults.cut_stream("*/events/stream", after_events=2),
        "workflow",
        refused=True,
    ),
)


IN_THE_PROCESS = "makes no request"
ALIAS = "another name of a method that is driven"
NOT_DRIVEN: Mapping[str, str] = {
    "account.get_wallet": IN_THE_PROCESS,
    "chat.cancel_chat_run": ALIAS,
    "chat.confirm_chat_run_cost": ALIAS,
    "chat.create_chat_run": ALIAS,
    "chat.create_completion": ALIAS,
    "chat.create_hosted_completion": ALIAS,
    "chat.execute_hosted_tool": ALIAS,
    "chat.get_chat_run": ALIAS,
    "chat.stream_chat_run_events": ALIAS,
    "client.create": "makes the client itself, in every run",
    "client.create_instance": ALIAS,
    "client.dispose": IN_THE_PROCESS,
    "job.to_dict": IN_THE_PROCESS,
    "job.to_json": IN_THE_PROCESS,
    "project.to_dict": IN_THE_PROCESS,
    "project.to_json": IN_THE_PROCESS,
    "projects.get_video_asset_config": "makes no request of its own: reads the models, as get_model_options does",
    "projects.is_audio_model_id": IN_THE_PROCESS,
    "projects.is_model_artifact_model_id": IN_THE_PROCESS,
    "projects.is_video_model_id": IN_THE_PROCESS,
}
"""Public methods that no step calls, and why."""
LISTENING = frozenset({"on", "once", "off", "emit", "remove_all_listeners"})


def snake(name: str) -> str:
    """The name of a method, as the Python client has it."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def unused_methods(client: Published, driver: Driver, home: Path) -> list[str]:
    """The public methods of a client that no step has called, without those of `NOT_DRIVEN`."""
    private = declared_private(home) if client.is_javascript else set()
    offered = {snake(name) for name in driver.make("methods", LIMITS[-1]) if name.rpartition(".")[2] not in private}
    called = {snake(name) for name in driver.called}
    left = {name for name in offered - called - NOT_DRIVEN.keys() if name.rpartition(".")[2] not in LISTENING}
    return [f"{client}: no step calls {name}" for name in sorted(left)]


def declared_private(home: Path) -> set[str]:
    """The names that the type declarations of a JavaScript client call private; nothing else is read there."""
    found: set[str] = set()
    for file in home.glob("node_modules/@sogni-ai/sogni-client/dist/**/*.d.ts"):
        found.update(re.findall(r"^ *(?:private|protected) (?:readonly |async )?(\w+)", file.read_text(), re.MULTILINE))
    return found


class Trouble(NamedTuple):
    """Something that goes wrong during any step. The step must have its usual answer then, or report an error."""

    circumstance: str
    rules: tuple[Callable[[LocalSupernet], Rule], ...]
    occurs: Callable[[list[Arrival]], bool]
    """Whether it can occur, by what the step sent without it."""
    not_for: tuple[str, ...] = ()


def requested(*paths: str) -> Callable[[list[Arrival]], bool]:
    """Whether one of these paths (globs) was requested."""
    return lambda arrivals: any(
        isinstance(one, RecordedRequest) and fnmatchcase(one.path, path) for one in arrivals for path in paths
    )


def sends(arrivals: list[Arrival], *types: str) -> bool:
    """Whether a frame of one of these types is among what arrived."""
    return any(isinstance(one, RecordedFrame) and one.type in types for one in arrivals)


TROUBLES = (
    Trouble(
        "the socket drops",
        (lambda net: net.faults.drop_socket(at="started"), lambda net: net.faults.drop_socket(at="tokens")),
        lambda arrivals: sends(arrivals, "jobRequest", "llmJobRequest"),
        not_for=("5.1.0",),
    ),
    Trouble(
        "signing is unavailable",
        (
            lambda net: net.faults.http("/v1/*Url", status=503),
            lambda net: net.faults.http("/v1/assets/*/bind", status=503),
        ),
        requested("/v1/*Url", "/v1/assets/*/bind"),
    ),
    Trouble(
        "an answer is slow",
        (lambda net: net.faults.http("/v1/*", delay=0.2), lambda net: net.faults.http("/api/*", delay=0.2)),
        requested("/v1/*", "/api/*"),
    ),
    Trouble(
        "requests are limited",
        (
            lambda net: net.faults.http("/v[1-9]/*", status=429, retry_after=0),
            lambda net: net.faults.http("/api/*", status=429, retry_after=0),
        ),
        requested("/v[1-9]/*", "/api/*"),
    ),
)


class BrokenStepError(Exception):
    """A step that failed."""


class Driver:
    """A published client in a process of its own, which makes one step after the other."""

    def __init__(self, command: list[str], supernet: LocalSupernet, media: Path, directory: Path) -> None:
        self._command = command
        self._directory = directory
        self.called: set[str] = set()
        """The methods that the steps have called."""
        self._environment = os.environ | {
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
            "SOGNI_API_KEY": supernet.api_key,
            "ACCOUNT_NAME": supernet.account.username,
            "ACCOUNT_PASSWORD": supernet.account.password,
            "APP_ID": "published",
            "PICTURE": str(media / "picture.png"),
            "SONG": str(media / "song.mp3"),
            "FILM": str(media / "film.mp4"),
        }
        self._start()

    def _start(self) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=self._environment,
            cwd=self._directory,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._stderr.close()

    def make(self, step: str, limit: float) -> Any:
        """Make one step and return its answer, or `ABSENT`.

        Raises:
            BrokenStepError: The step failed, took too long, or ended the process. The next one gets a new process then.
        """
        try:
            return self._make(step, limit)
        except BrokenPipeError:
            error = BrokenStepError(f"the process ended{self._complaints()}")
        except TimeoutError:
            error = BrokenStepError(f"{TOO_LONG} {limit} s{self._complaints()}")
        self._process.kill()
        self.__exit__()
        self._start()
        raise error

    def _make(self, step: str, seconds: float) -> Any:
        self._process.stdin.write(json.dumps({"step": step}).encode() + b"\n")
        self._process.stdin.flush()
        limit = time.monotonic() + seconds
        while True:
            # Every line is shorter than what a pipe writes at once, so a readable pipe has a whole line.
            if not select.select([self._process.stdout], [], [], max(0, limit - time.monotonic()))[0]:
                raise TimeoutError
            line = self._process.stdout.readline()
            if not line:
                raise BrokenPipeError
            if line.startswith(b'{"step"'):
                break
        printed = json.loads(line)
        self.called.update(printed["called"])
        if "error" in printed:
            raise BrokenStepError(printed["error"])
        return ABSENT if printed.get("absent") else printed["answer"]

    def _complaints(self) -> str:
        self._stderr.seek(0)
        # Without the lines of a traceback: they would quote the package.
        lines = self._stderr.read().decode(errors="replace").splitlines()
        said = "\n".join(line for line in lines if not line.startswith(" "))[-1000:]
        return f"; it wrote:\n{said}" if said else ""


def cache_directory() -> Path:
    """Where the clients are installed."""
    cache = os.environ.get("SOGNI_CONFORMANCE_CACHE")
    return Path(cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sogni-conformance")


def install(client: Published, cache: Path) -> tuple[list[str], Path]:
    """Install a client unless the cache has it.

    Returns:
        The command that drives it, and the directory to run it in.

    Raises:
        OSError: A program that is needed is missing.
        subprocess.CalledProcessError: The registry did not deliver.
    """
    home = cache / f"{client.package.replace('/', '-').strip('@')}-{client.version}"
    requirement = f"{client.package}{'@' if client.is_javascript else '=='}{client.version}"
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        if client.is_javascript:
            npm_install(home, requirement)
        else:
            run([sys.executable, "-m", "venv", "--without-pip", home])
            run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "--timeout=20", requirement])
        (home / "installed").touch()
    if not client.is_javascript:
        return [str(python), "-P", str(HERE / "clients" / "steps.py")], home
    # Node looks for packages beside a script file, but in the working directory for a script that it is given.
    return ["node", "--input-type=module", "--eval", (HERE / "clients" / "steps.mjs").read_text()], home


def run(command: list[str | Path], timeout: float = 120) -> None:
    """Run a program that installs something; its output belongs to the error."""
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout)


def npm_install(home: Path, requirement: str) -> None:
    """Install a package of npm into a folder."""
    # No code of the package runs while it is installed, and a registry that cannot be reached is given up on.
    quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    limits = ["--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-timeout=20000"]
    run(["npm", "install", *quiet, *limits, "--prefix", home, requirement])


def reason(error: Exception) -> str:
    """Why a client could not be installed, in a line."""
    said = (getattr(error, "stderr", None) or "").strip().splitlines()
    return said[-1] if said else str(error)


@contextmanager
def serving(command: str, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Run a command that serves HTTP; yields what it prints at first.

    Raises:
        RuntimeError: It did not start, did not end in order, or logged a failure.
    """
    arguments = [sys.executable, "-m", "sogni", command, "--port", "0", "--json", *options]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as process,
    ):
        assert process.stdout is not None
        lines: list[str] = []
        try:
            while not lines or lines[-1] != "}\n":
                lines.append(process.stdout.readline())
                if not lines[-1]:
                    raise RuntimeError(f"sogni {command} has not started")
            yield json.loads("".join(lines))
        finally:
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                status = -1
            log.seek(0)
            said = log.read()
        if status != 0 or "Traceback" in said or " status=500" in said:
            raise RuntimeError(f"sogni {command} ended with status {status}:\n{said}")


@contextmanager
def sample_media() -> Iterator[Path]:
    """A picture, a song and a film to upload, made by the emulator itself."""
    with tempfile.TemporaryDirectory() as directory, LocalSupernet(step_time=0, seed=1) as supernet:
        with supernet.client() as client:
            for name, params in {
                "picture": {"type": "image", "model_id": "krea2_turbo_fp8_scaled", "width": 512, "height": 512},
                "song": {"type": "audio", "model_id": "ace_step_1.5_turbo", "duration": 10},
                "film": {"type": "video", "model_id": "wan_v2.2-14b-fp8_t2v_lightx2v", "frames": 17},
            }.items():
                project = client.projects.create(positive_prompt="a kite", **params)
                project.wait(timeout=60).save(directory, name=name)
        yield Path(directory)


def answer_of(driver: Driver, supernet: LocalSupernet, step: str, limit: float) -> Any:
    """Make one step; return its answer, or `Refused` with the error and what arrived when it took too long."""
    before = len(supernet.requests)
    try:
        answer = driver.make(step, limit)
    except BrokenStepError as error:
        said = str(error)
        if said.startswith(TOO_LONG):
            said += f"; it sent, in the end, {', '.join(map(arrival_text, supernet.requests[before:][-SHOWN:]))}"
        return Refused(said)
    return JUDGED[step](supernet, answer) if step in JUDGED and isinstance(answer, list) else answer


SHOWN = 12
"""Requests and frames in a message."""


def arrival_text(arrival: Arrival) -> str:
    """A request or frame, in a few words."""
    if isinstance(arrival, RecordedRequest):
        return f"{arrival.method} {arrival.path} ({arrival.status})"
    return arrival.type if isinstance(arrival, RecordedFrame) else f"upgrade ({arrival.status})"


def trouble_with(
    driver: Driver, supernet: LocalSupernet, trouble: Trouble, step: str, expected: Any, limit: float
) -> str:
    """Make a step while something goes wrong, and once more if that made it fail; return what is wrong with it."""
    for inject in trouble.rules:
        inject(supernet)
    with circumstances(supernet, step):
        answer = answer_of(driver, supernet, step, limit)
    supernet.faults.clear()
    if not isinstance(answer, Refused):
        tolerated = answer in (expected, TROUBLED.get(step, expected)) or is_part(answer, expected)
        return "" if tolerated else describe(answer)
    if answer.startswith(TOO_LONG):
        return describe(answer)
    with circumstances(supernet, step):
        answer = answer_of(driver, supernet, step, limit)
    return "" if answer == expected else f"{describe(answer)} when repeated"


def is_part(answer: Any, whole: Any) -> bool:
    """Whether an answer lacks some of the results (an URL that could not be signed), and has no others."""
    if not (isinstance(answer, list) and isinstance(whole, list)):
        return answer == whole
    rest = iter(whole)
    return all(any(is_part(one, other) for other in rest) for one in answer)


def troubles(client: Published, sent: Mapping[str, list[Arrival]]) -> Iterator[tuple[Trouble, str]]:
    """What is to go wrong in which step of a client.

    Everything that can, but one thing only in steps that render, which take turns with the clients.
    """
    turn = CLIENTS.index(client)
    for number, (step, arrivals) in enumerate(sent.items()):
        if step in client.absent or step in UNTROUBLED or isinstance(client.own.get(step), Refused):
            continue
        possible = [one for one in TROUBLES if one.occurs(arrivals) and client.version not in one.not_for]
        if step != "image" and sends(arrivals, "jobRequest"):
            possible = possible and [possible[(turn + number) % len(possible)]]
        for trouble in possible:
            yield trouble, step


UNTROUBLED = frozenset({"wrong_key", "cookies", "network"})
"""Steps whose answer is an error, or that wait for long before they report one."""
TROUBLED: Mapping[str, Any] = {
    "events": ["job progress"],  # sent while there was no connection
    "resolve_missing": ["unknown"],
}
"""Answers that a step may also have while something goes wrong."""


def drive(client: Published, command: list[str], home: Path, media: Path, only: list[str]) -> list[str]:
    """Make every step of a client, then the steps under faults.

    Returns:
        What went wrong.
    """
    wrong = []
    sent: dict[str, list[Arrival]] = {}
    counts: Counter[str] = Counter()

    def check(
        driver: Driver,
        step: str,
        expected: Any,
        circumstance: str = "",
        inject: Callable[[LocalSupernet], object] | None = None,
    ) -> None:
        for limit in LIMITS:
            if inject is not None:
                supernet.faults.clear()
                inject(supernet)
            answer = answer_of(driver, supernet, step, limit)
            if not (isinstance(answer, Refused) and answer.startswith(TOO_LONG)):
                break
            print(f"{client}: {step}{circumstance}: {describe(answer)}", flush=True)
        if answer != expected:
            wrong.append(f"{client}: {step}{circumstance}: {describe(answer)} instead of {describe(expected)}")

    with LocalSupernet(step_time=0, seed=2) as supernet:
        script_chats(supernet)
        owned = supernet.account.balance
        with Driver(command, supernet, media, home) as driver:
            for step in only or ANSWERS:
                if len(wrong) >= ENOUGH:
                    break
                before = len(supernet.requests)
                with circumstances(supernet, step):
                    check(driver, step, ABSENT if step in client.absent else client.own.get(step, ANSWERS[step]))
                sent[step] = supernet.requests[before:]
            if not wrong and (problem := unbalanced(supernet, owned, all_ended=True)):
                wrong.append(f"{client}: the books: {problem}")
            for fault in FAULTS:
                if (only and fault.step not in only) or client.version in fault.not_for:
                    continue
                usual = ANSWERS[fault.step]
                expected = Refused("") if fault.refused else usual if fault.answer is None else fault.answer
                check(driver, fault.step, expected, f" ({fault.circumstance})", fault.inject)
                if supernet.faults.pending:
                    wrong.append(f"{client}: {fault.step}: the fault did not occur: {fault.circumstance}")
                    supernet.faults.clear()
                if fault.refused:
                    check(driver, fault.step, usual, f" (repeated after {fault.circumstance})")
            if not only and len(wrong) < ENOUGH:
                wrong += unused_methods(client, driver, home)
            for trouble, step in troubles(client, sent):
                if len(wrong) >= ENOUGH:
                    break
                expected = client.own.get(step, ANSWERS[step])
                for limit in LIMITS:
                    found = trouble_with(driver, supernet, trouble, step, expected, limit)
                    if not found:
                        break
                    print(f"{client}: {step} ({trouble.circumstance}): {found}", flush=True)
                else:
                    wrong.append(f"{client}: {step} ({trouble.circumstance}), every time: {found}")
                counts.update([trouble.circumstance])
        wrong += [f"{client}: the emulator noticed: {violation}" for violation in supernet.violations]
        if problem := unbalanced(supernet, owned, all_ended=False):
            wrong.append(f"{client}: the books, in the end: {problem}")
    print(f"{client}: troubled steps: {', '.join(f'{count} × {name}' for name, count in counts.items())}", flush=True)
    return wrong


@contextmanager
def circumstances(supernet: LocalSupernet, step: str) -> Iterator[None]:
    """What a step needs from the emulator: a project can be canceled only while it is not finished."""
    if step == "announcements":
        supernet.announce("Maintenance")
    if step in ("personal_loras", "subscription"):
        supernet.set_subscription(Membership(tier="unlimited_pro"))
    if step != "cancel":
        yield
        supernet.set_subscription(None)
        return
    supernet.pause_workers()
    try:
        yield
    finally:
        supernet.resume_workers()


def main() -> int:
    """Install, drive and compare; 0 if every client got every answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", help="steps to make; all by default")
    parser.add_argument("--client", action="append", help="a version, e.g. 5.54.0; all by default")
    options = parser.parse_args()
    folder = cache_directory()
    chosen = [client for client in CLIENTS if not options.client or client.version in options.client]
    ready = []
    for client in chosen:
        try:
            ready.append((client, *install(client, folder)))
        except (OSError, subprocess.SubprocessError) as error:
            print(f"skipped {client}: it could not be installed: {reason(error)}")
    wrong: list[str] = []
    with sample_media() as media, ThreadPoolExecutor(len(CLIENTS)) as pool:
        played = pool.map(lambda one: drive(*one, media, options.steps), ready)
        for (client, *_), found in zip(ready, played, strict=True):
            steps = len(options.steps or ANSWERS) - (0 if options.steps else len(client.absent))
            print(f"{client}: {steps} steps, {len(found)} wrong")
            wrong += found
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
