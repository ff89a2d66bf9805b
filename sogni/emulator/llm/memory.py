"""What the conversation itself knows: names and facts the user told, and who said what before.

Called by the responder. The conversation is all there is to remember: nothing is kept between requests.
"""

from __future__ import annotations

import re

from .messages import Conversation

_NAME = re.compile(r"\b(?:my name is|i am called|i'm called|call me)\s+([\w'-]+(?:\s[A-Z][\w'-]*)?)", re.IGNORECASE)
_I_AM = re.compile(r"\b(?:I am|I'm)\s+([A-Z][\w'-]+)\b")
_FACT = re.compile(
    r"\bmy ([a-z][\w ]{0,40}?) (?:is|are|=) (?:called |named )?(.+?)(?:[.!;,]|\s+and\s+(?:my|I)\s|$)", re.I | re.M
)
_KEEP = re.compile(
    r"\b(?:please )?(?:remember|memori[sz]e|note)(?: that)?:? (?:the |this )?(.+?)(?:[.!]\s|[.!]?$)", re.I
)
_ASKS_NAME = re.compile(r"(what(?:'s| is| was)|know|remember|tell me|say) my name|who am i\b|what am i called", re.I)
_ASKS_FACT = re.compile(
    r"\b(?:what|which|who|where|when)(?:'s| is| are| was| were)? my ([a-z][\w ]*?)\s*(?:\?|$|again)", re.I
)
_ASKS_OWN_FIRST = re.compile(
    r"\bfirst (?:thing|message|question|sentence)\b|\b(?:say|ask|tell you|write) first\b", re.I
)
_ASKS_OWN = re.compile(
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
_ASKS_KEPT = re.compile(
    r"\b(?:asked|told|ask|tell) you to (?:remember|memori[sz]e|note)|what (?:do|should|did) you remember", re.I
)
_ASKS_THING = re.compile(
    r"\bwhat(?:'s| is| was) the (?:secret |magic )?(number|word|code|password|colou?r|key|phrase|animal|city)\b", re.I
)


def answer(conversation: Conversation) -> str | None:
    """Return what the conversation says to the question, or None when it is not about the conversation."""
    question = conversation.question
    for ask in (_name, _kept, _own_words, _last_answer, _fact, _told_name):
        told = ask(conversation, question)
        if told is not None:
            return told
    return None


def name_of_user(conversation: Conversation) -> str | None:
    """Return the name the user gave last."""
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


def _told_name(conversation: Conversation, question: str) -> str | None:
    found = _NAME.search(question)
    if found is None or "?" in question:
        return None
    return f"Nice to meet you, {found[1]}! How can I help you?"


def _own_words(conversation: Conversation, question: str) -> str | None:
    if not _ASKS_OWN.search(question):
        return None
    if not conversation.earlier:
        return "You have not said anything before this."
    if _ASKS_OWN_FIRST.search(question):
        return f"The first thing you said was: “{conversation.earlier[0]}”"
    return f"Before this you said: “{conversation.earlier[-1]}”"


def _last_answer(conversation: Conversation, question: str) -> str | None:
    if not _ASKS_ANSWER.search(question):
        return None
    return f"I said: “{conversation.answers[-1]}”" if conversation.answers else "I have not said anything before this."


def _kept(conversation: Conversation, question: str) -> str | None:
    thing = _ASKS_THING.search(question)
    if _ASKS_KEPT.search(question) or thing is not None:
        for text in reversed(conversation.earlier):
            for found in reversed(_KEEP.findall(text)):
                if thing is None or thing[1].lower() in found.lower():
                    return f"You asked me to remember this: {found.strip()}."
            if thing is not None and (said := re.search(rf"\bthe [\w ]*{thing[1]} is ([^.!?]+)", text, re.I)):
                return f"The {thing[1]} is {said[1].strip()}."
        return None if thing else "You have not asked me to remember anything."
    if _KEEP.match(question):
        return f"I will remember it: {_KEEP.findall(question)[0].strip()}."
    return None


def _fact(conversation: Conversation, question: str) -> str | None:
    asked = _ASKS_FACT.search(question)
    if asked is not None:
        wanted = asked[1].strip().lower()
        for text in reversed(conversation.earlier):
            for thing, value in reversed(_FACT.findall(text)):
                if thing.strip().lower() == wanted:
                    return f"Your {wanted} is {value.strip()}."
        return f"You have not told me your {wanted} yet."
    told = None if "?" in question else _FACT.match(question)
    if told is None or told[1].strip().lower() == "name":
        return None
    return f"I see: your {told[1].strip()} is {told[2].strip()}."
