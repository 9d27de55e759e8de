"""`python -m local <command>`."""

import sys

if sys.version_info < (3, 13):  # noqa: UP036 -- any Python may be the one that is called so
    sys.exit(
        f"Python 3.13 is needed (.python-version), and {sys.executable} is "
        f"{sys.version_info[0]}.{sys.version_info[1]}; run `make setup`, and then "
        "`.venv/bin/python -m local`"
    )

from local.cli import main

if __name__ == "__main__":
    sys.exit(main())
