"""Generate `docs/reference/coverage.md`: what of the protocol notes the packages, the emulator and the tests cover.

    python tools/protocol_coverage.py           # write the page
    python tools/protocol_coverage.py --check   # exit with status 1 if it is out of date

The endpoints and frames come from `docs/protocol`, the routes from a running emulator, the requests of the client from
the strings in `sogni/core`, and the tests from a search. Only which method makes which request is written down here, in
`METHODS`. An endpoint that one of the four has and `METHODS` lacks is an error; a cell that is empty is a gap, and is
listed below the tables.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from unasync import ROOT, show_difference

sys.path.insert(0, str(ROOT))

import sogni
from sogni.emulator import LocalSupernet

PAGE = ROOT / "docs" / "reference" / "coverage.md"
NOTES = ROOT / "docs" / "protocol"
TESTS = (ROOT / "tests" / "scenarios", ROOT / "tests" / "core")

METHODS: Mapping[str, str] = {
    "POST /v1/account/nonce": "account.get_nonce",
    "POST /v1/account/create": "account.create",
    "POST /v1/account/login": "account.login",
    "POST /v1/account/logout": "account.logout",
    "POST /v1/account/refresh-token": "set_tokens",
    "GET /v1/account/me": "account.me",
    "POST /v1/account/device-id": "account.set_device_id",
    "POST /v1/account/username/validate": "account.validate_username",
    "GET /v4/account/balance": "account.refresh_balance",
    "GET /v2/wallet/balance": "account.wallet_balance",
    "GET /v1/transactions/list": "account.transactions",
    "GET /v4/account/rewards": "account.rewards",
    "POST /v3/account/reward/claim": "account.claim_rewards",
    "POST /v1/account/token/withdraw/permit": "account.withdraw",
    "POST /v2/account/token/withdraw": "account.withdraw",
    "POST /v3/account/token/deposit": "account.deposit",
    "POST /v1/contract/token/approve/permit": "account.approve_token_usage",
    "POST /v1/contract/token/approve": "account.approve_token_usage",
    "GET /v1/leaderboard/": "stats.leaderboard",
    "GET /v1/subscriptions/plans": "account.get_subscription_plans",
    "GET /v1/subscriptions/status": "account.refresh_subscription",
    "GET /v1/subscriptions/usage": "account.get_subscription_usage",
    "GET /v1/subscriptions/trial-eligibility": "account.get_trial_eligibility",
    "POST /v1/iap/stripe/subscribe": "account.create_subscription_checkout",
    "POST /v1/subscriptions/stripe/portal": "account.create_subscription_portal_session",
    "GET /v1/announcements/active": "announcements.active",
    "POST /v1/announcements/{}/dismiss": "announcements.dismiss",
    "GET /api/v1/models/list": "projects.get_supported_models",
    "GET /api/v2/models/tiers": "projects.get_model_options",
    "GET /api/v1/size-presets/network/{}/model/{}": "projects.get_size_presets",
    "GET /api/v1/status/network/{}/models": "projects.get_available_models",
    "GET /api/v2/job/estimate/{}": "projects.estimate_cost",
    "GET /api/v3/job/estimate/{}": "projects.estimate_cost",
    "GET /api/v1/job-video/estimate/{}": "projects.estimate_video_cost",
    "GET /api/v1/job-audio/estimate/{}": "projects.estimate_audio_cost",
    "GET /api/v1/job-llm/estimate/{}/{}/{}/{}": "chat.estimate_cost",
    "GET /api/v1/artist/projects/sync": "projects.sync",
    "GET /api/v1/artist/projects/active": "projects.list_elsewhere",
    "GET /v1/projects/{}": "projects.get",
    "GET /v2/projects/{}": "projects.get_status",
    "GET /v1/jobs/list": "projects.list_recent",
    "GET /v1/image/uploadUrl": "projects.upload_url",
    "GET /v1/image/downloadUrl": "projects.download_url",
    "GET /v1/media/uploadUrl": "projects.media_upload_url",
    "GET /v1/media/downloadUrl": "projects.media_download_url",
    "GET /v1/assets": "projects.assets.list",
    "GET /v1/assets/capabilities": "projects.assets.capabilities",
    "POST /v1/assets/prepare": "projects.assets.upload",
    "POST /v1/assets/{}/finalize": "projects.assets.upload",
    "POST /v1/assets/{}/bind": "projects.assets.bind",
    "DELETE /v1/assets/{}": "projects.assets.remove",
    "GET /v1/loras/comfy": "projects.available_loras",
    "GET /v1/loras/personal": "projects.personal_loras.list",
    "POST /v1/loras/personal": "projects.personal_loras.add",
    "GET /v1/loras/personal/catalog": "projects.personal_loras.catalog",
    "GET /v1/loras/personal/{}": "projects.personal_loras.get",
    "DELETE /v1/loras/personal/{}": "projects.personal_loras.remove",
    "POST /v1/chat/completions": "chat.hosted.create",
    "POST /v1/creative-agent/tools/execute": "chat.hosted.execute_tool",
    "POST /v1/chat/runs": "chat.runs.create",
    "GET /v1/chat/runs/{}": "chat.runs.get",
    "POST /v1/chat/runs/{}/cancel": "chat.runs.cancel",
    "POST /v1/chat/runs/{}/confirm-cost": "chat.runs.confirm_cost",
    "GET /v1/chat/runs/{}/events/stream": "chat.runs.stream_events",
    "POST /v1/creative-agent/workflows": "workflows.start",
    "GET /v1/creative-agent/workflows": "workflows.list",
    "GET /v1/creative-agent/workflows/{}": "workflows.get",
    "GET /v1/creative-agent/workflows/{}/events": "workflows.events",
    "GET /v1/creative-agent/workflows/{}/events/stream": "workflows.stream_events",
    "POST /v1/creative-agent/workflows/{}/cancel": "workflows.cancel",
    "POST /v1/creative-agent/workflows/{}/resume": "workflows.resume",
    "POST /v1/creative-agent/workflows/{}/reseed": "workflows.reseed",
    "GET /v1/creative-agent/workflows/templates": "workflows.templates.list",
    "POST /v1/creative-agent/workflows/templates": "workflows.templates.create",
    "GET /v1/creative-agent/workflows/templates/{}": "workflows.templates.get",
    "PATCH /v1/creative-agent/workflows/templates/{}": "workflows.templates.update",
    "DELETE /v1/creative-agent/workflows/templates/{}": "workflows.templates.delete",
    "POST /v1/creative-agent/workflows/templates/{}/fork": "workflows.templates.fork",
    "POST /v1/replay/records": "replay.write",
    "GET /v1/replay/records": "replay.list",
    "GET /v1/replay/records/{}": "replay.get",
    "POST /v1/world-builds": "worlds.builds.start",
    "GET /v1/world-builds": "worlds.builds.list",
    "GET /v1/world-builds/{}": "worlds.builds.get",
    "GET /v1/world-builds/{}/events": "worlds.builds.events",
    "GET /v1/world-builds/{}/events/stream": "worlds.builds.stream_events",
    "POST /v1/world-builds/{}/confirm-cost": "worlds.builds.confirm_cost",
    "POST /v1/world-builds/{}/review": "worlds.builds.review",
    "POST /v1/world-builds/{}/cancel": "worlds.builds.cancel",
}
"""The method for each endpoint; an identifier in a path, or the rest of an estimate's, is `{}`."""
SENT: Mapping[str, str] = {
    "jobRequest": "projects.create",
    "llmJobRequest": "chat.completions.create",
    "jobError": "projects.cancel",
    "changeNetwork": "account.switch_network",
    "setSocketEventSubscriptions": "set_socket_event_subscriptions",
}
"""The method for each frame that a client sends."""
EXAMPLES = frozenset({"/v1/x"})
"""Paths in the notes that are not endpoints."""
BY_IMPLICATION: Mapping[str, str] = {
    "POST /v1/creative-agent/workflows/{}/confirm-cost": "the notes know it by implication only (workflows §1), and"
    " no published client has a method for it. It is tested with the emulator alone; `workflows.resume` continues a"
    " workflow that waits for approval of its cost",
}
"""What the notes mention without a path, and why it has no method."""
COMMON = frozenset(
    ["active", "add", "cancel", "catalog", "create", "delete", "events", "fork", "get", "list", "remove"]
)
"""Names of methods that mean nothing without the group they belong to."""

