"""Wire form ↔ data classes: names, times, numbers, unknown fields, and errors that say where."""

from __future__ import annotations

import inspect
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

import attrs
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

import sogni
from sogni.errors import ProtocolError
from sogni.models import account, catalogue, chat, connection, projects, workflows
from sogni.models.account import AccountInfo, Balances, TokenBalance
from sogni.models.base import Model
from sogni.models.catalogue import AvailableModel
from sogni.models.chat import MediaContext
from sogni.models.connection import HealthCheck, HealthReport, ToastMessage
from sogni.models.converter import CONVERTER, camel, from_dict, read, read_time, snake, to_dict, wire_name
from sogni.models.projects import (
    ErrorData,
    Event,
    JobEvent,
    JobRecord,
    JobSnapshot,
    ProjectRecord,
    ProjectSnapshot,
    RecordModel,
)
from sogni.models.workflows import WorkflowTemplate
from tests.tables import each_row

MODULES = (account, catalogue, chat, connection, projects, workflows)
SECRET = (account.Session, account.TokenPair)
CLASSES = sorted(
    {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Model) and kind is not Model
    },
    key=lambda kind: kind.__name__,
)
NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


@frozen(kw_only=True)
class Part(Model):
    code: int


@frozen(kw_only=True)
class Sample(Model):
    """Every kind of field there is."""

    id: str
    count: int = 0
    share: float = 0.0
    flag: bool = False
    amount: Decimal = Decimal(0)
    at: datetime | None = None
    kind: Literal["a", "b"] | str = "a"
    parts: list[Part] = attrs.field(factory=list)
    anything: Any = None


# --- names


@pytest.mark.parametrize(
    ("name", "wire"),
    [("worker_count", "workerCount"), ("id", "id"), ("eta_seconds", "etaSeconds"), ("discord_2fa", "discord2fa")],
)
def test_camel(name: str, wire: str) -> None:
    assert wire == camel(name)


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        ("workerCount", "worker_count"),
        ("disableNSFWFilter", "disable_nsfw_filter"),
        ("jobID", "job_id"),
        ("isNSFW", "is_nsfw"),
        ("id", "id"),
    ],
)
def test_snake(wire: str, name: str) -> None:
    assert name == snake(wire)


@pytest.mark.parametrize(
    ("kind", "name", "wire"),
    [
        (JobEvent, "is_nsfw", "isNSFW"),
        (JobRecord, "img_id", "imgID"),
        (RecordModel, "sid", "SID"),
        (ToastMessage, "sticky_id", "stickyID"),
        (AccountInfo, "discord_2fa", "discord2FA"),
        (AvailableModel, "worker_count", "workerCount"),
    ],
)
def test_names_that_are_not_camel_case_on_the_wire(kind: Any, name: str, wire: str) -> None:
    assert wire == wire_name(getattr(attrs.fields(kind), name))


@each_row("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_no_two_fields_have_one_name_on_the_wire(kind: Any) -> None:
    names = [wire_name(it) for it in attrs.fields(kind)]
    assert len(names) == len(set(names))


# --- values


@each_row(
    ("value", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1780000000000, datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)),
        (1500.5, datetime(1970, 1, 1, 0, 0, 1, 500500, tzinfo=UTC)),
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01T12:00:00.000Z", NOON),
        ("2026-06-01T14:00:00+02:00", NOON),
        ("2026-06-01T12:00:00", NOON),
        (NOON, NOON),
        (NOON.replace(tzinfo=None), NOON),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON),
    ],
)
def test_times_are_aware_and_in_utc(value: Any, expected: datetime) -> None:
    assert (expected, UTC) == (read_time(value), read_time(value).tzinfo)


def read_sample(**fields: Any) -> Sample:
    return read(Sample, {"id": "x", **fields}, "the sample")


@each_row(
    ("field", "value", "expected"),
    [
        ("count", 3, 3),
        ("count", 3.0, 3),
        ("share", 3, 3),
        ("share", 0.25, 0.25),
        ("flag", True, True),
        ("amount", "0.10", Decimal("0.10")),
        ("amount", 0.1, Decimal("0.1")),
        ("amount", 3, Decimal(3)),
        ("amount", "1e2", Decimal(100)),
        ("amount", Decimal("2.5"), Decimal("2.5")),
        ("kind", "b", "b"),
        ("kind", "what a newer server says", "what a newer server says"),
        ("anything", {"a": [1]}, {"a": [1]}),
        ("count", None, 0),
    ],
)
def test_values_that_fit(field: str, value: Any, expected: Any) -> None:
    assert expected == getattr(read_sample(**{field: value}), field)


