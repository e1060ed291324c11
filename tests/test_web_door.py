"""The door through real sockets: once, in order, within limits, and without a word too many."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from device.functions.contract import StoreFailed
from device.settings import HmacSection, Scheme, WebSection
from device.web.door import Answer
from device.web.limits import MOST_SOURCES, Refusals, Sources, raise_file_limit
from device.web.server import Listener, PortTaken
from device.webhook_sign import sign_vapi
from tests.web_rig import BODY, PATH, SECRET, WAIT_S, Handled, Rig, raw, running

pytestmark = pytest.mark.calls


def signed(body: bytes = BODY, scheme: Scheme = "hmac") -> dict[str, str]:
    return sign_vapi(body, SECRET, scheme, HmacSection(), datetime.now(UTC))


def run(folder: Path, handled: Handled, work: Callable[[Rig], Awaitable[None]], web: WebSection | None = None) -> None:
    async def all_of_it() -> None:
        async with asyncio.timeout(30), running(folder, handled, web) as rig:
            await work(rig)

    asyncio.run(all_of_it())


def test_an_authentic_request_comes_in_once(tmp_path: Path) -> None:
    """Again with a new signature, and again after a restart: the same answer, and nothing runs."""
    handled = Handled()

    async def work(rig: Rig) -> None:
        for scheme in ("hmac", "hmac", "hmac-body", "bearer", "x-vapi-secret"):
            answer = await rig.http.post(PATH, content=BODY, headers=signed(scheme=scheme))
            assert (answer.status_code, answer.content) == (200, b'{"results":[]}')
            assert "server" not in answer.headers

    run(tmp_path, handled, work)
    assert [request.body for request in handled.requests] == [BODY]
    run(tmp_path, handled, work)
    assert len(handled.requests) == 1


def test_the_same_request_at_once_waits_for_the_one_answer(tmp_path: Path) -> None:
    handled = Handled()

    async def work(rig: Rig) -> None:
        handled.gate = asyncio.Event()
        asked = [asyncio.create_task(rig.http.post(PATH, content=BODY, headers=signed())) for _ in range(8)]
        await handled.entered.wait()
        while rig.door.counts().replayed < 7:
            await asyncio.sleep(0)
        assert not any(one.done() for one in asked)
        handled.gate.set()
        assert {(await one).content for one in asked} == {b'{"results":[]}'}

    run(tmp_path, handled, work)
    assert len(handled.requests) == 1


def test_an_answer_leaves_after_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot keep it: the sender is told to come again, and then it runs."""
    handled = Handled()

    async def work(rig: Rig) -> None:
        def full(*_: object, **__: object) -> None:
            raise StoreFailed("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(rig.door._store, "submit", full)
            answer = await rig.http.post(PATH, content=BODY, headers=signed())
            assert (answer.status_code, answer.json()) == (503, {"error": "store-failed"})
        assert (await rig.http.post(PATH, content=BODY, headers=signed())).status_code == 200

    run(tmp_path, handled, work)
    assert len(handled.requests) == 2


def test_what_need_not_be_kept_runs_again(tmp_path: Path) -> None:
    handled = Handled(answer=Answer(keep=False))

    async def work(rig: Rig) -> None:
        for _ in range(3):
            assert (await rig.http.post(PATH, content=BODY, headers=signed())).status_code == 200

    run(tmp_path, handled, work)
    assert len(handled.requests) == 3


def test_a_mistake_of_ours_is_told_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    handled = Handled(failure=KeyError("what a person said"))

    async def work(rig: Rig) -> None:
        answer = await rig.http.post(PATH, content=BODY, headers=signed())
        assert (answer.status_code, answer.json()) == (500, {"error": "internal"})
        handled.failure = None
        assert (await rig.http.post(PATH, content=BODY, headers=signed())).status_code == 200

    with caplog.at_level(logging.DEBUG):
        run(tmp_path, handled, work)
    assert "KeyError" in caplog.text
    assert "person" not in caplog.text
    assert "Traceback" not in caplog.text


def test_nothing_else_is_served(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        assert (await rig.http.get("/health")).json() == {"status": "ok"}
        for path in (
            "/",
            "/ready",
            "/health/",
            PATH + "/",
            "/webhook",
            "/..%2fhealth",
            "/docs",
            "/%00",
            "/webhook//vapi",
        ):
            answer = await rig.http.post(path, content=BODY, headers=signed())
            assert (answer.status_code, answer.json()) == (404, {"error": "not-found"}), path
        for method in ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
            assert (await rig.http.request(method, PATH, headers=signed(b""))).status_code == 405, method
        assert (await rig.http.post("/health")).status_code == 405

    handled = Handled()
    run(tmp_path, handled, work)
    assert not handled.requests


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    """Announced, or not; one at the limit is not."""
    handled = Handled()
    big = b"x" * 1025

    async def work(rig: Rig) -> None:
        answer = await rig.http.post(PATH, content=big, headers=signed(big))
        assert (answer.status_code, answer.json()) == (413, {"error": "too-large"})

        async def chunks() -> object:
            for _ in range(3):
                yield b"x" * 512

        answer = await rig.http.post(PATH, content=chunks(), headers=signed())  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()) == (413, {"error": "too-large"})
        assert (await rig.http.post(PATH, content=big[:-1], headers=signed(big[:-1]))).status_code == 200

    run(tmp_path, handled, work, WebSection(body_limit=1024))
    assert len(handled.requests) == 1


HEAD = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-signature: 0\r\n".encode()


@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n\r\n", b"POST /webh", HEAD, HEAD + b"content-length: 9\r\n\r\n", HEAD + b"content-length: 9\r\n\r\n{}"],
    ids=["nothing", "empty lines", "a line", "a head", "no body", "a body"],
)
def test_who_is_slow_is_ended(tmp_path: Path, begun: bytes) -> None:
    async def work(rig: Rig) -> None:
        head, _, body = (await raw(rig.port, begun)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body) == {"error": "too-slow"}

    run(tmp_path, Handled(), work, WebSection(slow_s=0.2))


