"""
`make doctor`: say what this machine has and lacks, each with the line that mends it.

Standard library only, and any Python 3.9 or later: it is for a machine on which nothing works yet.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PORTS = {
    10000: "Azurite",
    10001: "Azurite",
    10002: "Azurite",
    7071: "the host",
    7072: "the emulator",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. What is optional makes nothing fail."""

    what: str
    says: str
    is_there: bool
    mend: str = ""
    needed_for: str = ""

    def __str__(self) -> str:
        mark = "ok     " if self.is_there else ("missing" if not self.needed_for else "no     ")
        lines = [f"  {mark} {self.what}: {self.says}"]
        if not self.is_there:
            use = f" (for {self.needed_for})" if self.needed_for else ""
            lines.append(f"          -> {self.mend}{use}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Machine:
    """What is asked of the machine; a test gives another one."""

    environ: Mapping[str, str]
    root: Path = ROOT
    version: tuple[int, ...] = tuple(sys.version_info[:3])
    run: Callable[[list[str]], str] = lambda command: _printed(command)  # noqa: PLW0108 -- later
    is_taken: Callable[[int], bool] = lambda port: _is_taken(port)  # noqa: PLW0108 -- later
    fetch: Callable[[str, str], bytes] = lambda url, key: _fetched(url, key)  # noqa: PLW0108 -- later

    def which(self, program: str) -> str:
        return shutil.which(program, path=self.environ.get("PATH", "")) or ""


def examine(machine: Machine) -> Iterator[Finding]:
    """Look at everything, in the order in which it is needed."""
    yield _python(machine)
    yield _program(
        machine, "make", ["--version"], "sudo apt-get install make, or xcode-select --install"
    )
    yield _node(machine)
    yield _environment(machine)
    yield _azurite(machine)
    yield _settings(machine)
    yield from _ports(machine)
    yield _program(machine, "git", ["--version"], "https://git-scm.com/downloads")
    azure = "https://learn.microsoft.com/cli/azure/install-azure-cli"
    yield _program(machine, "az", ["version"], azure, "make targets, make plan, deploying")
    azd = "https://learn.microsoft.com/azure/developer/azure-developer-cli/install-azd"
    yield _program(machine, "azd", ["version"], azd, "deploying")
    yield _signed_in(machine)
    yield from _evidence(machine)
    bicep = "az bicep install, or BICEP=/path/to/bicep"
    yield _program(
        machine, "bicep", ["--version"], bicep, "make bicep; without it its tests compare hashes"
    )
    func = "npm install --global azure-functions-core-tools@4"
    yield _program(machine, "func", ["--version"], func, "func start, F5 in Visual Studio Code")


def _python(machine: Machine) -> Finding:
    wanted = (machine.root / ".python-version").read_text(encoding="utf-8").strip()
    have = ".".join(map(str, machine.version))
    is_there = have.split(".")[:2] == wanted.split(".")[:2]
    mend = f"install Python {wanted}, then make PYTHON=/path/to/python{wanted} setup"
    return Finding("Python", f"{have}, {wanted} is needed", is_there, mend)


def _node(machine: Machine) -> Finding:
    if not machine.which("node") or not machine.which("npm"):
        return Finding("Node.js", "not on the PATH", False, "https://nodejs.org (20 or later)")
    said = machine.run(["node", "--version"]).strip()
    found = re.match(r"v(\d+)", said)
    is_there = found is not None and int(found[1]) >= 20
    return Finding("Node.js", f"{said}, 20 or later is needed", is_there, "https://nodejs.org")


def _environment(machine: Machine) -> Finding:
    ready, lock = machine.root / ".venv" / ".ready", machine.root / "requirements-dev.lock"
    if not ready.exists():
        return Finding("packages", "not installed", False, "make setup")
    if ready.stat().st_mtime < lock.stat().st_mtime:
        return Finding("packages", "older than requirements-dev.lock", False, "make setup")
    return Finding("packages", "installed as requirements-dev.lock says", True)


def _azurite(machine: Machine) -> Finding:
    ready = machine.root / "local" / "node_modules" / ".ready"
    says = "installed" if ready.exists() else "not installed"
    return Finding("storage emulator", says, ready.exists(), "make setup")


def _settings(machine: Machine) -> Finding:
    is_there = (machine.root / "local.settings.json").exists()
    says = "there" if is_there else "none; make demo needs none"
    mend = "cp local.settings.json.example local.settings.json"
    return Finding("local.settings.json", says, is_there, mend, "make host, func start")


def _ports(machine: Machine) -> Iterator[Finding]:
    taken = [port for port in PORTS if machine.is_taken(port)]
    if not taken:
        yield Finding("ports", "all free", True)
    for port in taken:
        mend = f"end what listens there (lsof -i :{port}), if it is not ours"
        yield Finding(f"port {port}", "taken", False, mend, f"{PORTS[port]} on its usual port")


def _program(
    machine: Machine, name: str, version: list[str], mend: str, needed_for: str = ""
) -> Finding:
    if not machine.which(name):
        return Finding(name, "not on the PATH", False, mend, needed_for)
    said = machine.run([name, *version])
    found = re.search(r"\d+\.\d+(\.\d+)?", said)
    return Finding(name, found[0] if found else "there", True)


def _signed_in(machine: Machine) -> Finding:
    what, use = "sign-in to Azure", "make targets, make plan, deploying"
    if not machine.which("az"):
        return Finding(what, "no Azure CLI", False, "az login", use)
    said = machine.run(["az", "account", "show", "--query", "name", "--output", "tsv"]).strip()
    return Finding(what, said or "nobody is signed in", bool(said), "az login", use)


def _evidence(machine: Machine) -> Iterator[Finding]:
    """Ask the app which permissions for evidence Graph has shown: nobody else knows."""
    what, use = "evidence of links", "what became of a user's link after a reset"
    url, key = machine.environ.get("RELINK_URL", ""), machine.environ.get("RELINK_KEY", "")
    if not url:
        mend = "set RELINK_URL and RELINK_KEY to the app and a key: its health knows"
        yield Finding(what, "not asked: RELINK_URL is not set", False, mend, use)
        return
    try:
        health = json.loads(machine.fetch(f"{url.rstrip('/')}/api/health", key))
        found = [
            (e["permission"], e["grant"], e["parameter"], e["words"]) for e in health["evidence"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        mend = "look whether the app answers there, and whether RELINK_KEY is its HEALTH_KEY"
        yield Finding(what, f"{url} tells no detail of its health", False, mend, use)
        return
    for permission, grant, parameter, words in found:
        mend = f"{parameter}=true in infra/graph, then provision it again"
        buys = words.partition("; it would show ")[2].partition(" (parameter")[0] or use
        yield Finding(permission, grant, grant == "granted", mend, buys)


def _fetched(url: str, key: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url}: not an address")
    request = urllib.request.Request(url, headers={"x-functions-key": key})  # noqa: S310 -- above
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- above
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        # An app that is not well answers 503, with the same detail.
        return bytes(error.read())


def _printed(command: list[str]) -> str:
    """What a program prints; nothing where it fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _folded(text: str) -> str:
    """Fold to the terminal what it would break within a word; a pipe gets it as it is."""
    if not sys.stdout.isatty():
        return text
    width, under = shutil.get_terminal_size().columns, " " * 4
    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=under,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def main() -> int:
    print(f"What {ROOT} needs, and what is there:")
    failed = False
    for finding in examine(Machine(os.environ)):
        print(_folded(str(finding)), flush=True)
        failed |= not finding.is_there and not finding.needed_for
    print("Something is missing." if failed else "Ready: make demo")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
