"""The emulated language model: a list of rules, tried in order, that answer from the conversation.

There is no state and no randomness: the same request always has the same answer. Rules cover the conversation itself
(names, facts, earlier answers), small text tasks (repeat, count, list, write, transform) and general knowledge. Tool
calls come from ``tool_choice``, JSON from ``structured``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from sogni.emulator.chat import language as arithmetic
from sogni.emulator.chat import language as sentences
from sogni.emulator.chat import structured
from sogni.emulator.chat.messages import Conversation, content_of, describe_image
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.script import Answer

_NAME = re.compile(r"\b(?:my name is|i am called|i'm called|call me)\s+([\w'-]+(?:\s[A-Z][\w'-]*)?)", re.IGNORECASE)
_I_AM = re.compile(r"\b(?:I am|I'm)\s+([A-Z][\w'-]+)\b")
_FACT = re.compile(
    r"\bmy ([a-z][\w ]{0,40}?) (?:is|are|=) (?:called |named )?(.+?)(?:[.!;,]|\s+and\s+(?:my|I)\s|$)", re.I | re.M
)
_REMEMBER = re.compile(
    r"\b(?:please )?(?:remember|memori[sz]e|note)(?: that)?:? (?:the |this )?(.+?)(?:[.!]\s|[.!]?$)", re.I
)
_ASKS_NAME = re.compile(r"(what(?:'s| is| was)|know|remember|tell me|say) my name|who am i\b|what am i called", re.I)
_ASKS_FACT = re.compile(
    r"\b(?:what|which|who|where|when)(?:'s| is| are| was| were)? my ([a-z][\w ]*?)\s*(?:\?|$|again)", re.I
)
_ASKS_FIRST_QUESTION = re.compile(
    r"\bfirst (?:thing|message|question|sentence)\b|\b(?:say|ask|tell you|write) first\b", re.I
)
_ASKS_QUESTION = re.compile(
    r"\bwhat (?:did|have) i (?:just |previously |first )?(?:say|said|ask|asked|write|written|wrote|tell|told)"
    r"|\bmy (?:previous|last|earlier|first) (?:message|question|sentence)"
    r"|\brepeat what i said",
    re.I,
)
_ASKS_ANSWER = re.compile(
    r"\bwhat (?:did|have) you (?:just |previously )?(?:say|said|answer|answered|tell|told)"
    r"|\b(?:repeat|say) (?:that|it|your (?:last|previous) (?:answer|message|reply))(?: again)?"
    r"|\byour (?:last|previous) (?:answer|message|reply)",
    re.I,
)
_ASKS_REMEMBERED = re.compile(
    r"\b(?:asked|told|ask|tell) you to (?:remember|memori[sz]e|note)|what (?:do|should|did) you remember", re.I
)
_ASKS_NAMED = re.compile(
    r"\bwhat(?:'s| is| was) the (?:secret |magic )?(number|word|code|password|colou?r|key|phrase|animal|city)\b", re.I
)


def answer(conversation: Conversation) -> str | None:
    """Answer a question about the conversation itself; return None for any other question."""
    question = conversation.question
    for find in (_name, _remembered, _own_question, _last_answer, _fact, _name_from_history):
        found = find(conversation, question)
        if found is not None:
            return found
    return None


def name_of_user(conversation: Conversation) -> str | None:
    """Return the last name the user has given."""
    for text in [conversation.question, *reversed(conversation.earlier)]:
        found = _NAME.search(text) or _I_AM.search(text)
        if found is not None:
            return found[1]
    return None


def _name(conversation: Conversation, question: str) -> str | None:
    if not _ASKS_NAME.search(question):
        return None
    name = name_of_user(conversation)
    return f"Your name is {name}." if name else "You have not told me your name yet."


def _name_from_history(conversation: Conversation, question: str) -> str | None:
    found = _NAME.search(question)
    if found is None or "?" in question:
        return None
    return f"Nice to meet you, {found[1]}! How can I help you?"


def _own_question(conversation: Conversation, question: str) -> str | None:
    if not _ASKS_QUESTION.search(question):
        return None
    if not conversation.earlier:
        return "You have not said anything before this."
    if _ASKS_FIRST_QUESTION.search(question):
        return f"The first thing you said was: “{conversation.earlier[0]}”"
    return f"Before this you said: “{conversation.earlier[-1]}”"


def _last_answer(conversation: Conversation, question: str) -> str | None:
    if not _ASKS_ANSWER.search(question):
        return None
    return f"I said: “{conversation.answers[-1]}”" if conversation.answers else "I have not said anything before this."


def _remembered(conversation: Conversation, question: str) -> str | None:
    named = _ASKS_NAMED.search(question)
    if _ASKS_REMEMBERED.search(question) or named is not None:
        for text in reversed(conversation.earlier):
            for found in reversed(_REMEMBER.findall(text)):
                if named is None or named[1].lower() in found.lower():
                    return f"You asked me to remember this: {found.strip()}."
            if named is not None and (value := re.search(rf"\bthe [\w ]*{named[1]} is ([^.!?]+)", text, re.I)):
                return f"The {named[1]} is {value[1].strip()}."
        return None if named else "You have not asked me to remember anything."
    if _REMEMBER.match(question):
        return f"I will remember it: {_REMEMBER.findall(question)[0].strip()}."
    return None


def _fact(conversation: Conversation, question: str) -> str | None:
    question_match = _ASKS_FACT.search(question)
    if question_match is not None:
        requested = question_match[1].strip().lower()
        for text in reversed(conversation.earlier):
            for name, value in reversed(_FACT.findall(text)):
                if name.strip().lower() == requested:
                    return f"Your {requested} is {value.strip()}."
        return f"You have not told me your {requested} yet."
    stated = None if "?" in question else _FACT.match(question)
    if stated is None or stated[1].strip().lower() == "name":
        return None
    return f"I see: your {stated[1].strip()} is {stated[2].strip()}."


# Text tasks and general knowledge. Every rule takes the question and returns an answer or None.


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
    phrase = found[1].strip()
    quoted = sentences.quoted(phrase)
    if quoted and phrase[0] in "“\"'`":
        return quoted[0]
    phrase = re.sub(r"(?:,? and nothing else|,? only|,? nothing more|,? please)[.!]*$", "", phrase, flags=re.I)
    phrase = re.sub(r" in (?:one|a single|\d+) words?\b[.!]*$", "", phrase, flags=re.I)
    if re.fullmatch(r"(?:one|a single|any) word[.!]*", phrase, re.I):
        return "Hello"
    times = re.search(r"^(.+?) (two|three|four|five|six|seven|eight|nine|ten|\d{1,2}) times[.!]*$", phrase, re.I)
    if times is not None:
        return " ".join([times[1]] * (_number(times[2]) or 1))
    first = re.split(r"(?<=[a-z0-9])[.!]\s+", phrase)[0]
    return first if "!" in first else first.rstrip(".") or phrase


def count(text: str) -> str | None:
    """ "Count from 1 to 5", "How many words are in …", "How many r's …"."""
    up = re.search(r"\bcount(?: up)?(?: from (\w+))? to (\w+)", text, re.I)
    if up is not None:
        first, last = _number(up[1] or "1"), _number(up[2])
        if first is not None and last is not None and abs(last - first) <= 1000:
            step = 1 if last >= first else -1
            return ", ".join(str(n) for n in range(first, last + step, step))
    request = re.search(r"how many (words|letters|characters|vowels|([a-z])(?:['’]?s)?)\b", text, re.I)
    if request is None:
        return None
    remainder = text[request.end() :]
    quoted = sentences.quoted(remainder)
    counted_text = quoted[0] if quoted else _counted(remainder)
    if counted_text is None:
        return None
    counted = _count(counted_text, request[1].lower(), request[2])
    return f"There are {counted} {request[2] + '’s' if request[2] else request[1]} in “{counted_text}”."


def _counted(remainder: str) -> str | None:
    found = re.search(
        r"\bin (?:the (?:words?|sentence|text|phrase|following)\b:?)?\s*(.+?)\s*[?.!]*$", remainder, re.I | re.S
    )
    return found[1] if found and sentences.words(found[1]) else None


def _count(text: str, what: str, letter: str | None) -> int:
    if letter is not None:
        return text.lower().count(letter.lower())
    if what == "words":
        return len(sentences.words(text))
    if what == "vowels":
        return sum(character in "aeiou" for character in text.lower())
    return sum(c.isalpha() for c in text) if what == "letters" else len(text)


def _number(word: str) -> int | None:
    return int(word) if word.isdigit() else _WORD_NUMBERS.get(word.lower())


def transform(text: str) -> str | None:
    """Upper case, lower case, reversed, sorted: the quoted text or the text after a colon."""
    texts = sentences.quoted(text) or [part.strip() for part in [text.partition(":")[2]] if part.strip()]
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
        if not texts and (word := re.search(r"the (?:words?|string|text)\s+([\w-]+)", text, re.I)):
            texts = [word[1]]
        if texts:
            return change(texts[0])
    return None


def _sorted(text: str) -> str:
    entries = [entry.strip() for entry in re.split(r",|\band\b", text) if entry.strip(" .")]
    return ", ".join(sorted((entry.strip(".") for entry in entries), key=str.lower))


def fact(text: str) -> str | None:
    """Capitals and other general knowledge."""
    capital = re.search(r"capital(?: city)? of (?:the )?([A-Za-z ]+)", text, re.I)
    if capital is not None:
        for country, city in _CAPITALS.items():
            if re.match(rf"{country}\b", capital[1].strip(), re.I):
                return f"The capital of {capital[1].strip()} is {city}."
        return f"I do not know the capital of {capital[1].strip()}."
    for pattern, answer_text in _FACTS:
        if re.search(pattern, text, re.I):
            return answer_text
    return None


def listing(text: str) -> str | None:
    """ "List three colors", "Name 5 fruits"."""
    amount_match = re.search(
        r"\b(?:list|name|give me|tell me)\b\D{0,20}?\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten)\b",
        text,
        re.I,
    )
    amount = 3 if amount_match is None else _number(amount_match[1]) or 3
    if amount_match is None and not re.search(r"\b(?:list|name)\b", text, re.I):
        return None
    for pattern, entries in _LISTS.items():
        if re.search(rf"\b{pattern}\b", text, re.I):
            return "\n".join(f"{n}. {entry}" for n, entry in enumerate(entries[:amount], 1))
    return None


def writing(text: str) -> str | None:
    """A story, a poem, a text with a number of words: sentences about the topic, in a fixed order."""
    form, requested = _LONG.search(text), _WANTED.search(text)
    if form is None and (requested is None or not re.search(r"\b(?:write|tell|give|explain|describe)\b", text, re.I)):
        return None
    kind = form[1].lower() if form else ""
    topic = sentences.topic(text[form.end() :] if form else text) or "the sea"
    if requested is not None and re.search(r"^\d", topic):
        topic = "the sea"
    lines = [line.format(topic=topic) for line in _STORY]
    if kind == "haiku":
        return f"Quiet morning light\n{topic} waits beside the sea\nThe wind turns for home"
    if kind == "joke":
        return f"Why did nobody laugh about {topic}? The punch line was still in the queue."
    if kind in ("poem", "verse", "limerick"):
        return "\n".join(lines[1:5])
    if requested is not None:
        return _of_length(lines, int(requested[1]), requested[2].lower())
    return lines[0] if kind == "sentence" else " ".join(lines)


def _of_length(lines: list[str], amount: int, unit: str) -> str:
    amount = max(1, min(amount, 5000))
    if unit.startswith("sentence"):
        return " ".join(lines[n % len(lines)] for n in range(amount))
    if unit.startswith("paragraph"):
        return "\n\n".join(" ".join(lines[(n + at) % len(lines)] for at in range(4)) for n in range(amount))
    words = " ".join(lines).split()
    taken = [words[n % len(words)] for n in range(amount)]
    return f"{' '.join(taken).rstrip('.,')}."


_GREETING = re.compile(r"^\W*(?:hello|hi|hey|good (?:morning|afternoon|evening)|greetings)\b", re.I)
_THANKS = re.compile(r"\b(?:thanks|thank you)\b", re.I)
_WHO = re.compile(r"\b(?:who|what) are you\b|\byour name\b|\bwhich model\b|\bwhat model\b|\bintroduce yourself", re.I)
_ASKS_INSTRUCTIONS = re.compile(r"\b(?:system (?:prompt|message)|your (?:instructions|role|job|task))\b", re.I)
_PICTURE = re.compile(r"\b(?:image|picture|photo|screenshot|pixels?|colou?rs?)\b", re.I)
_ROLE = re.compile(r"\byou are (?:called |named )?((?:an? |the )?[^.,;\n]+)", re.I)
_NAMED = re.compile(r"\byour name is ([\w-]+)", re.I)
_ALWAYS = re.compile(
    r"\b(?:always|only) (?:answer|reply|respond|say)(?: with)?(?: exactly| only)?(?: the words?)?:? "
    r"[“\"'`]?([^“”\"'`\n]+?)[”\"'`]?(?:\.|$)",
    re.I | re.M,
)
_ENDS = re.compile(
    r"\b(?:end|finish) (?:every|each|all|your)\b[^“\"'`\n]*? with:? [“\"'`]?([^“”\"'`\n]+?)[”\"'`]?\.?$", re.I | re.M
)
_BEGINS = re.compile(
    r"\b(?:start|begin) (?:every|each|all|your)\b[^“\"'`\n]*? with:? [“\"'`]?([^“”\"'`\n]+?)[”\"'`]?\.?$", re.I | re.M
)
_HOW = re.compile(r"^(?:in|with|using|like|as|concise|brief|polite|helpful|short|one|a single|questions)", re.I)


class Responder:
    """Answers requests."""

    def answer(self, chat_request: ChatRequest) -> Answer:
        """Return the answer to a request for text."""
        conversation = chat_request.conversation
        rule, plain = self._plain(conversation, chat_request)
        text = _as_instructed(conversation, plain)
        if chat_request.response_format is not None:
            text = structured.answer(chat_request.response_format, conversation.question, plain)
        return Answer(text, thought=_thought(conversation, rule))

    def _plain(self, conversation: Conversation, chat_request: ChatRequest) -> tuple[str, str]:
        """Return the name of the first rule that has an answer, and the answer."""
        question = conversation.question
        rules: tuple[tuple[str, Callable[[], str | None]], ...] = (
            ("the instructions fix the answer", lambda: _fixed(conversation)),
            ("there are images to look at", lambda: _images(conversation, chat_request)),
            ("it is about this conversation", lambda: answer(conversation)),
            ("it is about me", lambda: _about_me(conversation, chat_request)),
            ("something is to be counted", lambda: count(question)),
            ("a text is to be changed", lambda: transform(question)),
            ("something is to be said", lambda: say(question)),
            ("it is a sum", lambda: arithmetic.answer(question)),
            ("it is a fact", lambda: fact(question)),
            ("things are to be listed", lambda: listing(question)),
            ("a text is to be written", lambda: writing(question)),
            ("it is a greeting", lambda: _polite(conversation)),
        )
        for name, rule in rules:
            found = rule()
            if found is not None:
                return name, found
        return "nothing I know fits, so I say what I understood", _fallback(conversation, chat_request)


def _images(conversation: Conversation, chat_request: ChatRequest) -> str | None:
    urls = conversation.new_images
    if not urls and _PICTURE.search(conversation.question):
        urls = conversation.images
    if not urls:
        return None
    described = [describe_image(chat_request.pictures.get(url) or content_of(url)) for url in urls]
    descriptions = ["an image that I cannot read" if picture is None else str(picture) for picture in described]
    if len(descriptions) == 1:
        return f"I see {descriptions[0]}."
    listed = " ".join(f"Image {n}: {text}." for n, text in enumerate(descriptions, 1))
    return f"I see {len(descriptions)} images. {listed}"


def _fixed(conversation: Conversation) -> str | None:
    found = _ALWAYS.search(conversation.instructions)
    return None if found is None or _HOW.match(found[1]) else found[1].strip()


def _about_me(conversation: Conversation, chat_request: ChatRequest) -> str | None:
    question, instructions = conversation.question, conversation.instructions
    if instructions and _ASKS_INSTRUCTIONS.search(question):
        return f"My instructions are: “{instructions}”"
    if not _WHO.search(question):
        return None
    named, role = _NAMED.search(instructions), _ROLE.search(instructions)
    if named is not None:
        return f"My name is {named[1]}."
    if role is not None:
        return f"I am {role[1].strip()}."
    return f"I am {chat_request.model.id}, as a local Supernet plays it."


def _polite(conversation: Conversation) -> str | None:
    question = conversation.question
    name = name_of_user(conversation)
    if _THANKS.search(question):
        return "You are welcome!"
    if _GREETING.match(question):
        return f"Hello{f', {name}' if name else ''}! How can I help you?"
    return None


def _fallback(conversation: Conversation, chat_request: ChatRequest) -> str:
    question = conversation.question
    if not question:
        return "Hello! How can I help you?"
    topic = sentences.topic(question)
    short = question if len(question) <= 300 else f"{question[:300]}…"
    about = f"; I have little to say about {topic}." if topic and len(topic) < 80 else ""
    return f"You said: “{short}”{about or '.'} I am the model of a local Supernet and answer by simple rules."


def _as_instructed(conversation: Conversation, text: str) -> str:
    """Apply the instructions about the form of an answer."""
    instructions = conversation.instructions
    if re.search(r"\b(?:upper ?case|all caps|capital letters)\b", instructions, re.I):
        text = text.upper()
    elif re.search(r"\blower ?case\b", instructions, re.I):
        text = text.lower()
    if begins := _BEGINS.search(instructions):
        text = f"{begins[1].strip()} {text}"
    if ends := _ENDS.search(instructions):
        text = f"{text} {ends[1].strip()}"
    return text


def _thought(conversation: Conversation, rule: str) -> str:
    quoted = conversation.question[:200] or "nothing"
    return f"The user says: “{quoted}”. I look at what is asked: {rule}. So that is what I answer."
