"""Redaction: secrets are removed wherever they occur, everything else stays."""

from __future__ import annotations

import json
import logging
import pickle
import string
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sogni.redaction import (
    Environment,
    Secret,
    SecretFilter,
    SecretUrl,
    escape_controls,
    install_filter,
    may_hold_secrets,
    redact,
    secret,
    with_secrets_hidden,
    without_query,
)
from tests.tables import each_row

SECRET = "s3cr3t-Value_01"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3ODAwMDAwMDB9.c2lnbmF0dXJl"

SHOWN: list[tuple[str, str]] = [
    (f"api-key: {SECRET}", "api-key: ***"),
    (f"signed 0x{'ab' * 65}, hash 0x{'ab' * 32}", f"signed ***, hash 0x{'ab' * 32}"),
    (f"{{'api-key': '{SECRET}', 'x': 1}}", "{'api-key': '***', 'x': 1}"),
    (f"{{b'api-key': b'{SECRET}'}}", "{b'api-key': b'***'}"),
    (f'{{"refreshToken":"{SECRET}","a":1}}', '{"refreshToken":"***","a":1}'),
    (f"apiKey={SECRET}&appId=A", "apiKey=***&appId=A"),
    (f"Authorization: {SECRET}", "Authorization: ***"),
    (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
    (f"Proxy-Authorization: Basic {SECRET}", "Proxy-Authorization: ***"),
    (f"password='{SECRET}, and more'", "password='***'"),
    (f'token="{SECRET}', 'token="***'),
    (f"Cookie: session={SECRET}; other={SECRET}\r\nHost: h", "Cookie: ***\r\nHost: h"),
    (f"set-cookie: authorization={SECRET}; Path=/", "set-cookie: ***"),
    (f"x-amz-security-token: {SECRET}", "x-amz-security-token: ***"),
    (f"https://h/p?X-Amz-Signature={SECRET}&b=1 failed", "https://h/p?*** failed"),
    (f"wss://socket.sogni.ai/?appId={SECRET}", "wss://socket.sogni.ai/?***"),
    (f'"GET /b/k?X-Amz-Signature={SECRET} HTTP/1.1" 200', '"GET /b/k?*** HTTP/1.1" 200'),
    (f"https://user:{SECRET}@proxy:8080/", "https://***@proxy:8080/"),
    (f"http://user:p@{SECRET}@proxy/", "http://***@proxy/"),
    (f"https://{SECRET}@proxy/", "https://***@proxy/"),
    (f"the token {JWT} is too old", "the token *** is too old"),
]


@each_row(("text", "expected"), SHOWN)
def test_secrets_are_hidden_and_the_rest_is_kept(text: str, expected: str) -> None:
    assert expected == redact(text)


def test_a_header_block_in_a_repr_shows_no_key() -> None:
    """As the debug output of HTTP libraries prints what they send."""
    sent = repr(f"GET / HTTP/1.1\r\nHost: h\r\napi-key: {SECRET}\r\n\r\n".encode())
    assert SECRET not in redact(sent)


@each_row(
    "text",
    [
        "",
        "project 1A2B failed at 10:30:00: the worker is gone (50 %)",
        "https://api.sogni.ai/v1/account/me",
        "token_type must be 'sogni' or 'spark', got 'gold'",
        "max_tokens: 5, sign in with cookies",
        "GET /v1/projects/x: HTTP 404",
        "POST /v1/account/refresh-token: HTTP 200 with a body that is not JSON",
        "write to help@example.org: please",
        "a/b/c? no",
    ],
)
def test_plain_text_is_not_harmed(text: str) -> None:
    assert text == redact(text)


@given(st.text(alphabet=string.ascii_lowercase + string.digits + " .,-%()'\n", max_size=200))
def test_sentences_are_not_harmed(text: str) -> None:
    assert text == redact(text)


SECRETS = st.text(alphabet=string.ascii_letters + string.digits + "-_", min_size=12, max_size=40)


@given(
    SECRETS, st.sampled_from(["api_key=%s", "{'token': '%s'}", "https://h/?sig=%s", "https://a:%s@h", "password: %s"])
)
def test_a_secret_never_survives(secret: str, form: str) -> None:
    assert secret not in redact(f"before {form % secret} after")


@given(st.text(max_size=200))
def test_hiding_twice_hides_nothing_more(text: str) -> None:
    assert redact(redact(text)) == redact(redact(redact(text)))


def test_known_secrets_go_wherever_they_stand() -> None:
    assert redact(f"it was {SECRET}!", [SECRET]) == "it was ***!"


def test_a_known_secret_of_a_few_letters_would_hide_half_the_text() -> None:
    assert redact("abcabc", ["abc"]) == "abcabc"


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([" /", "/", "http://", "eyJ", "a.", 'token="\\', "token:", '"', "@", "?"]), st.integers(1, 3000))
def test_no_text_takes_long(piece: str, times: int) -> None:
    """Nobody may stop a program with what it logs."""
    begin = time.process_time()
    redact(" " + piece * times)
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/p?a=1#f", "https://h/p"),
        ("https://u:p@h:8/p", "https://h:8/p"),
        ("https://h", "https://h"),
        ("/v1/x?token=1", "/v1/x"),
    ],
)
def test_an_address_without_what_may_be_secret(url: str, expected: str) -> None:
    assert expected == without_query(url)


# --- log records


