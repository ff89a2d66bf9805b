"""What a music or speech project is asked for (projects-4.2 §3.4; projects-5x §4.11).

Plain data in the caller's words: nothing here checks or sends. `protocol.audio_rules` does the checking.
The `TypedDict` has the same fields, so that keyword arguments are typed too.
"""

from __future__ import annotations

from typing import Literal, Required

from attrs import field, frozen

from .common_params import CommonFields, CommonParams
from .media_inputs import MediaInput

AudioFormat = Literal["mp3", "flac", "wav"]


@frozen(kw_only=True)
class AudioProjectParams(CommonParams):
    """A music or speech project (projects-4.2 §3.1, §3.4; projects-5x §4.11).

    Beside the fields of every project (`CommonParams`):

    - `positive_prompt`: the style of the music, or the script of the speech.
    - `duration` in seconds. `bpm`, `timesignature` (`"4"` is 4/4), `keyscale` (`"A minor"`), `language`.
    - `lyrics`: without them the music is instrumental. `composer_mode`: whether the model plans the piece first.
    - `prompt_strength`, `creativity`, `shift`: how closely the prompt is followed, and how freely.
    - `speaker`, `instruct`, `reference_text`, `reference_audio` (a voice to imitate): speech models only.
    """

    type: Literal["audio"] = field(default="audio", init=False)
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


class AudioProjectFields(CommonFields, total=False):
    """The fields of `AudioProjectParams` as keyword arguments."""

    type: Required[Literal["audio"]]
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
