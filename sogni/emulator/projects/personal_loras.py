"""Personal LoRAs: imports, their states and the limits of an account.

An import passes from one state to the next as time passes, ``stage_seconds`` in each; nothing is downloaded. Imports
are not saved with the data of an emulator.
"""
# Protocol notes: additions-5x §2.

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlsplit

from attrs import define, field

from sogni.emulator.account.accounts import Account
from sogni.emulator.catalogue.loras import LORAS, MAX_PERSONAL, PERSONAL_PREFIX, Lora, make_lora
from sogni.emulator.faults import LoraImportFault
from sogni.emulator.fields import present
from sogni.emulator.responses import NOT_FOUND, RefusedError

Status = Literal["queued", "validating", "review", "ready", "rejected", "revoked"]

ENTRIES, IMPORTS_PER_DAY = 20, 10
FILE_BYTES = 2 * 1024**3
NOT_ENTITLED = 4078
"""The service's error code for a feature that needs a plan."""
# Protocol notes: transport §16.
_DAY = 24 * 3600.0
_SIZE = 184_549_376
_HOSTS = {"huggingface.co": "huggingface", "civitai.com": "civitai"}


def source_of(url: str) -> str | None:
    """Return the provider of a LoRA file by its URL, or None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return _HOSTS.get((parts.hostname or "").removeprefix("www.")) if parts.scheme == "https" else None


@define(eq=False)
class Import:
    """One import of an account."""

    id: str
    account: Account
    name: str
    model_id: str
    url: str
    created: float
    updated: float
    fault: LoraImportFault | None
    status: Status = "queued"
    reason: str | None = None
    failure: str | None = None

    @property
    def lora_id(self) -> str:
        return f"{PERSONAL_PREFIX}{self.id}"

    def settle(self, status: Status, now: float, failure: str | None = None, reason: str | None = None) -> None:
        self.status, self.updated, self.failure, self.reason = status, now, failure, reason

    def record(self) -> dict[str, object]:
        record: dict[str, object] = {
            "id": self.id,
            "name": self.name,
            "modelId": self.model_id,
            "modelIds": [self.model_id],
            "source": source_of(self.url),
            "status": self.status,
            "createdAt": round(self.created * 1000),
            "updatedAt": round(self.updated * 1000),
            "requirements": [],
        }
        size = _SIZE if self.status in ("review", "ready", "revoked") else None
        more = {"bytes": size, "reason": self.reason, "failureCode": self.failure}
        return record | present(more)

    def lora(self) -> Lora:
        """Return the entry of the personal catalogue."""
        description = f"Imported from {source_of(self.url)}."
        return make_lora(
            self.lora_id, self.name, description, (self.model_id,), limits=(-2, 2), category="personal", source=self.url
        )


@define(eq=False)
class PersonalLoras:
    """The imports of all accounts. Belongs to the server's event loop."""

    clock: Callable[[], float]
    new_id: Callable[[], str]
    stage_seconds: float
    take_fault: Callable[[], LoraImportFault | None]
    _imports: dict[str, Import] = field(factory=dict)
    _requested: list[tuple[Account, float]] = field(factory=list)

    def listing(self, account: Account) -> dict[str, object]:
        """Return the data of ``GET /v1/loras/personal``."""
        limits = {
            "entries": ENTRIES,
            "fileBytes": FILE_BYTES,
            "importsPerDay": IMPORTS_PER_DAY,
            "perGeneration": MAX_PERSONAL,
        }
        models = sorted({model for lora in LORAS.values() for model in lora.models})
        return {"loras": [it.record() for it in self._of(account)], "models": models, "limits": limits}

    def find(self, account: Account, id: str) -> Import:
        """Return an import; one of another account does not exist."""
        found = next((it for it in self._of(account) if it.id == id), None)
        if found is None:
            raise RefusedError(404, "Personal LoRA not found", NOT_FOUND)
        return found

    def add(self, account: Account, url: str, name: str, model_id: str) -> Import:
        """Queue an import."""
        require_plan(account)
        now = self.clock()
        if len(self._of(account)) >= ENTRIES:
            raise RefusedError(409, f"An account can have at most {ENTRIES} personal LoRAs")
        self._requested = [(owner, time) for owner, time in self._requested if time > now - _DAY]
        times = [time for owner, time in self._requested if owner is account]
        if len(times) >= IMPORTS_PER_DAY:
            wait = times[0] + _DAY - now
            raise RefusedError(429, f"At most {IMPORTS_PER_DAY} imports per day are allowed", retry_after=wait)
        self._requested.append((account, now))
        found = Import(self.new_id().lower(), account, name, model_id, url, now, now, self.take_fault())
        self._imports[found.id] = found
        return found

    def remove(self, account: Account, id: str) -> None:
        del self._imports[self.find(account, id).id]

    def usable(self, account: Account) -> Mapping[str, Lora]:
        """Return the LoRAs that the account's projects can use; none without a plan."""
        if not self._imports or not _has_plan(account):
            return {}
        return {it.lora_id: it.lora() for it in self._of(account) if it.status == "ready"}

    def set_status(self, id: str, status: Status, failure: str | None, reason: str | None) -> None:
        """Set the status of an import at once."""
        if id not in self._imports:
            raise KeyError(f"there is no personal LoRA {id!r}")
        self._imports[id].settle(status, self.clock(), failure, reason)

    def clear(self) -> None:
        self._imports.clear()
        self._requested.clear()

    def _of(self, account: Account) -> list[Import]:
        """Return the imports of an account, with their states brought up to date."""
        own, now = [it for it in self._imports.values() if it.account is account], self.clock()
        for it in own:
            while it.status in ("queued", "validating") and now >= it.updated + self.stage_seconds:
                moment = it.updated + self.stage_seconds
                if it.status == "queued":
                    it.settle("validating", moment)
                elif not _has_plan(account):
                    it.settle("rejected", moment, "subscription_required", "The plan ended before the import did")
                elif any(lora.record["ui"]["sourceUrl"] == it.url for lora in LORAS.values()):
                    it.settle("rejected", moment, "catalog_duplicate", "The LoRA is in the public catalog")
                elif it.fault is None:
                    it.settle("ready", moment)
                else:
                    it.settle(it.fault.status, moment, it.fault.failure_code, it.fault.reason)
        return own


def require_plan(account: Account) -> None:
    if not _has_plan(account):
        raise RefusedError(403, "Personal LoRAs need an active plan", NOT_ENTITLED)


def _has_plan(account: Account) -> bool:
    return account.membership is not None and account.membership.active