INTRODUCTION = """\
<!-- Generated by tools/protocol_coverage.py. Do not edit. -->

# Coverage of the protocol

Every endpoint and frame of the notes in `docs/protocol`, the method of the client for it, whether the emulator has it,
and tests that call it, in both packages. Whether the emulator satisfies clients that are not ours is checked apart,
with the published ones. What is missing is listed under [Gaps](#gaps).
"""


class Endpoint(NamedTuple):
    """An endpoint as the notes, the client or the emulator have it."""

    path: str
    where: str


def main(arguments: list[str] | None = None) -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit with status 1 if the page is out of date")
    check = parser.parse_args(arguments).check
    described, routes = list(described_paths()), emulator_routes()
    if problems := list(inconsistencies(described, routes)):
        print("\n".join(problems), file=sys.stderr)
        return 1
    text = page(described, routes)
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if not check:
        PAGE.write_text(text, encoding="utf-8")
    elif without_tests(current) != without_tests(text) or missing_tests(current):
        show_difference(PAGE, text)
        return 1
    return 0


# What there is


def described_paths() -> Iterator[Endpoint]:
    """Every path in the notes, with the section."""
    for file in sorted(NOTES.glob("*.md")):
        section = ""
        for line in file.read_text(encoding="utf-8").splitlines():
            if heading := re.match(r"#+ (\d+(?:\.\d+)?)", line):
                section = f" §{heading[1]}"
            for path in re.findall(r"(?<![\w.])/(?:v\d|api/v(?:\d|\{n\}))/[\w/{}.*-]*", line):
                yield Endpoint(path.rstrip("."), file.stem + section)


