"""From the project and the lock to the files of a package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.package import app_files, lock, wheels
from local.package.bytecode import compiled
from local.package.errors import PackageError
from local.package.reach import GENERATED, SDK, Library, Reach, trimmed
from local.package.start import ROOTS, TELEMETRY_ROOT, imported_at_start

ROOT: Final = Path(__file__).resolve().parents[2]
SITE: Final = ".python_packages/lib/site-packages/"
CACHE: Final = Path(".local/wheels")


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    files: dict[str, bytes]
    left_out: frozenset[str]
    """Modules of the SDK that the app cannot reach."""


def build(*, root: Path = ROOT, say: Callable[[str], None], telemetry: bool = False) -> Package:
    """
    Put the package of the project at *root* together; *say* hears how far it is.

    With *telemetry* it holds the OpenTelemetry distribution too.
    """
    app = dict(app_files.collect(root))
    say(f"the app: {len(app)} files")
    site = installed(root=root, say=say, telemetry=telemetry)
    library = Library(site)
    reached = Reach(library, app).modules
    left_out = frozenset(m for m in library.modules() if m.startswith(SDK + ".")) - reached
    say(f"the Graph SDK: {len(reached)} modules in reach, {len(left_out)} left out")
    # Beside its modules the SDK has only its generator's own records (38 MB of them).
    in_reach = {library.path(module) for module in reached}
    site = {p: text for p, text in site.items() if not p.startswith(f"{SDK}/") or p in in_reach}
    generated = [module for module in reached if module.startswith(GENERATED)]
    site |= {library.path(module): trimmed(library, module) for module in generated}
    say(f"the Graph SDK: {sum(len(library.idle(m)) for m in generated)} idle imports taken out")
    deployed = Library(app | site)
    roots = (*ROOTS, TELEMETRY_ROOT) if telemetry else ROOTS
    started = {deployed.path(m): deployed.text(m) for m in imported_at_start(deployed, roots)}
    files = app | {SITE + path: text for path, text in site.items()}
    sources = {p if p in app else SITE + p: text for p, text in started.items()}
    files |= compiled(sources)
    say(f"bytecode: {len(sources)} modules, those that starting imports")
    return Package(files=files, left_out=left_out)


def installed(
    *, root: Path = ROOT, say: Callable[[str], None], telemetry: bool = False
) -> dict[str, bytes]:
    """What is shipped of the locked wheels, whole, by path under site-packages."""
    locked = lock.read((root / lock.LOCK).read_text(encoding="utf-8"))
    if late := lock.stale((root / lock.REQUIREMENTS).read_text(encoding="utf-8"), locked):
        raise PackageError(f"{lock.LOCK} does not hold {', '.join(late)}; run `make lock`")
    if telemetry:
        more = lock.read((root / lock.TELEMETRY_LOCK).read_text(encoding="utf-8"))
        wanted = (root / lock.TELEMETRY_REQUIREMENTS).read_text(encoding="utf-8")
        if late := lock.stale(wanted, more):
            raise PackageError(f"{lock.TELEMETRY_LOCK} does not hold {late[0]}; run `make lock`")
        locked = lock.with_telemetry(locked, more)
    say(f"wheels: {len(locked)} locked")
    site: dict[str, bytes] = {}
    for wheel in wheels.fetch(locked, root / CACHE):
        for path, content in wheels.shipped(wheel):
            if site.setdefault(path, content) != content:
                raise PackageError(f"{path} comes with two wheels, {wheel.name} is one of them")
    return site
