"""Answers that must be JSON (chat §2.5).

Called by the responder when a request has a ``response_format``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from . import sentences
from .values import Filler

_KEYS = re.compile(r"\b(?:keys?|fields?|properties|attributes)\b:?(.*)", re.I | re.DOTALL)


def answer(format: Mapping[str, Any], text: str, plain: str) -> str:
    """Return the JSON text for a question whose plain answer is known."""
    if format["type"] == "json_schema":
        schema = format["json_schema"]["schema"]
        return json.dumps(Filler(text, plain, schema).fill(schema), ensure_ascii=False)
    named = _KEYS.search(text)
    keys = [] if named is None else sentences.quoted(named[1]) or sentences.items(named[1]) or named[1].split()[:1]
    rest = text
    for key in keys:
        rest = re.sub(rf"[“\"'`]?\b{re.escape(key)}\b[”\"'`]?", "", rest)
    if not keys:
        return json.dumps({"answer": plain}, ensure_ascii=False)
    filler = Filler(rest, plain)
    return json.dumps({key.strip(".:,"): filler.fill(_guess(key), key) for key in keys}, ensure_ascii=False)


def _guess(key: str) -> dict[str, str]:
    counted = re.search(r"age|count|number|total|price|amount|year|population|size|length", key, re.I)
    return {"type": "integer" if counted else "string"}
