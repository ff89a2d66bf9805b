"""Tables of facts about the service, from the protocol notes: model families, alias names.

Read by `model_families`, `image_models` and `sampling`, each file once and only when it is needed.
This module only reads the files; it does not change or interpret them.
"""

from __future__ import annotations

import json
from functools import cache
from pkgutil import get_data
from typing import Any


@cache
def table(name: str) -> Any:
    """Return the content of one of the JSON files beside this module; not to be changed."""
    # importlib.resources would take longer to import than everything else here.
    content = get_data(__name__, f"{name}.json")
    assert content is not None
    return json.loads(content)
