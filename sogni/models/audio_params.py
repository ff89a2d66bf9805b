"""What a music or speech project is asked for (projects-4.2 §3.4; projects-5x §4.11).

Plain data in the caller's words: nothing here checks or sends. `protocol.audio_rules` does the checking.
The `TypedDict` has the same fields, so that keyword arguments are typed too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Required, TypedDict

from attrs import field, frozen

from ..settings import Network
from .base import BillingMode, TokenType, wire
from .media_inputs import MediaInput

AudioFormat = Literal["mp3", "flac", "wav"]


@frozen(kw_only=True)
class AudioProjectParams:
    """A music or speech project (projects-4.2 §3.1, §3.4; projects-5x §4.11).

    Only `model_id` is required. What is None is left to the service, whose defaults depend on the model
    (`projects.get_model_options`).

    - `positive_prompt`: the style of the music, or the script of the speech.
    - `duration` in seconds. `bpm`, `timesignature` (`"4"` is 4/4), `keyscale` (`"A minor"`), `language`.
    - `lyrics`: without them the music is instrumental. `composer_mode`: whether the model plans the piece first.
    - `prompt_strength`, `creativity`, `shift`: how closely the prompt is followed, and how freely.
    - `speaker`, `instruct`, `reference_text`, `reference_audio` (a voice to imitate): speech models only.
    """

    type: Literal["audio"] = field(default="audio", init=False)
    model_id: str
    positive_prompt: str = ""
    negative_prompt: str | None = None
    style_prompt: str | None = None
    number_of_media: int = 1
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    network: Network | None = None
    disable_nsfw_filter: bool = field(default=False, metadata=wire("disableNSFWFilter"))
    token_type: TokenType | None = None
    billing_mode: BillingMode | None = None
    app_source: str | None = None
    loras: Sequence[str] | None = None
    lora_strengths: Sequence[float] | None = None
    sampler: str | None = None
    scheduler: str | None = None
    output_format: AudioFormat | None = None
    duration: float | None = None
    bpm: float | None = None
    timesignature: str | None = None
    language: str | None = None
    lyrics: str | None = None
    keyscale: str | None = None
    composer_mode: bool | None = None
    prompt_strength: float | None = None
    creativity: float | None = None
    shift: float | None = None
    speaker: str | None = None
    instruct: str | None = None
    reference_text: str | None = None
    reference_audio: MediaInput | None = None


class AudioProjectFields(TypedDict, total=False):
    """The fields of `AudioProjectParams` as keyword arguments."""

    type: Required[Literal["audio"]]
    model_id: Required[str]
    positive_prompt: str
    negative_prompt: str | None
    style_prompt: str | None
    number_of_media: int
    steps: int | None
    guidance: float | None
    seed: int | None
    network: Network | None
    disable_nsfw_filter: bool
    token_type: TokenType | None
    billing_mode: BillingMode | None
    app_source: str | None
    loras: Sequence[str] | None
    lora_strengths: Sequence[float] | None
    sampler: str | None
    scheduler: str | None
    output_format: AudioFormat | None
    duration: float | None
    bpm: float | None
    timesignature: str | None
    language: str | None
    lyrics: str | None
    keyscale: str | None
    composer_mode: bool | None
    prompt_strength: float | None
    creativity: float | None
    shift: float | None
    speaker: str | None
    instruct: str | None
    reference_text: str | None
    reference_audio: MediaInput | None