WRONG: list[tuple[str, Any, str]] = [
    ("id", 5, "expected a string, got int at $.id"),
    ("count", "3", "expected an integer, got '3' at $.count"),
    ("count", True, "expected an integer, got True at $.count"),
    ("count", 1.5, "expected an integer, got 1.5 at $.count"),
    ("count", float("nan"), "expected an integer, got nan at $.count"),
    ("count", float("inf"), "expected an integer, got inf at $.count"),
    ("share", "1", "expected a number, got '1' at $.share"),
    ("share", False, "expected a number, got False at $.share"),
    ("flag", 1, "expected true or false, got 1 at $.flag"),
    ("amount", "much", "not an amount: 'much' at $.amount"),
    ("amount", "NaN", "not an amount: 'NaN' at $.amount"),
    ("amount", True, "expected an amount, got True at $.amount"),
    ("amount", [], "expected an amount, got [] at $.amount"),
    ("at", "yesterday", "Invalid isoformat string: 'yesterday' at $.at"),
    ("at", True, "expected a time, got True at $.at"),
    ("at", float("nan"), "expected a time, got nan at $.at"),
    ("at", {}, "expected a time, got {} at $.at"),
    ("kind", 5, "expected a string, got int at $.kind"),
    ("parts", 5, "expected a list, got int at $.parts"),
    ("parts", [{"code": 1}, 5], "expected an object, got int at $.parts[1]"),
    ("parts", [{"code": 1}, {"code": "x"}], "expected an integer, got 'x' at $.parts[1].code"),
    ("parts", [{}], "required field 'code' is missing at $.parts[0].code"),
]


