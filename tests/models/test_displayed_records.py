"""Displaying records: a short `repr`, and a table in notebooks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

from attrs import field, frozen

from sogni.models.base import Model, redacted_repr
from sogni.models.loras import Lora, LoraUi
from sogni.redaction import SecretUrl

EVIL = "<script>alert(1)</script>"


@frozen(kw_only=True)
class Record(Model):
    name: str | None = None
    count: int = 0
    tags: list[str] = field(factory=list)
    parts: tuple[Model, ...] = ()
    url: str | None = field(default=None, repr=lambda url: redacted_repr(url))
    key: str | None = field(default=None, repr=False)


@frozen(kw_only=True)
class Price(Model):
    amount: Decimal
    at: datetime
    part: LoraUi


@frozen(kw_only=True)
class Offer(Model):
    price: Price


def page(record: Model) -> str:
    return re.sub(r' style="[^"]*"', "", record._repr_html_())


def test_a_repr_has_the_fields_that_are_set() -> None:
    assert repr(Record()) == "Record(count=0)"
    assert (
        repr(Record(name="a", tags=["x"], extra={"new": 1}))
        == "Record(name='a', count=0, tags=['x'], extra={'new': 1})"
    )
    assert repr(Model()) == "Model()"


def test_long_values_are_shortened_in_a_repr() -> None:
    assert repr(Record(name="x" * 1000)) == f"Record(name='{'x' * 198}…, count=0)"


def test_a_record_is_a_table_of_the_fields_that_are_set() -> None:
    assert page(Record(name="a\nb", tags=["x"])) == (
        "<div><b>Record</b><table><tr><th>name</th><td>a\nb</td></tr><tr><th>count</th><td>0</td></tr>"
        "<tr><th>tags</th><td>[&#x27;x&#x27;]</td></tr></table></div>"
    )


def test_records_in_a_record_are_rows() -> None:
    parts = [Record(name="a", parts=(Record(),)), Record(count=1), Lora(lora_id="l", ui=LoraUi())]
    shown = page(Record(parts=tuple(parts)))
    assert shown == (
        "<div><b>Record</b><table><tr><th>count</th><td>0</td></tr><tr><th>parts</th><td><table>"
        "<tr><th>name</th><th>count</th><th>parts</th><th>lora_id</th><th>ui</th></tr>"
        "<tr><td>a</td><td>0</td><td>(Record(count=0),)</td><td></td><td></td></tr>"
        "<tr><td></td><td>1</td><td></td><td></td><td></td></tr>"
        "<tr><td></td><td></td><td></td><td>l</td><td>LoraUi(nsfw=False, sexual=False)</td></tr>"
        "</table></td></tr></table></div>"
    )


def test_a_record_in_a_record_is_a_row() -> None:
    price = Price(amount=Decimal("0.50"), at=datetime(2026, 1, 2, tzinfo=UTC), part=LoraUi())
    assert page(Offer(price=price)) == (
        "<div><b>Offer</b><table><tr><th>price</th><td><table><tr><th>amount</th><th>at</th><th>part</th></tr>"
        "<tr><td>0.50</td><td>2026-01-02 00:00:00+00:00</td><td>LoraUi(nsfw=False, sexual=False)</td></tr></table>"
        "</td></tr></table></div>"
    )


def test_a_long_table_ends_with_the_number_of_further_records() -> None:
    shown = page(Record(parts=tuple(Record(count=number) for number in range(100))))
    assert shown.count("<tr>") == 2 + 1 + 30
    assert "<div>… 70 more</div>" in shown


def test_a_table_hides_what_a_repr_hides_and_nothing_becomes_markup() -> None:
    url = "https://h/a?sig=SECRET"
    record = Record(name=EVIL, url=url, key="SECRET", tags=[SecretUrl(url)], extra={EVIL: EVIL})
    shown = page(Record(name=SecretUrl(url), parts=(record,), extra={"url": url}))
    assert ("SECRET" in shown, "<script>" in shown, shown.count("https://h/a?***")) == (False, False, 4)
