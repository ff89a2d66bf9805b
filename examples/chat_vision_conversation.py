"""Talk about images over several turns.

Each question may add images, and may refer to earlier ones. Without images, a red and a blue one are drawn.
"""

import argparse
import os

from PIL import Image

from sogni import SogniClient

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("images", nargs="*", help="images to talk about, PNG or JPEG, at most 1024 pixels per side")
args = parser.parse_args()

images = args.images or [Image.new("RGB", (320, 240), color) for color in ("red", "blue")]
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    conversation = client.chat.conversation(system="You describe pictures briefly.", max_tokens=500)
    for image in images:
        print(conversation.ask("What color is this image?", images=image).content)
    print(conversation.ask("How many images have I shown you?").content)
