"""
What an error says, fit for a ticket and a page: one line, and nothing of what lies behind Graph.

The synchronization service's own errors come through Graph as JSON inside the message, with the
host that they came from (https://github.com/microsoftgraph/msgraph-sdk-python/issues/820).
"""

import re
from typing import Final

LONGEST_WORDS: Final = 500

_JSON: Final = re.compile(r"""[{\[]\s*(?:["'{\[].*|[}\]])\s*""", re.DOTALL)
_INNER_ADDRESS: Final = re.compile(
    r"""(?:https?://)?(?:[\w-]+\.)+(?:windowsazure|windows|azure|cloudapp|core|msidentity)"""
    r"""\.(?:com|net|us|cn)\b[^\s,;]*""",
    re.IGNORECASE,
)
_BLANKS: Final = re.compile(r"\s+")


def in_own_words(message: str) -> str:
    """
    Return the sentences of an error's message: from the first brace of JSON on it is cut off, and
    addresses of the inner service are replaced.
    """
    sentences = _JSON.sub("", message, count=1)
    sentences = _INNER_ADDRESS.sub("(an address)", sentences)
    return _BLANKS.sub(" ", sentences).strip(" :")[:LONGEST_WORDS]


def of_exception(error: BaseException) -> str:
    """The exception's class and words."""
    said = in_own_words(str(error))
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
