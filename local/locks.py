"""
Write and check the lock files: everything that is installed is installed by hash.

`python -m local.locks` asks the registry (`make lock`); `problems` needs no network. A lock names
no registry: pip takes the one that is configured on the machine.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.package import lock as wheels
from local.package.lock import pins

ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class LockFile:
    """A lock and what it is made of."""

    path: str
    source: str
    use: str


RUNTIME: Final = LockFile(
    path="requirements.lock",
    source="requirements.txt",
    use="what the app needs, for any machine: the hooks run on it",
)
DEVELOPMENT: Final = LockFile(
    path="requirements-dev.lock",
    source="requirements-dev.txt",
    use="what building and testing need: `make setup`",
)
TOOLS: Final = LockFile(
    path="requirements-tools.lock",
    source="requirements-tools.txt",
    use="what looks after the locks: `make lock`, and the audit in the workflows",
)
LOCKS: Final = (RUNTIME, DEVELOPMENT, TOOLS)

_DIGEST: Final = re.compile(r"^# Made of (\S+), sha256 ([0-9a-f]{64})$", re.MULTILINE)


def digest(root: Path, lock: LockFile) -> str:
    """Hash what a lock is made of: the lines that ask for something, included files too."""
    return hashlib.sha256("\n".join(_wanted(root, lock.source)).encode()).hexdigest()


def _wanted(root: Path, name: str) -> list[str]:
    lines = []
    for line in (root / name).read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            lines += _wanted(root, text.removeprefix("-r ").strip())
        elif text:
            lines.append(text)
    return sorted(lines)


def locked(text: str) -> dict[str, str]:
    """The versions that a lock holds, by normalized name."""
    return pins(text)


def problems(root: Path = ROOT) -> list[str]:
    """What is not as it should be, one line each; no network."""
    found = []
    versions: dict[str, dict[str, str]] = {}
    for lock in LOCKS:
        text = (root / lock.path).read_text(encoding="utf-8")
        said = _DIGEST.search(text)
        if said is None or said[2] != digest(root, lock):
            found.append(f"{lock.path}: not made of {lock.source} as it is; run `make lock`")
        versions[lock.path] = locked(text)
        found += [
            f"{lock.path}: {name} has no hash; run `make lock`" for name in _without_hash(text)
        ]
        if "index-url" in text or "://" in text:
            found.append(f"{lock.path}: names a registry")
    package = wheels.read((root / wheels.LOCK).read_text(encoding="utf-8"))
    held = versions[RUNTIME.path]
    found += [
        f"{wheels.LOCK}: {each.name}=={each.version}, and {held.get(each.name)} in {RUNTIME.path}"
        for each in package
        if held.get(each.name) != each.version
    ]
    developed = versions[DEVELOPMENT.path]
    found += [
        f"{DEVELOPMENT.path}: {name}=={developed.get(name)}, and {version} in {RUNTIME.path}"
        for name, version in held.items()
        if developed.get(name) != version
    ]
    return found


def _without_hash(text: str) -> list[str]:
    entries = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [e.split("==")[0] for e in entries if "==" in e and "--hash=sha256:" not in e]


def write(root: Path = ROOT) -> None:
    """Resolve every lock again at the registry; a version that still fits stays."""
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder) / "held.txt"
        wheels_lock = root / wheels.LOCK
        for lock in LOCKS:
            target = root / lock.path
            before = target.read_text(encoding="utf-8") if target.exists() else ""
            output = Path(folder) / lock.path
            output.write_text(before, encoding="utf-8")
            constraints = ["--constraint", str(held)] if lock is DEVELOPMENT else []
            _uv(
                "pip", "compile", lock.source, "--output-file", str(output), *constraints, root=root
            )
            text = output.read_text(encoding="utf-8")
            header = (
                f"# Written by `make lock`: {lock.use}.\n"
                f"# Made of {lock.source}, sha256 {digest(root, lock)}\n"
            )
            target.write_text(header + text, encoding="utf-8")
            print(f"{lock.path}: {len(locked(text))} packages")
            if lock is RUNTIME:
                lines = [f"{name}=={version}\n" for name, version in locked(text).items()]
                held.write_text("".join(lines), encoding="utf-8")
                base = wheels.resolve(root, held)
                wheels_lock.write_text(base, encoding="utf-8")
                # Its distribution pins OpenTelemetry itself, which the SDK of Graph leaves open.
                loose = Path(folder) / "loose.txt"
                loose.write_text("".join(x for x in lines if "opentelemetry" not in x), "utf-8")
                more = wheels.resolve_telemetry(root, loose, base)
                (root / wheels.TELEMETRY_LOCK).write_text(more, encoding="utf-8")
                print(f"{wheels.LOCK}: the wheels of the package")


def _uv(*arguments: str, root: Path) -> None:
    program = shutil.which(
        "uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if program is None:
        raise SystemExit("uv is not there; `make lock` installs it from requirements-tools.lock")
    command = [program, *arguments, "--universal", "--python-version=3.13", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "-q"]
    subprocess.run(command, cwd=root, env={**os.environ, **_registry()}, check=True)


def _registry() -> Mapping[str, str]:
    """The registry and the certificates of pip's configuration, for uv, which reads neither."""
    found = {}
    for option, variable in (
        ("global.index-url", "UV_DEFAULT_INDEX"),
        ("global.cert", "SSL_CERT_FILE"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", option],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0 and done.stdout.strip():
            found[variable] = done.stdout.strip()
    return found


def main() -> int:
    if "--check" in sys.argv[1:]:
        found = problems()
        print("\n".join(found) or "every lock is current")
        return 1 if found else 0
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
