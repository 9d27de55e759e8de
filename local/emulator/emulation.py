"""Holds one running emulator: directory, clock, requests received and faults to come."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from local.emulator.clock import Clock
from local.emulator.directory import Directory
from local.emulator.faults import Faults
from local.emulator.throttle import Throttle
from local.emulator.values import State


class Received(msgspec.Struct, rename="camel"):
    """A Graph request as it came; never the value of its Authorization header."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    raw_body: str
    at: datetime
    authorization: bool
    client_request_id: str | None
    #: What was answered, or would have been had the answer not been lost; None: never read.
    status: int | None = None
    #: Carried out, with success.
    effective: bool = False


@dataclass(kw_only=True)
class Emulator:
    clock: Clock
    directory: Directory
    faults: Faults = field(default_factory=Faults)
    requests: list[Received] = field(default_factory=list)
    throttle: Throttle = field(default_factory=Throttle)
    url: str = ""

    def present(self) -> Directory:
        """Advance the directory to the present, and return it."""
        self.directory.advance_to(self.clock.now())
        return self.directory

    def state(self) -> State:
        state = self.present().state
        state.clock.now, state.clock.speed = self.directory.now, self.clock.speed
        return state
