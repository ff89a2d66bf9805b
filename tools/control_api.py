"""Write the OpenAPI description of the emulator's control API, `docs/control-api.json`.

It follows from the signatures and docstrings of the emulator. With `--check`, write nothing and fail if it is outdated.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sogni.emulator import LocalSupernet  # noqa: E402
from sogni.emulator.control import describe  # noqa: E402

TARGET = ROOT / "docs/control-api.json"


def main() -> int:
    """Write the description, or compare it; 1 if it is outdated."""
    text = json.dumps(describe(LocalSupernet), indent=1, ensure_ascii=False) + "\n"
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.relative_to(ROOT)} is outdated: run python tools/control_api.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
