"""Ten thousand mutated requests through the real application: none is accepted, none ends in a traceback, and what is
authentic runs once however often and in whatever dress it comes again."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from device.bench.plan import Planned, Shape, plan
from device.bench.sender import PATH
from tests.webhook_app import WebApp, web_app

pytestmark = pytest.mark.calls
SECRET = "whsec-of-the-tests"
MUTATIONS = 10_000
MOST_S = 30.0
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Request:
    """What goes over the wire."""

    body: bytes
    headers: Headers
    method: str = "POST"
    path: str = PATH
    query: bytes = b""


@dataclass(slots=True)
class Seen:
    """What came back."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)


Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


async def ask(app: App, request: Request) -> Seen:
    """One request as the server hands it on."""
    seen = Seen()
    parts = [request.body[: len(request.body) // 2], request.body[len(request.body) // 2 :]]

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            seen.status = message["status"]
        elif message["type"] == "http.response.body":
            seen.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "query_string": request.query,
        "root_path": "",
        "headers": request.headers,
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 3000),
        "state": {},
    }
    await app(scope, receive, send)
    return seen


def stamp(seconds: float = 0.0) -> bytes:
    return str(round((time.time() + seconds) * 1000)).encode()


def signature(body: bytes, at: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), at + b"." + body, hashlib.sha256).hexdigest().encode()


def signed(body: bytes, at: bytes | None = None, secret: str = SECRET) -> Request:
    at = stamp() if at is None else at
    usual = [(b"host", b"edge.example.org"), (b"content-type", b"application/json")]
    usual.append((b"content-length", str(len(body)).encode()))
    return Request(body, [*usual, (b"x-timestamp", at), (b"x-signature", signature(body, at, secret))])


def without(headers: Headers, *names: bytes) -> Headers:
    return [header for header in headers if header[0] not in names]


# -- mutations: each of them must make an authentic request one that is not ------------------------------------------
def changed_body(request: Request, dice: random.Random) -> Request:
    body = bytearray(request.body)
    at = dice.randrange(len(body))
    match dice.randrange(6):
        case 0:
            body[at] ^= 1 << dice.randrange(8)
        case 1:
            del body[at : at + dice.randrange(1, 9)]
        case 2:
            body[at:at] = dice.randbytes(dice.randrange(1, 9))
        case 3:
            body += dice.choice([b" ", b"\n", b"\0", b"{}", b"\xff\xfe"])
        case 4:
            body = bytearray(json.dumps(json.loads(body), indent=1).encode())
        case _:
            body = bytearray(
                dice.choice([b"", b"{}", b"null", b"[" * 5000, b'{"message":' * 2000, dice.randbytes(200)])
            )
    return replace(request, body=bytes(body))


def changed_signature(request: Request, dice: random.Random) -> Request:
    given = dict(request.headers)[b"x-signature"]
    at = dice.randrange(len(given))
    other = bytes([given[at] ^ (1 << dice.randrange(3))])
    values = [
        given[:at] + other + given[at + 1 :],
        given[:at],
        given + b"0",
        given[::-1],
        b"",
        b"sha256=",
        b"0" * 64,
        b"\xff" * 64,
        "\N{FULLWIDTH DIGIT ONE}".encode() * 64,
        dice.randbytes(32).hex().encode(),
        given[:at] + b" " + given[at:],
        b"None",
        signature(request.body, b"", SECRET),
        signature(b"", dict(request.headers)[b"x-timestamp"], SECRET),
        signature(request.body, dict(request.headers)[b"x-timestamp"], ""),
        hashlib.sha256(request.body).hexdigest().encode(),
    ]
    value = dice.choice([value for value in values if value != given])
    return replace(request, headers=[*without(request.headers, b"x-signature"), (b"x-signature", value)])


def changed_time(request: Request, dice: random.Random) -> Request:
    given = dict(request.headers)[b"x-timestamp"]
    values = [
        b"",
        b"0",
        b"-1",
        b"nan",
        b"inf",
        b"1e999",
        b"9" * 400,
        given[:-1],
        given + b"0",
        given + b".0",
        b"\xb2" * 13,
    ]
    values += [
        str(int(given) + dice.choice([-1, 1, 1000, -60_000])).encode(),
        b"0x" + given,
        "\N{FULLWIDTH DIGIT ONE}".encode() * 13,
    ]
    return replace(request, headers=[*without(request.headers, b"x-timestamp"), (b"x-timestamp", dice.choice(values))])


def out_of_time(request: Request, dice: random.Random) -> Request:
    """Rightly signed, long ago or in the future."""
    return signed(request.body, stamp(dice.choice([-1, 1]) * dice.uniform(400, 4e8)))


def other_secret(request: Request, dice: random.Random) -> Request:
    secrets = ["", "None", SECRET + " ", SECRET[:-1], SECRET.upper(), SECRET[::-1], "\0"]
    return signed(request.body, secret=dice.choice(secrets))


def without_header(request: Request, dice: random.Random) -> Request:
    names = [(b"x-signature",), (b"x-timestamp",), (b"x-signature", b"x-timestamp")]
    return replace(request, headers=without(request.headers, *dice.choice(names)))


