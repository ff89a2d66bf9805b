"""Recording the traffic of tests, and replaying it. An emulator stands in for the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sogni.emulator import LocalSupernet
from sogni.testing.cassettes import Ids, MediaNames, Player, Tape, cassette_path, event_lines, without_secrets
from tests.tables import each_row
from tests.testing.conftest import RunFile

pytest_plugins = ["pytester"]

RECORD = "--sogni-record=cassettes"
ONE, TWO = "9ACD45FE-3191-4612-A006-BDE756CDA265", "719D6B9C-F6D0-44CD-91DB-A43CBC9179D2"

WORK = """
    import asyncio
    from PIL import Image

    def test_images(sogni_client, sogni_cassette, tmp_path):
        project = create(sogni_client, starting_image=Image.new("RGB", (64, 64), "red"), number_of_media=2)
        assert [path.read_bytes()[:4] for path in project.save(tmp_path)] == [b"\\x89PNG"] * 2
        assert sogni_client.account.me().username == "local-artist"

    def test_chats(sogni_client, sogni_cassette):
        messages = [{"role": "user", "content": "hi"}]
        with sogni_client.chat.completions.create(messages=messages, stream=True) as stream:
            assert "".join(chunk.content or "" for chunk in stream) == "Arr!"

    def test_workflows(sogni_client, sogni_cassette):
        arguments = {"prompt": "a kite", "aspectRatio": "512x512"}
        step = {"id": "still", "toolName": "generate_image", "arguments": arguments}
        workflow = sogni_client.workflows.start(input={"title": "kite", "steps": [step]})
        assert [event.event for event in sogni_client.workflows.stream_events(workflow.workflow_id)]
        assert sogni_client.workflows.get(workflow.workflow_id).artifacts

    def test_asyncio(sogni_cassette, tmp_path):
        async def work():
            async with sogni_cassette.async_client() as client:
                project = await client.projects.create(
                    type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a kite", width=256, height=256
                )
                await project.wait(timeout=60)
                return await project.save(tmp_path)

        (path,) = asyncio.run(work())
        assert path.stat().st_size
