"""Make `images/batch-report-*.webp`: run a batch on the emulator, and take pictures of its HTML report."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pictures import SCHEMES, take

from sogni import SogniClient, batch

REQUESTS = [
    {"positive_prompt": "a fox in the style of an old engraving", "width": 512, "height": 384},
    {"positive_prompt": "an owl, at night", "width": 384, "height": 512, "number_of_media": 2},
    {"positive_prompt": "a train in the snow", "model_id": "flux1-shnell-fp8"},
    {"positive_prompt": "waves on a beach", "width": 512, "height": 288},
]
COMMON = {"model_id": "flux1-schnell-fp8", "steps": 4}

with tempfile.TemporaryDirectory() as folder, SogniClient.local(step_time=0, seed=4) as client:
    page = Path(folder, "animals.html")
    batch.run(REQUESTS, folder, client=client, report=page, defaults=COMMON)
    take(dict.fromkeys(SCHEMES, page), "batch-report", 900, 720)
