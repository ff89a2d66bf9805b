"""Ask a question about an image. Without an image, one is drawn."""

import argparse
import os

from PIL import Image

from sogni import SogniClient, image_part

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("image", nargs="?", help="the image to look at (default: a red rectangle)")
parser.add_argument("--question", default="What color is this image?")
args = parser.parse_args()

image = args.image or Image.new("RGB", (640, 480), "red")
with SogniClient() if os.environ.get("SOGNI_API_KEY") else SogniClient.local() as client:
    content = [{"type": "text", "text": args.question}, image_part(image, resize=True)]
    print(client.chat.completions.create(messages=[{"role": "user", "content": content}]).content)
