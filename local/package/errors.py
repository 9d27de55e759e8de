"""What stops a build."""


class PackageError(Exception):
    """The package cannot be built as it should be; the text says why, and what to do."""
