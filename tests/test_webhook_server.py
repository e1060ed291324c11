"""`wakeline webhook test` against our own server on a loopback socket: every line as expected, for every scheme."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device import app
from device.cli import main
from device.config import Config
from device.functions.registry import Registry
from device.secrets import Secrets
from device.web.assembly import WebParts, build_web

pytestmark = pytest.mark.calls

BASE = "https://edge.example.org"


@contextmanager
def server(config: Config, database: Path) -> Iterator[str]:
    """The public port in a loop of its own; yields its address."""
    up = threading.Event()
    where: list[Any] = []

    async def serve() -> None:
        house = app.build(config, Secrets({}), database=database)
        try:
            parts = WebParts(
                house.store, house.runner, Registry.load(), lambda: datetime.now(UTC), lambda: True, lambda: True
            )
            web = build_web(config, Secrets(), parts)
            assert web is not None
            assert web.public is not None
            await web.start()
            done = asyncio.Event()
            where.extend((f"http://127.0.0.1:{web.public.port}", asyncio.get_running_loop(), done))
            up.set()
            await done.wait()
            await web.stop()
            await web.close()
        finally:
            await house.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert up.wait(20)
    url, loop, done = where
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("WAKELINE_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("VAPI_SERVER_SECRET", "whsec-demo")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "12345")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("WAKELINE_WEB__BASE_URL", BASE)
    (tmp_path / "state").mkdir()
    return Config(
        web={"base_url": BASE, "port": 0, "private_port": 0, "slow_s": 1.0, "refused_per_minute": 1000},
        paths={"state_dir": tmp_path / "state"},
    )


@pytest.mark.parametrize("scheme", ["hmac", "hmac-body", "bearer", "x-vapi-secret"])
def test_our_server_answers_every_line_as_expected(
    config: Config, scheme: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with server(config, tmp_path / "w.db") as url:
        slow = ["--slow"] if scheme == "hmac" else []
        status = main(["webhook", "test", url, "--scheme", scheme, "--json", *slow])
    report = json.loads(capsys.readouterr().out)
    assert [(row["sent"], row["got"], row["fault"]) for row in report["requests"] if not row["ok"]] == []
    assert status == 0
    assert report["sent"] > 75
