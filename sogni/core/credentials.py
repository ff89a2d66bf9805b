"""What a token says of itself: decides until when it can be used and whose it is.

Called by the credentials. Tokens are only decoded, never verified (transport §5.1): whether one is good, the
service decides.
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
    """The claims in a token; None when it is none that can be decoded."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def is_token(value: Any) -> TypeGuard[str]:
    """Whether a value is a token that can be sent, and whose claims can be read."""
    return isinstance(value, str) and is_sendable(value) and claims_of(value) is not None


def issued_at(token: str) -> float | None:
    """When a token was issued, in seconds since 1970, when it says so."""
    return _seconds((claims_of(token) or {}).get("iat"))


def expires_at(token: str) -> float | None:
    """When a token expires, when it says so."""
    return _seconds((claims_of(token) or {}).get("exp"))


def _seconds(claim: Any) -> float | None:
    return claim if type(claim) in (int, float) and not math.isnan(claim) else None


def is_fresh(token: str | None, now: float) -> bool:
    """Whether a token can be used at `now`, in seconds since 1970; one that names no end can."""
    if not token or claims_of(token) is None:
        return False
    end = expires_at(token)
    return end is None or end > now


def address_of(token: str | None) -> str | None:
    """The wallet a token belongs to, when it says so."""
    address = (claims_of(token) or {}).get("addr") if token else None
    return address if isinstance(address, str) and address else None


# The service's time of day, by which tokens expire.
#
# Tokens that the service has just issued are measured from their issue, others by the `Date` header of its answers.
# The
# local clock counts until there is one, and afterwards while the difference is no more than these can tell.


SAME = 5.0
"""Seconds by which two clocks that are right may differ: `Date` has whole seconds, and an answer takes its time."""
JUST_ISSUED = 60.0
"""Seconds for which a token is used that seems to have expired when it is issued."""
_RESOLUTION = 1.0


@frozen
class ServiceClock:
    """What one answer says: the service's time less that of the local clocks when it arrived."""

    ahead_of_monotonic: float
    ahead_of_wall: float

    def latest(self, monotonic: float, wall: float) -> float:
        """The latest time it may be: the monotonic clock stops while the system sleeps, and the other may be set."""
        return max(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)

    def earliest(self, monotonic: float, wall: float) -> float:
        """The earliest time it may be."""
        return min(monotonic + self.ahead_of_monotonic, wall + self.ahead_of_wall)


def clock_at(service_time: float, monotonic: float, wall: float) -> ServiceClock:
    """The clock of a service whose time is known at this moment, in whole seconds."""
    service_time = wall if abs(service_time - wall) <= SAME else service_time + _RESOLUTION
    return ServiceClock(service_time - monotonic, service_time - wall)


def clock_at_issue(token: str, date: float | None, monotonic: float, wall: float) -> ServiceClock | None:
    """The clock by which a token is measured that was issued just now; None when that is any clock.

    One that does not say when it was issued is fresh, whatever the clocks say.
    """
    issued, end = issued_at(token), expires_at(token)
    if issued is None and end is not None and end <= (wall if date is None else date):
        issued = end - JUST_ISSUED
    issued = date if issued is None else issued
    return None if issued is None else clock_at(issued, monotonic, wall)


def date_of(headers: Mapping[str, str]) -> float | None:
    """When an answer was given, in seconds since 1970; None when it does not say, or comes out of a cache."""
    if headers.get("age", "0") != "0":
        return None
    try:
        moment = parsedate_to_datetime(headers.get("date", ""))
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# Who asks: decides what a client's credentials are, whether they can be used and what takes them away (transport §5).
#
# Part of the client state, changed under the shell's state lock. It sends nothing and tells nobody: the client
# state does. `turn` counts the identities, so that an answer to an older one is recognised.


REFRESH_OVER = "the session is over: its refresh token has expired; sign in again"
LENT_OVER = (
    "the access token has expired, and there is no refresh token; sign in again (after a fork, it stays with the "
    "process this one was forked from)"
)


@define(eq=False)
class Refresh:
    """One exchange of a refresh token, shared by everybody who needs the new pair; also the topic they wait for."""

    refresh_token: str = field(repr=False)
    turn: int
    finished: bool = False
    error: SogniError | None = None


