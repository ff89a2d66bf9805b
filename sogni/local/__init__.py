"""Resources of the host for both packages: files, locks, media sources, app ids, cookies, proxies and certificates."""

from __future__ import annotations
