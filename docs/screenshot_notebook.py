"""Make the pictures of `notebooks.md`: execute notebooks, export them, and take pictures of the pages with Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from nbconvert import HTMLExporter
from PIL import Image

DOCS = Path(__file__).parent
START = """
from sogni import SogniClient

client = SogniClient.local(step_time=0.3)
"""
UNFINISHED = """
project = client.projects.create(
    type="image",
    model_id="krea2_turbo_fp8_scaled",
    positive_prompt="a lighthouse",
    number_of_media=6,
    number_of_previews=5,
    steps=12,
)
project.wait(progress=True, timeout=7)
"""


def main() -> None:
    """Write the pictures."""
    picture(nbformat.read(DOCS.parent / "examples/tour.ipynb", as_version=4), "notebook", 1290)
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in (START, UNFINISHED)]
    picture(nbformat.v4.new_notebook(cells=cells), "notebook-running", 840)


def picture(notebook: Any, name: str, height: int) -> None:
    """Write `images/<name>.webp`: the beginning of an executed notebook, in pixels."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(notebook, kernel_name="python3", resources=resources, allow_errors=True).execute()
        page, shot = Path(folder, "page.html"), Path(folder, "page.png")
        page.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size=900,{height}"]
        subprocess.run([*command, f"--screenshot={shot}", page.as_uri()], check=True, timeout=60)
        with Image.open(shot) as image:
            image.save(DOCS / f"images/{name}.webp", quality=80, method=6)


main()
