"""Let a language model call a Python function."""

import argparse
import os

from sogni import SogniClient

WEATHER = {"Oslo": "snow, -3 °C", "Lisbon": "sun, 19 °C"}


def get_weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The name of the city, such as Oslo.
    """
    return WEATHER.get(city, "nobody knows")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("question", nargs="?", default="What is the weather in Oslo?")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    answer = client.chat.completions.create(
        messages=[{"role": "user", "content": args.question}], tools=[get_weather], auto_execute_tools=True
    )
    for turn in answer.tool_history or ():
        for call, result in zip(turn.tool_calls, turn.tool_results, strict=True):
            print(f"{call.function.name}({call.function.arguments}) -> {result.content}")
    print(answer.content)
