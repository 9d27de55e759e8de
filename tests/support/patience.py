"""Says how long a test waits for what is bound to come; only a run that fails takes so long."""

from typing import Final

PATIENCE: Final = 300.0
"""Seconds: a busy machine takes many times what a quiet one does."""
