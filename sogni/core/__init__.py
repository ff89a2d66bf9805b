"""What is said on the wire and what it means: values and state machines without any I/O."""

from __future__ import annotations


# Operations of several steps, as generators that yield what they need done (see `steps`).
