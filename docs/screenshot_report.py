"""Make `images/batch-report.webp`: run a batch on the emulator, and take a picture of its HTML report with Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from sogni import SogniClient, batch

DOCS = Path(__file__).parent
WIDTH, HEIGHT = 900, 760
REQUESTS = [
    {"positive_prompt": "a fox in the style of an old engraving", "width": 512, "height": 384},
    {"positive_prompt": "an owl, at night", "width": 384, "height": 512, "number_of_media": 2},
    {"positive_prompt": "a train in the snow", "model_id": "flux1-shnell-fp8"},
    {"positive_prompt": "waves on a beach", "width": 512, "height": 288},
]


def main() -> None:
    """Write the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder, SogniClient.local(step_time=0) as client:
        page, picture = Path(folder, "animals.html"), Path(folder, "report.png")
        batch.run(REQUESTS, folder, client=client, report=page, defaults={"model_id": "flux1-schnell-fp8", "steps": 4})
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, timeout=60)
        with Image.open(picture) as image:
            image.save(DOCS / "images/batch-report.webp", quality=80, method=6)


main()