def other_scheme(request: Request, dice: random.Random) -> Request:
    """The plain schemes with what somebody may guess, and ours under another name."""
    bare = without(request.headers, b"x-signature", b"x-timestamp")
    given = dict(request.headers)[b"x-signature"]
    tries = [
        (b"x-vapi-secret", b""),
        (b"x-vapi-secret", SECRET[:-1].encode()),
        (b"x-vapi-secret", SECRET.upper().encode()),
        (b"x-vapi-secret", b"\xff\xfe"),
        (b"x-vapi-secret", given),
        (b"authorization", b"Bearer"),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Bearer null"),
        (b"authorization", b"Basic " + SECRET.encode()),
        (b"authorization", b"Bearer " + SECRET[1:].encode()),
        (b"authorization", b"Bearer " + SECRET.encode() + b"\0"),
        (b"x-vapi-signature", given),
        (b"x-vapi-signature", b""),
        (b"x-vapi-signature", hashlib.sha256(request.body).hexdigest().encode()),
        (b"x-hub-signature", given),
        (b"x-twilio-signature", given),
    ]
    return replace(request, headers=[*bare, dice.choice(tries)])


def two_of_them(request: Request, dice: random.Random) -> Request:
    """A second header of the same name, and a changed body: neither order may let it in."""
    body = request.body.replace(b"Load", b"Evil") if b"Load" in request.body else request.body + b" "
    name = dice.choice([b"x-signature", b"x-timestamp"])
    again = [(name, dice.choice([b"", b"0", dict(request.headers)[name]]))]
    headers = [*again, *request.headers] if dice.random() < 0.5 else [*request.headers, *again]
    return replace(request, body=body, headers=headers)


FORGERIES = (
    changed_body,
    changed_signature,
    changed_time,
    out_of_time,
    other_secret,
    without_header,
    other_scheme,
    two_of_them,
)


def mutated_json(body: bytes, dice: random.Random) -> bytes:
    """Rightly signed by its sender, and not what we expect of it: a value of another kind anywhere."""
    document = json.loads(body)
    for _ in range(dice.randrange(1, 4)):
        places = list(_places(document))
        owner, key = dice.choice(places)
        odd: list[Any] = [
            None,
            True,
            -1,
            1e308,
            "",
            "\0",
            "x" * 3000,
            [],
            {},
            [[]],
            {"id": {}},
            "\ud800",
            10**30,
            "tool-calls",
        ]
        if dice.random() < 0.2:
            del owner[key]
        else:
            owner[key] = dice.choice(odd)
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
    if value == {}:
        value["message"] = {}
        yield value, "message"


# -- the tests --------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def authentic() -> list[Planned]:
    shape = Shape(calls=20, events=200, seed=5, effects=0.5, slow=0.0, bookings=0.25, again=0.0)
    return [sending.event for sending in plan(shape, datetime.now(UTC).date())]


def rows(database: Path) -> tuple[int, int, int]:
    with closing(sqlite3.connect(database)) as connection:
        tables = ("appointments", "function_calls", "sessions")
        count = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    return count[0], count[1], count[2]


def run(folder: Path, work: Callable[[WebApp], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with web_app(folder, SECRET) as app:
            await work(app)

    asyncio.run(inside())


def test_no_mutation_is_accepted(tmp_path: Path, authentic: list[Planned], caplog: pytest.LogCaptureFixture) -> None:
    dice = random.Random(10)
    accepted: list[str] = []
    statuses: set[int] = set()

    async def work(app: WebApp) -> None:
        for number in range(MUTATIONS):
            forge = FORGERIES[number % len(FORGERIES)]
            request = signed(authentic[number % len(authentic)].body)
            forged = forge(request, dice)
            if forged == request:
                continue
            seen = await ask(app.public, forged)
            statuses.add(seen.status)
            if seen.status < 400:
                accepted.append(f"{forge.__name__}: {forged.headers} {forged.body[:200]!r}")

    begun = time.monotonic()
    with caplog.at_level(logging.DEBUG, "wakeline"):
        run(tmp_path, work)
    assert accepted == []
    assert statuses <= {400, 401, 403, 408, 413}
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]
    assert rows(tmp_path / "state" / "wakeline.db") == (0, 0, 0)
    assert time.monotonic() - begun < MOST_S


def test_what_is_signed_and_odd_ends_in_an_answer(
    tmp_path: Path, authentic: list[Planned], caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(11)
    statuses: dict[int, int] = {}

    async def work(app: WebApp) -> None:
        for number in range(MUTATIONS // 5):
            seen = await ask(app.public, signed(mutated_json(authentic[number % len(authentic)].body, dice)))
            statuses[seen.status] = statuses.get(seen.status, 0) + 1
            if seen.status == 200:
                json.loads(seen.body)

    with caplog.at_level(logging.INFO, "wakeline"):
        run(tmp_path, work)
    assert set(statuses) <= {200, 400}
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_a_replay_in_any_dress_runs_nothing(tmp_path: Path, authentic: list[Planned]) -> None:
    """The provider's retry (a new signature), the same bytes again, and many at once."""
    effects = sum(event.kind.effect for event in authentic)
    assert effects == 100

    async def work(app: WebApp) -> None:
        first: dict[int, bytes] = {}
        for event in authentic:
            requests = [signed(event.body)] * 2 + [signed(event.body, stamp(-5)), signed(event.body, stamp(-100))]
            answers = await asyncio.gather(*(ask(app.public, request) for request in requests))
            assert {answer.status for answer in answers} == {200}
            assert len({bytes(answer.body) for answer in answers}) == 1, event.body
            first[event.index] = bytes(answers[0].body)
        for event in reversed(authentic):
            assert bytes((await ask(app.public, signed(event.body))).body) == first[event.index]

    run(tmp_path, work)
    database = tmp_path / "state" / "wakeline.db"
    assert rows(database)[0] == effects
    run(tmp_path, work)  # after a restart
    assert rows(database)[0] == effects
