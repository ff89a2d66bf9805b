"""Objects that hold a connection, threads or other resources, and so cannot be duplicated."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex


class Live:
    """Refuses pickle, `copy.copy` and `copy.deepcopy`.

    A copy would share its resources with the original, and closing one would close the other. A pickle would also
    hold the API key.
    """

    __slots__ = ()
    _public_name: ClassVar[str] = ""
    """What users know an internal class as."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            f"{self._public_name or type(self).__name__} objects cannot be pickled or copied, because they hold "
            "connections or threads; make a new one with the same arguments"
        )