class Kept(logging.Handler):
    """A handler that keeps what it would write."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, list[str]]]:
    logger = logging.Logger("tests.redaction", logging.DEBUG)
    handler = Kept()
    logger.addHandler(handler)
    logger.addFilter(SecretFilter())
    yield logger, handler.lines
    handler.close()


def test_a_secret_in_an_argument_of_a_record_is_hidden(log: tuple[logging.Logger, list[str]]) -> None:
    logger, lines = log
    logger.info("%s and %s", f"api-key: {SECRET}", 5)
    assert lines == ["api-key: *** and 5"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc\r\nd größer 語 \u200d", "a\tb\nc\r\nd größer 語 \u200d"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J\x85\x7f\x00\x0b", r"\x9b2J\x85\x7f\x00\x0b"),
        ("over\rwritten\x08", r"over\x0dwritten\x08"),
    ],
)
def test_control_characters_become_escapes_save_tabs_and_line_breaks(text: str, expected: str) -> None:
    assert escape_controls(text) == expected


def test_a_log_line_cannot_control_a_terminal(log: tuple[logging.Logger, list[str]]) -> None:
    logger, lines = log
    logger.info("worker=%s", "\x1b[2J\x9b31m")
    assert lines == [r"worker=\x1b[2J\x9b31m"]
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        logger.exception("failed")
    assert "\x1b" not in lines[-1]
    logger.info("%d", "\x1b[2J")
    assert "\x1b" not in lines[-1]


def test_a_harmless_record_is_left_as_it_is() -> None:
    record = logging.LogRecord("n", logging.INFO, "p", 1, "%d of %d", (1, 2), None)
    assert SecretFilter().filter(record)
    assert (record.msg, record.args) == ("%d of %d", (1, 2))


@pytest.mark.parametrize("args", [(1, 2, 3), ({"a": 1},)])
def test_a_record_that_cannot_be_formatted_raises_nothing_and_shows_no_secret(
    log: tuple[logging.Logger, list[str]], args: tuple[Any, ...]
) -> None:
    logger, lines = log
    logger.info(f"%(b)s %d token={SECRET}", *args)
    assert len(lines) == 1
    assert SECRET not in lines[0]


def test_a_secret_in_a_traceback_is_hidden(log: tuple[logging.Logger, list[str]]) -> None:
    logger, lines = log
    try:
        raise OSError(f"cannot open https://h/p?sig={SECRET}")
    except OSError:
        logger.exception("failed")
    assert SECRET not in lines[0]
    assert "cannot open https://h/p?***" in lines[0]


def test_a_harmless_traceback_is_left_to_the_handler() -> None:
    try:
        raise OSError("plain")
    except OSError:
        record = logging.LogRecord("n", logging.ERROR, "p", 1, "failed", (), sys.exc_info())
    assert SecretFilter().filter(record)
    assert record.exc_text is None


def test_a_record_without_an_exception_has_no_traceback() -> None:
    record = logging.LogRecord("n", logging.ERROR, "p", 1, "failed", (), (None, None, None))
    assert SecretFilter().filter(record)
    assert record.exc_text is None


@pytest.mark.parametrize("name", ["sogni", "sogni_async", "urllib3", "urllib3.connectionpool", "websocket", "aiohttp"])
def test_our_loggers_and_those_underneath_are_filtered_once(name: str) -> None:
    logger = logging.getLogger(name)
    install_filter()
    install_filter()
    assert sum(isinstance(it, SecretFilter) for it in logger.filters) == 1


def test_loggers_of_others_are_left_alone() -> None:
    logger = logging.getLogger("tests.somebody.else")
    install_filter()
    assert logger.filters == []


def test_the_filter_is_installed_while_other_threads_import_what_makes_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers: dict[str, Any] = dict(logging.Logger.manager.loggerDict)
    monkeypatch.setattr(logging.Logger.manager, "loggerDict", loggers)
    interval = sys.getswitchinterval()
    imports = threading.Thread(
        target=lambda: [loggers.setdefault(f"other{number}", logging.root) for number in range(10_000)]
    )
    sys.setswitchinterval(1e-6)
    try:
        imports.start()
        while imports.is_alive():
            install_filter()
    finally:
        sys.setswitchinterval(interval)
        imports.join()


def test_secrets_are_ordinary_strings_with_a_repr_that_hides_them() -> None:
    key, url = Secret("key-0123"), SecretUrl("https://ada:pw@host/x?X-Amz-Signature=0f")
    assert (key, json.dumps({"k": key}), f"{key}") == ("key-0123", '{"k": "key-0123"}', "key-0123")
    assert (repr(key), repr([key]), repr(url)) == ("'***'", "['***']", "'https://***@host/x?***'")
    assert (type(str(key)), type(key.strip()), secret(None), secret(7)) == (str, str, None, 7)
    assert type(pickle.loads(pickle.dumps(key))) is Secret


def test_an_environment_shows_no_variable() -> None:
    environment = Environment({"SOGNI_API_KEY": "key-0123"})
    assert (repr(environment), dict(environment)) == ("<1 environment variables>", {"SOGNI_API_KEY": "key-0123"})


def test_a_decoded_answer_holds_its_secrets_hidden() -> None:
    body = {"url": "https://host/x?sig=1", "urls": ["https://host/x?sig=1", 7], "plain": "https://host/x", "n": 1}
    text = json.dumps({**body, "token": "eyJ" + "a" * 9 + "." + "b" * 9 + "." + "c" * 9})
    assert may_hold_secrets(text.encode())
    decoded = json.loads(text, object_hook=with_secrets_hidden)
    assert {name: decoded[name] for name in body} == body
    assert repr(decoded) == (
        "{'url': 'https://host/x?***', 'urls': ['https://host/x?***', 7], 'plain': 'https://host/x', 'n': 1, "
        "'token': '***'}"
    )
    assert not may_hold_secrets(b'{"n": 1, "plain": "https://host/x"}')
