"""The service as systemd starts it, with its secrets as credentials: both ports open, and `status` tells what came."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.live_rig import appliance
from tests.test_service_processes import no_card
from tests.test_service_unit import Manager, unit
from tests.test_service_web import SECRET, post, public_port
from tests.virtual_card import wait_until

pytestmark = pytest.mark.service

NOTICE = json.dumps({"message": {"type": "hang", "call": {"id": "c-1"}}}).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_credentials_of_the_unit_open_the_ports(tmp_path: Path) -> None:
    folder, port = tmp_path / "a", free_port()
    manager = Manager(tmp_path)
    environment = no_card(tmp_path) | manager.environment(folder, 9)
    environment.pop("PORT", None)
    for name, value in {"vapi_server_secret": SECRET, "port": str(port)}.items():
        (folder / "credentials" / f"credentials_{name}").write_text(value)
    with appliance(folder, environment) as running:
        manager.hear("READY=1")
        assert public_port(running) == port
        (private,) = re.findall(r"private port: listening on 127\.0\.0\.1:(\d+)", running.output)
        assert post(port, NOTICE)[0] == 200
        assert post(port, NOTICE)[0] == 200, "answered from the record"
        assert post(port, NOTICE, "wrong")[0] == 401
        token = (folder / "state" / "web-token").read_text().strip()
        assert health(int(private), token) == 200
        status = running.command("status")
        for line in (f"web_port: {port}", "webhooks_seen: 3", "webhooks_refused: 1", "webhooks_replayed: 1"):
            assert f"{line}\n" in status + "\n"
        assert running.end() == 0
        assert SECRET not in running.output


def test_without_a_secret_the_status_says_that_the_port_is_closed(tmp_path: Path) -> None:
    with appliance(tmp_path / "a", no_card(tmp_path) | {"PORT": ""}) as running:
        wait_until(lambda: "web_port" in running.status(), 30, "it is up")
        status = running.status()
        assert (status["web_port"], status["webhooks_seen"]) == (None, 0)
        assert running.end() == 0


def test_the_sandbox_of_the_unit_lets_it_listen() -> None:
    """What would forbid a port above 1023 to a service, and a file for each of many callers."""
    given = unit()
    families = given["RestrictAddressFamilies"].split()
    assert {"AF_INET", "AF_INET6"} <= set(families)
    for forbidding in ("PrivateNetwork", "IPAddressDeny", "SocketBindDeny", "LimitNOFILE"):
        assert forbidding not in given, "the server raises its own limit"
    assert given["LoadCredential"] == "credentials:/etc/wakeline/credentials"


def health(port: int, token: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/health", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)
