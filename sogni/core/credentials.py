"""API keys, tokens and cookies: a client's credentials, when they expire, and their exchange.

Part of the client state, changed under the state lock; it sends nothing. Tokens are decoded but never verified: only
the service can tell whether one is valid.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

from attrs import define, field, frozen

from sogni.errors import AuthenticationError, SogniError, ValidationError
from sogni.models.account import TokenPair
from sogni.redaction import Secret, secret
from sogni.settings import AuthType, is_sendable


def claims_of(token: str) -> dict[str, Any] | None:
    """Return the claims in a token, None if they cannot be decoded."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def is_token(value: Any) -> TypeGuard[str]:
    """Whether a value is a token that can be sent and whose claims can be decoded."""
    return isinstance(value, str) and is_sendable(value) and claims_of(value) is not None


def issued_at(token: str) -> float | None:
    """Return when a token was issued, in seconds since 1970; None if it does not contain the time."""
    return _seconds((claims_of(token) or {}).get("iat"))


def expires_at(token: str) -> float | None:
    """Return when a token expires, in seconds since 1970; None if it does not contain the time."""
    return _seconds((claims_of(token) or {}).get("exp"))


def _seconds(claim: Any) -> float | None:
    return claim if type(claim) in (int, float) and not math.isnan(claim) else None


def is_fresh(token: str | None, now: float) -> bool:
    """Whether a token is valid at `now`, in seconds since 1970; without an expiry it is."""
    if not token or claims_of(token) is None:
        return False
    end = expires_at(token)
    return end is None or end > now


def address_of(token: str | None) -> str | None:
    """Return the wallet address that a token belongs to; None if the token does not contain it."""
    address = (claims_of(token) or {}).get("addr") if token else None
    return address if isinstance(address, str) and address else None


# The service's clock, by which tokens expire
#
# Newly issued tokens are measured from their issue, others by the `Date` header of replies. The local clock is used
# until one is known, and as long as the difference is within the accuracy of these sources.


SAME = 5.0
"""Maximum difference in seconds between correct clocks: `Date` has whole seconds, and replies take time."""
JUST_ISSUED = 60.0
"""How many seconds to use a new token that seems to have expired when it is issued."""
_RESOLUTION = 1.0


@frozen
class ServiceClock:
    """The service's time relative to the local clocks, when a reply arrived."""

    ahead_of_monotonic: float
    ahead_of_wall: float

    def latest(self, monotonic: float, wall: float) -> float:
        """Return the latest possible time: the monotonic clock stops during sleep, and the wall clock may be set."""
        return max(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)

    def earliest(self, monotonic: float, wall: float) -> float:
        """Return the earliest possible time."""
        return min(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)


def clock_at(service_time: float, monotonic: float, wall: float) -> ServiceClock:
    """Return the clock of a service whose current time is known, in whole seconds."""
    service_time = wall if abs(service_time - wall) <= SAME else service_time + _RESOLUTION
    return ServiceClock(service_time - monotonic, service_time - wall)


def clock_at_issue(token: str, date: float | None, monotonic: float, wall: float) -> ServiceClock | None:
    """Return the clock for measuring a token that was just issued; None if any clock will do.

    A token without an issue time counts as fresh, whatever the clocks say.
    """
    issued, end = issued_at(token), expires_at(token)
    if issued is None and end is not None and end <= (wall if date is None else date):
        issued = end - JUST_ISSUED
    issued = date if issued is None else issued
    return None if issued is None else clock_at(issued, monotonic, wall)


def date_of(headers: Mapping[str, str]) -> float | None:
    """Return when a reply was sent, in seconds since 1970; None if that is unknown, or it comes from a cache."""
    if headers.get("age", "0") != "0":
        return None
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# Credentials
#
# `generation` counts the changes of credentials, so that a reply to an older one is recognized.