class Credentials:
    """An API key, a pair of tokens, or the knowledge that the cookies are good."""

    def __init__(self, kind: AuthType, key: str | None = None) -> None:
        self.kind = kind
        self.turn: int = 0
        self.lost: bool = False
        """Whether there were credentials that the service refused, or that ran out."""
        self.refresh: Refresh | None = None
        self.issue_clock: ServiceClock | None = None
        """By which a pair is measured that the service has issued to this client."""
        self._key = secret(key)
        self._token: str | None = None
        self._refresh_token: str | None = None
        self._cookies = False
        self._former: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Credentials {self.kind} {'present' if self.present else 'absent'}>"

    @property
    def present(self) -> bool:
        """Whether there are credentials the service has not refused."""
        return self._key is not None or self._refresh_token is not None or self._lent or self._cookies

    @property
    def _lent(self) -> bool:
        """Whether there is only an access token: that of the process this one was forked from, or a user's own."""
        return self._token is not None and self._refresh_token is None

    def authenticated(self, now: float) -> bool:
        """Whether they let somebody be signed in at `now`: tokens only while the refresh token lasts."""
        if self._refresh_token is not None:
            return is_fresh(self._refresh_token, now)
        return self.present and not self.lent_is_over(now)

    def lent_is_over(self, now: float) -> bool:
        """Whether there was nothing but an access token, and that has expired."""
        return self._lent and not is_fresh(self._token, now)

    @property
    def address(self) -> str | None:
        """The wallet the tokens belong to, when they say so."""
        return address_of(self._token)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be told to anybody but the service; also what was in use before, as answers to it may come."""
        return tuple(it for it in (self._key, self._token, self._refresh_token, *self._former) if it)

    def headers(self) -> dict[str, str]:
        """The header that says who asks; cookies are the shell's (transport §5)."""
        if self._key is not None:
            return {"api-key": self._key}
        return {"Authorization": self._token} if self._token is not None else {}

    # -- what changes them -----------------------------------------------------

    def use_key(self, key: str) -> bool:
        """Take a key; False when it is the one there is."""
        return self._replace(key=key)

    def use_tokens(self, token: str | None, refresh_token: str | None, clock: ServiceClock | None = None) -> bool:
        """Take a pair; False when it is the one there is. Without `token` the first use refreshes.

        Without `refresh_token` somebody is signed in for as long as the access token lasts.

        `clock` is the one that measures them, when they were issued just now.
        """
        if not self._replace(token=token, refresh_token=refresh_token):
            return False
        self.issue_clock = clock
        return True

    def use_cookies(self) -> bool:
        """The cookies have proved good; False when that was known."""
        return self._replace(cookies=True)

    def clear(self, *, lost: bool = False) -> bool:
        """Forget them; `lost`: because they are no good. False when there were none."""
        there_were = self._replace()
        if there_were:
            self.lost = lost
        return there_were

    def go_on_from(self, before: Credentials, *, forked: bool) -> None:
        """Take over those of the same client in a loop that is closed, or in the process this one was forked from.

        A key is the one the client was made with when there was none any more. No lock is needed and none taken.
        """
        self._key = before._key or self._key
        self._token, self._cookies, self.lost = before._token, before._cookies, before.lost
        self.issue_clock = before.issue_clock
        # Two processes must not use the same: the service takes each once, and may end the session at a second try.
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
        self.turn += 1
        if self.present:
            self.lost = False
        return True

    # -- refreshing ------------------------------------------------------------

    def wants_refresh(self, now: float) -> bool:
        """Whether the access token has expired and there is something to get another with."""
        return self._refresh_token is not None and not is_fresh(self._token, now)

    def refresh_expired(self, now: float) -> bool:
        """Whether there is a refresh token that is of no use any more."""
        return self._refresh_token is not None and not is_fresh(self._refresh_token, now)

    def begin_refresh(self) -> tuple[Refresh, bool]:
        """The refresh under way, and whether it is a new one that is to be carried out."""
        under_way = self.refresh
        if under_way is not None and not under_way.finished and under_way.turn == self.turn:
            return under_way, False
        assert self._refresh_token is not None
        self.refresh = Refresh(self._refresh_token, self.turn)
        return self.refresh, True

    # -- export ----------------------------------------------------------------

    def backup(self) -> str | TokenPair | None:
        """The key, the pair, or None when there are none. ValidationError for cookies."""
        if self.kind == "cookies":
            raise ValidationError("a session kept in cookies cannot be exported", field="auth_type", value=self.kind)
        if self.kind == "api_key":
            return str(self._key) if self._key is not None else None
        if self._token is None or self._refresh_token is None:
            return None
        return TokenPair(token=str(self._token), refresh_token=str(self._refresh_token))


def signed_out_error(credentials: Credentials, *, had_key: bool) -> AuthenticationError:
    """A new error for work that needs credentials when there are none (any more)."""
    if had_key:
        return AuthenticationError("the service refused the API key; make a client with a valid one", status=401)
    if credentials.lost:
        return AuthenticationError("the session is over; sign in again", status=401)
    return AuthenticationError(
        "nobody is signed in: give an api_key, or set SOGNI_API_KEY, or sign in with account.login(...)", status=401
    )


def read_pair(value: Any) -> tuple[str | None, str]:
    """The tokens in what `backup` gave, or in its stored form. ValidationError, which never shows them."""
    if isinstance(value, TokenPair):
        given: tuple[Any, Any] = (value.token, value.refresh_token)
    elif isinstance(value, Mapping):
        given = (value.get("token"), value.get("refreshToken", value.get("refresh_token")))
    else:
        raise ValidationError(
            f"credentials must be a TokenPair or its stored form, not {type(value).__name__}", field="credentials"
        )
    token, refresh_token = check_pair(*given)
    if refresh_token is None:
        raise ValidationError("the credentials hold no refresh token", field="refresh_token", allowed="a token")
    return token, refresh_token


def check_pair(token: Any, refresh_token: Any) -> tuple[str | None, str | None]:
    """A pair that can be used; one of them may be missing. ValidationError names the field, never the value.

    Blanks around them are those of the file they were read from.
    """
    token, refresh_token = (Secret(it.strip()) if isinstance(it, str) else it for it in (token, refresh_token))
    if token is not None and token != "" and not is_token(token):
        raise ValidationError("token is not a token that can be read", field="token", allowed="a token, or None")
    if refresh_token is None and token:
        return token, None
    if not is_token(refresh_token):
        raise ValidationError("refresh_token is not a token that can be read", field="refresh_token", allowed="a token")
    return token or None, refresh_token


def read_key(value: Any) -> str:
    """An API key. ValidationError, which never shows it."""
    if not isinstance(value, str) or not value.strip():
        raise ValidationError("credentials must be an API key, a text that is not empty", field="credentials")
    if not is_sendable(value.strip()):
        raise ValidationError("credentials hold a character that no API key has", field="credentials")
    return Secret(value.strip())
