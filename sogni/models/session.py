"""Sessions and wallets: what signing in needs and gives. None of it shows its secrets or lets itself be pickled."""

from __future__ import annotations

from typing import Any, NoReturn

from attrs import field, frozen

from .base import Model


class Secret:
    """A value that no `pickle` carries away; copies are the value itself."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds secrets and is not pickled; store sogni.to_dict(...) on purpose")

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


@frozen(kw_only=True)
class TokenPair(Secret, Model):
    """The tokens of a session: `token` for each request, `refresh_token` for the next pair (transport §5.1).

    A refresh replaces both, so keep the newest: the `updated` event of `client.api_client.auth` tells of it.
    `sogni.to_dict` gives the form to store.
    """

    token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@frozen(kw_only=True)
class Session(Secret, Model):
    """Who has signed in. `tokens` is None where the service keeps the session in cookies."""

    username: str | None = None
    wallet_address: str | None = None
    tokens: TokenPair | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Wallet(Secret):
    """The wallet of an account, derived from its user name and password (account §2)."""

    address: str
    private_key: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The address; the key is never part of a document."""
        return {"address": self.address}
