"""The same app laid out in the ways that are compared."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.package import app_files
from local.package.archive import write
from local.package.build import ROOT, SITE, build, installed


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    name: str
    folder: Path
    zipped: int
    unpacked: int


def lay_out(folder: Path, say: Callable[[str], None]) -> list[Variant]:
    """
    The first is the baseline: what `pip install -r requirements.txt` gives, that is what a remote
    build gives.
    """
    package = build(say=say).files
    bare = {path: text for path, text in package.items() if not path.endswith(".pyc")}
    whole = dict(app_files.collect(ROOT))
    whole |= {SITE + path: text for path, text in installed(say=say).items()}
    return [
        _laid(folder / "pip", "all of pip's, with bytecode", whole, say, bytecode=True),
        _laid(folder / "whole", "all of pip's, without bytecode", whole, say),
        _laid(folder / "bare", "package, without bytecode", bare, say),
        _laid(folder / "package", "package, bytecode for starting (as built)", package, say),
        _laid(folder / "full", "package, bytecode for everything", bare, say, bytecode=True),
    ]


def _laid(
    folder: Path,
    name: str,
    files: Mapping[str, bytes],
    say: Callable[[str], None],
    *,
    bytecode: bool = False,
) -> Variant:
    say(f"laying out: {name}")
    _copy(files, folder)
    if bytecode:
        # Some wheels carry templates that are no Python: compileall says so and goes on.
        command = [sys.executable, "-m", "compileall", "-q", str(folder)]
        subprocess.run(command, check=False, capture_output=True)
    everything = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    archive = folder.with_suffix(".zip")
    write(everything, archive)
    return Variant(
        name=name,
        folder=folder,
        zipped=archive.stat().st_size,
        unpacked=sum(map(len, everything.values())),
    )


def _copy(files: Mapping[str, bytes], folder: Path) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
