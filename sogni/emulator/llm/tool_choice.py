"""Which tools a model calls, and with what: from the words of the question and the tools on offer.

Called by the mind before the responder is asked. It decides on one round: what was called since the question, and
with what results, stands in the conversation. It runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from ...protocol.tool_manifest import definition_of, tool_names
from . import arithmetic, sentences
from .answers import Answer, Call
from .asking import Asking
from .intents import Step, refers_back, steps_of, subjects
from .messages import Conversation
from .tool_results import MadeMedia, ToolResult, results_of, summary
from .values import Filler

_FILLERS = frozenset(
    re.split(
        " ",
        "a an the of for to in on at by with and or get set is are be do does it its this that you your i me my current"
        " given from as if user string number function tool value values name result returns return use using specific"
        " any all",
    )
)
_SYNONYMS: Mapping[str, str] = {
    "plus": "add", "sum": "add", "addition": "add", "times": "multiply", "product": "multiply", "minus": "subtract",
    "forecast": "weather", "temperature": "weather", "rain": "weather", "raining": "weather", "sunny": "weather",
    "mail": "email", "meeting": "event", "appointment": "event", "remind": "reminder", "cost": "price",
    "divided": "divide", "clock": "time",
}  # fmt: skip
_INSTEAD = {"animate": ("generate_video", "animate_photo"), "sound_to_video": ("sound_to_video", "generate_video")}
_SOURCES = {
    "edit_image": "image", "apply_style": "image", "refine_result": "image", "change_angle": "image",
    "upscale_image": "image", "remove_background": "image", "orbit_video": "image", "animate_photo": "image",
}  # fmt: skip
_EDITS = ("edit_image", "apply_style", "refine_result", "restore_photo", "video_to_video", "extend_video")
_MEDIA_KEYS = ("duration", "seed", "bpm")
_COUNT = re.compile(
    r"\b(\d+|two|three|four|five|six)\s+(?:\w+\s+)?(?:(?:im|pict|ph)\w+|videos|clips|songs|variations)\b", re.I
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_ENOUGH = 3


def injected(mode: str | None) -> list[dict[str, Any]]:
    """The definitions that ``sogni_tools`` adds to those of a request (chat §2.7)."""
    return [] if mode is None else [definition_of(name) for name in tool_names()]


@define
class ToolChoice:
    """The choice for one request."""

    asking: Asking
    _offered: dict[str, Mapping[str, Any]] = field(init=False)
    _conversation: Conversation = field(init=False)

    def __attrs_post_init__(self) -> None:
        definitions = [*injected(self.asking.sogni_tools), *self.asking.tools]
        self._offered = {tool["function"]["name"]: tool["function"] for tool in definitions}
        self._conversation = self.asking.conversation

    def answer(self) -> Answer | None:
        """Return tool calls, the sentence after their results, or None when no tool is wanted."""
        results = results_of(self._conversation.since_question)
        if self.asking.tool_choice == "none" or not self._offered:
            return Answer(summary(results)) if results else None
        if results and any(result.failed for result in results):
            return Answer(summary(results))
        calls = self._calls(results)
        if calls:
            return Answer(calls=tuple(calls))
        return Answer(summary(results)) if results else None

    def _calls(self, results: Sequence[ToolResult]) -> list[Call]:
        wanted = self.wanted()
        if not wanted and self.asking.tool_choice == "required" and not results:
            wanted = [(self._best(self._conversation.question), Step(self._conversation.question, None, False))]
        if self.asking.named_tool and not results:
            text = self._conversation.question
            steps = [step for name, step in wanted if name == self.asking.tool_choice]
            wanted = [(str(self.asking.tool_choice), steps[0] if steps else Step(text, None, False))]
        done = len(self._conversation.calls_made)
        about = self.about(wanted)
        calls: list[Call] = []
        for at, (name, step) in enumerate(wanted[done:]):
            if at > 0 and step.backward:
                break
            calls.append(Call(name, self.arguments(name, step, results, about[done + at])))
        return calls

    def wanted(self) -> list[tuple[str, Step]]:
        """The steps of the question that a tool on offer can do."""
        question = self._conversation.question
        wanted = []
        for step in steps_of(question):
            for clause in self._halves(step):
                name = self._tool_for(clause)
                if name is not None:
                    wanted += [(name, part) for part in self._parts(name, clause)]
        if not wanted and (name := self._mentioned(question)):
            wanted = [(name, Step(question, None, False))]
        return wanted

    def _halves(self, step: Step) -> list[Step]:
        """ "The weather in Paris and the time in Tokyo" is two steps when there are two functions for it."""
        halves = re.split(r",? and (?=(?:the|what|how|is|also|who)\b)", step.text)
        names = [self._scored(half) for half in halves]
        if None in names or len(set(names)) < 2:
            return [step]
        return [Step(half, None, step.backward) for half in halves]

    def about(self, wanted: Sequence[tuple[str, Step]]) -> list[str]:
        """Return what each of the steps is about."""
        return subjects([step for _, step in wanted])

    def _tool_for(self, step: Step) -> str | None:
        mentioned = self._mentioned(step.text)
        if mentioned is not None:
            return mentioned
        own = self._scored(step.text)
        if step.intent is not None:
            if step.intent == "edit_image" and not self._has_image(step):
                return own
            for name in _INSTEAD.get(step.intent, (step.intent,)):
                if name in self._offered:
                    return name
        return own

    def _has_image(self, step: Step) -> bool:
        shown = bool(self._conversation.images) or any(r.media for r in results_of(self._conversation.messages))
        return step.backward or shown or refers_back(step.text)

    def _mentioned(self, text: str) -> str | None:
        return next((name for name in self._offered if re.search(rf"\b{re.escape(name)}\b", text)), None)

    def _scored(self, text: str) -> str | None:
        """The function of the caller that has most to do with a sentence, if any has enough."""
        hosted = set(tool_names())
        scores = {name: self._score(name, text) for name in self._offered if name not in hosted}
        best = max(scores, key=lambda name: scores[name], default=None)
        return best if best is not None and scores[best] >= _ENOUGH else None

    def _best(self, text: str) -> str:
        return self._scored(text) or next(iter(self._offered))

    def _score(self, name: str, text: str) -> int:
        said = {_stem(_SYNONYMS.get(word, word)) for word in _words(text)}
        function = self._offered[name]
        parameters = (function.get("parameters") or {}).get("properties") or {}
        score = 3 * len(said & _stems(name))
        score += len(said & _stems(str(function.get("description") or "")))
        score += sum(bool(said & _stems(parameter)) for parameter in parameters)
        for schema in parameters.values():
            values = schema.get("enum", ()) if isinstance(schema, Mapping) else ()
            score += 2 * any(isinstance(v, str) and re.search(rf"\b{re.escape(v)}\b", text, re.I) for v in values)
        described = f"{name} {function.get('description') or ''}"
        if re.search(r"calculat|arithmetic|math|evaluate|expression", described, re.I) and arithmetic.answer(text):
            score += 3
        return score

    def _parts(self, name: str, step: Step) -> list[Step]:
        """One step for each of several places or people: "the weather in Paris and Oslo"."""
        if name in tool_names():
            return [step]
        found = re.search(r"\b(in|for|of|to) ([A-Z][\w'-]+(?:(?:, | and |, and )[A-Z][\w'-]+)+)", step.text)
        if found is None or len(self._required(name)) > 1:
            return [step]
        entries = re.split(r", and | and |, ", found[2])
        return [Step(step.text.replace(found[2], entry), step.intent, step.backward) for entry in entries]

    def _required(self, name: str) -> Sequence[str]:
        return (self._offered[name].get("parameters") or {}).get("required") or ()

    # Arguments.

    def arguments(self, name: str, step: Step, results: Sequence[ToolResult], about: str) -> dict[str, Any]:
        """Return the arguments of a step; ``about`` is what it is about."""
        schema = self._offered[name].get("parameters") or {}
        properties = schema.get("properties") or {}
        made: dict[str, Any] = {}
        text = step.text
        if name in tool_names():
            made = self._media(name, properties, step, results, about)
        elif step.backward and results:
            text = _with_result(text, results[-1])
        filler = Filler(text, text, schema)
        for key in schema.get("required") or ():
            if key not in made:
                made[key] = filler.fill(properties.get(key, {}), key)
        for key, inner in properties.items():
            if key not in made and name not in tool_names() and filler.finds(inner, key):
                made[key] = filler.fill(inner, key)
        return made

    def _media(
        self, name: str, properties: Mapping[str, Any], step: Step, results: Sequence[ToolResult], about: str
    ) -> dict[str, Any]:
        """The arguments of a hosted tool that are not left to the schema."""
        made: dict[str, Any] = {}
        if "prompt" in properties:
            made["prompt"] = _prompt(name, step, about)
        media = MadeMedia(results or results_of(self._conversation.messages), len(self._conversation.images))
        made |= _sources(name, properties, step, media, refers_back(step.text))
        size = sentences.size(step.text)
        if size is not None and "width" in properties:
            made |= {"width": size[0], "height": size[1]}
        count = _COUNT.search(step.text)
        if count is not None and "numberOfVariations" in properties:
            made["numberOfVariations"] = min(16, _COUNTS.get(count[1].lower(), 0) or int(count[1]))
        filler = Filler(step.text)
        for key in _MEDIA_KEYS:
            if key in properties and filler.finds(properties[key], key):
                made[key] = filler.fill(properties[key], key)
        return made


def _sources(name: str, properties: Mapping[str, Any], step: Step, media: MadeMedia, backward: bool) -> dict[str, Any]:
    """Point at what was made or uploaded before (tools §2.1)."""
    if step.intent == "animate" or (name == "generate_video" and step.backward and backward):
        index = media.newest("image")
        if index is None:
            return {}
        return {"referenceImageIndices": [index]} if name == "generate_video" else {"sourceImageIndex": index}
    if _SOURCES.get(name) == "image" and "sourceImageIndex" in properties:
        index = media.newest("image")
        return {} if index is None else {"sourceImageIndex": index}
    if name == "stitch_video":
        return {"videoIndices": media.all("video") or [0, 1]}
    if name == "video_to_video" and (index := media.newest("video")) is not None:
        return {"videoSourceIndex": index}
    if name == "sound_to_video" and (index := media.newest("audio")) is not None:
        return {"audioSourceIndex": index}
    return {}


def _prompt(name: str, step: Step, about: str) -> str:
    if step.intent == "animate":
        return f"{about}, in motion"
    # An edit is told in its own words.
    return step.text.strip(" .!?") if name in _EDITS else about


def _with_result(text: str, result: ToolResult) -> str:
    """Put the last result in the place of "it" and "the result"."""
    numbers = sentences.numbers(result.text)
    value = f"{numbers[0]:g}" if numbers else result.text
    return re.sub(
        r"\b(?:the (?:result|sum|product|answer|output)|it|that|this)\b", lambda _: value, text, count=1, flags=re.I
    )


def _words(text: str) -> list[str]:
    spoken = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").replace("-", " ").lower()
    return re.findall(r"[a-z]+|\d+", spoken)


def _stem(word: str) -> str:
    return re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word


def _stems(text: str) -> set[str]:
    return {_stem(word) for word in _words(text) if word not in _FILLERS and len(word) > 2}
