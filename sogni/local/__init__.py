"""What the machine provides: files of the user, app ids of the installation, proxies and certificates.

Used by both shells; standard library only.
"""

from __future__ import annotations
