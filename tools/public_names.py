"""Generate `sogni/__init__.py` and `sogni_async/__init__.py` from the list in `sogni/exports.py`.

    python tools/public_names.py           # write both files
    python tools/public_names.py --check   # exit with status 1 if one of them is out of date

At run time names are loaded when they are first used; type checkers and editors read the imports below
`TYPE_CHECKING`, which is why the files are generated and not written as a loop.
"""

from __future__ import annotations

import argparse
import runpy
import sys

from unasync import ROOT, formatted, show_difference

TEMPLATE = '''# Generated from sogni/exports.py by tools/public_names.py. Do not edit.
"""{doc}"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sogni.exports import public_object

if TYPE_CHECKING:
{imports}

__all__ = [
{names}
]


if not TYPE_CHECKING:  # otherwise a misspelled name would be an object

    def __getattr__(name: str) -> object:
        if name == "__version__":
            return import_module("sogni.settings").VERSION
        value = public_object(name, __name__)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
'''
DOCS = {
    "sogni": """Images, video, music and text on the Sogni Supernet, with plain blocking calls.

`SogniClient` is where to start; `sogni_async` offers the same names for asyncio. Names are loaded when they are
first used, so importing the package is cheap.
""",
    "sogni_async": """Images, video, music and text on the Sogni Supernet, for asyncio.

The same names and signatures as in `sogni`, with `await`, `async with` and `async for`. Parameters, results and
errors are the same classes.
""",
}


def main() -> int:
    """Write or check both files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, and show what is out of date")
    check = parser.parse_args().check
    status = 0
    for package in DOCS:
        target = ROOT / package / "__init__.py"
        text = init_of(package)
        if target.read_text() == text:
            continue
        if check:
            show_difference(target, text)
            status = 1
        else:
            target.write_text(text)
            print(f"wrote {target.relative_to(ROOT)}")
    return status


def init_of(package: str) -> str:
    """The text of the `__init__.py` of a package."""
    # Not imported: that would run the `__init__.py` that is about to be written.
    exports = runpy.run_path(str(ROOT / "sogni" / "exports.py"))
    homes = {f"{package}.{home}": names for home, names in exports["FRONT_END"].items()}
    homes |= {f"sogni.{home}": names for home, names in exports["SHARED"].items()}
    imports = [f"    from {home} import {', '.join(names)}" for home, names in homes.items()]
    imports.append("    from sogni.settings import VERSION as __version__  # noqa: N811")
    names = sorted({"__version__", *(name for group in homes.values() for name in group)})
    text = TEMPLATE.format(
        doc=DOCS[package], imports="\n".join(imports), names="\n".join(f'    "{name}",' for name in names)
    )
    return formatted(text, ROOT / package / "__init__.py")


if __name__ == "__main__":
    sys.exit(main())
