"""The data of both packages: frozen attrs classes, and the one converter that knows their wire form."""

from __future__ import annotations
