"""Replay records: stored with secrets redacted, private to the account that wrote them."""
# Protocol notes: replay §1, §2.

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field

from sogni.emulator.account.accounts import Account
from sogni.emulator.fields import present
from sogni.emulator.persistence import Archive
from sogni.emulator.responses import NOT_FOUND, RefusedError

KIND = "replay"
HIDDEN = "[redacted]"
_SECRET_KEY = re.compile(
    r"(?i)^(api[-_]?key|authorization|cookie|set-cookie|password|passphrase|secret|client[-_]?secret|private[-_]?key|"
    r"mnemonic|(access|refresh|id|auth|bearer|session)[-_]?token|token|signature)$"
)
_SECRETS = (
    re.compile(r"(?i)\bbearer\s+[a-z0-9._~+/-]{8,}=*"),
    re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"),
    re.compile(r"\b(?:sk|pk|rk|api|key|local)[-_][A-Za-z0-9_-]{16,}"),
    re.compile(
        r"(?i)(?<=[?&])(?:x-amz-signature|x-amz-credential|x-amz-security-token|signature|token|api_?key)=[^&\s\"']+"
    ),
)
_INLINE = re.compile(r"data:[a-z]+/[\w.+-]+;base64,[A-Za-z0-9+/=]{64,}")


@define(eq=False)
class _Stored:
    owner: str
    record: dict[str, Any]
    redacted: bool
    created: int
    updated: int


@define(eq=False)
class Replays:
    """All replay records of one emulator."""

    clock: Callable[[], float]
    archive: Archive
    _all: dict[tuple[str, str], _Stored] = field(factory=dict)

    def restore(self) -> None:
        for saved in self.archive.items_of_kind(KIND):
            stored = _Stored(saved.owner, **saved.body)
            self._all[(saved.owner, stored.record["run_id"])] = stored

    def clear(self) -> None:
        self._all.clear()

    def write(self, account: Account, record: Mapping[str, Any]) -> dict[str, object]:
        """Save a record, replacing an earlier one with the same ID, and return its receipt."""
        # Protocol notes: replay §3.
        run_id = record.get("run_id")
        if not isinstance(run_id, str) or not run_id or not run_id.isprintable():
            raise RefusedError(400, "run_id must be a string")
        clean = redacted(record)
        hidden = json.dumps(clean, sort_keys=True) != json.dumps(record, sort_keys=True)
        key, now = (account.wallet_address, run_id), round(self.clock() * 1000)
        earlier = self._all.get(key)
        stored = _Stored(key[0], clean, hidden, now if earlier is None else earlier.created, now)
        body = {"record": clean, "redacted": hidden, "created": stored.created, "updated": now}
        with self.archive.transaction():
            # The order is that of the last write, after a restart as well.
            self.archive.delete(KIND, f"{key[0]}/{run_id}")
            self.archive.put(KIND, f"{key[0]}/{run_id}", key[0], body)
        self._all.pop(key, None)
        self._all[key] = stored
        return {
            "runId": run_id,
            "schemaVersion": clean.get("schema_version", 0),
            "redacted": hidden,
            "createTime": stored.created,
            "updateTime": now,
        }

    def list(self, account: Account, limit: int) -> list[dict[str, object]]:
        """Return summaries, newest first."""
        records = [stored for stored in reversed(self._all.values()) if stored.owner == account.wallet_address]
        return [_summary(stored) for stored in records[:limit]]

    def get(self, account: Account, run_id: str) -> dict[str, object]:
        stored = self._all.get((account.wallet_address, run_id))
        if stored is None:
            raise RefusedError(404, "Replay record not found", NOT_FOUND)
        return {"record": stored.record, "createTime": stored.created}


def _summary(stored: _Stored) -> dict[str, object]:
    record = stored.record
    rounds = record.get("rounds")
    found = {
        "runId": record["run_id"],
        "schemaVersion": record.get("schema_version", 0),
        "createTime": stored.created,
        "updateTime": stored.updated,
        "userRequest": record.get("user_request"),
        "finalResponse": record.get("final_response"),
        "modelId": record.get("model_id"),
        "rounds": len(rounds) if isinstance(rounds, list) else 0,
    }
    return present(found)


def redacted(value: object) -> Any:
    """Return a copy without secrets: values under secret keys, tokens and signatures in strings, inline media."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if _SECRET_KEY.match(str(key)) and isinstance(entry, str) and entry else redacted(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [redacted(entry) for entry in value]
    if isinstance(value, str):
        for pattern in _SECRETS:
            value = pattern.sub(HIDDEN, value)
        return _INLINE.sub(HIDDEN, value)
    return value
