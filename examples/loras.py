"""Change the style of a model with a LoRA.

Lists the LoRAs that fit the model, and draws the same image without one and with it.
"""

import argparse
import os
from typing import Any

from sogni import SogniClient

MODEL = "krea2_turbo_fp8_scaled"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("prompt", nargs="?", default="a heron in the reeds", help="what to draw (default: %(default)s)")
parser.add_argument("--lora", metavar="ID", help="default: the first of the model")
parser.add_argument("--strength", type=float, help="default: that of the LoRA")
args = parser.parse_args()

with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    for found in client.projects.available_loras(MODEL):
        print(f"{found.lora_id:24} {found.ui.min:5} to {found.ui.max:3}  {found.name}")
    lora = client.projects.get_lora(args.lora) if args.lora else next(iter(client.projects.available_loras(MODEL)))
    if lora is None:
        parser.error(f"there is no LoRA {args.lora}")
    strength = args.strength or lora.ui.default or 1.0
    same: dict[str, Any] = {
        "type": "image",
        "model_id": MODEL,
        "positive_prompt": args.prompt,
        "seed": 7,
        "token_type": "spark",
    }
    plain = client.projects.create(**same)
    styled = client.projects.create(**same, loras=[lora.lora_id], lora_strengths=[strength])
    print(*plain.wait().save("out", name="plain"))
    print(*styled.wait().save("out", name=lora.lora_id))
