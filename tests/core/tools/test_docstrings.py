"""What docstrings say of parameters, in three styles."""

from __future__ import annotations

import pytest

from sogni.core.tools.functions import Told, read_docstring

GOOGLE = """Tell the weather.

    Longer words
    over two lines.

    Args:
        city (str): Where, as in
            a letter.
        days (Optional[int], optional): How many days: 1 to 7.
        *more: The rest.
        untold
    Returns:
        A text: with a colon.

    After all.
    """
NUMPY = """Tell the weather.

    Parameters
    ----------
    city : str
        Where.
    days, nights : int, optional
        How many.

        Up to seven.

    Returns
    -------
    str
        The weather.
    """
REST = """Tell the weather.

    :param city: Where,
        as in a letter.
    :param int days: How many.
    :type city: str
    :returns: The weather.
    :raises ValueError: never
    """


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOGLE, Told("Tell the weather.\n\nLonger words over two lines.\n\nAfter all.",
                      {"city": "Where, as in a letter.", "days": "How many days: 1 to 7.", "more": "The rest. untold"})),  # noqa: E501
        (NUMPY, Told("Tell the weather.", {"city": "Where.", "days": "How many. Up to seven.",
                                           "nights": "How many. Up to seven."})),
        (REST, Told("Tell the weather.", {"city": "Where, as in a letter.", "days": "How many."})),
        (None, Told()),
        ("", Told()),
        ("One line.", Told("One line.")),
        ("Note: a word with a colon is no section.", Told("Note: a word with a colon is no section.")),
        ("See:\n\nWhatever:\n    no section either", Told("See:\n\nWhatever: no section either")),
        ("Args:\n", Told()),
        ("Do.\n\nArgs:\n    a: One.\n:param b: Two.\n:param: nothing", Told("Do.", {"a": "One.", "b": "Two."})),
        ("Do.\n\nArgs:\n    a:", Told("Do.")),
        ("Do.\n\nParameters\n----------\n\nstray text\n  a\n", Told("Do.")),
    ],
)  # fmt: skip
def test_descriptions(text: str | None, expected: Told) -> None:
    assert read_docstring(text) == expected
