"""
`make bicep`: write what is compiled from infra/, and check it against its sources.

The compiler is not part of this project. It is looked for in BICEP, on the PATH, and in
../shared/tools.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
INFRA: Final = ROOT / "infra"
COMPILED: Final = INFRA / "compiled"
SOURCES: Final = COMPILED / "sources.json"
TEMPLATES: Final = ("main", "graph/main", "graph/sign-in")
SCENARIOS: Final = (
    "default",
    "later",
    "everything",
    "existing",
    "graph-tenant",
    "graph-owned",
    "graph-sign-in",
)

# What a snapshot is told, so that names and ids come out as literals: all of it is needed.
_PRETENDED: Final = {
    "tenantId": "00000000-0000-0000-0000-00000000000b",
    "subscriptionId": "00000000-0000-0000-0000-00000000000a",
    "location": "westeurope",
    "deploymentName": "main",
}
_GROUP: Final = "rg-relink-test"
_TAKES_AT_MOST: Final = 120


class CompileError(Exception):
    """What the compiler said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that the compiler or its linter does not like."""

    file: str
    line: int
    rule: str
    text: str


def find_compiler(environ: Mapping[str, str]) -> Path | None:
    """Where the compiler is, or None. One that BICEP names and that is not there is a mistake."""
    if named := environ.get("BICEP"):
        if not Path(named).is_file():
            raise CompileError(f"BICEP: there is no file {named}")
        return Path(named)
    if on_path := shutil.which("bicep", path=environ.get("PATH")):
        return Path(on_path)
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    return beside if beside.is_file() else None


class Compiler:
    """The Bicep CLI with a home of its own, which it needs to write to."""

    def __init__(self, path: Path, home: Path, environ: Mapping[str, str]) -> None:
        """*environ* is what parameter files may read; nothing of this process reaches them."""
        self._path = path
        self._environ = {
            **environ,
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(home),
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        }
        # Types of the Graph extension, for a machine without a network; else they are fetched.
        cache = path.parent / "graph-cache" / "br"
        if cache.is_dir():
            shutil.copytree(
                cache, home / ".bicep" / "br", copy_function=shutil.copyfile, dirs_exist_ok=True
            )
        # One process for all compilations: each takes a twentieth of what a new one would.
        self._server = subprocess.Popen(
            [str(path), "jsonrpc", "--stdio"],
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        """End of input is what it stops at."""
        self._server.communicate(timeout=_TAKES_AT_MOST)

    def build(self, source: Path) -> dict[str, Any]:
        answer = self._ask("compile", {"path": str(source)})
        if not answer["success"]:
            raise CompileError(_said(answer))
        found: dict[str, Any] = json.loads(answer["contents"])
        return found

    def snapshot(self, parameters: Path) -> dict[str, Any]:
        """What would be deployed with these parameters."""
        checked = self._ask("compileParams", {"path": str(parameters), "parameterOverrides": {}})
        if not checked["success"]:
            raise CompileError(_said(checked))
        group = {"resourceGroup": _GROUP} if parameters.stem.startswith("graph") else {}
        answer = self._ask(
            "getSnapshot", {"path": str(parameters), "metadata": {**_PRETENDED, **group}}
        )
        found: dict[str, Any] = json.loads(answer["snapshot"])
        return found

    def lint(self, sources: Path) -> list[Finding]:
        """
        Every finding in the files that the pattern *sources* names, and in what they are made of.

        The exit code alone would let warnings through.
        """
        done = self._run("lint", "--pattern", str(sources), "--diagnostics-format", "sarif")
        found, rest, documents = [], done.stdout.strip(), json.JSONDecoder()
        try:
            # One document or several, one after the other.
            while rest:
                document, end = documents.raw_decode(rest)
                found += [_finding(result) for result in document["runs"][0]["results"]]
                rest = rest[end:].strip()
        except (ValueError, LookupError) as error:
            raise CompileError(done.stdout + done.stderr) from error
        if not done.stdout.strip():
            raise CompileError(done.stderr or f"nothing was found to lint: {sources}")
        return found

    def format(self, folder: Path) -> None:
        """Rewrite every source below *folder* as it should be: call it on a copy."""
        for kind in ("bicep", "bicepparam"):
            done = self._run("format", "--pattern", str(folder / "**" / f"*.{kind}"))
            if done.returncode:
                raise CompileError(done.stdout + done.stderr)

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._path), *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TAKES_AT_MOST,
        )

    def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """JSON-RPC with the framing of the Language Server Protocol."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": f"bicep/{method}", "params": params}
        body = json.dumps(asked).encode()
        to, back = self._server.stdin, self._server.stdout
        if to is None or back is None:
            raise AssertionError("started without pipes")
        to.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        to.flush()
        length = 0
        while (header := back.readline().strip()) or not length:
            if not header:
                raise CompileError(f"the compiler went away at {method}")
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = json.loads(back.read(length))
        if "error" in answer:
            raise CompileError(str(answer["error"]))
        found: dict[str, Any] = answer["result"]
        return found


@contextmanager
def compiler(path: Path, environ: Mapping[str, str] | None = None) -> Iterator[Compiler]:
    with tempfile.TemporaryDirectory() as home:
        found = Compiler(path, Path(home), environ or {})
        try:
            yield found
        finally:
            found.close()


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of infra/ that may be written to and broken."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "infra"
        shutil.copytree(INFRA, copy, ignore=shutil.ignore_patterns("compiled"))
        yield copy


def sources() -> dict[str, str]:
    """Every file that what is compiled is made of, with its hash."""
    kinds = {".bicep", ".bicepparam", ".kql"}
    files = [path for path in INFRA.rglob("*") if path.suffix in kinds]
    files.append(INFRA / "bicepconfig.json")
    return {
        path.relative_to(INFRA).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def compiled_file(template: str) -> Path:
    return COMPILED / f"{template.replace('/', '-')}.json"


def snapshot_file(scenario: str) -> Path:
    return COMPILED / f"{scenario}.snapshot.json"


def compile_all(tool: Compiler, infra: Path) -> dict[Path, dict[str, Any]]:
    """What belongs into infra/compiled, by file."""
    made = {compiled_file(name): tool.build(infra / f"{name}.bicep") for name in TEMPLATES}
    for name in SCENARIOS:
        made[snapshot_file(name)] = tool.snapshot(infra / "scenarios" / f"{name}.bicepparam")
    return made


def _said(answer: Mapping[str, Any]) -> str:
    return "\n".join(f"{d['source']}: {d['code']}: {d['message']}" for d in answer["diagnostics"])


def _finding(result: Mapping[str, Any]) -> Finding:
    place = result["locations"][0]["physicalLocation"]
    return Finding(
        file=place["artifactLocation"]["uri"].rsplit("/infra/", 1)[-1],
        line=place.get("region", {}).get("startLine", 0),
        rule=result["ruleId"],
        text=result["message"]["text"],
    )


def main() -> int:
    found = find_compiler(os.environ)
    if found is None:
        print("BICEP: no compiler; install the Bicep CLI, or set BICEP to it", file=sys.stderr)
        return 1
    with compiler(found) as tool, copied() as infra:
        tool.format(infra)
        for path in [*infra.rglob("*.bicep"), *infra.rglob("*.bicepparam")]:
            shutil.copyfile(path, INFRA / path.relative_to(infra))
        try:
            made = compile_all(tool, infra)
        except CompileError as error:
            print(error, file=sys.stderr)
            return 1
    COMPILED.mkdir(exist_ok=True)
    for path, content in {**made, SOURCES: sources()}.items():
        path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