"""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalSupernet]:
    """What stands in for the service."""
    with LocalSupernet(step_time=0) as supernet:
        supernet.chat.reply("Arr!", times=None)
        monkeypatch.setenv("SOGNI_API_KEY", supernet.api_key)
        monkeypatch.setenv("SOGNI_REST_ENDPOINT", supernet.rest_endpoint)
        monkeypatch.setenv("SOGNI_SOCKET_ENDPOINT", supernet.socket_endpoint)
        yield supernet


def written(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.json")))


def test_what_was_recorded_is_replayed(
    run_file: RunFile, service: LocalSupernet, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_file(WORK, RECORD).assert_outcomes(passed=4)
    service.assert_requested("jobRequest", times=2)
    text = written(pytester.path / "cassettes")
    for secret in (service.api_key, service.account.email, "X-Amz-Signature", service.rest_endpoint):
        assert secret not in text
    service.close()
    for _ in range(2):
        run_file(WORK).assert_outcomes(passed=4)
    monkeypatch.delenv("SOGNI_API_KEY")
    (path,) = (pytester.path / "cassettes").rglob("test_chats.json")
    # As if the test had ended before the client had read this in the background.
    content = json.loads(path.read_text())
    content["entries"] = [it for it in content["entries"] if it.get("path") != "/v1/account/me"]
    path.write_text(json.dumps(content))
    (pytester.path / "cassettes").rename(pytester.path / "traffic")
    run_file(WORK, ini="sogni_cassettes = traffic").assert_outcomes(passed=4)


def test_other_requests_than_recorded_fail(
    run_file: RunFile, service: LocalSupernet, pytester: pytest.Pytester
) -> None:
    text = """
        def test_it(sogni_client, sogni_cassette):
            create(sogni_client, "PROMPT")
        """
    run_file(text.replace("PROMPT", "a lighthouse"), RECORD).assert_outcomes(passed=1)
    result = run_file(text.replace("PROMPT", "a castle"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*jobRequest was recorded differently:",
            "*- data.keyFrames[[]0].positivePrompt: 'a lighthouse'",
            "*+ data.keyFrames[[]0].positivePrompt: 'a castle'",
        ]
    )
    more = text.replace("PROMPT", "a lighthouse") + "    sogni_client.account.rewards()\n"
    result = run_file(more)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*GET /v4/account/rewards was not recorded*"])


def test_failed_tests_are_not_recorded(run_file: RunFile, service: LocalSupernet, pytester: pytest.Pytester) -> None:
    text = """
        def test_it(sogni_client, sogni_cassette):
            assert sogni_cassette.recording
            assert sogni_client.account.me().username == "somebody else"
        """
    run_file(text, RECORD).assert_outcomes(failed=1)
    assert not (pytester.path / "cassettes").exists()


def test_what_is_missing_is_said(run_file: RunFile, pytester: pytest.Pytester) -> None:
    text = "def test_it(sogni_client, sogni_cassette):\n    pass"
    result = run_file(text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*there is no recording of this test, *test_it.json; record it with --sogni-record*"])
    result = run_file(text, RECORD)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*set SOGNI_API_KEY*"])
    (path,) = [pytester.path / "cassettes" / f"{pytester.path.name[:-1]}" / "test_it.json"]
    path.parent.mkdir(parents=True)
    for content, message in (("{", "is not JSON"), ("{}", "is not a recording of version 1")):
        path.write_text(content)
        run_file(text).stdout.fnmatch_lines([f"*{message}*"])


def test_a_service_that_cannot_be_reached_is_an_error(
    run_file: RunFile, service: LocalSupernet, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.close()
    result = run_file(
        """
        def test_it(sogni_cassette):
            answer = requests.get(sogni_cassette.rest_endpoint + "/v1/account/me", timeout=60)
            assert (answer.status_code, answer.json()["message"]) == (
                502, "The service cannot be reached: ClientConnectorError"
            )
        """,
        RECORD,
    )
    result.assert_outcomes(passed=1)


# Values


@each_row(
    "given, expected",
    [
        ({"token": "spark"}, {"token": "spark"}),
        ({"token": "x" * 40, "refreshToken": "y" * 40}, {"token": "***", "refreshToken": "***"}),
        ({"apiKey": "k", "password": "p", "nonce": ""}, {"apiKey": "***", "password": "***", "nonce": ""}),
        ({"currentEmail": "ada@lovelace.test"}, {"currentEmail": "somebody@example.test"}),
        ({"a": ["the-key is secret"]}, {"a": ["*** is secret"]}),
        ({"text": "see https://a.test/b?X-Amz-Signature=1"}, {"text": "see https://a.test/b?***"}),
        ({"seed": 7, "none": None}, {"seed": 7, "none": None}),
    ],
)
def test_secrets_are_removed(given: Any, expected: Any) -> None:
    assert expected == without_secrets(given, ["the-key"])


def test_urls_of_media_become_names() -> None:
    names = MediaNames("http://127.0.0.1:1")
    signed = "https://storage.test/a/one.png?X-Amz-Signature=secret"
    given = {"resultUrl": signed, "text": f"[it]({signed})", "href": "https://sogni.test/blog", "plain": "a/one.png"}
    local = names.for_client(given)
    assert local == {
        **given,
        "resultUrl": "http://127.0.0.1:1/_media/1/one.png",
        "text": "[it](http://127.0.0.1:1/_media/1/one.png)",
    }
    assert names.for_file(local)["resultUrl"] == "sogni-cassette://media/1/one.png"
    assert names.from_file(names.for_file(local)) == local
    assert names.for_service(json.dumps(local["resultUrl"])) == json.dumps(signed)
    assert names.for_client({"resultUrl": signed.replace("secret", "newer")}) == {"resultUrl": local["resultUrl"]}
    assert names.url_of("1/one.png") == signed.replace("secret", "newer")
    assert names.for_client({"files": ["https://storage.test/b.mp4"]}) == {
        "files": ["http://127.0.0.1:1/_media/2/b.mp4"]
    }


def test_only_ids_and_seeds_may_differ() -> None:
    ids = Ids()
    assert ids.match({"jobID": ONE, "seed": 1, "n": [1]}, {"jobID": TWO, "seed": 2, "n": [1]})
    assert not ids.match({"jobID": ONE}, {"jobID": ONE})
    assert not ids.match({"jobID": TWO.replace("7", "8")}, {"jobID": TWO})
    assert ids.now({"path": f"/v1/{ONE.lower()}/x", "ids": [ONE]}) == {"path": f"/v1/{TWO.lower()}/x", "ids": [TWO]}
    found = list(ids.differences({"a": 1, "b": True, "c": ["x"]}, {"b": 1, "c": ["y"], "d": 2}))
    assert found == ["- a: 1", "- b: True", "+ b: 1", "- c[0]: 'x'", "+ c[0]: 'y'", "+ d: 2"]


def test_frames_wait_for_what_clients_had_done_before() -> None:
    def http(method: str) -> dict[str, Any]:
        return {"kind": "http", "method": method, "path": "/v1/x", "status": 200}

    def frame(kind: str, type: str) -> dict[str, Any]:
        return {"kind": kind, "connection": 1, "type": type, "data": {}}

    opened = {"kind": "open", "connection": 1, "status": 101}
    entries = [
        opened,
        frame("server", "hello"),
        http("GET"),
        http("POST"),
        frame("client", "ask"),
        frame("server", "so"),
    ]
    player = Player(Tape(entries))
    assert (player.open(), player.open()) == ((1, 101), None)
    (hello, _), (so, _) = player.sent_on(1)
    assert (player.due(hello), player.due(so), player.missing) == (True, False, ["POST /v1/x", "ask"])
    assert player.find("client", {"connection": 1, "type": "ask", "data": {}}) is not None
    assert player.due(so) is False
    for method in ("POST", "GET", "GET"):
        assert player.find("http", {"method": method, "path": "/v1/x"}) is not None
    assert player.due(so) is True
    assert player.find("http", {"method": "POST", "path": "/v1/x"}) is None
    assert player.unmatched == ["POST /v1/x was recorded, but has arrived as often already"]
    assert player.unread == ["a connection that was not recorded"]


def test_what_the_end_of_a_test_has_cut_off_is_not_saved(tmp_path: Path) -> None:
    def close(code: int) -> dict[str, Any]:
        return {"kind": "close", "connection": 1, "code": code}

    opened = {"kind": "open", "connection": 1, "status": 101}
    request = {"kind": "http", "method": "GET", "path": "/v1/x"}
    tape = Tape([close(1006), opened, request, close(1001), close(4015)])
    path = tmp_path / "a.json"
    assert tape.save(path, ["the-key"])
    assert Tape.load(path).entries == [close(1006), opened, close(4015)]
    assert not Tape([{**opened, "the-key": 1}]).save(tmp_path / "b.json", ["the-key"])


def test_events_are_changed_line_by_line() -> None:
    text = 'id: 1\ndata: {"a":1}\n\ndata: [DONE]\n: comment\n'
    assert event_lines(lambda it: "changed" if isinstance(it, str) else {**it, "b": 2}, text) == (
        'id: 1\ndata: {"a":1,"b":2}\n\ndata: changed\n: comment\n'
    )


def test_paths_are_short_and_plain() -> None:
    folder, file = Path("cassettes"), Path("tests/test_a.py")
    assert cassette_path(folder, file, "TestB.test_c") == Path("cassettes/tests/test_a/TestB.test_c.json")
    odd = cassette_path(folder, file, "test_c[a/b]")
    assert odd.parent == Path("cassettes/tests/test_a")
    assert odd.name.startswith("test_c-a-b-")
    assert odd != cassette_path(folder, file, "test_c[a:b]")
