"""/metrics on the private port: what came, in numbers, for whoever has the token."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from device.config import load_config
from device.web.metrics import exposition
from device.web.private import web_token
from tests.house_rig import VAPI, configure, opened

LINE = re.compile(r'(# (HELP|TYPE) wakeline_\w+ .+|wakeline_\w+(\{\w+="([^"\\\n]|\\["\\n])*"\})? [0-9.e+]+)')


@pytest.mark.calls
def test_what_came_is_counted(tmp_path: Path) -> None:
    config = load_config(configure(tmp_path))

    async def scene() -> None:
        async with opened(config) as door:
            for number in range(2):
                await door.post({"type": "hang", "n": number})
            await door.post({"type": "hang", "n": 0})
            await door.post({"type": "never-heard-of"}, call="c-2")
            await door.http.post(VAPI, content=b"{}")
            private = f"http://127.0.0.1:{door.web.private.port}/metrics"
            good = {"authorization": f"Bearer {web_token(config.paths.state_dir)}"}
            async with httpx.AsyncClient(trust_env=False) as http:
                assert (await http.get(private)).status_code == 401
                assert (await http.post(private, headers=good)).status_code == 405
                answer = await http.get(private, headers=good)
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            lines = answer.text.splitlines()
            assert all(LINE.fullmatch(line) for line in lines), answer.text
            for line in (
                "wakeline_webhooks_seen_total 5",
                "wakeline_webhooks_handled_total 3",
                "wakeline_webhooks_replayed_total 1",
                'wakeline_webhooks_refused_total{code="signature-missing"} 1',
                'wakeline_vapi_messages_total{type="hang"} 2',
                'wakeline_vapi_messages_total{type="unknown"} 1',
                "wakeline_active_calls 2",
            ):
                assert line in lines
            assert (await door.http.get("/metrics")).status_code == 404, "not for the world"

    asyncio.run(scene())


def test_labels_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    text = exposition(seen=0, handled=0, replayed=0, refused={odd: 1}, messages={}, active_calls=0, uptime_s=1.5)
    assert r'{code="a\"b\\c\nd"} 1' in text
    assert all(LINE.fullmatch(line) for line in text.splitlines())
