"""Base class of objects that hold connections or threads and therefore cannot be copied."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex


class Live:
    """An object that cannot be pickled or copied.

    A copy would share its resources with the original, so that closing one would close the other. A pickle would also
    contain the API key.
    """

    __slots__ = ()
    _public_name: ClassVar[str] = ""
    """Public name of an internal class, for error messages."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{self._public_name or type(self).__name__} objects cannot be pickled or copied, because they hold "
            "connections or threads; create a new one with the same arguments"
        )
