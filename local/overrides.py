"""
Reads the variables that were given to `make`, word for word.

make expands a variable of its command line before a recipe sees it, so that `REASON='costs $5'`
arrives as `costs `. Its own record of the command line, MAKEFLAGS, has every `$` doubled and every
blank behind a backslash.
https://www.gnu.org/software/make/manual/html_node/Options_002fRecursion.html
"""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Final

from local.errors import Usage

#: Variables of the Makefile itself, and settings of the app: no command reads them as its own.
_OTHERS: Final = re.compile(
    r"PYTHON|PYTHONPATH|VENV|RUN|BICEP|SHELL|MAKEFLAGS|RELINK_[A-Z_]+|LOCAL_[A-Z_]+|GRAPH_[A-Z_]+"
    r"|(AzureWebJobs)?ResetStorage\w*|AzureWebJobsStorage|AZURE_[A-Z_]+|RESETS?_(?!DRY)[A-Z_]+"
    r"|FOLLOW_UP_INTERVAL|APPROVAL_[A-Z]+|SWEEP_SCHEDULE|REMEDIATION_SCHEDULE|PUBLIC_URL|HEALTH_KEY"
    r"|WEBHOOK_[A-Z]+|NOTIFIERS?(_SECRETS)?"
)
# Words are parted by a blank alone: a line break in a value stands there as it is.
_WORD: Final = re.compile(r"(?:\\.|[^ \\])+", re.DOTALL)


def overrides(makeflags: str) -> dict[str, str]:
    """Return the variables of make's command line; flags of make itself are left out."""
    found: dict[str, str] = {}
    _, _, given = f" {makeflags}".partition(" -- ")
    for word in _WORD.findall(given):
        name, equals, value = re.sub(r"(?s)\\(.)", r"\1", word).partition("=")
        if equals:
            found[name.rstrip(":+?!")] = value.replace("$$", "$")
    return found


def refuse_unknown(given: Collection[str], known: Collection[str], *, harmless: str) -> None:
    """Raise Usage at the first variable that the command does not know."""
    for name in given:
        if name in known or _OTHERS.fullmatch(name):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        meant = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
        raise Usage(f"{name}: unknown variable{meant}{harmless}")


def look_alikes(environ: Mapping[str, str], name: str) -> list[str]:
    """Return the variables that are spelt nearly like *name*, as DRYRUN is."""
    plain = _plain(name)
    return [other for other in environ if other != name and _plain(other) == plain]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
