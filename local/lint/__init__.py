"""
Lints the published API documents: `python -m local.lint`, part of `make check`.

The linters are programs of Node.js, pinned in package.json here: `make check` installs them.
"""
