"""Declares the errors that stop the host from starting."""


class StartError(Exception):
    """One line for the person who starts the host: what is wrong, where, and the remedy."""

    exit_code = 2


class IndexingError(StartError):
    """The worker could not index the app; the text is the worker's own."""

    exit_code = 1
