"""The inspector, without a browser: access, content, updates and buttons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import requests

from sogni.client import SogniClient
from sogni.emulator import LocalSupernet
from sogni.emulator.faults import FAULTS
from sogni.emulator.inspector.traffic import shown
from sogni.emulator.projects.storage import Key
from tests.tables import each_row

MODEL = "krea2_turbo_fp8_scaled"
EVIL = "</h3><script>document.title='evil'</script><img src=x onerror=alert(1)>\"'&"
PLAN = {
    "title": EVIL,
    "steps": [
        {"id": "still", "toolName": "generate_image", "arguments": {"prompt": EVIL, "aspectRatio": "256x256"}},
        {
            "id": "again",
            "toolName": "edit_image",
            "arguments": {"prompt": "bluer"},
            "dependsOn": [{"sourceStepId": "still", "targetArgument": "sourceImageIndex", "transform": "image_index"}],
        },
    ],
}


@pytest.fixture
def supernet() -> Iterator[LocalSupernet]:
    with LocalSupernet(step_time=0, seed=1, inspector=True) as running:
        yield running


@pytest.fixture
def client(supernet: LocalSupernet) -> Iterator[SogniClient]:
    with supernet.client() as client:
        yield client


def get(supernet: LocalSupernet, path: str = "", **options: Any) -> requests.Response:
    return requests.get(supernet.inspector_url + path, timeout=30, **options)


def press(supernet: LocalSupernet, button: str, **fields: str) -> tuple[int, str]:
    url, headers = f"{supernet.inspector_url}do/{button}", {"Accept": "application/json"}
    reply = requests.post(url, data=fields, headers=headers, timeout=30)
    return reply.status_code, reply.json()["message"]


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_inspector_is_off_unless_it_is_asked_for() -> None:
    with LocalSupernet(step_time=0, control=True) as supernet:
        with pytest.raises(RuntimeError, match="inspector=True"):
            supernet.inspector_url
        url = supernet.control_endpoint.replace("/control", "/inspector/")
        assert requests.get(url, timeout=30).status_code == 404
    with LocalSupernet(step_time=0, inspector=True) as supernet:
        with pytest.raises(RuntimeError, match="control=True"):
            supernet.control_endpoint
        url = re.sub("/inspector/.*", "/control/state", supernet.inspector_url)
        assert requests.get(url, timeout=30).status_code == 404


def test_nothing_is_shown_without_the_token(supernet: LocalSupernet) -> None:
    root = supernet.inspector_url.rpartition("/inspector/")[0]
    for path in ("/inspector", "/inspector/", "/inspector/style.css", "/inspector/x/", "/inspector/\u00e9/events"):
        for method in ("GET", "POST"):
            reply = requests.request(method, root + path, timeout=30)
            assert (reply.status_code, reply.text) == (401, "The inspector requires the token in its URL.")


def test_pages_are_protected(supernet: LocalSupernet) -> None:
    paths = {"": 200, "style.css": 200, "script.js": 200, "icon.svg": 200, "nothing": 404, "media/a": 404}
    for path, status in paths.items():
        reply = get(supernet, path)
        assert reply.status_code == status
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert "script-src 'self'" in reply.headers["Content-Security-Policy"]
        assert "unsafe" not in reply.headers["Content-Security-Policy"]
    assert get(supernet, headers={"Host": "attacker.example"}).status_code == 403
    assert requests.put(supernet.inspector_url, timeout=30).status_code == 405
    url = f"{supernet.inspector_url}do/reset"
    assert requests.post(url, headers={"Sec-Fetch-Site": "cross-site"}, timeout=30).status_code == 403


def test_everything_is_shown_and_escaped(supernet: LocalSupernet, client: SogniClient) -> None:
    client.projects.create(type="image", model_id=MODEL, positive_prompt=EVIL).wait(timeout=60)
    supernet.chat.reply(EVIL)
    client.chat.completions.create(messages=[{"role": "user", "content": EVIL}])
    list(client.workflows.stream_events(client.workflows.start(input=PLAN).workflow_id))
    supernet.faults.fail_job(message=EVIL, error=EVIL)
    failed = client.projects.create(type="image", model_id=MODEL, positive_prompt=EVIL)
    supernet.wait_for(lambda: failed.finished)
    supernet.faults.http(EVIL, message=EVIL)
    page = get(supernet).text
    tags = Elements(page).found
    assert [it for it in tags if it[0] == "script"] == [("script", {"src": "script.js", "defer": None})]
    assert [name for _, given in tags for name in given if name.startswith("on") or name == "style"] == []
    sources = [str(given["src"]) for _, given in tags if "src" in given and given["src"] != "script.js"]
    assert len(sources) == 5
    for source in sources:
        assert source.startswith("media/")
        reply = get(supernet, source)
        assert (reply.status_code, reply.headers["Content-Type"], reply.content[1:4]) == (200, "image/png", b"PNG")
        assert reply.headers["Content-Security-Policy"].endswith("sandbox")
    assert page.count("&lt;script&gt;document.title=") > 8
    assert [given["aria-label"] for tag, given in tags if tag == "div" and given.get("role") == "group"] == [
        f"Graph of {EVIL}"
    ]
    assert "Steps: still: generate_image, completed; again: edit_image, completed, after still" in page


def test_uploaded_pages_are_not_shown(supernet: LocalSupernet) -> None:
    key = Key("P", "", "startingImage")
    supernet._in_server(lambda state: state.store.put_later(key, lambda path: path.write_text(EVIL), "text/html"))
    reply = get(supernet, "media/P//startingImage")
    assert (reply.text, reply.headers["Content-Type"]) == (EVIL, "application/octet-stream")


def test_secrets_are_not_shown(supernet: LocalSupernet, client: SogniClient) -> None:
    project = client.projects.create(type="image", model_id="gpt-image-2", positive_prompt="a kite")
    url = project.wait(timeout=60).jobs[0].result_url
    assert url is not None
    page = get(supernet).text
    assert "jobResult" in page
    for secret in (supernet.api_key, url.partition("X-Amz-Signature=")[2], supernet.account.password or "none"):
        assert secret not in page
    assert json.loads(shown({"apiKey": "a", "list": [{"password": "b", "token": ""}], "text": "x" * 500})) == {
        "apiKey": "***", "list": [{"password": "***", "token": ""}], "text": "x" * 400 + "… (500 characters)"
    }  # fmt: skip


def test_changes_are_streamed(supernet: LocalSupernet, client: SogniClient) -> None:
    with get(supernet, "events", stream=True) as stream:
        updates = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith(b"data: "))
        first = next(updates)
        assert sorted(first) == ["chats", "faults", "overview", "projects", "runs", "scripts", "traffic"]
        assert first["projects"] == {"order": [], "items": {}}
        project = client.projects.create(type="image", model_id=MODEL, positive_prompt="a kite")
        project.wait(timeout=60)
        item = f"project-{project.id}"
        for update in updates:
            if "completed" in update.get("projects", {}).get("items", {}).get(item, ""):
                break
        supernet.reset()
        for update in updates:
            if update.get("projects", {}).get("order") == []:
                break


PRESSED = [
    ("pause-workers", {}, "The workers are paused."),
    ("resume-workers", {}, "The workers have resumed."),
    ("drop-connections", {}, "All connections were cut."),
    ("expire-urls", {}, "All signed URLs have expired."),
    ("fault", {"name": "http", "status": "503", "path": "", "body": '{"a": 1}'}, "The fault http was added."),
    ("fault", {"name": "drop_socket", "at": "started"}, "The fault drop_socket was added."),
    ("fault", {"name": "fail_job", "error": "12", "required_plans": '["pro"]'}, "The fault fail_job was added."),
    ("chat", {"answer": "Hi", "when": ""}, "The answer was scripted."),
    ("clear", {}, "All faults and scripted answers were removed."),
    ("reset", {}, "The emulator was reset."),
]
REFUSED = [
    ("fault", {"name": "htp"}, "there is no fault 'htp'; did you mean http?"),
    ("fault", {"name": "http", "status": "x"}, "status must be an integer from 200 to 599, got 'x'"),
    ("fault", {"name": "http", "stat": "1"}, "http has no field 'stat'"),
    ("clock", {"advance": "soon"}, "advance must be a non-negative number of seconds, got 'soon'"),
    ("clock", {"factor": "0"}, "factor must be a positive number, got '0'"),
    ("explode", {}, "there is no button 'explode'"),
]


@each_row("button, fields, message", PRESSED)
def test_buttons_act(supernet: LocalSupernet, button: str, fields: dict[str, str], message: str) -> None:
    assert press(supernet, button, **fields) == (200, message)


@each_row("button, fields, message", REFUSED)
def test_wrong_input_is_explained(supernet: LocalSupernet, button: str, fields: dict[str, str], message: str) -> None:
    assert press(supernet, button, **fields) == (400, message)


def test_fields_are_read_by_their_types(supernet: LocalSupernet) -> None:
    press(supernet, "fault", name="http", status="503", path="12", body='{"a": 1}', hang="false", delay="0.5")
    (rule,) = supernet.faults.pending
    assert (rule.status, rule.path, rule.body, rule.hang, rule.delay) == (503, "12", {"a": 1}, False, 0.5)  # type: ignore[attr-defined]
    press(supernet, "clock", freeze="true")
    press(supernet, "clock", advance="60")
    assert supernet.clock.mode == "manual"


def test_the_page_works_without_a_script(supernet: LocalSupernet) -> None:
    reply = requests.post(f"{supernet.inspector_url}do/fault", data={"name": "fail_tool", "times": "0"}, timeout=30)
    assert (reply.status_code, reply.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert 'class="problem">times must be an integer of at least 1, got &#39;0&#39;</output>' in reply.text
    for name in FAULTS:
        found = Elements(get(supernet, f"?fault={name}").text).found
        assert ("input", {"type": "hidden", "name": "name", "value": name}) in found
        ids = [given["id"] for _, given in found if "id" in given]
        assert len(ids) == len(set(ids)), name
