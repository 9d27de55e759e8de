"""Emulates Microsoft Graph for provisioning: a small directory with real semantics."""

from local.emulator.clock import Clock
from local.emulator.emulation import Emulator
from local.emulator.seed import BadSeed, parse_state, read_seed
from local.emulator.server import serve

__all__ = ["BadSeed", "Clock", "Emulator", "parse_state", "read_seed", "serve"]
