"""One module for each command of `python -m local`: its arguments, and what it does."""
