"""Make `images/django-*.webp`: run the example site with uvicorn, and take pictures of a project and the gallery."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from http.cookiejar import CookieJar
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from pictures import DOCS, SCHEMES, Browser, look, save, shot
from PIL import Image

SITE = DOCS.parent / "examples/django_site"
WIDTH, HEIGHTS = 760, (260, 640)


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "GALLERY_DATA": folder, "DJANGO_SETTINGS_MODULE": "gallery.settings"}
        variables |= {"PYTHONPATH": f"{DOCS.parent}{os.pathsep}{SITE}"}
        subprocess.run([sys.executable, SITE / "manage.py", "migrate"], env=variables, check=True)
        command = [sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off", "gallery.asgi:application"]
        server = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        try:
            url = next(filter(None, (re.search(r"running on (http://\S+)", line) for line in server.stderr or ())))[1]
            with Browser() as browser:
                for prompt in ("a lighthouse at dawn, film grain", "paper boats on a canal"):
                    browser.open(create(url, prompt))
                    browser.wait("document.images.length === 2 && [...document.images].every((it) => it.complete)")
                for scheme in SCHEMES:
                    look(browser, WIDTH, HEIGHTS[0], scheme)
                    browser.open(create(url, "hills in the evening sun"))
                    browser.wait("bar.value > 20")
                    parts = [shot(browser)]
                    browser.wait("document.images.length === 2")
                    look(browser, WIDTH, HEIGHTS[1], scheme)
                    browser.open(f"{url}/")
                    browser.wait("[...document.images].every((it) => it.complete)")
                    parts.append(shot(browser))
                    joined = Image.new("RGB", (WIDTH, sum(HEIGHTS)))
                    joined.paste(parts[0], (0, 0))
                    joined.paste(parts[1], (0, HEIGHTS[0]))
                    save(joined, f"django-{scheme}")
        finally:
            server.terminate()
            server.communicate()


def create(url: str, prompt: str) -> str:
    """Send the form, and return the URL of the project."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()))
    page = opener.open(url).read().decode()
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', page))
    return str(opener.open(url, urlencode({"prompt": prompt, "number": 2, **hidden}).encode()).url)


main()
