"""What a sentence wants done, step by step: "Create an image of a lighthouse and then turn it into a video".

Called by the choice of tools. It reads the sentence only; which tools there are is not its matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

_VERBS = (
    "turn make create generate draw paint sketch animate convert edit change add send get compose write use call tell"
    " show give also what render produce upscale remove restore stitch extend multiply divide subtract look find book"
    " schedule set search"
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

# The first that fits counts; what is special stands before what is general.
_INTENTS: tuple[tuple[str, str], ...] = (
    ("add_subtitles", r"\bsubtitles?\b|\bcaptions?\b"),
    ("stitch_video", r"\b(?:stitch|join|concatenate|combine)\b.*\b(?:videos|clips)\b"),
    ("extend_video", r"\b(?:extend|lengthen|continue)\b.*\b(?:video|clip|it)\b"),
    ("upscale_video", r"\bupscale\b.*\b(?:video|clip)\b"),
    ("upscale_image", r"\b(?:upscale|enlarge)\b"),
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
    """One thing that is wanted. ``intent`` is the hosted tool it speaks of, "animate" for an image that is to move,
    None for anything else; ``backward`` tells that it builds on a step before."""

    text: str
    intent: str | None
    backward: bool


def steps_of(sentence: str) -> list[Step]:
    """Cut a sentence into its steps."""
    clauses = [clause.strip() for clause in _SEPARATOR.split(sentence) if clause and clause.strip()]
    steps = []
    for at, clause in enumerate(clauses):
        backward = at > 0 and _BACKWARD.search(clause) is not None
        steps.append(Step(clause, _intent(clause), backward))
    return steps


def _intent(clause: str) -> str | None:
    return next((name for name, pattern in _COMPILED if pattern.search(clause)), None)


def refers_back(text: str) -> bool:
    """True when a sentence speaks of something that is already there."""
    return _BACKWARD.search(text) is not None


def subject(text: str) -> str | None:
    """Return what an image, a video or a song is to be of; None when a step only says "it"."""
    found = _OF.search(text) or _DRAWS.search(text)
    said = next(part for part in found.groups() if part) if found else _LEADING.sub("", text)
    while said and (shorter := _TRAILING.sub("", said)) != said:
        said = shorter
    return None if _ONLY_BACKWARD.match(said) else said or None


def subjects(steps: Sequence[Step]) -> list[str]:
    """Return what each step is about; one that only says "it" is about what the step before was."""
    about: list[str] = []
    for step in steps:
        said = subject(step.text)
        if said is None:
            said = about[-1] if about else step.text.strip(" .!?")
        about.append(said)
    return about
