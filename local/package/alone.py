"""
Run a module with nothing on the path but the standard library and an unpacked package.

`guests` are the few things that the package must not hold and that the run needs: the development
host itself, say. They stand last, so that none can take the place of what the package has.

This file is also the program that the other process runs, so it imports the standard library alone.
"""

import atexit
import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SITE = Path(".python_packages") / "lib" / "site-packages"


def command(
    package: Path, guests: Path, module: str, *arguments: str, report: str = ""
) -> list[str]:
    """
    The command that runs *module* (or a file) over the package unpacked at *package*.

    Where *report* names a file, the process writes there at its end what it had imported.
    """
    program = [sys.executable, "-I", "-S", "-B", __file__]
    return [*program, str(package), str(guests), report, module, *arguments]


def invite(folder: Path, guests: Mapping[str, Path]) -> Path:
    """Lay links to the guests into *folder*, each under its path of import; the folder."""
    for name, place in guests.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    return folder


def main(arguments: Sequence[str]) -> None:
    package, guests, report, module, *rest = arguments
    # -I and -S have left the standard library alone on the path, not even this file's folder.
    sys.path[:] = [package, str(Path(package) / SITE), *sys.path, guests]
    if report:
        atexit.register(_report, Path(report))
    if module.endswith(".py"):
        sys.argv = [module, *rest]
        runpy.run_path(module, run_name="__main__")
    else:
        sys.argv = [module, *rest]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _report(target: Path) -> None:
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    target.write_text(json.dumps({n: f for n, f in files.items() if f}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
