"""
Runs one command: `python -m local <command>`.

Exit codes: 0 done; 1 not done, or what was watched ended badly; 2 the command line is wrong, and
nothing was done; 130 interrupted.
"""

import argparse
import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Never, Protocol, cast

from local.errors import Failed, Usage
from local.folding import columns, fold_after, note
from local.overrides import look_alikes, overrides, refuse_unknown

ROOT: Final = Path(__file__).resolve().parent.parent
PROGRAM: Final = "python -m local"
VENV_PYTHON: Final = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
_ON: Final = frozenset({"1", "true", "yes", "on", "y"})
_OFF: Final = frozenset({"", "0", "false", "no", "off", "n"})


class Module(Protocol):
    """What the module of a command has."""

    #: Variables of make and of the environment, and the arguments that they stand for.
    VARIABLES: Mapping[str, str]

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def main(self, args: argparse.Namespace) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """
    A command, and one line for the list.

    *module* has its arguments; or *runs* is a module that takes none and is run as it stands.
    *harmless* ends each error of the command line.
    """

    help: str
    module: str = ""
    runs: str = ""
    settings: str = ""
    harmless: str = ""


COMMANDS: Final[Mapping[str, Command]] = {
    "demo": Command(help="show a reset from ticket to answer, on this machine", runs="local.demo"),
    "up": Command(
        help="start storage, Graph emulator, host and a desk that prints what tickets hear",
        module="local.commands.up",
    ),
    "request": Command(
        help="ask for a reset and follow it to its end",
        module="local.commands.request",
        harmless="; nothing was sent",
    ),
    "show": Command(help="show one reset with its history", module="local.commands.show"),
    "list": Command(
        help="list open resets, or those of a target", module="local.commands.list_resets"
    ),
    "decide": Command(
        help="approve, reject, cancel, confirm or resend a reset",
        module="local.commands.decide",
        harmless="; nothing was decided",
    ),
    "resend": Command(
        help="send again the answers that were given up", module="local.commands.resend"
    ),
    "link": Command(
        help="show to which account a user is linked, and what decides a new match",
        module="local.commands.link",
    ),
    "mappings": Command(
        help="write out a job's schema as it was kept beside a reset",
        module="local.commands.mappings",
    ),
    "plan": Command(
        help="show what would be done now for every target, and why",
        module="local.commands.plan",
    ),
    "targets": Command(
        help="list service principals with provisioning jobs, and entries for RESET_TARGETS",
        module="local.commands.targets",
    ),
    "doctor": Command(
        help="say what this machine has and lacks, each with the line that mends it",
        runs="local.doctor",
    ),
    "host": Command(
        help="run the development host alone",
        runs="local.host",
        settings="PORT (default 7071), APP_DIR (default this project), LOCAL_FUNCTION_KEY, "
        "LOCAL_PRINCIPAL",
    ),
    "azurite": Command(help="run the storage emulator alone", module="local.commands.azurite"),
    "emulator": Command(
        help="run the Graph emulator alone",
        runs="local.emulator",
        settings="GRAPH_EMULATOR_PORT (default 7072), GRAPH_EMULATOR_SEED, GRAPH_EMULATOR_SPEED",
    ),
    "package": Command(help="write dist/functionapp.zip", runs="local.package"),
    "docs": Command(
        help="write what the documentation takes from the code", runs="local.documents"
    ),
    "check": Command(
        help="check lint, format, types and import rules", module="local.commands.checks"
    ),
    "test": Command(help="run everything that CI runs", module="local.commands.tests"),
    "bench": Command(help="measure everything beside a naive app", runs="bench"),
    "faults": Command(help="break what can break on the real processes", runs="bench.faults"),
}


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, and that nothing was done."""

    harmless = ""

    def error(self, message: str) -> Never:
        raise Usage(f"{message}{self.harmless} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command that *argv* names, and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    by_make = given[:1] == ["--make"]
    try:
        return _run(given[1:] if by_make else given, environ, by_make=by_make)
    except Usage as error:
        note(str(error))
        return 2
    except Failed as error:
        note(str(error))
        return 1
    except ModuleNotFoundError as error:
        if _is_ours(error.name or ""):
            raise
        note(_not_installed(error.name or "", given))
        return 1
    except BrokenPipeError:
        # The reader has enough, as `| head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in {"local", "shared", "bench", "function_app"}


def _not_installed(module: str, given: Sequence[str]) -> str:
    """Another Python than that of `make setup` runs this, or nothing is set up yet."""
    here = f"{module} is not installed for {sys.executable}; "
    if not VENV_PYTHON.exists():
        return f"{here}run `make setup`"
    command = shlex.join(["-m", "local", *given])
    return f"{here}run {VENV_PYTHON.relative_to(ROOT)} {command}"


def _run(line: list[str], environ: Mapping[str, str], *, by_make: bool) -> int:
    if not line or line[0] in {"-h", "--help", "help"}:
        print(overview())
        return 0
    name, *rest = line
    if (command := COMMANDS.get(name)) is None:
        if name in _targets_of_make():
            return subprocess.run(["make", name, *rest], cwd=ROOT, check=False).returncode
        raise Usage(f"{name}: unknown command; known are {', '.join(COMMANDS)}")
    module: Module | None = None
    if command.module:
        module = cast("Module", importlib.import_module(command.module))
    variables = module.VARIABLES if module else {}
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=f"{command.help[:1].upper()}{command.help[1:]}.",
        epilog=_epilog(variables, command.settings),
        allow_abbrev=False,
    )
    parser.harmless = command.harmless
    if module:
        module.configure(parser)
    try:
        args = parser.parse_args(rest)
    except SystemExit as ended:  # --help
        return int(ended.code or 0)
    if not module:
        return _as_it_stands(command.runs)
    given = dict(environ)
    if by_make:
        of_make = overrides(environ.get("MAKEFLAGS", ""))
        refuse_unknown(of_make, variables, harmless=command.harmless)
        given |= of_make
    _take(args, variables, given, harmless=command.harmless)
    return module.main(args)


def _targets_of_make() -> frozenset[str]:
    """What only make has, as the long simulations; its variables are given as NAME=value."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE))


