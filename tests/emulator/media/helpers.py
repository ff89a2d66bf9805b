"""Video and music requests, small input files, and the contents of result files."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from attrs import frozen
from PIL import Image, ImageChops, ImageDraw, ImageStat

from sogni.emulator.media.codecs import write_video
from sogni.emulator.projects.request_checks import KEY_FRAME_TEMPLATE
from tests.emulator.wire import Payload, Wire, job_request, new_id, of_type

WAN = "wan_v2.2-14b-fp8"
LTX = "ltx23-22b-fp8"
_UPLOAD_ROLES = {"referenceAudioIdentity": "referenceAudio"}


def _frame(model: str, changes: Payload) -> Payload:
    frame = {
        **KEY_FRAME_TEMPLATE,
        "strength": 0.5,
        "scheduler": None,
        "timeStepSpacing": None,
        "comfySampler": None,
        "comfyScheduler": None,
        "modelID": model,
        "positivePrompt": "a lighthouse over the ocean",
        "stylePrompt": "",
        "seed": 7,
        **changes,
    }
    return {key: value for key, value in frame.items() if value is not ...}


def video_request(model: str, project_id: str | None = None, top: Payload | None = None, **changes: Any) -> Payload:
    """Return a video request; WAN videos are as small as the model allows."""
    frame = {"negativePrompt": ""}
    if model.startswith("wan"):
        frame |= {"width": 480, "height": 480, "frames": 17}
    elif model.startswith("ltx"):
        frame |= {"width": 640, "height": 640, "frames": 25}
    else:
        frame = {"width": 480, "height": 480, "frames": 97, "fps": 24}
    return job_request(project_id, _frame(model, {**frame, **changes}), **{"outputFormat": "mp4", **(top or {})})


def audio_request(model: str = "ace_step_1.5_turbo", top: Payload | None = None, **changes: Any) -> Payload:
    return job_request(None, _frame(model, {"duration": 10, **changes}), **{"outputFormat": "mp3", **(top or {})})


def flagged(assets: Mapping[str, object]) -> Payload:
    return {f"has{asset[0].upper()}{asset[1:]}": True for asset in assets}


def make(
    wire: Wire, model: str, assets: Mapping[str, bytes] | None = None, top: Payload | None = None, **changes: Any
) -> bytes:
    """Upload the assets, generate a video and return it."""
    project_id, given = new_id(), assets or {}
    for asset, content in given.items():
        role = _UPLOAD_ROLES.get(asset, asset)
        if "Image" in role or "Mask" in role:
            wire.upload(project_id, role, content)
        else:
            wire.upload_media(project_id, role, content)
    wire.connect().create(video_request(model, project_id, top, **flagged(given), **changes))
    result = of_type(wire.finish(project_id), "jobResult")[0]
    if "resultUrl" in result:
        return bytes(wire.http.get(result["resultUrl"], timeout=30).content)
    return wire.download_media(project_id, result["imgID"]).content


@frozen
class Opened:
    """The contents of a media file."""

    format: str
    frames: tuple[Image.Image, ...]
    fps: Fraction | None
    samples: np.ndarray[Any, Any] | None
    sample_rate: int

    @property
    def seconds(self) -> float:
        return 0.0 if self.samples is None else self.samples.shape[1] / self.sample_rate


def opened(content: bytes) -> Opened:
    with av.open(io.BytesIO(content)) as container:
        streams, pictures, blocks = container.streams, [], []
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.append(Image.fromarray(frame.to_ndarray(format="rgb24")))
            elif isinstance(frame, av.AudioFrame):
                blocks.append(frame)
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=streams.audio[0].rate if blocks else 48000)
        parts = [part.to_ndarray() for block in [*blocks, None] if blocks for part in resampler.resample(block)]
        return Opened(
            container.format.name,
            tuple(pictures),
            streams.video[0].average_rate if streams.video else None,
            np.concatenate(parts, axis=1) if parts else None,
            streams.audio[0].rate if streams.audio else 0,
        )


def distance(one: Image.Image, two: Image.Image) -> float:
    """Return the mean difference per channel, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, two.resize(one.size))).mean) / 3


def picture(color: str, size: tuple[int, int] = (96, 96), format: str = "PNG") -> bytes:
    image, buffer = Image.new("RGB", size, color), io.BytesIO()
    ImageDraw.Draw(image).rectangle((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill="white")
    image.save(buffer, format)
    return buffer.getvalue()


def as_image(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def clip(path: Path, frames: int = 24, fps: int = 12, size: tuple[int, int] = (128, 128)) -> bytes:
    """Return a video whose first half is black and whose second half is white."""
    colors = ["black"] * (frames // 2) + ["white"] * (frames - frames // 2)
    write_video(path, (Image.new("RGB", size, color) for color in colors), Fraction(fps), None, "mp4")
    return path.read_bytes()


def tone(seconds: float, rate: int = 16_000) -> bytes:
    """Return a WAV file: one second of silence, then a tone."""
    at = np.arange(round(seconds * rate))
    wave_form = (np.sin(at * 440 * 2 * np.pi / rate) * (at >= rate) * 12_000).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(wave_form.tobytes())
    return buffer.getvalue()


def loudness(samples: Any, rate: int, start: float, end: float) -> float:
    return float(np.abs(samples[:, round(start * rate) : round(end * rate)]).mean())
