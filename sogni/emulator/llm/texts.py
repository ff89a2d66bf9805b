"""Small tasks with texts: say, count, list, write, turn around; and a few facts of the world.

Called by the responder. Every rule takes the question and gives an answer or None; the same question always has
the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from . import sentences

_SAY = re.compile(
    r"\b(?:say|repeat|echo|reply with|respond with|answer with|output|print)"
    r"(?: (?:back|only|just|exactly|the (?:single )?(?:words?|text|phrase|sentence)|after me|this|following)"
    r"\b)*:? +(.+)",
    re.I | re.DOTALL,
)
_WORD_NUMBERS = {
    name: n
    for n, name in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_CAPITALS: Mapping[str, str] = {
    "argentina": "Buenos Aires",
    "australia": "Canberra",
    "austria": "Vienna",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "china": "Beijing",
    "denmark": "Copenhagen",
    "egypt": "Cairo",
    "finland": "Helsinki",
    "france": "Paris",
    "germany": "Berlin",
    "greece": "Athens",
    "india": "New Delhi",
    "ireland": "Dublin",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "mexico": "Mexico City",
    "netherlands": "Amsterdam",
    "norway": "Oslo",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "south korea": "Seoul",
    "spain": "Madrid",
    "sweden": "Stockholm",
    "switzerland": "Bern",
    "turkey": "Ankara",
    "ukraine": "Kyiv",
    "united kingdom": "London",
    "united states": "Washington, D.C.",
    "usa": "Washington, D.C.",
}
_FACTS = (
    (r"colou?r (?:is|of) the (?:clear )?sky", "On a clear day the sky is blue."),
    (r"colou?r (?:is|of) (?:the )?grass", "Grass is green."),
    (r"largest planet|biggest planet", "Jupiter is the largest planet of the solar system."),
    (r"how many planets", "There are 8 planets in the solar system."),
    (r"(?:speed of light)", "Light travels at 299,792,458 metres per second in a vacuum."),
    (r"chemical (?:formula|symbol) (?:for|of) water", "The chemical formula of water is H2O."),
    (r"days (?:are there )?in a (?:leap )?year", "A year has 365 days, a leap year 366."),
    (r"days (?:are there )?in a week", "A week has 7 days."),
    (r"primary colou?rs", "The primary colours are red, yellow and blue."),
)
_LISTS = {
    "colou?rs?": ["red", "blue", "green", "yellow", "orange", "purple", "pink", "brown", "black", "white"],
    "fruits?": ["apple", "pear", "plum", "cherry", "banana", "orange", "peach", "mango", "grape", "fig"],
    "animals?": ["dog", "cat", "horse", "cow", "sheep", "goat", "fox", "bear", "wolf", "deer"],
    "planets?": ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"],
    "cit(?:y|ies)": ["Paris", "Tokyo", "Oslo", "Cairo", "Lima", "Rome", "Delhi", "Toronto", "Sydney", "Nairobi"],
    "(?:days? of the week|weekdays?)": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
}
_STORY = (
    "This is a text about {topic}.",
    "It began on a quiet morning, when nobody was thinking of {topic}.",
    "Then the wind turned, and everything looked different.",
    "Somebody noticed {topic} and stopped to look more closely.",
    "There was more to see than anybody had expected.",
    "The hours passed, the light moved on, and {topic} stayed.",
    "People came, looked, and told each other what they had seen.",
    "In the evening only the sound of the sea was left.",
    "And whoever remembers that day still speaks of {topic}.",
)
_LONG = re.compile(
    r"(?:\b(?:write|tell|compose|give|create|make)\b.*?|^(?:a|one|an|short|the|\s)*)\b(story|essay|paragraph|text|poem|tale|article|description|haiku|joke"
    r"|sentences?|verse|limerick)\b",
    re.I | re.DOTALL,
)
_WANTED = re.compile(r"\b(\d+)[\s-]*(words?|sentences?|paragraphs?)\b", re.I)


def say(text: str) -> str | None:
    """ "Say hello", "Reply with exactly: OK"."""
    found = _SAY.search(text)
    if found is None or text.rstrip().endswith("?"):
        return None
    said = found[1].strip()
    quoted = sentences.quoted(said)
    if quoted and said[0] in "“\"'`":
        return quoted[0]
    said = re.sub(r"(?:,? and nothing else|,? only|,? nothing more|,? please)[.!]*$", "", said, flags=re.I)
    said = re.sub(r" in (?:one|a single|\d+) words?\b[.!]*$", "", said, flags=re.I)
    if re.fullmatch(r"(?:one|a single|any) word[.!]*", said, re.I):
        return "Hello"
    times = re.search(r"^(.+?) (two|three|four|five|six|seven|eight|nine|ten|\d{1,2}) times[.!]*$", said, re.I)
    if times is not None:
        return " ".join([times[1]] * (_whole(times[2]) or 1))
    first = re.split(r"(?<=[a-z0-9])[.!]\s+", said)[0]
    return first if "!" in first else first.rstrip(".") or said


def count(text: str) -> str | None:
    """ "Count from 1 to 5", "How many words are in …", "How many r's …"."""
    up = re.search(r"\bcount(?: up)?(?: from (\w+))? to (\w+)", text, re.I)
    if up is not None:
        first, last = _whole(up[1] or "1"), _whole(up[2])
        if first is not None and last is not None and abs(last - first) <= 1000:
            step = 1 if last >= first else -1
            return ", ".join(str(n) for n in range(first, last + step, step))
    asked = re.search(r"how many (words|letters|characters|vowels|([a-z])(?:['’]?s)?)\b", text, re.I)
    if asked is None:
        return None
    rest = text[asked.end() :]
    quoted = sentences.quoted(rest)
    said = quoted[0] if quoted else _counted(rest)
    if said is None:
        return None
    counted = _count(said, asked[1].lower(), asked[2])
    return f"There are {counted} {asked[2] + '’s' if asked[2] else asked[1]} in “{said}”."


def _counted(rest: str) -> str | None:
    found = re.search(
        r"\bin (?:the (?:words?|sentence|text|phrase|following)\b:?)?\s*(.+?)\s*[?.!]*$", rest, re.I | re.S
    )
    return found[1] if found and sentences.words(found[1]) else None


def _count(said: str, what: str, letter: str | None) -> int:
    if letter is not None:
        return said.lower().count(letter.lower())
    if what == "words":
        return len(sentences.words(said))
    if what == "vowels":
        return sum(character in "aeiou" for character in said.lower())
    return sum(c.isalpha() for c in said) if what == "letters" else len(said)


def _whole(word: str) -> int | None:
    return int(word) if word.isdigit() else _WORD_NUMBERS.get(word.lower())


def turn(text: str) -> str | None:
    """Upper case, lower case, reversed, sorted: of what is quoted or stands behind a colon."""
    said = sentences.quoted(text) or [part.strip() for part in [text.partition(":")[2]] if part.strip()]
    changes: tuple[tuple[str, Callable[[str], str]], ...] = (
        (r"\bupper ?case|\bcapital letters", str.upper),
        (r"\blower ?case", str.lower),
        (r"\breverse[ds]?\b|\bbackwards\b", lambda value: value[::-1]),
        (r"\bsort(?:ed)?\b|\balphabetical", _sorted),
        (r"\bsummar(?:ize|ise|y)\b", lambda value: re.split(r"(?<=[.!?])\s", value)[0]),
    )
    for pattern, change in changes:
        found = re.search(pattern, text, re.I)
        if found is None:
            continue
        if not said and (word := re.search(r"the (?:words?|string|text)\s+([\w-]+)", text, re.I)):
            said = [word[1]]
        if said:
            return change(said[0])
    return None


def _sorted(text: str) -> str:
    entries = [entry.strip() for entry in re.split(r",|\band\b", text) if entry.strip(" .")]
    return ", ".join(sorted((entry.strip(".") for entry in entries), key=str.lower))


def fact(text: str) -> str | None:
    """Capitals and a few other things everybody knows."""
    capital = re.search(r"capital(?: city)? of (?:the )?([A-Za-z ]+)", text, re.I)
    if capital is not None:
        for country, city in _CAPITALS.items():
            if re.match(rf"{country}\b", capital[1].strip(), re.I):
                return f"The capital of {capital[1].strip()} is {city}."
        return f"I do not know the capital of {capital[1].strip()}."
    for pattern, told in _FACTS:
        if re.search(pattern, text, re.I):
            return told
    return None


def listing(text: str) -> str | None:
    """ "List three colours", "Name 5 fruits"."""
    asked = re.search(
        r"\b(?:list|name|give me|tell me)\b\D{0,20}?\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b",
        text,
        re.I,
    )
    amount = 3 if asked is None else _whole(asked[1]) or 3
    if asked is None and not re.search(r"\b(?:list|name)\b", text, re.I):
        return None
    for pattern, entries in _LISTS.items():
        if re.search(rf"\b{pattern}\b", text, re.I):
            return "\n".join(f"{n}. {entry}" for n, entry in enumerate(entries[:amount], 1))
    return None


def writing(text: str) -> str | None:
    """A story, a poem, a text of so many words: sentences about the topic, in a fixed order."""
    form, wanted = _LONG.search(text), _WANTED.search(text)
    if form is None and (wanted is None or not re.search(r"\b(?:write|tell|give|explain|describe)\b", text, re.I)):
        return None
    kind = form[1].lower() if form else ""
    topic = sentences.topic(text[form.end() :] if form else text) or "the sea"
    if wanted is not None and re.search(r"^\d", topic):
        topic = "the sea"
    lines = [line.format(topic=topic) for line in _STORY]
    if kind == "haiku":
        return f"Quiet morning light\n{topic} waits beside the sea\nThe wind turns for home"
    if kind == "joke":
        return f"Why did nobody laugh about {topic}? The punch line was still in the queue."
    if kind in ("poem", "verse", "limerick"):
        return "\n".join(lines[1:5])
    if wanted is not None:
        return _so_many(lines, int(wanted[1]), wanted[2].lower())
    return lines[0] if kind == "sentence" else " ".join(lines)


def _so_many(lines: list[str], amount: int, unit: str) -> str:
    amount = max(1, min(amount, 5000))
    if unit.startswith("sentence"):
        return " ".join(lines[n % len(lines)] for n in range(amount))
    if unit.startswith("paragraph"):
        return "\n\n".join(" ".join(lines[(n + at) % len(lines)] for at in range(4)) for n in range(amount))
    words = " ".join(lines).split()
    taken = [words[n % len(words)] for n in range(amount)]
    return f"{' '.join(taken).rstrip('.,')}."
