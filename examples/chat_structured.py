"""Get an answer as an instance of a class, here a recipe with its steps."""

import argparse
import os
import sys

from attrs import field, frozen

from sogni import ProtocolError, SogniClient


@frozen
class Step:
    text: str
    minutes: int = field(default=5, metadata={"description": "How long it takes."})


@frozen
class Recipe:
    """How to cook a dish."""

    title: str
    steps: list[Step]


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("dish", nargs="?", default="onion soup", help="what to cook (default: %(default)s)")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    result = client.chat.completions.create(
        messages=[{"role": "user", "content": f"How do I cook {args.dish}?"}], response_format=Recipe
    )
    try:
        recipe = result.parsed
    except ProtocolError as error:
        sys.exit(f"the answer is not a recipe: {error}")
    print(recipe.title)
    for step in recipe.steps:
        print(f"- {step.text} ({step.minutes} minutes)")
