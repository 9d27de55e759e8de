"""One package for the whole run, built as `make package` builds it."""

from pathlib import Path

import pytest

from local.package import alone
from local.package.archive import unpack, write
from local.package.build import ROOT, Package, build
from tests.package.support import venv


@pytest.fixture(scope="session")
def package() -> Package:
    return build(say=lambda _: None)


@pytest.fixture(scope="session")
def zipped(package: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("package") / "functionapp.zip"
    write(package.files, target)
    return target


@pytest.fixture(scope="session")
def unpacked(zipped: Path) -> Path:
    folder = zipped.with_name("unpacked")
    unpack(zipped, folder)
    return folder


@pytest.fixture(scope="session")
def host_guests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the development host needs beside the package: itself, and its own blobs."""
    return alone.invite(
        tmp_path_factory.mktemp("host-guests"),
        {"local": ROOT / "local", "azure/storage/blob": venv("azure.storage.blob")},
    )
