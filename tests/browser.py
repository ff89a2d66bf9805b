"""A headless Chromium, driven over the DevTools protocol. For tests of pages, and for their pictures in the docs."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import websocket

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIMIT = 30.0
"""Seconds to wait for a state."""
ANSWER_LIMIT = 180.0
"""Seconds to wait for an answer of the browser."""


class PageError(Exception):
    """A script in the page raised an error."""


class Browser:
    """One browser with one page.

    Attributes:
        log: What the page has written to its console, and what the browser has blocked.
    """

    def __init__(self) -> None:
        assert CHROMIUM is not None
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [CHROMIUM, *arguments, f"--user-data-dir={self._folder.name}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ids = itertools.count(1)
        self._socket: websocket.WebSocket | None = None
        self.log: list[str] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        found = Path(self._folder.name, "DevToolsActivePort")
        port, path = wait_for(lambda: found.exists() and found.read_text().split())[:2]
        url = f"ws://127.0.0.1:{port}{path}"
        self._socket = websocket.create_connection(url, timeout=ANSWER_LIMIT, suppress_origin=True)
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        assert self._socket is not None
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while True:
            reply = json.loads(self._socket.recv())
            if reply.get("id") == number:
                if "error" in reply:
                    raise PageError(f"{method}: {reply['error']}")
                return reply["result"]
            self._note(reply)

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Log.entryAdded":
            self.log.append(event["params"]["entry"]["text"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.log.append(json.dumps(event["params"]["exceptionDetails"])[:500])

    def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.run("window.isLeft = true")
        self.call("Page.navigate", url=url)
        self.wait("!window.isLeft && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page and return its value; promises are awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in found:
            raise PageError(found["exceptionDetails"].get("exception", {}).get("description", str(found)))
        return found["result"].get("value")

    def wait(self, script: str) -> Any:
        """Wait until an expression is true, and return its value."""
        return wait_for(lambda: self.run(script), script)

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call(
            "Input.dispatchKeyEvent",
            type="keyDown" if text else "rawKeyDown",
            **common,
            **({"text": text} if text else {}),
        )
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window, and whether the user prefers dark pages."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, *, whole: bool = False) -> bytes:
        """Return a PNG of what is visible, or of the whole page."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])


def wait_for(look: Any, what: str = "the browser") -> Any:
    """Call a function until it returns a true value."""
    end = time.monotonic() + LIMIT
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} within {LIMIT:g} s")
        time.sleep(0.02)
    return found
