"""`python -m local.package [TARGET]`: build the package and say what is in it."""

import sys
import time
import zlib
from pathlib import Path

from local.package.archive import Measure, write
from local.package.build import ROOT, build
from local.package.errors import PackageError
from local.package.parts import LISTED, table


def main(target: Path) -> int:
    started = time.perf_counter()
    try:
        package = build(say=lambda words: print(f"  {words}", flush=True))
    except PackageError as error:
        print(f"no package: {error}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    write(package.files, target)
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
    return 0


arguments = [Path(argument) for argument in sys.argv[1:]]
sys.exit(main(*arguments or [ROOT / "dist" / "functionapp.zip"]))
