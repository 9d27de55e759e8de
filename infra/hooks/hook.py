"""
Run a module of local/ with the packages of requirements.lock and nothing else.

A hook runs with the rights of the person who deploys. So it needs neither make nor npm, and no
package of the development tools is on its path: each of its own is installed by hash. Standard
library only.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements.lock"
WANTED = (3, 13)

# -I: no PYTHONPATH, no user's site-packages, not even the folder that it is called from.
_PROGRAM = (
    "import runpy, sys; root, module, *rest = sys.argv[1:]; sys.path.insert(0, root); "
    "sys.argv = [module, *rest]; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def run(module: str, *arguments: str, packages: bool = True) -> int:
    """Run *module* of this project; return its exit code."""
    try:
        python = environment() if packages else interpreter()
    except HookError as error:
        print(error, file=sys.stderr)
        return 1
    command = [str(python), "-I", "-B", "-c", _PROGRAM, str(ROOT), module, *arguments]
    return subprocess.call(command, cwd=ROOT, env={**os.environ, "PYTHONUTF8": "1"})


class HookError(Exception):
    """Why the hook cannot run, and what to do."""


def environment() -> Path:
    """Return the Python of a virtual environment that holds what the lock says."""
    base = interpreter()
    content = hashlib.sha256(LOCK.read_bytes() + str(base).encode()).hexdigest()[:16]
    folder = ROOT / ".local" / "hooks" / content
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / ".ready").exists():
        print(f"installing the packages of {LOCK.name} for the hooks (once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _call([str(base), "-I", "-m", "venv", str(folder)])
        # --no-deps: the lock is complete. Not -I, which would hide the registry's settings.
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        install += ["--require-hashes", "--no-deps", "--only-binary=:all:"]
        # Bytecode of the Graph SDK's ten thousand modules would take longer than all the rest.
        install += ["--no-compile", "-r", str(LOCK)]
        _call(install)
        (folder / ".ready").touch()
    return python


def interpreter() -> Path:
    """Return a Python of the version that the lock is for; azd starts a hook with any."""
    if sys.version_info[:2] == WANTED:
        return Path(getattr(sys, "_base_executable", sys.executable))
    name = f"python{WANTED[0]}.{WANTED[1]}"
    if found := shutil.which(name):
        return Path(found)
    if launcher := shutil.which("py"):
        asked = [launcher, f"-{WANTED[0]}.{WANTED[1]}", "-c", "import sys; print(sys.executable)"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Path(done.stdout.strip())
    raise HookError(
        f"{name} is not on the PATH, and this is {sys.version.split()[0]}; install Python "
        f"{WANTED[0]}.{WANTED[1]} (.python-version)"
    )


def _call(command: list[str]) -> None:
    if subprocess.call(command, cwd=ROOT) != 0:
        raise HookError(f"this failed: {' '.join(command)}")
