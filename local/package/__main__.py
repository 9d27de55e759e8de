"""
`python -m local.package [TARGET] [--unpacked]`: build the package and say what is in it.

Beside it lie the bill of materials and, where asked for, the same files in a folder, as azd takes
them. Needs the standard library and pip alone.
"""

import argparse
import os
import shutil
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from local.folding import note
from local.package import sbom
from local.package.archive import Measure, unpack, write
from local.package.build import ROOT, build
from local.package.errors import PackageError
from local.package.parts import LISTED, table

DIST: Final = ROOT / "dist"
FOLDER: Final = DIST / "app"


def main(target: Path, *, unpacked: bool) -> int:
    started = time.perf_counter()
    try:
        telemetry = wants_telemetry(os.environ)
        package = build(say=lambda words: print(f"  {words}", flush=True), telemetry=telemetry)
    except PackageError as error:
        note(f"no package: {error}")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    write(package.files, target)
    bill = target.with_suffix(".cdx.json")
    bill.write_text(sbom.document(package.files), encoding="utf-8")
    measure = Measure.of(target)
    print(table(measure, at_least=LISTED))
    print(
        f"{target.name}: {measure.zipped / 1e6:.1f} MB zipped, "
        f"{measure.unpacked / 1e6:.1f} MB in {measure.count} files, "
        f"in {time.perf_counter() - started:.0f} s"
    )
    # The contents' digest is the same on every machine; the file's also depends on its zlib.
    print(f"contents sha256 {measure.digest}")
    print(f"file     sha256 {measure.file_digest} (zlib {zlib.ZLIB_RUNTIME_VERSION})")
    if unpacked:
        lay_out(target, FOLDER)
    return 0


def wants_telemetry(environ: Mapping[str, str]) -> bool:
    """Whether TELEMETRY, which the template reads too, asks for OpenTelemetry."""
    asked = environ.get("TELEMETRY", "")
    if asked not in {"", "opentelemetry"}:
        raise PackageError(f"TELEMETRY: {asked!r} is not known; leave it out, or opentelemetry")
    return asked == "opentelemetry"


def lay_out(package: Path, folder: Path) -> None:
    """Unpack *package* for azd, which zips a folder and takes no zip."""
    shutil.rmtree(folder, ignore_errors=True)
    unpack(package, folder)
    # Without a file of this name azd leaves out every __pycache__, and the bytecode with it.
    (folder / ".funcignore").touch()
    print(f"unpacked in {folder.relative_to(ROOT)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.package", description=__doc__)
    parser.add_argument("target", nargs="?", type=Path, default=DIST / "functionapp.zip")
    parser.add_argument("--unpacked", action="store_true", help="also lay out dist/app, for azd")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    sys.exit(main(given.target, unpacked=given.unpacked))
