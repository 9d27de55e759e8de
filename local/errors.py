"""Declares what ends a command with one line."""


class Usage(Exception):
    """The command line is wrong: nothing was done; exit code 2."""


class Failed(Exception):
    """The command could not do what it was told, or what it watched ended badly; exit code 1."""
