"""Let a language model call a Python function: own_function.py QUESTION"""

import os
import sys

from sogni import SogniClient

WEATHER = {"Oslo": "snow, -3 °C", "Lisbon": "sun, 19 °C"}


def get_weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The name of the city, such as Oslo.
    """
    return WEATHER.get(city, "nobody knows")


question = " ".join(sys.argv[1:]) or "What is the weather in Oslo?"
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    answer = client.chat.completions.create(
        messages=[{"role": "user", "content": question}], tools=[get_weather], auto_execute_tools=True
    )
    for turn in answer.tool_history or ():
        for call, result in zip(turn.tool_calls, turn.tool_results, strict=True):
            print(f"{call.function.name}({call.function.arguments}) -> {result.content}")
    print(answer.content)
