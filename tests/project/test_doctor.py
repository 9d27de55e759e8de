"""azure-functions-doctor on what a fresh clone holds: each finding is fixed, or waived here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from local.processes import ROOT

DOCTOR = Path(sys.executable).with_name("azure-functions-doctor")

WAIVED = {
    "check_venv": "the clone that is looked at is fresh; `make setup` makes .venv",
    "check_local_settings": "it must not be in the repository: it is where secrets would stand",
    "check_func_cli": "the project has its own development host (docs/design/decisions.md, 9)",
    "check_func_core_tools_version": "as above",
    "check_binding_connection_resolution": (
        "settings of small apps that test the development host or are measured beside this one"
    ),
    "check_openapi_version_mixing": "3.0.0 is the version of AsyncAPI, which is another standard",
    "check_native_dependency_risk": (
        "cryptography signs for a GitHub App; azure-identity brings it into every package anyway"
    ),
    "check_asgi_wsgi_exposure": (
        "tests ask the functions in their own process: tests/support/wsgi.py"
    ),
    "check_app_insights": (
        "it looks in local.settings.json; deployed, the template sets the connection string"
    ),
}


def findings(project: Path) -> dict[str, str]:
    """What the doctor does not pass, by rule; on no path is anything of this machine."""
    done = subprocess.run(
        [
            DOCTOR,
            "doctor",
            "--path",
            str(project),
            "--format=json",
            "--profile=full",
            "--hosting-plan=flex-consumption",
        ],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(DOCTOR.parent), "HOME": str(project)},
    )
    assert done.stdout, done.stderr
    results = [item for part in json.loads(done.stdout)["results"] for item in part["items"]]
    assert sum(item["status"] == "pass" for item in results) > 15
    return {
        item["rule_id"]: item["value"] for item in results if item["status"] in ("warn", "fail")
    }


def clone(folder: Path) -> Path:
    """The files that git knows, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_each_finding_is_waived_with_its_reason_and_no_waiver_is_left_over(tmp_path: Path) -> None:
    found = findings(clone(tmp_path))

    assert found.keys() == WAIVED.keys(), found


def test_the_waived_connection_is_no_connection_of_the_app(tmp_path: Path) -> None:
    project = clone(tmp_path)
    shutil.rmtree(project / "tests")
    shutil.rmtree(project / "bench")

    assert "check_binding_connection_resolution" not in findings(project)


def test_a_real_defect_would_be_found(tmp_path: Path) -> None:
    project = clone(tmp_path)
    shutil.rmtree(project / "tests")
    (project / "host.json").unlink()
    requirements = project / "requirements.txt"
    text = requirements.read_text(encoding="utf-8")
    requirements.write_text(text.replace("httpx==0.28.1", "httpx"), encoding="utf-8")

    assert findings(project).keys() >= {"check_host_json", "check_unpinned_requirements"}
