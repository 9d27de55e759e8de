"""Bytecode that a cold instance need not make for itself, and loses with every instance."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from local.package.errors import PackageError

DEPLOYED_AT: Final = "/home/site/wwwroot"


def compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """
    The bytecode of these sources, by the path at which Python looks for it.

    Unchecked: valid whatever time the platform gives a file, and looked up without a stat of it.
    In a process of its own, with nothing else loaded: which strings bytecode shares depends on
    what the process that makes it holds, and then the same source would not give the same bytes.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path, text in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(text)
        listed = root / "listed.txt"
        listed.write_text("".join(f"{root / path}\n" for path in sorted(files)), encoding="utf-8")
        program = [sys.executable, "-I", "-S", "-m", "compileall", "-q", "-i", str(listed)]
        program += ["-s", folder, "-p", DEPLOYED_AT, "--invalidation-mode", "unchecked-hash"]
        done = subprocess.run(
            program, check=False, capture_output=True, text=True, env={"PATH": os.defpath}
        )
        if done.returncode != 0:
            raise PackageError(f"a module does not compile:\n{done.stdout}{done.stderr}".rstrip())
        targets = [cache_from_source(path) for path in files]
        return {target: (root / target).read_bytes() for target in targets}
