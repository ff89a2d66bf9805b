"""What a sentence holds: numbers, quoted texts, names, addresses, dates, places and topics.

Called by the rules of the responder and by what fills a JSON schema. It only reads.
"""

from __future__ import annotations

import re

_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)|`([^`]+)`")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w]*\d)")
_CAPITAL = re.compile(r"\b[A-Z][\w'/-]+(?:\s+(?:of\s+|de\s+|la\s+)?[A-Z][\w'-]+)*")
_NO_NAMES = frozenset(
    re.split(
        " ",
        "A An And Are As At Before By Can Could Create Do Does Draw Each Edit Extract Find For From Generate Get Give"
        " Has Have Hello Hey Hi How I If Im In Is It Its List Make Me My No Of On Or Please Return Say Send Set She He"
        " Show So Tell That The Their Then There They This To Turn Use Was We What When Where Which Who Why Will"
        " With Would Write Yes You Your Add Book Call Check Compute Convert Count Describe Remind Schedule Search"
        " Answer JSON I'm It's What's Classify Translate Summarize Summarise Parse Name Bring Look Tool Using Today",
    )
)
_PLACE = re.compile(r"\b(?:in|at|for|to|near|from|of)\s+(?:the\s+)?([A-Z][\w'-]+(?:[\s,]+[A-Z][\w'-]+)*)")
_TOPIC = re.compile(
    r"\b(?:about|on the (?:subject|topic) of|regarding|concerning|describing|of|on|for)\s+"
    r"((?:(?:an?|the|some|my|our)\s+)?.+?)(?:[.!?;\n]|,? (?:and|then|in|with|using) |$)",
    re.I,
)
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_TIME = re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b|\b\d{1,2}\s?(?:am|pm)\b", re.I)
_EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
_URL = re.compile(r"https?://[^\s<>\"')\]]+")
_SIZE = re.compile(r"\b(\d{2,5})\s*(?:x|×|by)\s*(\d{2,5})\b")
_UNITS = ("celsius", "fahrenheit", "kelvin", "km", "miles", "meters", "metres", "kg", "pounds")


def quoted(text: str) -> list[str]:
    return [next(part for part in found if part) for found in _QUOTED.findall(text)]


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in _NUMBER.findall(text)]


def names(text: str) -> list[str]:
    """Words with a capital that are more than the beginning of a sentence."""
    found = []
    for match in _CAPITAL.findall(text):
        words = match.split()
        while words and words[0] in _NO_NAMES:
            words = words[1:]
        if words:
            found.append(" ".join(words))
    return found


def place(text: str) -> str | None:
    """The place a sentence speaks of: "in Paris", "from Oslo to Rome" (the first)."""
    found = _PLACE.search(text)
    return found[1].strip(" ,") if found else None


def between(text: str, word: str) -> str | None:
    """What follows a preposition: "from" gives "Oslo" of "from Oslo to Rome"."""
    end = r"(?:\s+(?:to|from|on|at|in|for|with|and|by)\s|[,!?;]|\.(?:\s|$)|$)"
    found = re.search(rf"\b{re.escape(word)}\s+(?:the\s+|my\s+)?(.+?){end}", text, re.I)
    return found[1].strip() if found else None


def dates(text: str) -> list[str]:
    return _DATE.findall(text)


def times(text: str) -> list[str]:
    return _TIME.findall(text)


def emails(text: str) -> list[str]:
    return _EMAIL.findall(text)


def urls(text: str) -> list[str]:
    return [url.rstrip(".,;:") for url in _URL.findall(text)]


def size(text: str) -> tuple[int, int] | None:
    """A size in pixels: "640x480"."""
    found = _SIZE.search(text)
    return (int(found[1]), int(found[2])) if found else None


def topic(text: str) -> str | None:
    """What a text is to be about."""
    found = _TOPIC.search(text)
    return found[1].strip(" .,:“”\"'") or None if found else None


def items(text: str) -> list[str]:
    """The entries of an enumeration: "apples, pears and plums"."""
    listed = text.rpartition(":")[2] if ":" in text else text
    found = re.search(
        r"((?:[\w'-]+(?: [\w'-]+)?, )+(?:and |or )?[\w'-]+(?: (?:and|or) [\w'-]+)?|[\w'-]+ and [\w'-]+)", listed
    )
    if found is None:
        return []
    return [entry for entry in re.split(r",\s*(?:and |or )?| and | or ", found[1]) if entry]


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)


def units(text: str) -> list[str]:
    lower = text.lower()
    return [unit for unit in _UNITS if re.search(rf"\b{unit}\b", lower)]
