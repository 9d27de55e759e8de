"""The hooks: run by azd, on a machine with Python 3.13 and nothing else of ours."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.bicep import INFRA, ROOT

from .stand_ins import StandIn

HOOKS = sorted(p for p in (INFRA / "hooks").glob("*.py") if p.name != "hook.py")
AZURE_YAML = (ROOT / "azure.yaml").read_text(encoding="utf-8")
ENVIRON = {
    "AZURE_ENV_NAME": "test",
    "AZURE_LOCATION": "westeurope",
    "ALERT_EMAILS": "identity-team@example.com",
    "RESETS_ENABLED": "true",
    "RESET_TARGETS": json.dumps(
        {"salesforce-prod": {"servicePrincipalId": "8e6c3c1d-4b7a-4c52-9f0e-2a1d5b9c7e31"}}
    ),
}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PATH on which there is this Python, and neither make nor npm nor a tool of ours."""
    folder = tmp_path_factory.mktemp("bin")
    base = Path(getattr(sys, "_base_executable", sys.executable))
    (folder / "python3.13").symlink_to(base)
    return folder


def run(hook: str, bare: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    registry = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "HOME"))}
    return subprocess.run(
        [bare / "python3.13", INFRA / "hooks" / f"{hook}.py", *arguments],
        # azd runs a hook in the script's own folder.
        cwd=INFRA / "hooks",
        env={**registry, "PATH": str(bare), **ENVIRON, **changes},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_azd_runs_our_hooks_in_python_and_deploys_what_a_hook_has_built() -> None:
    hooks = dict(re.findall(r"^ +(\w+):\n +run: \./(\S+)$", AZURE_YAML, re.MULTILINE))

    assert hooks == {
        name: f"infra/hooks/{name}.py"
        for name in ("preprovision", "postprovision", "prepackage", "predeploy", "postdeploy")
    }
    assert AZURE_YAML.count("run:") == len(hooks)
    assert "shell:" not in AZURE_YAML
    # Without it azd has Python built on the platform, from what no test has seen.
    assert re.search(r"^    remoteBuild: false$", AZURE_YAML, re.MULTILINE)
    assert re.search(r"^    dist: dist/app$", AZURE_YAML, re.MULTILINE)


def test_azd_finds_nothing_to_install_beside_the_hooks() -> None:
    """It looks upwards for requirements.txt, and would install the app's own without hashes."""
    text = (INFRA / "hooks" / "requirements.txt").read_text(encoding="utf-8")

    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


@pytest.mark.parametrize("hook", HOOKS, ids=lambda path: path.name)
def test_every_hook_runs_a_module_that_is_there(hook: Path) -> None:
    text = hook.read_text(encoding="utf-8")
    (module,) = re.findall(r'run\("([a-z_.]+)"', text)
    path = ROOT / module.replace(".", "/")

    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        pytest.param({}, 0, "targets: salesforce-prod", id="good"),
        pytest.param({"RESET_DAILY_BUDGET": "many"}, 1, "RESET_DAILY_BUDGET", id="bad"),
        pytest.param({"RESET_TARGETS": ""}, 1, "RESET_TARGETS: missing", id="missing"),
    ],
)
def test_the_hook_before_provisioning_stops_at_a_bad_setting(
    bare: Path, changes: dict[str, str], code: int, says: str
) -> None:
    done = run("preprovision", bare, **changes)

    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stdout


def test_a_hook_has_the_packages_of_the_runtime_lock_and_no_other(bare: Path) -> None:
    """What a development tool could put beside them (a `.pth`) would run with the hook's rights."""
    assert run("preprovision", bare).returncode == 0
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {n.replace("_", "-").lower() for n in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)}
    (folder,) = (
        p for p in (ROOT / ".local" / "hooks").iterdir() if (p / ".ready").exists() and current(p)
    )
    installed = {
        re.sub(r"[-_.]+", "-", p.name.split("-")[0]).lower()
        for p in folder.glob("lib/*/site-packages/*.dist-info")
    }

    assert installed - {"pip"} <= {re.sub(r"[-_.]+", "-", name) for name in locked}
    assert "pytest" not in installed
    assert not list(folder.glob("lib/*/site-packages/*.pth"))


def current(folder: Path) -> bool:
    """The newest of the environments: others belong to an earlier lock."""
    others = [p for p in folder.parent.iterdir() if (p / ".ready").exists()]
    return folder == max(others, key=lambda p: (p / ".ready").stat().st_mtime)


def test_nothing_of_this_machine_gets_into_a_hook(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("raise SystemExit('not mine')", encoding="utf-8")

    done = run("preprovision", bare, PYTHONPATH=str(tmp_path), PYTHONSTARTUP="/nowhere")

    assert done.returncode == 0, done.stderr


def test_without_its_python_a_hook_says_which(bare: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); sys.version_info = (3, 12, 0); "
        "import hook; sys.exit(hook.run('local.deployment.settings'))"
    )
    done = subprocess.run(
        [bare / "python3.13", "-c", program, INFRA / "hooks"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "install Python 3.13" in done.stderr


def test_the_hook_after_provisioning_ends_well_where_nobody_is_signed_in(
    bare: Path, tmp_path: Path
) -> None:
    stand_in = StandIn(tmp_path, "az")
    stand_in.answer("account get-access-token", code=1, err="ERROR: Please run 'az login'")
    done = run(
        "postprovision",
        bare,
        PATH=f"{tmp_path}:{bare}",
        RELINK_IDENTITY_PRINCIPAL_ID="0b7c2f5e-9d1a-4e83-b6f4-7a5c3e2d1f90",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "not checked" in done.stdout
    assert "az login" in done.stdout