def described_frames() -> dict[str, list[str]]:
    """The frames in the tables of the notes, by who sends them."""
    text = (NOTES / "transport.md").read_text(encoding="utf-8")
    found = {}
    for sender, title in (("client", "Client to server messages"), ("server", "Server to client messages")):
        (table,) = re.findall(rf"^## \d+\. {title}\n(.*?)^#", text, re.MULTILINE | re.DOTALL)
        found[sender] = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)[1:]
    return found


def emulator_routes() -> set[str]:
    """The routes of a running emulator, without its own pages."""
    apps: list[web.Application] = []
    original = web.AppRunner.__init__

    def noted(self: web.AppRunner, app: web.Application, **options: Any) -> None:
        apps.append(app)
        original(self, app, **options)

    web.AppRunner.__init__ = noted  # type: ignore[method-assign]
    try:
        with LocalSupernet():
            pass
    finally:
        web.AppRunner.__init__ = original  # type: ignore[method-assign]
    routes = {
        f"{route.method} {plain(route.resource.canonical)}"
        for app in apps
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    return {route for route in routes if re.match(r"[A-Z]+ /(v\d|api)/", route)}


def client_paths() -> dict[str, str]:
    """The paths in the core of the client, with the module. What is filled in later is `{}`."""
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "sogni" / "core").rglob("*.py")}
    found = {}
    for file, tree in trees.items():
        constants: dict[str, str] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                constants[node.targets[0].id] = text_of(node.value, constants)
        for node in ast.walk(tree):
            text = text_of(node, constants)
            if re.match(r"/(v\d|api/v\d)/\w", text):
                found[text] = str(file.relative_to(ROOT))
    return found


