"""The unit and its install script, judged by systemd's own tools where they are installed."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parent.parent / "systemd"
UNIT = SYSTEMD / "wakeline.service"
INSTALL = SYSTEMD / "install.sh"
MOST_EXPOSURE = 3.0

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings() -> dict[str, str]:
    """The [Service] section; of a repeated key the last one."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(UNIT)
    return dict(parser["Service"])


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_promises_of_the_unit() -> None:
    service = settings()
    expected = {
        "Type": "notify",
        "NotifyAccess": "main",
        "KillMode": "mixed",
        "Restart": "always",
        "User": "wakeline",
        "SupplementaryGroups": "audio",
        "ExecStart": "/opt/wakeline/bin/wakeline run",
        "StateDirectory": "wakeline",
        "RuntimeDirectory": "wakeline",
        "ConfigurationDirectory": "wakeline",
        "DeviceAllow": "char-alsa rw",
        "LimitCORE": "0",
    }
    assert {key: service[key] for key in expected} == expected
    assert int(service["WatchdogSec"]) >= 5
    _, credentials = service["LoadCredential"].split(":")
    assert f"d {credentials} " in (SYSTEMD / "wakeline.tmpfiles").read_text(), "systemd 252 wants the folder to exist"


def test_the_unit_keeps_to_what_systemd_252_knows() -> None:
    assert not {"RestartSteps", "RestartMaxDelaySec"} & settings().keys()


@needs_analyze
@pytest.mark.service
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    stub = tmp_path / "wakeline"
    stub.write_text("#!/bin/sh\n")
    stub.chmod(0o755)
    unit = tmp_path / "wakeline.service"
    unit.write_text(UNIT.read_text().replace("/opt/wakeline/bin/wakeline", str(stub)))
    verdict = run("systemd-analyze", "verify", "--man=no", unit)
    assert (verdict.returncode, verdict.stdout + verdict.stderr) == (0, "")


@needs_analyze
@pytest.mark.service
def test_the_exposure_is_bounded() -> None:
    verdict = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", verdict.stdout)
    assert found, verdict.stdout + verdict.stderr
    print(found[0])
    assert float(found[1]) <= MOST_EXPOSURE


@pytest.mark.service
def test_sysusers_and_tmpfiles_are_accepted(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None or os.geteuid() != 0:
        pytest.skip("needs systemd-sysusers and root")
    for name in ("etc", "usr/lib"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy("/etc/group", tmp_path / "etc/group")  # the group audio
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    made = run("systemd-sysusers", f"--root={tmp_path}", SYSTEMD / "wakeline.sysusers")
    assert made.returncode == 0, made.stderr
    assert "wakeline" in (tmp_path / "etc/passwd").read_text()
    assert re.search("^audio:.*wakeline", (tmp_path / "etc/group").read_text(), re.M)
    made = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", SYSTEMD / "wakeline.tmpfiles")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "etc/wakeline/credentials").stat().st_mode & 0o777 == 0o700


def test_the_script_is_sound_bash() -> None:
    assert run("bash", "-n", INSTALL).returncode == 0
    assert os.access(INSTALL, os.X_OK)
    if shutil.which("shellcheck"):
        verdict = run("shellcheck", INSTALL)
        assert verdict.returncode == 0, verdict.stdout


def tree(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_installing_twice_is_installing_once_and_uninstalling_keeps_the_data(tmp_path: Path) -> None:
    root = tmp_path / "root"
    kept = root / "etc/wakeline/wakeline.toml"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine = true\n")
    install = ("bash", INSTALL, "--root", root, "--python", shutil.which("python3") or "python3")
    assert run(*install).returncode == 0
    once = tree(root)
    assert once["etc/systemd/system/wakeline.service"] == UNIT.read_text()
    assert {"usr/lib/sysusers.d/wakeline.conf", "usr/lib/tmpfiles.d/wakeline.conf"} <= once.keys()
    assert run(*install).returncode == 0
    assert tree(root) == once
    removed = run("bash", INSTALL, "--root", root, "--uninstall")
    assert removed.returncode == 0, removed.stderr
    assert tree(root) == {"etc/wakeline/wakeline.toml": "mine = true\n"}
    assert run("bash", INSTALL, "--root", root, "--uninstall", "--purge").returncode == 0
    assert tree(root) == {}


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    told = run("bash", INSTALL, "--root", tmp_path, "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "would run: install" in told.stdout
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(["--wrong"], "usage"), (["--root"], "usage"), (["--python", "/bin/false"], "3.11 to 3.13")],
)
def test_wrong_use_is_refused(tmp_path: Path, options: list[str], complaint: str) -> None:
    refused = run("bash", INSTALL, *options, *([] if "--root" in options else ["--root", str(tmp_path)]))
    assert refused.returncode != 0
    assert complaint in refused.stderr


@pytest.mark.parametrize("version", [252, 254, 257])
def test_the_back_off_is_written_where_systemd_knows_it(tmp_path: Path, version: int) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(f"#!/bin/sh\necho 'systemd {version} ({version}.1-1)'\n")
    (tools / "systemctl").chmod(0o755)
    root = tmp_path / "root"
    made = run("bash", INSTALL, "--root", root, PATH=f"{tools}:{os.environ['PATH']}")
    assert made.returncode == 0, made.stderr
    drop_in = root / "etc/systemd/system/wakeline.service.d/backoff.conf"
    assert drop_in.exists() == (version >= 254)
