"""How long a video is: decides the number of frames, and what is said about frames per second.

Called by `video_request` and `media_estimate_calls`; the numbers of each family stand in `video_families`
(projects-4.2 §6.5, §6.7; projects-5x §3.3). It checks no limits and knows no model.
"""

from __future__ import annotations

import math

from attrs import frozen


@frozen(kw_only=True)
class Grid:
    """Numbers of frames a model can make: `base`, and `step` more each time, up to `most`."""

    base: int
    step: int
    most: int | None = None

    def nearest(self, frames: int) -> int:
        """Return the number on the grid next to one; half way between two it is the larger."""
        steps = half_up((frames - self.base) / self.step)
        if self.most is not None:
            steps = min(max(steps, 0), (self.most - self.base) // self.step)
        return self.base + self.step * steps

    def has(self, frames: int) -> bool:
        """Whether a model makes exactly so many frames."""
        return frames == self.nearest(frames)


@frozen(kw_only=True)
class Timing:
    """How a family turns seconds into frames.

    `rate` counts frames whatever fps are asked for; without one the caller's fps count, or `usual_fps`.
    `sent_fps` is what the request says when the caller says nothing; `extra` frames stand at the end.
    """

    rate: float | None = None
    usual_fps: float | None = 24
    sent_fps: float | None = None
    extra: int = 1
    grid: Grid | None = None

    def frames(self, duration: float, fps: float | None) -> int:
        """Return the number of frames of so many seconds.

        ValueError when the family counts by fps, has no usual one, and none is given.
        """
        rate = self.rate or (self.usual_fps if fps is None else fps)
        if rate is None:
            raise ValueError("this family needs fps to turn seconds into frames")
        frames = half_up(duration * rate) + self.extra
        return frames if self.grid is None else self.grid.nearest(frames)


def half_up(value: float) -> int:
    """Round as the service does: a half goes up, never to the even number (projects-4.2 §6.5)."""
    return math.floor(value + 0.5)
