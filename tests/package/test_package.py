"""The package: the same bytes each time, within its limits, with nothing that is not needed."""

import json
import re
import sys
import zipfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from local.package import app_files, lock
from local.package.archive import Measure
from local.package.build import CACHE, ROOT, SITE, Package
from local.package.errors import PackageError
from local.package.parts import LISTED, parts
from local.package.reach import GENERATED, Library
from local.package.sbom import document
from local.package.sources import all_imports
from tests.package.support import run

MOST_ZIPPED = 15_500_000
MOST_UNPACKED = 45_000_000
SHIPPED_OF_THE_SDK = {
    "msgraph",
    "msgraph._version",
    "msgraph.generated.base_graph_service_client",
    "msgraph.generated.models.o_data_errors.error_details",
    "msgraph.generated.models.o_data_errors.inner_error",
    "msgraph.generated.models.o_data_errors.main_error",
    "msgraph.generated.models.o_data_errors.o_data_error",
    "msgraph.generated.models.synchronization_job_restart_criteria",
    "msgraph.generated.models.synchronization_job_restart_scope",
    "msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body",
    "msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_request_builder",
    "msgraph.graph_request_adapter",
    "msgraph.graph_service_client",
}
WITHOUT_A_LICENCE_FIELD = {
    "azure-functions-runtime",
    "microsoft-kiota-abstractions",
    "microsoft-kiota-authentication-azure",
    "microsoft-kiota-http",
    "microsoft-kiota-serialization-form",
    "microsoft-kiota-serialization-json",
    "microsoft-kiota-serialization-multipart",
    "microsoft-kiota-serialization-text",
}
"""Their metadata have a classifier or a file alone."""
WHEELS = ROOT / CACHE


async def test_another_process_elsewhere_at_another_time_builds_the_same_bytes(
    zipped: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.zip"
    build = f"umask 077; cd /; exec {sys.executable} -m local.package {again}"
    odd = {
        "PYTHONPATH": str(ROOT),
        "PYTHONHASHSEED": "4711",
        "TZ": "Pacific/Auckland",
        "SOURCE_DATE_EPOCH": "1000000000",
        "LC_ALL": "C",
        "HOME": str(tmp_path),
    }

    code, said = await run(["bash", "-c", build], odd)

    assert code == 0, said
    assert again.read_bytes() == zipped.read_bytes()
    assert Measure.of(again).digest in said


def test_it_keeps_its_limits(zipped: Path) -> None:
    measure = Measure.of(zipped)

    assert measure.zipped <= MOST_ZIPPED
    assert measure.unpacked <= MOST_UNPACKED


def test_entries_carry_nothing_of_the_machine_that_built_them(zipped: Path) -> None:
    with zipfile.ZipFile(zipped) as archive:
        entries = archive.infolist()

    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    assert {e.date_time for e in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {(e.create_system, oct(e.external_attr >> 16)) for e in entries} == {(3, "0o100644")}
    assert {e.extra for e in entries} == {b""}


def test_the_app_stands_at_the_root_and_nothing_that_is_not_deployed(package: Package) -> None:
    top = {path.partition("/")[0] for path in package.files}
    app = {p for p in package.files if not p.startswith((SITE, "__pycache__/"))}

    assert top == {
        ".python_packages",
        "__pycache__",
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared",
    }
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "shared").rglob("*.py")} == {
        p for p in app if p.startswith("shared/") and p.endswith(".py")
    }