def test_a_slow_one_after_a_good_one_is_ended_too(tmp_path: Path) -> None:
    async def work(rig: Rig) -> None:
        answer = await raw(rig.port, b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /hea")
        assert answer.count(b"HTTP/1.1 ") == 2
        assert b"HTTP/1.1 408 " in answer

    run(tmp_path, Handled(), work, WebSection(slow_s=0.2))


def test_a_body_that_never_ends_is_cut_after_its_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered at once and thrown away; not for ever."""
    monkeypatch.setattr("device.web.protocol._BODY_GRACE_S", 0.1)

    async def work(rig: Rig) -> None:
        begun = HEAD.replace(b"x-signature: 0\r\n", b"") + b"content-length: 9000\r\n\r\n{}"
        answer = await raw(rig.port, begun)
        assert answer.startswith(b"HTTP/1.1 401 ")

    run(tmp_path, Handled(), work, WebSection(slow_s=0.2))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /webhook/vapi HTTP/9.9\r\n\r\n", 400),
        (b"POST \xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST /webhook/vapi HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /webhook/vapi HTTP/1.1\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}", 400),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST /webhook/vapi HTTP/1.1\r\nx: " + b"y" * 200_000, 431),
        (HEAD + b"connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 2\r\n\r\n{}", 401),
        (HEAD + b"connection: close\r\ncontent-length: " + b"9" * 15 + b"\r\n\r\n", 413),
    ],
)
def test_what_is_no_request_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes, status: int
) -> None:
    async def work(rig: Rig) -> None:
        answer = await raw(rig.port, sent)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), answer
        assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}
        assert (await rig.http.get("/health")).status_code == 200

    with caplog.at_level(logging.DEBUG):
        run(tmp_path, Handled(), work, WebSection(slow_s=0.3))
    assert "Traceback" not in caplog.text


def test_too_many_refusals_and_nothing_authentic_is_lost(tmp_path: Path) -> None:
    """The honest come through the same tunnel as the others."""
    handled = Handled()

    async def work(rig: Rig) -> None:
        codes = [(await rig.http.post(PATH, content=BODY)).status_code for _ in range(8)]
        assert codes == [401] * 5 + [429] * 3
        forged = signed() | {"x-signature": "0" * 64}
        answer = await rig.http.post(PATH, content=BODY, headers=forged)
        assert (answer.status_code, answer.json()) == (429, {"error": "too-many-refused"})
        assert answer.headers["retry-after"] == "60"
        assert (await rig.http.post(PATH, content=BODY, headers=signed())).status_code == 200
        assert rig.door.counts().refused == {"signature-missing": 5, "too-many-refused": 4}

    run(tmp_path, handled, work, WebSection(refused_per_minute=5))
    assert len(handled.requests) == 1


def test_a_bucket_fills_again_and_few_are_remembered() -> None:
    now = 0.0
    refusals = Refusals(2, lambda: now)
    for _ in range(2):
        assert not refusals.over("a")
        refusals.count("a")
    assert refusals.over("a")
    assert not refusals.over("b")
    now = 31.0
    assert not refusals.over("a")
    for number in range(3 * MOST_SOURCES):
        refusals.count(str(number))
    assert len(refusals) == MOST_SOURCES


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, rubbish", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, rubbish, 10.0.0.1", "10.0.0.1"),
        ("2001:db8::1:2:3:4", "", "2001:db8::/64"),
        ("::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("", "1.1.1.1", ""),
    ],
)
def test_whose_request_it_is(peer: str, forwarded: str, source: str) -> None:
    assert Sources(("127.0.0.1", "10.0.0.0/8")).of(peer, forwarded) == source


def test_a_taken_port_is_said_and_waited_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("device.web.server._BACK_OFF_S", (0.01,))

    async def all_of_it() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            listener = Listener("test", router_of_nothing(), "127.0.0.1", port, slow_s=1)
            with pytest.raises(PortTaken, match=f"port {port} on 127.0.0.1 is in use"):
                await listener.start()
            keeping = asyncio.create_task(listener.keep())
            while "port-taken" not in caplog.text:
                await asyncio.sleep(0)
        while not listener.port:
            await asyncio.sleep(0)
        assert (await raw(port, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 404")
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    asyncio.run(asyncio.wait_for(all_of_it(), WAIT_S))


def router_of_nothing() -> object:
    from device.web.private import router

    return router([])


def test_what_runs_is_answered_before_the_port_closes(tmp_path: Path) -> None:
    handled = Handled()

    async def all_of_it() -> None:
        handled.gate = asyncio.Event()
        async with running(tmp_path, handled) as rig:
            asked = asyncio.create_task(rig.http.post(PATH, content=BODY, headers=signed()))
            await handled.entered.wait()
            stopping = asyncio.create_task(rig.listener.stop())
            await asyncio.sleep(0)
            handled.gate.set()
            assert (await asked).status_code == 200
            await stopping

    asyncio.run(asyncio.wait_for(all_of_it(), WAIT_S))


def test_more_files_may_be_open() -> None:
    import resource

    assert raise_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
