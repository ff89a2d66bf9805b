"""The settings of a client: arguments, environment, defaults, and checks."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from sogni.errors import ValidationError
from sogni.settings import (
    DEFAULT_REST_ENDPOINT,
    DEFAULT_SOCKET_ENDPOINT,
    RetryPolicy,
    Settings,
    Timeouts,
    check_seconds,
    resolve,
)
from tests.tables import each_row

SECRET = "sk-live-0123456789"


def test_without_arguments_and_environment_everything_is_default() -> None:
    assert Settings() == resolve({})
    assert (
        Settings().rest_endpoint,
        Settings().socket_endpoint,
        Settings().network,
        Settings().auth_type,
        Settings().api_key,
        Settings().app_id,
        Settings().disable_socket,
    ) == ("https://api.sogni.ai", "wss://socket.sogni.ai", "fast", "token", None, None, False)


ENVIRONMENT = {
    "SOGNI_API_KEY": "key-of-env",
    "SOGNI_APP_ID": "app-of-env",
    "SOGNI_TOKEN_TYPE": "spark",
    "SOGNI_REST_ENDPOINT": "http://rest:1",
    "SOGNI_SOCKET_ENDPOINT": "ws://socket:2",
}


def test_the_environment_stands_in_for_arguments() -> None:
    made = resolve(ENVIRONMENT)
    assert (
        made.api_key,
        made.auth_type,
        made.app_id,
        made.token_type,
        made.rest_endpoint,
        made.socket_endpoint,
    ) == ("key-of-env", "api_key", "app-of-env", "spark", "http://rest:1", "ws://socket:2")


def test_arguments_outrank_the_environment() -> None:
    given = {
        "api_key": "k",
        "app_id": "a",
        "token_type": "sogni",
        "rest_endpoint": "https://r",
        "socket_endpoint": "wss://s",
    }
    made = resolve(ENVIRONMENT, **given)
    assert given == {name: getattr(made, name) for name in given}


def test_empty_variables_are_not_set() -> None:
    assert Settings() == resolve(dict.fromkeys(ENVIRONMENT, ""))


@each_row(
    ("given", "environ", "expected"),
    [
        ({}, {}, ("token", None)),
        ({"api_key": " k "}, {}, ("api_key", "k")),
        ({}, {"SOGNI_API_KEY": " k "}, ("api_key", "k")),
        ({}, {"SOGNI_API_KEY": "  "}, ("token", None)),
        ({"auth_type": "api_key"}, {"SOGNI_API_KEY": "k"}, ("api_key", "k")),
        ({"auth_type": "token"}, {"SOGNI_API_KEY": "k"}, ("token", None)),
        ({"auth_type": "cookies"}, {"SOGNI_API_KEY": "k"}, ("cookies", None)),
        ({"auth_type": "token", "api_key": "k"}, {}, ("api_key", "k")),
    ],
)
def test_a_key_decides_how_to_sign_in(given: dict[str, Any], environ: dict[str, str], expected: Any) -> None:
    """transport §1: an API key forces the type; the environment's does not outrank an explicit type."""
    made = resolve(environ, **given)
    assert expected == (made.auth_type, made.api_key)


def test_a_key_of_the_environment_is_one_that_can_be_sent() -> None:
    with pytest.raises(ValidationError) as caught:
        resolve({"SOGNI_API_KEY": f"{SECRET}\n{SECRET}"})
    assert (caught.value.field, SECRET in str(caught.value)) == ("api_key", False)