SESSION_EXPIRED = "the session is over: its refresh token has expired; sign in again"
ACCESS_TOKEN_EXPIRED = (
    "the access token has expired and there is no refresh token; sign in again (after a fork, the refresh token stays "
    "with the parent process)"
)


@define(eq=False)
class Refresh:
    """One exchange of a refresh token, shared by all calls that need the new pair; also the topic they wait on."""

    refresh_token: str = field(repr=False)
    generation: int
    finished: bool = False
    error: SogniError | None = None


class Credentials:
    """An API key, a pair of tokens, or valid cookies."""

    def __init__(self, kind: AuthType, key: str | None = None) -> None:
        self.kind = kind
        self.generation: int = 0
        self.lost: bool = False
        """Whether previous credentials were rejected or expired."""
        self.refresh: Refresh | None = None
        self.issue_clock: ServiceClock | None = None
        """Clock for a pair that the service issued to this client."""
        self._key = secret(key)
        self._token: str | None = None
        self._refresh_token: str | None = None
        self._cookies = False
        self._former: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Credentials {self.kind} {'present' if self.present else 'absent'}>"

    @property
    def present(self) -> bool:
        """Whether there are credentials that the service has not rejected."""
        return self._key is not None or self._refresh_token is not None or self._access_only or self._cookies

    @property
    def _access_only(self) -> bool:
        """Whether there is only an access token: inherited by a forked process, or supplied by the user."""
        return self._token is not None and self._refresh_token is None

    def authenticated(self, now: float) -> bool:
        """Whether the credentials are valid at `now`; tokens are valid while the refresh token is."""
        if self._refresh_token is not None:
            return is_fresh(self._refresh_token, now)
        return self.present and not self.access_token_expired(now)

    def access_token_expired(self, now: float) -> bool:
        """Whether there is only an access token and it has expired."""
        return self._access_only and not is_fresh(self._token, now)

    @property
    def address(self) -> str | None:
        """The wallet address in the tokens; None if they contain none."""
        return address_of(self._token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The values to redact, including former ones, because replies to those may still arrive."""
        return tuple(it for it in (self._key, self._token, self._refresh_token, *self._former) if it)

    def headers(self) -> dict[str, str]:
        """Return the authentication header; cookies are handled by the front end."""
        if self._key is not None:
            return {"api-key": self._key}
        return {"Authorization": self._token} if self._token is not None else {}

    # -- changes ---------------------------------------------------------------

    def use_key(self, key: str) -> bool:
        """Use a key; False if it is already in use."""
        return self._replace(key=key)

    def use_tokens(self, token: str | None, refresh_token: str | None, clock: ServiceClock | None = None) -> bool:
        """Use a pair of tokens; False if it is already in use. Without `token` the first use refreshes.

        Without `refresh_token` the session lasts as long as the access token.

        `clock` measures the tokens if they were just issued.
        """
        if not self._replace(token=token, refresh_token=refresh_token):
            return False
        self.issue_clock = clock
        return True

    def use_cookies(self) -> bool:
        """Record that the cookies are valid; False if that was known."""
        return self._replace(cookies=True)

    def clear(self, *, lost: bool = False) -> bool:
        """Discard the credentials; `lost`: they are invalid. False if there were none."""
        there_were = self._replace()
        if there_were:
            self.lost = lost
        return there_were

    def take_over(self, before: Credentials, *, forked: bool) -> None:
        """Take over the credentials of the same client from a closed event loop or the parent process.

        A key discarded there is restored from the settings. No lock is needed, and none is taken.
        """
        self._key = before._key or self._key
        self._token, self._cookies, self.lost = before._token, before._cookies, before.lost
        self.issue_clock = before.issue_clock
        # Two processes must not share one: each works once, and the service may end the session at a second use.
        self._refresh_token = None if forked else before._refresh_token

    def _replace(
        self,
        *,
        key: str | None = None,
        token: str | None = None,
        refresh_token: str | None = None,
        cookies: bool = False,
    ) -> bool:
        new = (secret(key), secret(token), secret(refresh_token), cookies)
        if new == (self._key, self._token, self._refresh_token, self._cookies):
            return False
        self._former = tuple(it for it in (self._key, self._token, self._refresh_token) if it)
        self._key, self._token, self._refresh_token, self._cookies = new
        self.issue_clock = None
        self.generation += 1
        if self.present:
            self.lost = False
        return True

    # -- refreshing ------------------------------------------------------------

    def needs_refresh(self, now: float) -> bool:
        """Whether the access token has expired and can be refreshed."""
        return self._refresh_token is not None and not is_fresh(self._token, now)

    def refresh_expired(self, now: float) -> bool:
        """Whether there is a refresh token and it has expired."""
        return self._refresh_token is not None and not is_fresh(self._refresh_token, now)

    def begin_refresh(self) -> tuple[Refresh, bool]:
        """Return the refresh in progress, and whether it is new and must be performed."""
        under_way = self.refresh
        if under_way is not None and not under_way.finished and under_way.generation == self.generation:
            return under_way, False
        assert self._refresh_token is not None
        self.refresh = Refresh(self._refresh_token, self.generation)
        return self.refresh, True

    # -- export ----------------------------------------------------------------

    def backup(self) -> str | TokenPair | None:
        """Return the key or the pair, None if there are none. Raises `ValidationError` for cookies."""
        if self.kind == "cookies":
            raise ValidationError("a session kept in cookies cannot be exported", field="auth_type", value=self.kind)
        if self.kind == "api_key":
            return str(self._key) if self._key is not None else None
        if self._token is None or self._refresh_token is None:
            return None
        return TokenPair(token=str(self._token), refresh_token=str(self._refresh_token))


def signed_out_error(credentials: Credentials, *, had_key: bool) -> AuthenticationError:
    """Return a new error for a call that needs credentials when there are none."""
    if had_key:
        return AuthenticationError("the service rejected the API key; create a client with a valid one", status=401)
    if credentials.lost:
        return AuthenticationError("the session is over; sign in again", status=401)
    return AuthenticationError(
        "not signed in: pass api_key, set SOGNI_API_KEY, or sign in with account.login(...)", status=401
    )


def read_pair(value: Any) -> tuple[str | None, str]:
    """Return the tokens of a `backup` or its stored form. Errors never show them."""
    if isinstance(value, TokenPair):
        given: tuple[Any, Any] = (value.token, value.refresh_token)
    elif isinstance(value, Mapping):
        given = (value.get("token"), value.get("refreshToken", value.get("refresh_token")))
    else:
        raise ValidationError(
            f"credentials must be a TokenPair or its stored form, got {type(value).__name__}", field="credentials"
        )
    token, refresh_token = check_pair(*given)
    if refresh_token is None:
        raise ValidationError("the credentials contain no refresh token", field="refresh_token", allowed="a token")
    return token, refresh_token


def check_pair(token: Any, refresh_token: Any) -> tuple[str | None, str | None]:
    """Check a pair, one of which may be missing. Errors name the field, never the value.

    Surrounding whitespace is removed: tokens are often read from files.
    """
    token, refresh_token = (Secret(it.strip()) if isinstance(it, str) else it for it in (token, refresh_token))
    if token is not None and token != "" and not is_token(token):
        raise ValidationError("token must be a valid token or None", field="token", allowed="a token, or None")
    if refresh_token is None and token:
        return token, None
    if not is_token(refresh_token):
        raise ValidationError("refresh_token must be a valid token", field="refresh_token", allowed="a token")
    return token or None, refresh_token


def read_key(value: Any) -> str:
    """Check an API key. Errors never show it."""
    if not isinstance(value, str) or not value.strip():
        raise ValidationError("credentials must be an API key, a non-empty string", field="credentials")
    if not is_sendable(value.strip()):
        raise ValidationError("credentials contain a character that is invalid in an API key", field="credentials")
    return Secret(value.strip())
