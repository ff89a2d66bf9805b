"""The sections of the inspector as lists of items, each with an ID, so that only what has changed is replaced."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from attrs import frozen

from sogni.emulator.account.accounts import Account
from sogni.emulator.control import CHAT, FAULT_OPERATIONS
from sogni.emulator.inspector.graph import draw
from sogni.emulator.inspector.html import Child, Markup, element
from sogni.emulator.inspector.traffic import Chat, Entry, Traffic, hint_of, shown
from sogni.emulator.projects.projects import Job, Project
from sogni.emulator.projects.storage import Key, Store
from sogni.emulator.workflows.runs import Run
from sogni.redaction import redact

MediaUrl = Callable[[Key], str]
_PROJECTS, _RUNS, _ENTRIES = 24, 8, 120
_HINT = 120
"""Most characters of the hint of an entry."""
_NAMES = {"completed": "completed", "errored": "failed", "cancelled": "canceled", "progress": "rendering"}
_ARROWS = {"request": "→ HTTP", "upgrade": "→ WS", "received": "→ frame", "sent": "← frame"}
_DIRECTIONS = {"request": "received", "upgrade": "received", "received": "received", "sent": "sent"}


@frozen
class Item:
    """One item of a section. ``version`` changes with the content."""

    id: str
    html: Markup
    version: str

    @classmethod
    def of(cls, id: str, tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Item:
        bare = element(tag, *children, id=id, **attributes)
        version = hashlib.blake2b(bare.encode(errors="replace"), digest_size=8).hexdigest()
        return cls(id, element(tag, *children, id=id, data_version=version, **attributes), version)


def moment(at: float) -> Markup:
    """Return a time of day; the whole time is in its ``datetime``."""
    time = datetime.fromtimestamp(at, UTC)
    return element("time", time.strftime("%H:%M:%S"), datetime=time.isoformat(timespec="milliseconds"))


def amount(value: Decimal) -> str:
    """Return an amount with at most four decimals."""
    return f"{value.quantize(Decimal('0.0001')):f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def facts(*pairs: tuple[str, Child]) -> Markup:
    """Return names and values."""
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in pairs])


# Overview


def overview(
    accounts: Iterable[Account],
    projects: Iterable[Project],
    *,
    workers: int,
    paused: bool,
    connections: int,
    clock: Mapping[str, Any],
) -> list[Item]:
    """Return the balances, the queue with its workers, the clock and the connections."""
    balances = [
        Item.of(
            f"account-{number}",
            "li",
            element("h3", it.username),
            facts(
                ("Spark", amount(it.balance.spark)),
                ("Sogni", amount(it.balance.sogni)),
                ("Free Spark", amount(it.balance.free_spark)),
            ),
            class_="card",
        )
        for number, it in enumerate(accounts)
    ]
    unfinished = [it for it in projects if not it.finished]
    busy = {job.worker: (it, job) for it in unfinished for job in it.jobs if job.worker and not job.finished}
    waiting = sum(job.worker is None and not job.finished for it in unfinished for job in it.jobs)
    rows = [_worker(f"local-worker-{number + 1}", busy) for number in range(workers)]
    queue = Item.of(
        "queue",
        "li",
        element("h3", "Queue and workers"),
        element(
            "p",
            f"{waiting} waiting, {len(busy)} of {workers} workers busy ",
            badge("paused", "running") if paused else None,
        ),
        element("ul", rows, class_="workers"),
        class_="card",
    )
    rate = "stopped" if clock["mode"] == "manual" else f"{clock['factor']:g}×"
    time = Item.of(
        "clock",
        "li",
        element("h3", "Clock and clients"),
        facts(
            ("Time (UTC)", moment(int(clock["now"]))),
            ("Rate", rate),
            ("Work", clock["mode"]),
            ("Connections", connections),
        ),
        class_="card",
    )
    return [*balances, queue, time]


def _worker(name: str, busy: Mapping[str, tuple[Project, Job]]) -> Markup:
    if name not in busy:
        return element("li", element("span", name), element("span", "idle", class_="quiet"))
    project, job = busy[name]
    return element("li", element("span", name), element("span", f"{project.order.model.id}, step {job.step}"))


# Projects


def project_items(projects: list[Project], store: Store, url: MediaUrl) -> list[Item]:
    """Return the newest projects."""
    return [_project(it, store, url) for it in reversed(projects[-_PROJECTS:])]


def _project(project: Project, store: Store, url: MediaUrl) -> Item:
    order = project.order
    status = _NAMES.get(project.status, project.status)
    prompt = prompt_of(project)
    reason = (project.waiting_reason or {}).get("message") if project.waiting else None
    errors = [f"Job {job.index + 1}: {job.message or job.error}" for job in project.jobs if job.error is not None]
    return Item.of(
        f"project-{project.id}",
        "li",
        element("h3", prompt or "(no prompt)", title=prompt),
        element("ul", [_result(project, job, store, url) for job in project.jobs], class_=f"results {order.media}"),
        element("p", badge(status, project.status), " ", order.media, " · ", order.model.id),
        element("p", reason, class_="quiet") if reason else None,
        [element("p", it, class_="problem") for it in errors],
        facts(
            ("Cost", f"{amount(project.settled_cost() if project.finished else project.cost)} {order.token}"),
            ("Created", moment(project.created)),
            ("ID", element("code", project.id[:8], title=project.id)),
        ),
        class_="card project",
    )


def prompt_of(project: Project) -> str:
    """Return the prompt of a project."""
    return str(project.order.key_frame.get("positivePrompt") or "")


def badge(text: str, status: str) -> Markup:
    return element("span", text, class_=f"badge {status}")


def _result(project: Project, job: Job, store: Store, url: MediaUrl) -> Markup:
    key = Key(project.id, job.image_id, "complete")
    label = f"Result {job.index + 1} of {len(project.jobs)}"
    if job.status == "jobCompleted" and store.has(key):
        return element("li", player(project.order.media, url(key), f"{label}: {prompt_of(project)}"))
    if job.withheld:
        return element("li", element("span", "withheld", class_="placeholder"))
    if job.status == "jobError":
        return element("li", element("span", "failed", class_="placeholder"))
    total = max(1, project.order.stages)
    bar = element("progress", value=min(job.step, total), max=total, aria_label=f"{label}: progress")
    preview = Key(project.id, job.image_id, "preview")
    shown_preview = element("img", src=f"{url(preview)}?step={job.step}", alt="Preview") if store.has(preview) else None
    return element("li", shown_preview or element("span", "", class_="placeholder"), bar)


def player(media: str, url: str, label: str) -> Markup:
    """Return an element that shows a file."""
    if media == "video":
        return element("video", src=url, controls=True, preload="metadata", aria_label=label, playsinline=True)
    if media == "audio":
        return element("audio", src=url, controls=True, preload="none", aria_label=label)
    if media == "image":
        picture = element("img", src=url, alt=label, loading="lazy")
        return element("a", picture, href=url, target="_blank", rel="noopener")
    return element("a", "Download the model", href=url, download=True, class_="placeholder")


# Chats


def chat_items(traffic: Traffic) -> list[Item]:
    """Return the newest conversations."""
    return [_chat(it) for it in reversed(list(traffic.chats.values()))]


def _chat(chat: Chat) -> Item:
    state = chat.state()
    return Item.of(
        f"chat-{chat.id}",
        "li",
        element("p", element("span", "User: ", class_="speaker"), redact(chat.question), class_="question"),
        element("p", element("span", "Model: ", class_="speaker"), redact(chat.answer), class_="answer")
        if chat.answer
        else None,
        element(
            "p",
            badge(state, state.partition(":")[0].partition(" ")[0]),
            f" {chat.kind} · {chat.model} · ",
            moment(chat.at),
        ),
        class_="card chat",
    )


# Workflows


def run_items(runs: list[Run], url: MediaUrl) -> list[Item]:
    """Return the newest workflows."""
    return [_run(it, url) for it in reversed(runs[-_RUNS:])]


def _run(run: Run, url: MediaUrl) -> Item:
    title = str(run.plan.get("title") or run.id)
    files = [
        element("li", player(media.kind, url(media.key), f"{step.id}, result {number + 1}"))
        for step in run.steps
        for number, media in enumerate(step.media)
    ]
    errors = [f"{step.id}: {step.error.get('message', step.error)}" for step in run.steps if step.error]
    return Item.of(
        f"run-{run.id}",
        "li",
        element("h3", title),
        element("div", draw(run), class_="scroll", tabindex=0, role="group", aria_label=f"Graph of {title}"),
        [element("p", it, class_="problem") for it in errors],
        element("ul", files, class_="results small") if files else None,
        element(
            "p",
            badge(run.status.replace("_", " "), run.status),
            " ",
            element("code", run.id),
            " · ",
            moment(run.created),
        ),
        class_="card run",
    )


# Faults


def rule_items(rules: Iterable[Mapping[str, Any]], kind: str) -> list[Item]:
    """Return the rules of the fault plan or of the script, with their uses."""
    return [
        Item.of(
            f"{kind}-rule-{it['id']}",
            "li",
            element("code", it["name"]),
            " ",
            element("span", ", ".join(_fields(it["name"], it["fields"])), class_="quiet"),
            " ",
            badge(f"used {it['fired']}×", "spent" if it["spent"] else "pending"),
        )
        for it in rules
    ]


def _fields(name: str, fields: Mapping[str, Any]) -> list[str]:
    """Return the fields that differ from their defaults."""
    operation = FAULT_OPERATIONS.get(name) or CHAT[name]
    given = {
        key: it
        for key, it in fields.items()
        if key not in operation.parameters or it != operation.parameters[key].default
    }
    return [f"{key}={str(it)[:60]}" for key, it in given.items()]


# Traffic


def traffic_items(traffic: Traffic) -> list[Item]:
    """Return the newest requests and frames."""
    return [_entry(it) for it in traffic.newest(_ENTRIES)]


def _entry(entry: Entry) -> Item:
    status = entry.status()
    return Item.of(
        f"entry-{entry.number}",
        "li",
        element(
            "details",
            element(
                "summary",
                moment(entry.at),
                element("span", _ARROWS[entry.kind], class_="direction", title=_DIRECTIONS[entry.kind]),
                element("span", redact(entry.title), class_="title"),
                element("span", redact(hint_of(entry)[:_HINT]), class_="hint"),
                element("span", f"×{entry.count}", class_="quiet") if entry.count > 1 else None,
                element("span", f"connection {entry.connection}", class_="quiet") if entry.connection else None,
                element("span", entry.note, class_="problem") if entry.note else None,
                badge(str(status), "errored" if status >= 400 else "completed") if status is not None else None,
            ),
            element("pre", shown(entry.data), tabindex=0, role="group", aria_label=f"Content of {entry.title}"),
        ),
        class_=f"entry {entry.kind}",
    )
