"""What the emulated model answers: a list of rules, asked in order, about what the conversation really says.

Called for every completion that no test has scripted. It has no state and no chance: the same request always has
the same answer. Tools are chosen in ``tool_choice``, JSON is built in ``structured``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from . import arithmetic, memory, sentences, structured, texts
from .answers import Answer
from .asking import Asking
from .messages import Conversation
from .pictures import content_of, look

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

    def answer(self, asking: Asking) -> Answer:
        """Return the answer to a request for text."""
        conversation = asking.conversation
        rule, plain = self._plain(conversation, asking)
        text = _as_instructed(conversation, plain)
        if asking.response_format is not None:
            text = structured.answer(asking.response_format, conversation.question, plain)
        return Answer(text, thought=_thought(conversation, rule))

    def _plain(self, conversation: Conversation, asking: Asking) -> tuple[str, str]:
        """Ask the rules in order; the name of the first that knows an answer, and the answer."""
        question = conversation.question
        rules: tuple[tuple[str, Callable[[], str | None]], ...] = (
            ("the instructions fix the answer", lambda: _fixed(conversation)),
            ("there are images to look at", lambda: _images(conversation, asking)),
            ("it is about this conversation", lambda: memory.answer(conversation)),
            ("it is about me", lambda: _about_me(conversation, asking)),
            ("something is to be counted", lambda: texts.count(question)),
            ("a text is to be changed", lambda: texts.turn(question)),
            ("something is to be said", lambda: texts.say(question)),
            ("it is a sum", lambda: arithmetic.answer(question)),
            ("it is a fact", lambda: texts.fact(question)),
            ("things are to be listed", lambda: texts.listing(question)),
            ("a text is to be written", lambda: texts.writing(question)),
            ("it is a greeting", lambda: _polite(conversation)),
        )
        for name, rule in rules:
            told = rule()
            if told is not None:
                return name, told
        return "nothing I know fits, so I say what I understood", _fallback(conversation, asking)


def _images(conversation: Conversation, asking: Asking) -> str | None:
    urls = conversation.new_images
    if not urls and _PICTURE.search(conversation.question):
        urls = conversation.images
    if not urls:
        return None
    seen = [look(asking.pictures.get(url) or content_of(url)) for url in urls]
    told = ["an image that I cannot read" if picture is None else str(picture) for picture in seen]
    if len(told) == 1:
        return f"I see {told[0]}."
    listed = " ".join(f"Image {n}: {text}." for n, text in enumerate(told, 1))
    return f"I see {len(told)} images. {listed}"


def _fixed(conversation: Conversation) -> str | None:
    found = _ALWAYS.search(conversation.instructions)
    return None if found is None or _HOW.match(found[1]) else found[1].strip()


def _about_me(conversation: Conversation, asking: Asking) -> str | None:
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
    return f"I am {asking.model.id}, as a local Supernet plays it."


def _polite(conversation: Conversation) -> str | None:
    question = conversation.question
    name = memory.name_of_user(conversation)
    if _THANKS.search(question):
        return "You are welcome!"
    if _GREETING.match(question):
        return f"Hello{f', {name}' if name else ''}! How can I help you?"
    return None


def _fallback(conversation: Conversation, asking: Asking) -> str:
    question = conversation.question
    if not question:
        return "Hello! How can I help you?"
    topic = sentences.topic(question)
    short = question if len(question) <= 300 else f"{question[:300]}…"
    about = f"; I have little to say about {topic}." if topic and len(topic) < 80 else ""
    return f"You said: “{short}”{about or '.'} I am the model of a local Supernet and answer by simple rules."


def _as_instructed(conversation: Conversation, text: str) -> str:
    """Follow what the instructions say of the form of an answer."""
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
    said = conversation.question[:200] or "nothing"
    return f"The user says: “{said}”. I look at what is asked: {rule}. So that is what I answer."