def test_what_is_read_as_funcignore_is_what_is_understood(tmp_path: Path) -> None:
    for name in ("a.py", "b.txt", "keep/b.txt", "keep/tests/c.py", "tests/d.py", "x/dist/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".funcignore").write_text("# words\ntests/\n/b.txt\nx/dist\n*.tmp\n")

    assert dict(app_files.collect(tmp_path)).keys() == {"a.py", "keep/b.txt"}

    (tmp_path / ".funcignore").write_text("!a.py\n")
    with pytest.raises(PackageError, match=r"'!a\.py' is not understood here"):
        dict(app_files.collect(tmp_path))


def test_of_wheels_only_what_runs_is_shipped(package: Package) -> None:
    site = [path.removeprefix(SITE) for path in package.files if path.startswith(SITE)]

    assert [p for p in site if p.endswith((".pyi", ".pyx", ".pxd", ".c", ".h", "py.typed"))] == []
    assert [p for p in site if re.search(r"(^|/)(bin|pip|setuptools)/", p)] == []
    assert {p.rpartition("/")[2] for p in site if ".dist-info/" in p and "LICENSE" not in p} <= {
        "METADATA",
        "entry_points.txt",
        "NOTICE",
        "AUTHORS.rst",
        "AUTHORS.md",
    }
    # Whose text the licence asks to go along.
    distributions = {p.partition("/")[0] for p in site if ".dist-info/" in p}
    locked = lock.read((ROOT / lock.LOCK).read_text(encoding="utf-8"))
    assert len(distributions) == len(locked)


def test_every_extension_is_for_the_platform(package: Package) -> None:
    extensions = {p: text for p, text in package.files.items() if p.endswith(".so")}

    assert len(extensions) > 10
    for path, text in extensions.items():
        # ELF, 64 bits, little-endian; x86-64.
        assert text[:6] == b"\x7fELF\x02\x01", path
        assert text[18:20] == b"\x3e\x00", path
        asked = [int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", text)]
        # Debian bookworm, on which Flex Consumption runs Python 3.13, has 2.36.
        assert max(asked, default=0) <= 28, path


def test_bytecode_is_for_this_python_and_asks_for_no_source(package: Package) -> None:
    compiled = {p: text for p, text in package.files.items() if p.endswith(".pyc")}

    assert sys.version_info[:2] == (3, 13)
    for path, text in compiled.items():
        # Flags 1: by hash, unchecked. The platform may give files any time it likes.
        assert text[:8] == MAGIC_NUMBER + b"\x01\x00\x00\x00", path
        source = path.replace("__pycache__/", "").replace(".cpython-313.pyc", ".py")
        assert source in package.files, path
        assert b"/tmp/" not in text, path


def test_every_import_in_a_model_of_the_sdk_finds_its_module(package: Package) -> None:
    """Builders may name what nobody asks for; whatever a model names can come from Graph."""
    library = Library(
        {
            p.removeprefix(SITE): t
            for p, t in package.files.items()
            if p.startswith(SITE + "msgraph/")
        }
    )
    missing, followed = set(), 0
    for module in library.modules():
        if module.startswith(GENERATED + "models."):
            inside = library.package(module)
            for found in all_imports(library.text(module), package=inside):
                if found.module.startswith(GENERATED):
                    followed += 1
                    if found.module not in library:
                        missing.add((module, found.module))
    assert missing == set()
    # Of the errors, which have three models, and of the restart, which has two.
    assert followed >= 5
    assert set(library.modules()) == SHIPPED_OF_THE_SDK


def test_the_lock_holds_what_requirements_pin_and_all_that_it_needs() -> None:
    locked = lock.read((ROOT / lock.LOCK).read_text(encoding="utf-8"))
    requirements = (ROOT / lock.REQUIREMENTS).read_text(encoding="utf-8")

    assert lock.stale(requirements, locked) == []
    assert lock.stale(requirements + "\nhttpx==9.9.9\n", locked) == ["httpx==9.9.9"]
    assert lock.pins(requirements)
    with pytest.raises(PackageError, match="is not a locked wheel"):
        lock.read("httpx==0.28.1\n")


def test_performance_lists_every_part_over_300_kb(zipped: Path) -> None:
    text = (ROOT / "docs" / "design" / "performance.md").read_text(encoding="utf-8")
    section = text.partition("\n## Parts over 300 KB\n")[2].partition("\n## ")[0]
    row = r"^\| ([\w.\- ]+?) \| ([\d.]+) \| ([\d.]+) \| .+ \|$"
    rows = re.findall(row, section, re.MULTILINE)
    listed = {name: float(unpacked) for name, _, unpacked in rows}
    heavy = {p.name: p.unpacked / 1e6 for p in parts(Measure.of(zipped)) if p.unpacked >= LISTED}

    assert listed.keys() == heavy.keys()
    for name, megabytes in heavy.items():
        assert listed[name] == pytest.approx(megabytes, rel=0.15), name


def test_the_bill_of_materials_names_every_wheel_with_its_hash_and_is_the_same_each_time(
    package: Package,
) -> None:
    files = package.files
    text = document(files)
    bill = json.loads(text)
    locked = lock.read((ROOT / lock.LOCK).read_text(encoding="utf-8"))

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert {(c["name"], c["version"], c["hashes"][0]["content"]) for c in bill["components"]} == {
        (each.name, each.version, each.sha256) for each in locked
    }
    assert all(c["purl"].startswith("pkg:pypi/") for c in bill["components"])
    unsaid = {c["name"] for c in bill["components"] if "licenses" not in c}
    assert unsaid == WITHOUT_A_LICENCE_FIELD
    references = {c["bom-ref"] for c in bill["components"]} | {
        bill["metadata"]["component"]["name"]
    }
    assert {d["ref"] for d in bill["dependencies"]} == references
    assert all(set(d["dependsOn"]) <= references for d in bill["dependencies"])
    assert document(files) == text