def text_of(node: ast.AST, constants: Mapping[str, str]) -> str:
    """A string of the source, with `{}` for what is not known; empty for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.Name):
        return constants.get(node.id, "")
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
        return "".join(text_of(part, constants) or "{}" for part in parts)
    return ""


def plain(path: str) -> str:
    """A path without the names of its identifiers."""
    return re.sub(r"\{[^}]*\}", "{}", path)


# What does not fit


def inconsistencies(described: Iterable[Endpoint], routes: set[str]) -> Iterator[str]:
    """What one of the sources has and `METHODS` lacks, or the reverse."""
    paths = {endpoint.partition(" ")[2] for endpoint in METHODS}
    for one in described:
        if one.path not in EXAMPLES and not any(matches(one.path, path) for path in paths):
            yield f"{one.where} describes {one.path}, which METHODS does not have"
    known = [*paths, *(plain(one.path) for one in described)]
    for path, module in client_paths().items():
        if not any(begins(known_path, path) for known_path in known):
            yield f"{module} requests {path}, which no protocol note describes"
    for route in sorted(routes - METHODS.keys() - BY_IMPLICATION.keys()):
        if not any(matches(one.path, route.partition(" ")[2]) for one in described):
            yield f"the emulator serves {route}, which no protocol note describes"
    frames = described_frames()
    for frame in sorted(set(frames["client"]) ^ SENT.keys()):
        yield f"{frame} is either in the notes or in SENT"
    with sogni.SogniClient(app_id="coverage", api_key="none") as client:
        for method in {*METHODS.values(), *SENT.values()}:
            try:
                attrgetter(method)(client)
            except AttributeError as error:
                yield f"client.{method}: {error}"


def matches(described: str, path: str) -> bool:
    """Whether a path of the notes means an endpoint: exactly, or as an example or a member of a family."""
    pattern = re.escape(plain(described)).replace(r"\{\}", "[^/]+").replace("v[^/]+", r"v\d").replace(r"\*", ".+")
    if described.endswith("/"):
        pattern += ".*"
    # The rest of an estimate's path is one identifier here.
    return re.fullmatch(pattern, path) is not None or ("/estimate/" in described and begins(described, path))


def begins(known: str, path: str) -> bool:
    """Whether a known path begins with this one, in which `{}` is anything."""
    return re.match(re.escape(path).replace(r"\{\}", "[^/]+"), known) is not None


# The page


def page(described: list[Endpoint], routes: set[str]) -> str:
    """The text of `coverage.md`."""
    gaps: list[str] = []
    lines = [
        INTRODUCTION,
        "## Endpoints",
        "",
        "| endpoint | notes | method | emulator | tests |",
        "|---|---|---|---|---|",
    ]
    for endpoint in sorted({*METHODS, *routes}, key=lambda one: (one.partition(" ")[2], one)):
        path = endpoint.partition(" ")[2]
        where = [one.where for one in described if plain(one.path) == path or matches_exactly(one.path, path)]
        method = METHODS.get(endpoint, "")
        cells = {
            "notes": ", ".join(shortest(where)) or family(described, path),
            "method": f"`{method}`" if method else "",
            "emulator": "yes" if endpoint in routes else "",
            "tests": ", ".join(f"`{name}`" for name in tests_of(method)),
        }
        lines.append(row(endpoint, cells, gaps))
    frames = described_frames()
    for title, sender, column in (
        ("Frames of a client", "client", "method"),
        ("Frames of the service", "server", "client"),
    ):
        lines += ["", f"## {title}", "", f"| frame | {column} | emulator | tests |", "|---|---|---|---|"]
        for frame in frames[sender]:
            client = f"`{SENT[frame]}`" if sender == "client" else ", ".join(modules(ROOT / "sogni" / "core", frame))
            cells = {
                column: client,
                "emulator": "yes" if mentioned(ROOT / "sogni" / "emulator", frame) else "",
                "tests": ", ".join(f"`{name}`" for name in frame_tests(frame)),
            }
            lines.append(row(frame, cells, gaps))
    lines += ["", "## Gaps", ""]
    lines += gaps or ["None: everything above has a method, is in the emulator, and is tested."]
    return "\n".join(lines) + "\n"


def row(name: str, cells: Mapping[str, str], gaps: list[str]) -> str:
    """A line of a table; what is empty is a gap."""
    missing = [title for title, cell in cells.items() if not cell]
    if missing:
        reason = f": {BY_IMPLICATION[name]}" if name in BY_IMPLICATION else ""
        gaps.append(f"- `{name}` has no {', no '.join(missing)}{reason}.")
    return " | ".join([f"| `{name}`", *(cell or "**none**" for cell in cells.values())]) + " |"


def matches_exactly(described: str, path: str) -> bool:
    """Whether a note means this endpoint, and not only its family."""
    return (
        not described.endswith("*") and matches(described, path) and not (described.endswith("/") and path != described)
    )


def family(described: Iterable[Endpoint], path: str) -> str:
    """The sections that describe an endpoint by the beginning of its path."""
    near = [one for one in described if one.path not in EXAMPLES and path.startswith(plain(one.path).rstrip("*"))]
    longest = max((len(one.path) for one in near), default=0)
    return ", ".join(shortest(one.where for one in near if len(one.path) == longest))


def shortest(where: Iterable[str]) -> list[str]:
    """At most three sections, those in the notes about the subject first."""
    return sorted(set(where), key=lambda one: (one.startswith("transport"), one))[:3]


def tests_of(method: str) -> list[str]:
    """Tests that call a method: at most two."""
    if not method:
        return []
    parts = method.split(".")
    name = parts[-1]
    # Tests keep a group in a variable, which has the name of the group or a part of it.
    groups = "|".join(sorted({*parts[:-1], *"_".join(parts[:-1]).split("_")}))
    words = rf"\b\w*(?:{groups})\.{name}\b" if name in COMMON else rf"\b{name}\b"
    return list(files_with(re.compile(words), name))[:2]


def frame_tests(frame: str) -> list[str]:
    """Tests that name a frame: at most two."""
    return list(files_with(re.compile(rf"""["']{frame}["']"""), frame))[:2]


def files_with(pattern: re.Pattern[str], word: str) -> Iterator[str]:
    """The files of tests that have what a pattern finds, which is about this word."""
    for folder in TESTS:
        for file in sorted(folder.rglob("*.py")):
            if word in source_of(file) and pattern.search(source_of(file)):
                yield str(file.relative_to(ROOT / "tests"))


@cache
def source_of(file: Path) -> str:
    """The text of a module."""
    return file.read_text(encoding="utf-8")


def modules(folder: Path, word: str) -> list[str]:
    """The modules of a package that name a frame."""
    found = [file for file in sorted(folder.rglob("*.py")) if f'"{word}"' in source_of(file)]
    return [f"`{file.relative_to(ROOT / 'sogni').with_suffix('')}`" for file in found if file.name != "messages.py"][:2]


def mentioned(folder: Path, word: str) -> bool:
    """Whether a package names a frame."""
    return bool(modules(folder, word))


# What may change without the page being out of date


def without_tests(text: str) -> str:
    """The page without the names of tests: another test that calls a method does not make it wrong."""
    return re.sub(r"`[\w/]+\.py`(, `[\w/]+\.py`)*|`core/[\w/]+`(, `core/[\w/]+`)*", "", text)


def missing_tests(text: str) -> bool:
    """Whether the page names a file that no longer exists."""
    return any(not (ROOT / "tests" / name).exists() for name in re.findall(r"`([\w/]+\.py)`", text))


if __name__ == "__main__":
    sys.exit(main())
