"""Reads a seed: the JSON of the control API's state, in which most things may be left out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from local.emulator.values import State

PACKAGED = Path(__file__).with_name("seed.json")


class BadSeed(ValueError):
    """The text names the field and says what is wrong with it."""


def read_seed(path: Path = PACKAGED) -> State:
    try:
        content = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise BadSeed(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadSeed(f"{path}: {error}") from error
    try:
        return parse_state(content)
    except BadSeed as error:
        raise BadSeed(f"{path}: {error}") from error


def parse_state(content: Any) -> State:
    try:
        state = msgspec.convert(content, State)
    except msgspec.ValidationError as error:
        raise BadSeed(str(error)) from error
    _refuse_twins("$.users", (user.id for user in state.users))
    _refuse_twins("$.servicePrincipals", (sp.id for sp in state.service_principals))
    for number, sp in enumerate(state.service_principals):
        here = f"$.servicePrincipals[{number}]"
        _refuse_twins(f"{here}.jobs", (job.id for job in sp.jobs))
        _refuse_twins(f"{here}.targetAccounts", (account.id for account in sp.target_accounts))
    return state


def _refuse_twins(where: str, ids: Iterable[str]) -> None:
    seen: dict[str, int] = {}
    for number, id_ in enumerate(ids):
        if id_ in seen:
            raise BadSeed(
                f"id `{id_}` is already that of {where}[{seen[id_]}] - at `{where}[{number}].id`"
            )
        seen[id_] = number
