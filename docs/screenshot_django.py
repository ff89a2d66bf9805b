"""Make `images/django.webp`: run the example site with uvicorn, and take pictures of a project and the gallery."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from PIL import Image

DOCS = Path(__file__).parent
SITE = DOCS.parent / "examples/django_site"
WIDTH, HEIGHT = 760, 640


def main() -> None:
    """Write the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "GALLERY_DATA": folder, "DJANGO_SETTINGS_MODULE": "gallery.settings"}
        variables |= {"PYTHONPATH": f"{DOCS.parent}{os.pathsep}{SITE}"}
        subprocess.run([sys.executable, SITE / "manage.py", "migrate"], env=variables, check=True)
        command = [sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off", "gallery.asgi:application"]
        server = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        try:
            url = next(filter(None, (re.search(r"running on (http://\S+)", line) for line in server.stderr or ())))[1]
            pages = [create(url, "a lighthouse at dawn, film grain"), create(url, "paper boats on a canal")]
            time.sleep(12)
            pages[1:] = [create(url, "hills in the evening sun"), f"{url}/"]
            pictures = []
            for number, page in enumerate(pages):
                path = Path(folder, f"{number}.png")
                arguments = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
                budget = "--virtual-time-budget=600"
                subprocess.run([browser, *arguments, budget, f"--screenshot={path}", page], check=True, timeout=60)
                pictures.append(Image.open(path).convert("RGB"))
        finally:
            server.terminate()
            server.communicate()
    pictures = pictures[1:]
    joined = Image.new("RGB", (WIDTH, HEIGHT * len(pictures)))
    for number, picture in enumerate(pictures):
        joined.paste(picture, (0, HEIGHT * number))
    joined.save(DOCS / "images/django.webp", quality=80, method=6)


def create(url: str, prompt: str) -> str:
    """Send the form, and return the URL of the project."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    page = opener.open(url).read().decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page))
    return str(opener.open(url, urlencode({"prompt": prompt, "number": 2, **hidden}).encode()).url)


main()
