"""The signals of projects. The sender is `SogniProject`, the argument `project` the instance."""

from __future__ import annotations

from django.dispatch import Signal

project_completed: Signal = Signal()
"""A project is completed and its results are stored. Sent once per project, by the process that stored them."""

project_failed: Signal = Signal()
"""A project failed, was canceled or was lost. Sent once per project."""
