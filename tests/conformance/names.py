"""List the public names of the published Sogni clients: exports, members of classes, fields of types, and events.

    python tests/conformance/names.py            # writes javascript-names.json and python-names.json

Run it after a new release of either client. Only names are read, by this script: from the type declarations of the
JavaScript client, and from the imported Python client. `tests/docs/test_coming_from.py` fails until each of them is in
`tools/coming_from.py`.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from published import CLIENTS, HERE, Published, cache_directory, install

# One member per line, four spaces deep, as the compiler prints declarations.
_MEMBER = re.compile(r"^ {4}(?:(?:static|readonly|async|abstract|get|set) )*(\w+)\??(?:<.*)?[(:;]")
_PRIVATE = re.compile(r"^ {4}(?:private|protected|#|/?\*|static (?:private|protected))")
_EVENT = re.compile(r"^ {4}'?\"?(\w+)'?\"?\??[(:]")
_DECLARED = re.compile(
    r"^(?:export )?(?:default )?(?:declare )?(?:abstract )?(class|interface) (\w+)([^\n]*)\{\n(.*?)^\}", re.M | re.S
)
_LISTED = re.compile(r"export (?:type )?\{([^}]*)\}")
_EXPORTED = re.compile(
    r"^export (?:declare )?(?:abstract )?(?:class|interface|type|enum|function|const|let) (\w+)", re.M
)
_EVERYTHING = re.compile(r"""export \* from ['"]([^'"]+)['"]""")
_NESTED = re.compile(r"^ {8}(?:readonly )?(\w+)\??(?:<.*)?[(:;]")
_STATED = re.compile(r"\b([A-Z]\w+)\b")
PARAMETERS = (
    "SogniClientConfig", "BaseProjectParams", "ImageProjectParams", "VideoProjectParams", "AudioProjectParams",
    "ChatCompletionParams",
)  # fmt: skip
"""Types whose fields callers write."""


def javascript_names(home: Path) -> dict[str, list[str]]:
    """Exports, their fields, and the public members and events of every class that they lead to."""
    dist = home / "node_modules/@sogni-ai/sogni-client/dist"
    classes, parents, events, parameters, fields = {}, {}, {}, {}, {}
    for file in sorted(dist.rglob("*.d.ts")):
        text = file.read_text()
        for kind, name, bases, body in _DECLARED.findall(text):
            lines = body.splitlines()
            if kind == "class":
                classes[name], parents[name] = lines, bases
            elif name in PARAMETERS:
                parameters[name] = sorted({found[1] for line in lines if (found := _MEMBER.match(line))})
            elif name.endswith(("Events", "EventMap")):
                events[name] = sorted({found[1] for line in lines if (found := _EVENT.match(line))})
            else:
                fields.setdefault(name, set()).update(found[1] for line in lines if (found := _MEMBER.match(line)))
    exported = set(exports(dist / "index.d.ts"))
    members: dict[str, list[str]] = {}
    left = [name for name in sorted(exported) if name in classes]
    while left:
        name = left.pop()
        public = [line for line in classes[name] if not _PRIVATE.match(line)]
        found = set(members_of(public)) - {"constructor"}
        members[name] = sorted(it for it in found if not it.startswith("_"))
        stated = {it for line in (parents[name], *public) for it in _STATED.findall(line)}
        left += [it for it in sorted(stated) if it in classes and it not in members and it not in left]
    return {
        "exports": sorted(exported),
        **{f"class {name}": found for name, found in sorted(members.items()) if found},
        **{f"parameters {name}": found for name, found in sorted(parameters.items()) if found},
        **{
            f"fields {name}": sorted(found)
            for name, found in sorted(fields.items())
            if found and name in exported and name not in classes
        },
        **{f"events {name}": found for name, found in sorted(events.items()) if found},
    }


def members_of(lines: list[str]) -> Iterator[str]:
    """The members of a class, and those of the objects that it declares in place, as `object.member`."""
    around = ""
    for line in lines:
        if found := _MEMBER.match(line):
            yield found[1]
            around = found[1] if line.endswith(f"{found[1]}: {{") else ""
        elif line.startswith("    }"):
            around = ""
        elif around and (found := _NESTED.match(line)):
            yield f"{around}.{found[1]}"


def exports(file: Path) -> Iterator[str]:
    """What a module exports, itself and from others."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", file.read_text(), flags=re.S)
    yield from _EXPORTED.findall(text)
    for names in _LISTED.findall(text):
        for name in filter(None, (it.strip() for it in names.split(","))):
            yield name.removeprefix("type ").rpartition(" as ")[2]
    for module in _EVERYTHING.findall(text):
        path = file.parent / module
        yield from exports(path / "index.d.ts" if path.is_dir() else path.with_name(path.name + ".d.ts"))


# Run in the environment of the Python client.
PYTHON = """
import ast, importlib, inspect, json, sys, textwrap, sogni_client

found = {"exports": sorted(sogni_client.__all__)}
left = [it for name in sogni_client.__all__ if inspect.isclass(it := getattr(sogni_client, name))]
seen = {}
while left:
    kind = left.pop()
    if kind.__name__ in seen or kind.__name__.startswith("_"):
        continue
    names = seen[kind.__name__] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith("sogni_client"):
            continue
        names.update(vars(base), vars(base).get("__annotations__", {}))
        # Attributes of instances, and the classes of those that the constructor makes.
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(base)))):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                    names.add(target.attr)
                    made = getattr(getattr(node, "value", None), "func", None)
                    made = getattr(sys.modules[base.__module__], getattr(made, "id", ""), None)
                    if inspect.isclass(made) and made.__module__.startswith("sogni_client") and target.attr[0] != "_":
                        left.append(made)
for name, names in sorted(seen.items()):
    if members := sorted(it for it in names if not it.startswith("_")):
        found[f"class {name}"] = members
print(json.dumps(found))
"""


def python_names(home: Path) -> dict[str, list[str]]:
    """Exports, and the public members of the exported classes."""
    command = [str(home / "bin" / "python"), "-P", "-c", PYTHON]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def main() -> None:
    """Write both lists, of the newest version of each client."""
    newest: dict[str, Published] = {client.package: client for client in CLIENTS}
    for client in newest.values():
        _, home = install(client, cache_directory())
        names = javascript_names(home) if client.is_javascript else python_names(home)
        written = {"client": str(client), "names": names}
        language = "javascript" if client.is_javascript else "python"
        (HERE / f"{language}-names.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        print(f"{client}: {sum(map(len, names.values()))} names")


if __name__ == "__main__":
    main()
