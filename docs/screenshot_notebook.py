"""Make `images/notebook.webp`: execute the tour, export it, and take a picture of its beginning with Chromium."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import nbclient
import nbformat
from nbconvert import HTMLExporter
from PIL import Image

DOCS = Path(__file__).parent
WIDTH, HEIGHT = 900, 1290


def main() -> None:
    """Write the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder:
        tour = nbformat.read(DOCS.parent / "examples/tour.ipynb", as_version=4)
        resources = {"metadata": {"path": folder}}
        nbclient.NotebookClient(tour, kernel_name="python3", resources=resources).execute()
        page, picture = Path(folder, "tour.html"), Path(folder, "tour.png")
        page.write_text(HTMLExporter().from_notebook_node(tour)[0], encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, timeout=60)
        with Image.open(picture) as image:
            image.save(DOCS / "images/notebook.webp", quality=80, method=6)


main()
