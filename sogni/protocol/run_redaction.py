"""Run records without secrets: decides what of a record may leave the program that made it (replay §2).

Called by `sogni.redact_run_record` and by the recorder before it writes. The service redacts again. Goes by the names
of keys and by the shape of texts, at any depth, also in JSON within texts; it changes nothing that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ..models.base import Model
from ..models.converter import read, snake, to_dict, wire_form
from ..models.replays import RunRecord
from ..redaction import HIDDEN, redact

R = TypeVar("R", RunRecord, Mapping[str, Any])

DEEPEST = 60
"""Levels of nesting; what lies deeper is taken out, because nobody has looked at it."""

MOST_PASSES = 20
"""More than any text needs, so that none can hold up a program."""

_SECRET_NAME = re.compile(
    r"(?!(?:time|key)_signature$)(?:.*_)?(?:api_?keys?|authorization|auth|bearer|(?:access|refresh|id|auth|api|session|security|csrf|bot|device)_token"
    r"|jwt|passwords?|passwd|passphrase|secrets?|client_secret|(?:private|secret|signing|access|encryption)_keys?"
    r"|access_key_id|awsaccesskeyid|signature|sig|cookies?|credentials?|mnemonic|seed_phrase)|token|x_amz_.+"
)
_TOKEN_TYPES = ("spark", "sogni")
"""What the key `token` means in this service when it is no secret."""

_WORDS = re.compile(r"[^a-z0-9]+")
_DATA_URI = re.compile(r"(?i)(?P<head>\bdata:[\w.+-]*(?:/[\w.+-]+)?(?:;[\w.+=-]+)*,)[^\s\"'<>()\\]+")
_SHAPES = re.compile(
    r"""(?x)
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \b0x[0-9a-fA-F]{64}\b                            # the key of a wallet
    | \b(?:sk|pk|rk)[-_](?:[A-Za-z0-9]+[-_])*[A-Za-z0-9]{16,}  # keys that say of themselves that they are
    | \bgh[a-z]_[A-Za-z0-9]{20,} | \bgithub_pat_\w{20,} | \bglpat-[\w-]{16,} | \bhf_[A-Za-z0-9]{20,}
    | \bxox[a-z]-[A-Za-z0-9-]{10,} | \bAIza[\w-]{30,} | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | (?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{256,}={0,2}  # bytes as text
    """,
    re.DOTALL,
)
_BEARER = re.compile(r"(?i)\b(?P<scheme>bearer|basic)\s+[A-Za-z0-9._~+/=-]{12,}")


def redact_run_record(record: R, *, secrets: Iterable[str] = ()) -> R:
    """Return a run record without keys, tokens, passwords, signed queries, and media inside texts.

    A `RunRecord` gives a `RunRecord`, a dict a dict; the record given is not changed, and doing it twice changes
    nothing more. `secrets` are values known to be secret, removed wherever they stand. What goes is replaced by `***`:
    values of keys like `apiKey`, `authorization`, `x-amz-signature`; in texts, and in JSON within texts, what looks
    like a key, a token or bytes, the content of `data:` URIs, and queries of addresses.

    >>> from sogni import redact_run_record
    >>> redact_run_record({"run_id": "r1", "rounds": [{"url": "https://h.example/a.png?X-Amz-Signature=5ab3"}]})
    {'run_id': 'r1', 'rounds': [{'url': 'https://h.example/a.png?***'}]}
    """
    known = [it for it in secrets if it]
    if not isinstance(record, RunRecord | Mapping):
        raise TypeError(f"a run record is a RunRecord or a dict, not {type(record).__name__}")
    cleaned: Any = _clean(wire_form(RunRecord, record) if isinstance(record, RunRecord) else record, known, 0)
    if isinstance(record, RunRecord):
        cleaned = read(RunRecord, cleaned, "the record")
    return cleaned  # type: ignore[no-any-return]


def _clean(value: Any, secrets: list[str], depth: int) -> Any:
    if isinstance(value, Model):
        value = to_dict(value)
    if isinstance(value, str):
        return _text(value, secrets, depth)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth > DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        shown = [(_plain(key, secrets) if isinstance(key, str) else key, item) for key, item in value.items()]
        return {key: _named(key, item, secrets, depth + 1) for key, item in shown}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, secrets, depth + 1) for item in value]
    return HIDDEN if isinstance(value, bytes | bytearray | memoryview) else value


def _named(key: Any, value: Any, secrets: list[str], depth: int) -> Any:
    """The value of a key: taken out whole where the name says that it is a secret."""
    name = _WORDS.sub("_", snake(key)).strip("_") if isinstance(key, str) else ""
    if value is None or isinstance(value, bool) or not _SECRET_NAME.fullmatch(name):
        return _clean(value, secrets, depth)
    if name.endswith("token") and (isinstance(value, int | float) or value in _TOKEN_TYPES):
        return value
    return HIDDEN


def _text(text: str, secrets: list[str], depth: int) -> str:
    stripped = text.strip()
    if stripped[:1] in ("{", "[") and depth <= DEEPEST:
        try:
            value = json.loads(stripped)
        except (ValueError, RecursionError):
            return _plain(text, secrets)
        cleaned = _clean(value, secrets, depth + 1)
        return text if cleaned == value else json.dumps(cleaned, ensure_ascii=False)
    return _plain(text, secrets)


def _plain(text: str, secrets: list[str], passes: int = MOST_PASSES) -> str:
    """A text without what looks like a secret; again until nothing changes, because a rule can lay bare another."""
    cleaned = _once(text, secrets)
    return cleaned if cleaned == text or passes == 1 else _plain(cleaned, secrets, passes - 1)


def _once(text: str, secrets: list[str]) -> str:
    text = _DATA_URI.sub(rf"\g<head>{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\g<scheme> {HIDDEN}", text)
    return redact(text, secrets)
