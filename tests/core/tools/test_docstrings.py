"""Descriptions of functions and their parameters from docstrings in three styles."""

from __future__ import annotations

from sogni.core.tools.functions import FunctionDocs, read_docstring
from tests.tables import each_row

GOOGLE = """Tell the weather.

    Longer words
    over two lines.

    Args:
        city (str): Where, as in
            a letter.
        days (Optional[int], optional): How many days: 1 to 7.
        *more: The rest.

    Keyword Args:
        unit: What to count in.

    Returns:
        A string: with a colon.
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


@each_row(
    ("text", "expected"),
    [
        (GOOGLE, FunctionDocs("Tell the weather.\n\nLonger words over two lines.",
                              {"city": "Where, as in a letter.", "days": "How many days: 1 to 7.", "more": "The rest.",
                               "unit": "What to count in."})),
        (NUMPY, FunctionDocs("Tell the weather.", {"city": "Where.", "days": "How many. Up to seven.",
                                           "nights": "How many. Up to seven."})),
        (REST, FunctionDocs("Tell the weather.", {"city": "Where, as in a letter.", "days": "How many."})),
        (None, FunctionDocs()),
        ("", FunctionDocs()),
        ("One line.", FunctionDocs("One line.")),
        ("Note: a word with a colon is no section.", FunctionDocs("Note: a word with a colon is no section.")),
        ("See:\n\nWhatever:\n    no section either", FunctionDocs("See:\n\nWhatever: no section either")),
        ("Do.\n\nArgs:\n    a:", FunctionDocs("Do.")),
        # What cannot be parsed is all description, so that the model still reads it.
        ("Args:\n", FunctionDocs("Args:")),
        ("Do.\n\nArgs:\n    a: One.\n    stray", FunctionDocs("Do.\n\nArgs: a: One. stray")),
        ("Do.\n: a\n\n@x", FunctionDocs("Do. : a\n\n@x")),
        ("Do.\n: :a: b", FunctionDocs("Do. : :a: b")),
    ],
)  # fmt: skip
def test_descriptions(text: str | None, expected: FunctionDocs) -> None:
    assert read_docstring(text) == expected