@each_row(
    ("given", "field"),
    [
        ({"api_key": ""}, "api_key"),
        ({"api_key": "  "}, "api_key"),
        ({"api_key": SECRET.encode()}, "api_key"),
        ({"api_key": f"{SECRET}\r\nx: y"}, "api_key"),
        ({"api_key": f"{SECRET}é"}, "api_key"),
        ({"auth_type": "api_key"}, "api_key"),
        ({"auth_type": "apiKey"}, "auth_type"),
        ({"auth_type": []}, "auth_type"),
        ({"app_id": " "}, "app_id"),
        ({"app_id": 5}, "app_id"),
        ({"app_source": 5}, "app_source"),
        ({"network": "slow"}, "network"),
        ({"network": None}, "network"),
        ({"token_type": "gold"}, "token_type"),
        ({"rest_endpoint": "api.sogni.ai"}, "rest_endpoint"),
        ({"rest_endpoint": "ftp://api.sogni.ai"}, "rest_endpoint"),
        ({"rest_endpoint": "https://"}, "rest_endpoint"),
        ({"rest_endpoint": "https://[::1"}, "rest_endpoint"),
        ({"rest_endpoint": "https://host:port"}, "rest_endpoint"),
        ({"rest_endpoint": 5}, "rest_endpoint"),
        ({"rest_endpoint": "wss://api.sogni.ai"}, "rest_endpoint"),
        ({"socket_endpoint": "socket.sogni.ai"}, "socket_endpoint"),
        ({"socket_event_subscriptions": ["a"]}, "socket_event_subscriptions"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"max_connections": 0}, "max_connections"),
        ({"max_connections": 2.0}, "max_connections"),
        ({"max_connections": True}, "max_connections"),
        ({"max_connections": None}, "max_connections"),
        ({"saved_uploads": 1}, "saved_uploads"),
        ({"saved_uploads": None}, "saved_uploads"),
        ({"retry": 3}, "retry"),
        ({"proxy": 5}, "proxy"),
        ({"ca_bundle": 5}, "ca_bundle"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        resolve({}, **given)
    assert field == caught.value.field
    assert field in str(caught.value)
    assert SECRET not in f"{caught.value} {caught.value!r} {vars(caught.value)}"


def test_flags_that_are_no_booleans_are_left_out() -> None:
    """transport §6: only boolean entries go into the address."""
    made = resolve({}, socket_event_subscriptions={"a": True, "b": False, "c": "yes", "d": 1})
    assert made.socket_event_subscriptions == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("endpoint", "http", "ws"),
    [
        ("wss://socket.sogni.ai", "https://socket.sogni.ai", "wss://socket.sogni.ai"),
        ("https://socket.sogni.ai/", "https://socket.sogni.ai", "wss://socket.sogni.ai"),
        ("http://h:1", "http://h:1", "ws://h:1"),
        ("ws://h:1/base/", "http://h:1/base", "ws://h:1/base"),
        (" ws://h:1?a=1#f ", "http://h:1?a=1", "ws://h:1?a=1"),
    ],
)
def test_both_sides_of_the_socket_host(endpoint: str, http: str, ws: str) -> None:
    made = resolve({}, socket_endpoint=endpoint)
    assert (http, ws) == (made.socket_http, made.socket_url)


def test_texts_are_trimmed_and_empty_ones_not_set() -> None:
    made = resolve({}, app_id=" A ", app_source=" s ", proxy=" ", ca_bundle="")
    assert (made.app_id, made.app_source, made.proxy, made.ca_bundle) == ("A", "s", None, None)


def test_seconds_are_the_time_of_a_request_and_limit_connecting() -> None:
    assert Timeouts(connect=2, request=2) == resolve({}, timeout=2).timeouts
    assert Timeouts(connect=10, request=60) == resolve({}, timeout=60).timeouts


def test_timeouts_and_retries_are_taken_as_they_are() -> None:
    timeouts, retry = Timeouts(request=5), RetryPolicy(attempts=1)
    made = resolve({}, timeout=timeouts, retry=retry)
    assert (timeouts, retry) == (made.timeouts, made.retry)


@each_row("name", ["connect", "request", "transfer", "ready", "cancel", "close"])
@each_row("value", [-0.1, None, "1", float("nan"), float("inf"), 10**400, False])
def test_every_timeout_is_a_number_of_seconds(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Timeouts(**{name: value})
    assert name == caught.value.field


@pytest.mark.parametrize("given", [{"attempts": 0}, {"attempts": True}, {"attempts": 1.5}, {"base": -1}, {"cap": None}])
def test_a_retry_policy_is_checked(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        RetryPolicy(**given)
    assert [caught.value.field] == list(given)


@pytest.mark.parametrize(("value", "expected"), [(None, None), (0, 0.0), (2, 2.0), (0.5, 0.5)])
def test_seconds(value: Any, expected: Any) -> None:
    assert expected == check_seconds("timeout", value)
    assert type(expected) is type(check_seconds("timeout", value))


def test_the_repr_shows_no_secret() -> None:
    made = resolve(
        {},
        api_key=SECRET,
        proxy=f"http://u:{SECRET}@proxy",
        rest_endpoint=f"https://u:{SECRET}@rest",
        socket_endpoint=f"wss://u:{SECRET}@socket",
    )
    assert SECRET not in repr(made)
    assert "api_key='***'" in repr(made)
    assert "api_key=None" in repr(Settings())


def test_settings_pickle() -> None:
    made = resolve({}, api_key="k", timeout=3)
    assert made == pickle.loads(pickle.dumps(made))


def test_the_default_endpoints_are_those_of_the_service() -> None:
    assert (DEFAULT_REST_ENDPOINT, DEFAULT_SOCKET_ENDPOINT) == ("https://api.sogni.ai", "wss://socket.sogni.ai")


def test_connections_are_limited_to_twenty_unless_another_number_is_given() -> None:
    assert (resolve({}).max_connections, resolve({}, max_connections=3).max_connections) == (20, 3)