def _as_it_stands(module: str) -> int:
    """Run a module as `python -m` would, in this process, so that signals reach it."""
    sys.argv = [module]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise Failed(ended.code) from ended
        return ended.code or 0
    return 0


def overview() -> str:
    """List the commands."""
    width = max(map(len, COMMANDS))
    screen = columns(sys.stdout)
    lines = [
        fold_after(f"  {name:<{width}}  ", command.help, screen)
        for name, command in COMMANDS.items()
    ]
    return "\n".join(
        [f"usage: {PROGRAM} <command> [options]", "", *lines, "", "<command> --help tells more."]
    )


def _epilog(variables: Mapping[str, str], settings: str) -> str:
    if settings:
        return f"Settings by environment: {settings}."
    if not variables:
        return ""
    known = ", ".join(variables)
    return f"Each may come from a variable as well: {known} (`make` takes them as NAME=value)."


def _take(
    args: argparse.Namespace,
    known: Mapping[str, str],
    variables: Mapping[str, str],
    *,
    harmless: str,
) -> None:
    """Fill the arguments that were not given from their variables."""
    for name, argument in known.items():
        if argument == "dry_run":
            # Misspelt it would be passed over, and `DRYRUN=1` must not restart a job for real.
            for other in look_alikes(variables, name):
                raise Usage(f"{other}: unknown variable; did you mean {name}?{harmless}")
        if getattr(args, argument) is None and variables.get(name, "") != "":
            setattr(args, argument, variables[name])
        if argument in SWITCHES:
            value = getattr(args, argument)
            setattr(args, argument, switched(name, value, harmless=harmless))


SWITCHES: Final = frozenset({"dry_run", "yes", "json", "wide", "follow", "verbose"})


def switched(name: str, value: str | bool | None, *, harmless: str = "") -> bool | None:
    """Read a yes or no; what is neither is refused, and None stays."""
    if value is None or isinstance(value, bool):
        return value
    word = value.strip().lower()
    if word in _ON:
        return True
    if word in _OFF:
        return False
    raise Usage(
        f"{name}: {value!r} is neither yes nor no; give 1, yes, true or 0, no, false{harmless}"
    )


def add_switch(parser: argparse.ArgumentParser, flag: str, help_: str) -> None:
    """Add `--flag`, which may also be written `--flag=no`."""
    parser.add_argument(flag, nargs="?", const="yes", default=None, metavar="yes|no", help=help_)
