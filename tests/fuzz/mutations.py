"""Mutations of JSON values and of bytes, from a seeded source of randomness."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

ODD_NUMBERS = (0, -1, 1, 1e308, -1e308, 10**400, -(10**400), 2**31, 2**53 + 1, 2**63, 0.1, -0.0, 1e-320)
NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))
ODD_STRINGS = (
    "",
    " ",
    "0",
    "null",
    "\x00",
    "\ud800",
    "a\udfffb",
    "\u202e\x1b[31m",
    "../../x",
    "http://[::1",
    "//host/x",
    "javascript:alert(1)",
    "é" * 300,
    "x" * 5000,
    "9" * 5000,
    "1e999",
    "completed",
    "NaN",
    "{}",
    "__proto__",
)
ODD_KEYS = ("", "error", "status", "data", "\ud800", "__class__", "jobID", "extra", "0")


def odd_value(rng: random.Random) -> Any:
    """A value of any JSON type."""
    kind = rng.randrange(9)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind in (2, 3):
        return rng.choice(ODD_NUMBERS)
    if kind == 4:
        return rng.choice(NO_NUMBERS)
    if kind in (5, 6):
        return rng.choice(ODD_STRINGS)
    if kind == 7:
        return [odd_value(rng) for _ in range(rng.randrange(4))]
    return {rng.choice(ODD_KEYS): odd_value(rng) for _ in range(rng.randrange(4))}


def mutated(value: Any, rng: random.Random) -> Any:
    """A copy of `value` with one to four changes: types, keys, nesting, repeats, order."""
    result = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        result = _changed(result, rng)
    return result


def _changed(value: Any, rng: random.Random) -> Any:
    """Change one place, the deeper the less likely to be replaced whole."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        action = rng.randrange(12)
        if action == 0:
            del value[key]
        elif action == 1:
            value[rng.choice(ODD_KEYS)] = odd_value(rng)
        elif action == 2:
            value[key] = value[rng.choice(list(value))]
        elif action == 3:
            value[key.upper() if rng.random() < 0.5 else key + "s"] = value.pop(key)
        elif action < 8:
            value[key] = _changed(value[key], rng)
        else:
            value[key] = odd_value(rng)
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = rng.randrange(len(value))
        action = rng.randrange(6)
        if action == 0:
            del value[place]
        elif action == 1:
            value.insert(place, copy.deepcopy(value[place]))
        elif action == 2:
            rng.shuffle(value)
        elif action == 3:
            value[place] = odd_value(rng)
        else:
            value[place] = _changed(value[place], rng)
        return value
    action = rng.randrange(8)
    if action == 0:
        return [value]
    if action == 1:
        return {"value": value}
    if action == 2:
        return _nested(rng.choice((5, 60, 3000)), value)
    if action == 3 and isinstance(value, int | float):
        return str(value)
    if action == 4 and isinstance(value, str):
        return value[: rng.randrange(len(value) + 1)] + rng.choice(ODD_STRINGS)
    return odd_value(rng)


def _nested(depth: int, value: Any) -> Any:
    if depth <= 60:
        for _ in range(depth):
            value = [value]
        return value
    return {"$deep": depth}


def encoded(value: Any) -> bytes:
    """JSON as a careless service would write it: NaN as it is, half surrogates escaped, any depth."""
    text = json.dumps(value, separators=(",", ":"))
    if '{"$deep":3000}' in text:
        text = text.replace('{"$deep":3000}', "[" * 3000 + "]" * 3000)
    return text.encode()


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """A copy of `data` with bytes flipped, cut out, repeated, or replaced by what is no UTF-8."""
    result = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(result) + 1)
        action = rng.randrange(6)
        if action == 0:
            del result[place:]
        elif action == 1 and place < len(result):
            result[place] ^= 1 << rng.randrange(8)
        elif action == 2:
            result[place:place] = bytes(rng.choices((0x00, 0x7F, 0x80, 0xC0, 0xED, 0xA0, 0xFF), k=3))
        elif action == 3:
            del result[place : place + rng.randrange(1, 8)]
        elif action == 4:
            result[place:place] = result[max(0, place - 20) : place]
        else:
            result[place:place] = rng.choice((b"\r\n", b"\n\n", b"data: ", b"\xef\xbb\xbf", b"[" * 50, b'"', b"NaN"))
    return bytes(result)
