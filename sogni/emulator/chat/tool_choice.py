"""Tool calls of the emulated model: which tools a question needs, with which arguments, and what their results say.

Questions are split into steps ("Create an image of a lighthouse and then turn it into a video"). One round is decided
at a time; earlier calls and results are read from the conversation, whether of the client, of hosted tools or of the
caller's functions. Nothing is run here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from sogni.core.tools.hosted import definition_of, tool_names
from sogni.emulator.chat import language as arithmetic
from sogni.emulator.chat import language as sentences
from sogni.emulator.chat.messages import Conversation, Message, text_of
from sogni.emulator.chat.requests import ChatRequest
from sogni.emulator.chat.script import Answer, Call
from sogni.emulator.chat.structured import Filler

_URL = re.compile(r"https?://[^\s\"'<>)\]}]+|data:[\w/+.-]+;base64,[\w+/=]+")
_KINDS = {
    "generate_image": "image",
    "edit_image": "image",
    "apply_style": "image",
    "restore_photo": "image",
    "refine_result": "image",
    "change_angle": "image",
    "upscale_image": "image",
    "remove_background": "image",
    "segment_image": "image",
    "image_to_3d": "model",
    "generate_music": "audio",
    "generate_speech": "audio",
}
_VIDEO = re.compile(r"video|montage|animate|subtitles")


@frozen
class ToolResult:
    """One tool result. ``media`` is the kind of the artifacts, ``urls`` their URLs; ``text`` is the text the tool
    returned.
    """

    name: str
    text: str
    media: str | None
    urls: Sequence[str]
    failed: bool
    start_index: int | None = None


@define
class EarlierMedia:
    """The artifacts so far, in order, and the number of uploaded images."""

    # Protocol notes: tools §2.1.

    results: Sequence[ToolResult]
    uploads: int = 0

    def all(self, kind: str) -> list[int]:
        """Return the indices of all artifacts of a kind."""
        found: list[int] = []
        for result in self.results:
            if result.media == kind and not result.failed:
                start = len(found) if result.start_index is None else result.start_index
                found += range(start, start + max(1, len(result.urls)))
        return found

    def newest(self, kind: str) -> int | None:
        """Return the index of the newest artifact of a kind; -1 is the first upload."""
        made = self.all(kind)
        if made:
            return made[-1]
        return -1 if kind == "image" and self.uploads else None


def results_of(messages: Sequence[Message]) -> list[ToolResult]:
    """Read the tool results among messages, oldest first."""
    names = {call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or ()}
    tools = [message for message in messages if message.get("role") == "tool"]
    return [_read(message, names.get(message.get("tool_call_id"), "")) for message in tools]


def _read(message: Message, called: str) -> ToolResult:
    name, text = str(message.get("name") or called or "the tool"), text_of(message)
    try:
        value = json.loads(text)
    except ValueError:
        return ToolResult(name, text, None, (), failed=False)
    media = None
    start = None
    if isinstance(value, Mapping):
        media = _media_of(name, value)
        start = value.get("startIndex") if isinstance(value.get("startIndex"), int) else None
    failed = isinstance(value, Mapping) and (
        value.get("success") is False or value.get("status") in ("error", "failed")
    )
    told = value.get("urls") if isinstance(value, Mapping) else None
    urls = list(dict.fromkeys(_urls(told or value))) if media else []
    return ToolResult(name, text, media, urls, failed, start)


def _media_of(name: str, value: Mapping[str, Any]) -> str | None:
    declared = value.get("media_type") or value.get("mediaType")
    if isinstance(declared, str):
        return declared
    if not any(True for _ in _urls(value)):
        return None
    return _KINDS.get(name) or ("video" if _VIDEO.search(name) else None)


def _urls(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield from _URL.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _urls(inner)


def summary(results: Sequence[ToolResult]) -> str:
    """Summarize tool results, with every URL."""
    return " ".join(_summary(result) for result in results)


def _summary(result: ToolResult) -> str:
    if result.failed:
        return f"The tool {result.name} failed: {_reason(result.text)}"
    if result.media is not None:
        what = {"audio": "audio track", "model": "3D model"}.get(result.media, result.media)
        if len(result.urls) == 1:
            return f"Here is your {what}: {result.urls[0]}"
        return f"Here are your {len(result.urls)} {what}s: {' '.join(result.urls)}"
    return f"{result.name} says: {result.text}"


def _reason(text: str) -> str:
    value = json.loads(text)
    for key in ("error", "message", "error_message"):
        reason = value.get(key)
        if isinstance(reason, Mapping):
            reason = reason.get("message")
        if isinstance(reason, str):
            return reason
    return text


_VERBS = (
    "turn make create generate draw paint sketch animate convert edit change add send get compose write use call tell"
    " segment mask show give also what render produce upscale remove restore stitch extend multiply divide subtract"
    " look find book schedule set search"
).replace(" ", "|")
_THINGS = "image|picture|photo|video|clip|song|drawing|painting|portrait|illustration|track|melody"
_SEPARATOR = re.compile(
    rf"\s*(?:[,;]?\s*(?:and\s+)?(?:then|after that|afterwards|next|finally)\b,?"
    rf"|;|[.!]\s+(?=[A-Z])|,?\s+and\s+(?=(?:please\s+)?(?:{_VERBS})\b)|,\s+(?=(?:{_VERBS})\b)"
    rf"|,?\s+and\s+(?=(?:an?|another|one)\s+(?:\w+\s+)?(?:{_THINGS})\b))\s*",
    re.I,
)
_BACKWARD = re.compile(
    r"\b(?:it|that|this|them|those|these|the (?:result|results|sum|product|answer|output)"
    rf"|(?:the|my|this|that) (?:new |first |last |generated )?(?:{_THINGS}))\b",
    re.I,
)
_MAKES = (
    r"\b(?:create|generate|make|draw|paint|render|produce|design|sketch|give me|show me|send me"
    r"|i want|i need|i'd like)\b"
)
_OF = re.compile(
    rf"\b(?:{_THINGS}|logo|poster|wallpaper|scene|movie|film|animation|music|tune|beat|soundtrack|jingle|artwork|sketch)s?"
    r"\b(?:\s+\w+ing)?\s+(?:of|showing|with|about|depicting|for|featuring|where|in which|that shows)\s+(.+)$"
    rf"|\b(?:{_THINGS}):\s*(.+)$",
    re.I,
)
_DRAWS = re.compile(r"\b(?:draw|paint|sketch|render|animate|film|compose|sing)\s+(?:me\s+)?(.+)$", re.I)
_LEADING = re.compile(rf"^\s*(?:please\s+)?(?:can you\s+)?{_MAKES}\s*", re.I)
_ONLY_BACKWARD = re.compile(rf"(?:\w+\s+)?(?:it|that|this|them|(?:the|this|that) (?:{_THINGS}))\b", re.I)
_TRAILING = re.compile(
    r"(?:,?\s+(?:please|for me|at \d+.*|in \d+.*|with \d+ (?:seconds|steps).*|that (?:is|lasts) \d+.*|\d+\s*x\s*\d+.*)"
    r"|[.!?\s]+)$",
    re.I,
)

# The first match counts; specific patterns come before general ones.
_INTENTS: tuple[tuple[str, str], ...] = (
    ("add_subtitles", r"\bsubtitles?\b|\bcaptions?\b"),
    ("stitch_video", r"\b(?:stitch|join|concatenate|combine)\b.*\b(?:videos|clips)\b"),
    ("extend_video", r"\b(?:extend|lengthen|continue)\b.*\b(?:video|clip|it)\b"),
    ("upscale_video", r"\bupscale\b.*\b(?:video|clip)\b"),
    ("upscale_image", r"\b(?:upscale|enlarge)\b"),
    ("image_to_3d", r"\b3-?d (?:model|mesh|object)\b|\bglb\b"),
    ("segment_image", r"\b(?:segment|mask out)\b"),
    ("remove_background", r"\b(?:remove|cut out|erase)\b.*\bbackground\b"),
    ("restore_photo", r"\brestore\b"),
    ("orbit_video", r"\borbit\b|\b360\b"),
    ("dance_montage", r"\bdance (?:montage|video)\b"),
    ("compose_lyrics", r"\blyrics\b"),
    ("compose_script", r"\b(?:script|screenplay|storyboard)\b"),
    ("enhance_prompt", r"\b(?:enhance|improve|refine)\b.*\bprompt\b"),
    ("generate_speech", r"\b(?:speech|voice ?over|read aloud|narrat\w+)\b"),
    (
        "sound_to_video",
        r"\b(?:song|audio|sound|music|track)\b.*\b(?:into|to) an? (?:\w+ )?(?:video|clip)\b|\blip ?sync",
    ),
    ("video_to_video", r"\b(?:restyle|transform|change|edit)\b.*\bvideo\b"),
    (
        "animate",
        r"\banimate\b|\b(?:turn|make|convert|transform)\b.*\b(?:in)?to an? (?:[\w-]+ )*?"
        r"(?:video|clip|movie|film|animation)\b",
    ),
    (
        "generate_video",
        rf"{_MAKES}.*\b(?:video|clip|movie|film|animation)\b|^(?:an?|another|one) (?:\w+ )?(?:video|clip)\b",
    ),
    (
        "generate_music",
        r"\b(?:song|music|melody|tune|soundtrack|jingle|beat|instrumental)\b.*\b(?:about|for|with|in|of)\b"
        rf"|(?:{_MAKES}|\b(?:compose|write)\b).*\b(?:song|music|melody|tune|soundtrack|jingle|track|beat)\b",
    ),
    ("apply_style", r"\b(?:apply|in) (?:the|a) style of\b.*\b(?:it|image|picture|photo)\b|\bapply\b.*\bstyle\b"),
    ("change_angle", r"\b(?:change|different|another)\b.*\b(?:angle|perspective|viewpoint)\b"),
    (
        "edit_image",
        r"\b(?:edit|modify|retouch)\b|\b(?:change|make|turn|replace|add|put|give|colou?r)\b.*"
        r"\b(?:it|the (?:image|picture|photo|sky|background|colou?r))\b",
    ),
    (
        "generate_image",
        rf"{_MAKES}.*\b(?:image|picture|photo|photograph|drawing|painting|portrait|illustration|logo|poster|wallpaper"
        r"|artwork|icon|sketch|render)s?\b|\b(?:draw|paint|sketch)\b"
        r"|^(?:an?|another|one|\d+) (?:\w+ )?(?:image|picture|photo)s?\b",
    ),
)
_COMPILED = [(name, re.compile(pattern, re.I | re.DOTALL)) for name, pattern in _INTENTS]


@frozen
class Step:
    """One step of a question.

    Attributes:
        intent: The hosted tool it needs, "animate" for an image that is to move, or None.
        backward: Whether it refers to an earlier step.
    """

    text: str
    intent: str | None
    backward: bool


def steps_of(sentence: str) -> list[Step]:
    """Split a sentence into its steps."""
    clauses = [clause.strip() for clause in _SEPARATOR.split(sentence) if clause and clause.strip()]
    steps = []
    for at, clause in enumerate(clauses):
        backward = at > 0 and _BACKWARD.search(clause) is not None
        steps.append(Step(clause, _intent(clause), backward))
    return steps


def _intent(clause: str) -> str | None:
    return next((name for name, pattern in _COMPILED if pattern.search(clause)), None)


def refers_back(text: str) -> bool:
    """Return whether a sentence refers to something that already exists."""
    return _BACKWARD.search(text) is not None


def subject(text: str) -> str | None:
    """Return the subject of an image, a video or a song; None if a step only says "it"."""
    found = _OF.search(text) or _DRAWS.search(text)
    found_subject = next(part for part in found.groups() if part) if found else _LEADING.sub("", text)
    while found_subject and (shorter := _TRAILING.sub("", found_subject)) != found_subject:
        found_subject = shorter
    return None if _ONLY_BACKWARD.match(found_subject) else found_subject or None


def subjects(steps: Sequence[Step]) -> list[str]:
    """Return the subject of each step; "it" refers to the subject of the step before."""
    about: list[str] = []
    for step in steps:
        current = subject(step.text)
        if current is None:
            current = about[-1] if about else step.text.strip(" .!?")
        about.append(current)
    return about


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
    "upscale_image": "image", "remove_background": "image", "segment_image": "image",
    "image_to_3d": "image", "orbit_video": "image", "animate_photo": "image",
}  # fmt: skip
_EDITS = ("edit_image", "apply_style", "refine_result", "restore_photo", "video_to_video", "extend_video")
_MEDIA_KEYS = ("duration", "seed", "bpm")
_COUNT = re.compile(
    r"\b(\d+|two|three|four|five|six)\s+(?:\w+\s+)?(?:(?:im|pict|ph)\w+|videos|clips|songs|variations)\b", re.I
)
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_ENOUGH = 3
_FOR_IMAGE = {"target_output": "image_prompt", "destination_model": "krea-2-turbo"}
_FOR_VIDEO = {"target_output": "video_prompt", "destination_model": "ltx25"}
_SEGMENTS = re.compile(r"^\W*(?:segment|mask out)\s+|\s+in (?:it|(?:the|this|that) \w+)\W*$", re.I)


def injected(mode: str | None) -> list[dict[str, object]]:
    """Return the definitions that ``sogni_tools`` adds to those of a request."""
    # Protocol notes: chat §2.7.
    return [] if mode is None else [definition_of(name) for name in tool_names()]


@define
class ToolChoice:
    """Chooses the tools for one request."""

    chat_request: ChatRequest
    _offered: dict[str, Mapping[str, Any]] = field(init=False)
    _conversation: Conversation = field(init=False)

    def __attrs_post_init__(self) -> None:
        definitions = [*injected(self.chat_request.sogni_tools), *self.chat_request.tools]
        self._offered = {tool["function"]["name"]: tool["function"] for tool in definitions}
        self._conversation = self.chat_request.conversation

    def answer(self) -> Answer | None:
        """Return tool calls, or the sentence after their results, or None if no tool is needed."""
        results = results_of(self._conversation.since_question)
        if self.chat_request.tool_choice == "none" or not self._offered:
            return Answer(summary(results)) if results else None
        if results and any(result.failed for result in results):
            return Answer(summary(results))
        calls = self._calls(results)
        if calls:
            return Answer(calls=tuple(calls))
        return Answer(summary(results)) if results else None

    def _calls(self, results: Sequence[ToolResult]) -> list[Call]:
        requested = self.tool_steps()
        if not requested and self.chat_request.tool_choice == "required" and not results:
            requested = [(self._best(self._conversation.question), Step(self._conversation.question, None, False))]
        if self.chat_request.named_tool and not results:
            text = self._conversation.question
            steps = [step for name, step in requested if name == self.chat_request.tool_choice]
            requested = [(str(self.chat_request.tool_choice), steps[0] if steps else Step(text, None, False))]
        done = len(self._conversation.calls_made)
        about = self.subjects_of(requested)
        calls: list[Call] = []
        for at, (name, step) in enumerate(requested[done:]):
            if at > 0 and step.backward:
                break
            calls.append(Call(name, self.arguments(name, step, results, about[done + at])))
        return calls

    def tool_steps(self) -> list[tuple[str, Step]]:
        """Return the steps of the question for which there is a tool."""
        question = self._conversation.question
        requested = []
        for step in steps_of(question):
            for clause in self._halves(step):
                name = self._tool_for(clause)
                if name is not None:
                    requested += [(name, part) for part in self._parts(name, clause)]
        if not requested and (name := self._mentioned(question)):
            requested = [(name, Step(question, None, False))]
        return requested

    def _halves(self, step: Step) -> list[Step]:
        """Split "The weather in Paris and the time in Tokyo" if there is a function for each part."""
        halves = re.split(r",? and (?=(?:the|what|how|is|also|who)\b)", step.text)
        names = [self._scored(half) for half in halves]
        if None in names or len(set(names)) < 2:
            return [step]
        return [Step(half, None, step.backward) for half in halves]

    def subjects_of(self, requested: Sequence[tuple[str, Step]]) -> list[str]:
        """Return the subject of each step."""
        return subjects([step for _, step in requested])

    def _tool_for(self, step: Step) -> str | None:
        mentioned = self._mentioned(step.text)
        if mentioned is not None:
            return mentioned
        function = self._scored(step.text)
        if step.intent is not None:
            if step.intent == "edit_image" and not self._has_image(step):
                return function
            for name in _INSTEAD.get(step.intent, (step.intent,)):
                if name in self._offered:
                    return name
        return function

    def _has_image(self, step: Step) -> bool:
        has_images = bool(self._conversation.images) or any(r.media for r in results_of(self._conversation.messages))
        return step.backward or has_images or refers_back(step.text)

    def _mentioned(self, text: str) -> str | None:
        return next((name for name in self._offered if re.search(rf"\b{re.escape(name)}\b", text)), None)

    def _scored(self, text: str) -> str | None:
        """Return the caller's function that matches a sentence best, if one matches well enough."""
        hosted = set(tool_names())
        scores = {name: self._score(name, text) for name in self._offered if name not in hosted}
        best = max(scores, key=lambda name: scores[name], default=None)
        return best if best is not None and scores[best] >= _ENOUGH else None

    def _best(self, text: str) -> str:
        return self._scored(text) or next(iter(self._offered))

    def _score(self, name: str, text: str) -> int:
        stems = {_stem(_SYNONYMS.get(word, word)) for word in _words(text)}
        function = self._offered[name]
        parameters = (function.get("parameters") or {}).get("properties") or {}
        score = 3 * len(stems & _stems(name))
        score += len(stems & _stems(str(function.get("description") or "")))
        score += sum(bool(stems & _stems(parameter)) for parameter in parameters)
        for schema in parameters.values():
            values = schema.get("enum", ()) if isinstance(schema, Mapping) else ()
            score += 2 * any(isinstance(v, str) and re.search(rf"\b{re.escape(v)}\b", text, re.I) for v in values)
        described = f"{name} {function.get('description') or ''}"
        if re.search(r"calculat|arithmetic|math|evaluate|expression", described, re.I) and arithmetic.answer(text):
            score += 3
        return score

    def _parts(self, name: str, step: Step) -> list[Step]:
        """Return one step for each of several places or people: "the weather in Paris and Oslo"."""
        if name in tool_names():
            return [step]
        found = re.search(r"\b(in|for|of|to) ([A-Z][\w'-]+(?:(?:, | and |, and )[A-Z][\w'-]+)+)", step.text)
        if found is None or len(self._required(name)) > 1:
            return [step]
        entries = re.split(r", and | and |, ", found[2])
        return [Step(step.text.replace(found[2], entry), step.intent, step.backward) for entry in entries]

    def _required(self, name: str) -> Sequence[str]:
        return (self._offered[name].get("parameters") or {}).get("required") or ()

    # Arguments

    def arguments(self, name: str, step: Step, results: Sequence[ToolResult], about: str) -> dict[str, Any]:
        """Return the arguments of a step; ``about`` is its subject."""
        schema = self._offered[name].get("parameters") or {}
        properties = schema.get("properties") or {}
        filled: dict[str, Any] = {}
        text = step.text
        if name in tool_names():
            filled = self._media(name, properties, step, results, about)
        elif step.backward and results:
            text = _with_result(text, results[-1])
        filler = Filler(text, text, schema)
        for key in schema.get("required") or ():
            if key not in filled:
                filled[key] = filler.fill(properties.get(key, {}), key)
        for key, inner in properties.items():
            if key not in filled and name not in tool_names() and filler.finds(inner, key):
                filled[key] = filler.fill(inner, key)
        return filled

    def _media(
        self, name: str, properties: Mapping[str, Any], step: Step, results: Sequence[ToolResult], about: str
    ) -> dict[str, object]:
        """Return the arguments of a hosted tool that are not taken from its schema."""
        filled: dict[str, Any] = {}
        if "prompt" in properties:
            filled["prompt"] = _prompt(name, step, about)
        media = EarlierMedia(results or results_of(self._conversation.messages), len(self._conversation.images))
        filled |= _sources(name, properties, step, media, refers_back(step.text))
        if name == "enhance_prompt":
            filled |= _FOR_VIDEO if _VIDEO.search(step.text) else _FOR_IMAGE
        if name == "segment_image":
            filled["text"] = _SEGMENTS.sub("", step.text.strip(" .!?"))[:240] or "the subject"
        size = sentences.size(step.text)
        if size is not None and "width" in properties:
            filled |= {"width": size[0], "height": size[1]}
        count = _COUNT.search(step.text)
        if count is not None and "numberOfVariations" in properties:
            filled["numberOfVariations"] = min(16, _COUNTS.get(count[1].lower(), 0) or int(count[1]))
        filler = Filler(step.text)
        for key in _MEDIA_KEYS:
            if key in properties and filler.finds(properties[key], key):
                filled[key] = filler.fill(properties[key], key)
        return filled


def _sources(
    name: str, properties: Mapping[str, Any], step: Step, media: EarlierMedia, backward: bool
) -> dict[str, object]:
    """Return references to earlier artifacts and uploads."""
    # Protocol notes: tools §2.1.
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
    # An edit is described by its own words.
    return step.text.strip(" .!?") if name in _EDITS else about


def _with_result(text: str, result: ToolResult) -> str:
    """Replace "it" and "the result" with the last result."""
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
