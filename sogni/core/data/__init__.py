"""Facts of the service that are tables, as the sheets give them: model families, alias names.

Read by `model_families`, `image_models` and `sampling`, each file once and only when it is needed.
Nothing is decided here, and nothing is changed in what the files say.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def table(name: str) -> Any:
    """Return the content of one of the JSON files beside this module; not to be changed."""
    return json.loads(files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
