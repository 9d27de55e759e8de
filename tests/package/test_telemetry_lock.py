"""OpenTelemetry comes into a package that asks for it, and into no other."""

import pytest

from local.package import lock
from local.package.__main__ import wants_telemetry
from local.package.build import ROOT, Package
from local.package.errors import PackageError
from local.package.lock import Locked


def held(path: str) -> tuple[Locked, ...]:
    return lock.read((ROOT / path).read_text(encoding="utf-8"))


def test_the_default_package_has_no_distribution_of_opentelemetry(package: Package) -> None:
    distribution = [path for path in package.files if "azure/monitor/" in path]

    assert distribution == []
    assert not {"azure-monitor-opentelemetry", "psutil"} & {e.name for e in held(str(lock.LOCK))}


def test_what_is_asked_for_is_locked_and_nothing_but_opentelemetry_is_replaced() -> None:
    base, more = held(str(lock.LOCK)), held(str(lock.TELEMETRY_LOCK))
    wanted = (ROOT / lock.TELEMETRY_REQUIREMENTS).read_text(encoding="utf-8")
    merged = lock.with_telemetry(base, more)
    replaced = {wheel.name for wheel in base} - {wheel.name for wheel in merged if wheel in base}

    assert lock.stale(wanted, more) == []
    assert len(merged) == len({wheel.name for wheel in (*base, *more)})
    assert set(more) <= set(merged)
    assert all(name.startswith("opentelemetry-") for name in replaced)


@pytest.mark.parametrize(
    ("given", "asked"),
    [({}, False), ({"TELEMETRY": ""}, False), ({"TELEMETRY": "opentelemetry"}, True)],
)
def test_telemetry_is_the_parameter(given: dict[str, str], *, asked: bool) -> None:
    assert wants_telemetry(given) is asked


@pytest.mark.parametrize("value", ["OpenTelemetry", "true", "otel", "none"])
def test_another_word_stops_the_build(value: str) -> None:
    with pytest.raises(PackageError, match="TELEMETRY: "):
        wants_telemetry({"TELEMETRY": value})
