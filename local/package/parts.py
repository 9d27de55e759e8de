"""What is in a package, by part: a top-level package of site-packages, or the app itself."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from local.package.archive import Measure
from local.package.build import SITE

LISTED: Final = 300_000
"""Parts from this many bytes on, unpacked, are listed in docs/design/performance.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    name: str
    zipped: int
    unpacked: int


def parts(measure: Measure) -> list[Part]:
    """Heaviest first."""
    sizes: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path, zipped, unpacked in measure.entries:
        size = sizes[_part(path)]
        size[0] += zipped
        size[1] += unpacked
    found = [Part(name=n, zipped=z, unpacked=u) for n, (z, u) in sizes.items()]
    return sorted(found, key=lambda part: (-part.unpacked, part.name))


def table(measure: Measure, *, at_least: int) -> str:
    """The parts from *at_least* bytes on, and the rest in one line, as Markdown."""
    found = parts(measure)
    heavy = [part for part in found if part.unpacked >= at_least]
    light = [part for part in found if part.unpacked < at_least]
    rest = Part(
        name=f"{len(light)} smaller parts",
        zipped=sum(part.zipped for part in light),
        unpacked=sum(part.unpacked for part in light),
    )
    lines = ["| part | MB zipped | MB unpacked |", "|---|---|---|"]
    lines += [
        f"| {part.name} | {part.zipped / 1e6:.2f} | {part.unpacked / 1e6:.2f} |"
        for part in (*heavy, rest)
    ]
    return "\n".join(lines)


def _part(path: str) -> str:
    if not path.startswith(SITE):
        return "the app"
    steps = path.removeprefix(SITE).split("/")
    if steps[0].endswith(".dist-info"):
        return "metadata and licences"
    # azure is a namespace that many distributions share.
    depth = {"azure": 3 if steps[1:2] in (["storage"], ["data"]) else 2, "msgraph": 3}
    return ".".join(steps[: depth.get(steps[0], 1)]).removesuffix(".py")
