"""Make `images/notebook-*.webp` and `images/workflow-*.webp`: execute notebooks, export them, and take pictures."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nbclient
import nbformat
from nbconvert import HTMLExporter
from pictures import SCHEMES, take

GALLERY = (
    "from sogni import SogniClient\n\nclient = SogniClient.local(seed=11)",
    """
project = client.projects.create(
    type="image",
    model_id="krea2_turbo_fp8_scaled",
    positive_prompt="a lighthouse on a cliff, morning fog",
    number_of_media=4,
    number_of_previews=2,
    width=768,
    height=512,
    token_type="spark",
)
project.wait(progress=True)
""",
)
RUNNING = (
    GALLERY[0],
    """
project = client.projects.create(
    type="image",
    model_id="krea2_turbo_fp8_scaled",
    positive_prompt="a lighthouse",
    number_of_media=6,
    number_of_previews=5,
    steps=12,
)
project.wait(progress=True, timeout=4)
""",
)
PLAN = (
    """
from sogni import WorkflowInput

WorkflowInput.load("teaser.yaml")
""",
)
TEASER = """
title: Kites by day and at dusk
steps:
  - {id: still, toolName: generate_image, arguments: {prompt: a red kite over dunes}}
  - id: dusk
    toolName: edit_image
    arguments: {prompt: the same at dusk}
    dependsOn: [{sourceStepId: still, transform: image_index, targetArgument: sourceImageIndex}]
  - id: clip
    toolName: animate_photo
    arguments: {prompt: the kite dips in the wind}
    dependsOn: [{sourceStepId: dusk, transform: image_index, targetArgument: sourceImageIndex}]
  - {id: song, toolName: generate_music, arguments: {prompt: light and airy, duration: 10}}
"""
PICTURES = {"notebook": (GALLERY, 800), "notebook-running": (RUNNING, 840), "workflow": (PLAN, 385)}


def main() -> None:
    """Write the pictures."""
    for name, (cells, height) in PICTURES.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(it.strip()) for it in cells])
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "teaser.yaml").write_text(TEASER, encoding="utf-8")
            resources = {"metadata": {"path": folder}}
            nbclient.NotebookClient(notebook, kernel_name="python3", resources=resources, allow_errors=True).execute()
            pages = {scheme: Path(folder, f"{scheme}.html") for scheme in SCHEMES}
            for scheme, page in pages.items():
                page.write_text(HTMLExporter(theme=scheme).from_notebook_node(notebook)[0], encoding="utf-8")
            take(pages, name, 900, height)


main()