@each_row(("field", "value", "finding"), WRONG, ids=[row[2] for row in WRONG])
def test_what_does_not_fit_is_named_with_its_place(field: str, value: Any, finding: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_sample(**{field: value})
    assert f"the sample is malformed: {finding}" == str(caught.value)


@pytest.mark.parametrize("value", ["abc", {"a": 1}])
def test_a_text_or_an_object_is_no_list(value: Any) -> None:
    assert from_dict(WorkflowTemplate, {"name": "N", "tags": value}) == WorkflowTemplate(
        name="N", extra={"tags": value}
    )
    with pytest.raises(ProtocolError, match=r"expected a list, got (str|dict) at \$\.images"):
        from_dict(MediaContext, {"images": value})


@pytest.mark.parametrize("moment", [1e18, -1e18, "9999-99-99"])
def test_a_time_beyond_all_calendars_does_not_fit(moment: Any) -> None:
    with pytest.raises(ProtocolError):
        read_sample(at=moment)


@pytest.mark.parametrize("data", [None, 5, "x", [], True])
def test_what_is_no_object_does_not_fit(data: Any) -> None:
    with pytest.raises(ProtocolError, match="expected an object"):
        read(Sample, data)


def test_every_finding_is_told() -> None:
    with pytest.raises(ProtocolError, match=r"\$\.count.*\$\.flag"):
        read_sample(count="x", flag="x")


# --- unknown fields


@each_row("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_unknown_fields_are_kept_and_survive_a_round_trip(kind: type[Model]) -> None:
    data = {**minimal(kind), "aNewField": {"deep": [1, None]}, "extra": 5, "another_one": None}
    made = from_dict(kind, data)
    assert made.extra == {"aNewField": {"deep": [1, None]}, "extra": 5, "another_one": None}
    assert is_within(data, to_dict(made))
    assert made == from_dict(kind, to_dict(made))
    assert made == from_dict(kind, json.loads(json.dumps(to_dict(made))))


def is_within(part: Any, whole: Any) -> bool:
    """Whether every key of a value is in another one, with the same value."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and is_within(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


@each_row("kind", [it for it in CLASSES if it not in SECRET], ids=lambda kind: kind.__name__)
def test_every_data_class_pickles(kind: type[Model]) -> None:
    made = from_dict(kind, {**minimal(kind), "aNewField": 1})
    assert made == pickle.loads(pickle.dumps(made))
    assert repr(made) == repr(pickle.loads(pickle.dumps(made)))


def minimal(kind: type[Model]) -> dict[str, Any]:
    """The smallest wire form a class has."""
    samples = {"str": "x", "int": 1, "float": 1.5, "bool": True, "datetime": "2026-06-01T12:00:00Z"}
    required = [it for it in attrs.fields(attrs.resolve_types(kind)) if it.default is attrs.NOTHING]
    of = {it.name: getattr(it.type, "__name__", str(it.type)) for it in required}
    inner = {it.name: minimal(it.type) for it in required if isinstance(it.type, type) and issubclass(it.type, Model)}
    inner |= {it.name: get_args(it.type)[0] for it in required if get_origin(it.type) is Literal}
    return {
        wire_name(it): [] if of[it.name].startswith("list") else inner.get(it.name, samples.get(of[it.name], "x"))
        for it in required
    }


def test_without_unknown_fields_there_is_nothing_extra() -> None:
    assert read_sample(count=3).extra == {}


def test_a_value_that_is_one_already_is_taken_as_it_is() -> None:
    sample = Sample(id="x")
    assert sample is read(Sample, sample)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(["id", "workerJobs", "status", "createTime", "imageCount", "model", "new"]), JSON)
)
def test_any_json_is_read_or_refused_with_a_protocol_error(data: dict[str, Any]) -> None:
    try:
        made = read(ProjectRecord, data)
    except ProtocolError:
        return
    assert made == from_dict(ProjectRecord, to_dict(made))


# --- to_dict


class Colour(Enum):
    RED = "red"


class Handle:
    def to_dict(self) -> dict[str, Any]:
        return {"id": "H"}


@each_row(
    ("value", "expected"),
    [
        (None, None),
        ("x", "x"),
        (5, 5),
        (0.5, 0.5),
        (True, True),
        (Colour.RED, "red"),
        ({"a": {1: Decimal("1.50")}}, {"a": {"1": "1.50"}}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ([NOON, (1, 2)], ["2026-06-01T12:00:00Z", [1, 2]]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (PurePosixPath("/a/b"), "/a/b"),
        (Handle(), {"id": "H"}),
        (Decimal("1E+3"), "1000"),
        (NOON.astimezone(timezone(timedelta(hours=5))), "2026-06-01T12:00:00Z"),
        (Event("progress", 50), ["progress", 50]),
        (ErrorData(code=5, message="m"), {"code": 5, "message": "m"}),
        (
            Balances(sogni=TokenBalance(net=Decimal("0.10"))),
            {
                "sogni": {"settled": "0", "credit": "0", "debit": "0", "net": "0.10"},
                "spark": {"settled": "0", "credit": "0", "debit": "0", "net": "0", "premiumCredit": "0"},
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_wire_form(value: Any, expected: Any) -> None:
    assert expected == to_dict(value)
    json.dumps(to_dict(value))


def test_a_project_snapshot_goes_both_ways() -> None:
    job = JobSnapshot(
        id="J", project_id="P", seed=2**63, is_nsfw=True, nsfw_sources=["prompt"], eta=NOON, error=ErrorData(code=1)
    )
    snapshot = ProjectSnapshot(id="P", started_at=NOON, params={"modelId": "m", "steps": 4}, jobs=[job], eta=NOON)
    assert snapshot == from_dict(ProjectSnapshot, json.loads(json.dumps(to_dict(snapshot))))


def test_the_public_functions_are_these() -> None:
    assert list(map(inspect.unwrap, (sogni.to_dict, sogni.from_dict))) == list(
        map(inspect.unwrap, (to_dict, from_dict))
    )


def test_an_error_of_from_dict_names_the_class() -> None:
    with pytest.raises(ProtocolError, match="data for ErrorData is malformed"):
        from_dict(ErrorData, {})


def test_builtin_containers_of_data() -> None:
    assert {"a": [ErrorData(code=1)]} == CONVERTER.structure({"a": [{"code": 1}]}, dict[str, list[ErrorData]])


# --- what single classes add


def test_data_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ErrorData(code=1).code = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"video_file": "f"}, "f"),
        ({"video_file": "f", "video_url": "v"}, "v"),
        ({"video_url": "v", "image_file": "i"}, "i"),
        ({"image_file": "i", "image_url": "u"}, "u"),
        ({"image_url": "u", "result_url": "r"}, "r"),
        ({"image_url": "u", "result_url": ""}, "u"),
    ],
)
def test_the_first_address_a_record_has(fields: dict[str, str], expected: str | None) -> None:
    """projects-4.2 §14.3: resultUrl, imageUrl, imageFile, videoUrl, videoFile."""
    assert expected == JobRecord(**fields).media_url


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, False),
        ({"jobType": "llm"}, True),
        ({"model": {"type": "llm"}}, True),
        ({"model": {"type": "image"}}, False),
        ({"jobType": "image"}, False),
    ],
)
def test_chats_are_no_projects(data: dict[str, Any], expected: bool) -> None:
    assert expected is from_dict(ProjectRecord, {"id": "P", **data}).is_chat


def test_a_health_report_reads_as_lines() -> None:
    checks = [HealthCheck(name="key", ok=True, detail="accepted"), HealthCheck(name="socket", ok=False, detail="no")]
    assert str(HealthReport(ok=False, checks=checks)) == "ok  key: accepted\nNO  socket: no"
