"""Signed URLs: who may read or write which stored file, and until when.

Called by the routes that hand such URLs out and by the storage routes that honour them. A signature is a
random secret that stands for a grant; it proves nothing by itself and is never logged.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Literal

from attrs import define, field, frozen

from .archive import Archive
from .store import Key

EXPIRES = "X-Amz-Expires"
SIGNATURE = "X-Amz-Signature"


MISMATCH = "The request signature does not match the signature provided."


class RefusedError(Exception):
    """A signed URL that grants nothing; ``code`` and text as in the storage service's XML."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@frozen
class Grant:
    """The right to one use of one file; ``content_type`` binds an upload to its header when it is set."""

    verb: Literal["PUT", "GET"]
    key: Key
    content_type: str | None
    until: float


@define
class Signer:
    """Makes and honours signatures. Lifetimes are seconds."""

    clock: Callable[[], float]
    archive: Archive = field(factory=Archive)
    _grants: dict[str, Grant] = field(factory=dict)
    _given: dict[Key, str] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Honour what was handed out before a restart."""
        for signature, verb, key, content_type, until in self.archive.grants():
            self._grants[signature] = Grant(verb, Key(*key), content_type, until)

    def sign(
        self, verb: Literal["PUT", "GET"], key: Key, *, lifetime: int, content_type: str | None = None
    ) -> dict[str, str]:
        """Return the query parameters of a signed URL."""
        signature = secrets.token_hex(32)
        until = self.clock() + lifetime
        self._grants[signature] = Grant(verb, key, content_type, until)
        self.archive.add_grant(signature, verb, (key.project_id, key.item_id, key.role), content_type, until)
        self._forget_old()
        return {EXPIRES: str(lifetime), SIGNATURE: signature}

    def sign_again(self, key: Key, *, lifetime: int) -> dict[str, str]:
        """Return the parameters that were given out for a file before, as long as they are good for another half of
        their time: who asks again and again does not get another URL each time."""
        known = self._grants.get(self._given.get(key, ""))
        if known is None or known.until - self.clock() < lifetime / 2:
            found = self.sign("GET", key, lifetime=lifetime)
            self._given[key] = found[SIGNATURE]
            return found
        return {EXPIRES: str(lifetime), SIGNATURE: self._given[key]}

    def check(self, verb: str, signature: str, content_type: str | None) -> Key:
        """Return the file a signature grants, or raise ``RefusedError``."""
        grant = self._grants.get(signature)
        if grant is None or grant.verb != verb:
            raise RefusedError("SignatureDoesNotMatch", MISMATCH)
        if self.clock() >= grant.until:
            raise RefusedError("AccessDenied", "Request has expired")
        if grant.content_type is not None and content_type != grant.content_type:
            raise RefusedError(
                "SignatureDoesNotMatch",
                f"The URL was signed for Content-Type {grant.content_type}, got {content_type}.",
            )
        return grant.key

    def expire_all(self) -> None:
        """Make every URL handed out so far too old."""
        now = self.clock()
        for signature, grant in self._grants.items():
            self._grants[signature] = Grant(grant.verb, grant.key, grant.content_type, min(grant.until, now))
        self.archive.end_grants(now)

    def _forget_old(self) -> None:
        # An expired URL stays known for an hour: storage tells "expired" from "wrong signature".
        oldest = self.clock() - 3600
        while self._grants:
            first = next(iter(self._grants))
            if self._grants[first].until > oldest:
                return
            key = self._grants.pop(first).key
            if self._given.get(key) == first:
                del self._given[key]
            self.archive.delete_grant(first)
