"""Trying webhooks: `wakeline webhook test URL` sends, `wakeline webhook listen` prints what arrives."""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

from device import webhook_attacks, webhook_samples, webhook_test
from device.config import Config, ConfigError
from device.secrets import Secrets
from device.settings import Scheme
from device.web.signatures import split_secrets
from device.webhook_samples import Shot, Signer

_TEST = """Sends signed samples of every message of Vapi and every form of Twilio to a server, then every attack:
no signature, a wrong one, another secret, another body, old and future times, other encodings, replays, headers of
proxies, and bodies that are too large, broken or deep. Each line says what was sent, the status expected and got, the
time it took, and what it proves. Exit status: 0 when all is as expected, 1 when not, 2 when nothing could be sent."""

_TEST_MORE = """examples:
  wakeline webhook test http://127.0.0.1:3000            the appliance on this device
  wakeline webhook test https://edge.example.org         ... through its tunnel
  wakeline webhook test URL --provider vapi --only tool-calls
  wakeline webhook test URL --secret-env OTHER_SECRET    signed with another secret than the configured one
  wakeline webhook test URL --json | jq '.requests[] | select(.ok | not)'

Secrets: VAPI_SERVER_SECRET and TWILIO_AUTH_TOKEN, from the environment, .env or a credential, as the appliance reads
them; a provider without a secret is left out. Nothing is booked unless --effects is given. The attacks count as refused
requests (web.refused_per_minute): run it again within a minute and the server may answer 429."""

_LISTEN = """Listens for webhooks in place of the appliance, checks their signatures with the configured secrets, and
prints a line for each: verdict, type, ids. For setting up a tunnel and a provider. What people say is printed with
--text only. Nothing runs, nothing is stored. Ctrl-C ends it."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """The arguments of `wakeline webhook`."""
    parser = subparsers.add_parser("webhook", help="send signed samples, or print what arrives", description=__doc__)
    sub = parser.add_subparsers(required=True, metavar="ACTION")
    raw = argparse.RawDescriptionHelpFormatter
    test = sub.add_parser(
        "test", help="signed samples and attacks to a server", description=_TEST, epilog=_TEST_MORE, formatter_class=raw
    )
    test.add_argument("url", metavar="URL", help="where the server is: http://127.0.0.1:3000, or its public address")
    test.add_argument("--provider", choices=("vapi", "twilio"), help="only this one's (both)")
    test.add_argument("--secret-env", metavar="NAME", help="the name under which the secret is found")
    test.add_argument("--scheme", choices=("hmac", "hmac-body", "bearer", "x-vapi-secret"),
                      help="how Vapi signs (the first of web.schemes)")  # fmt: skip
    test.add_argument("--base-url", metavar="URL", help="the address Twilio signs (web.base_url, or URL)")
    test.add_argument("--only", metavar="TYPE", default="", help="one type of message or form, and no attacks")
    test.add_argument("--effects", action="store_true", help="the first tool call books an appointment")
    test.add_argument("--slow", action="store_true", help="a body that never ends, too (takes web.slow_s)")
    test.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    test.set_defaults(action=_test)
    listen = sub.add_parser("listen", help="print what arrives", description=_LISTEN, formatter_class=raw)
    listen.add_argument("--port", type=int, help="where (web.port, or PORT)")
    listen.add_argument("--text", action="store_true", help="what people say, too")
    listen.set_defaults(action=_listen)
    return parser


def run(args: argparse.Namespace, config: Config) -> int:
    """Do what `add_parser` has understood; returns the exit status."""
    status: int = args.action(args, config)
    return status


def _listen(args: argparse.Namespace, config: Config) -> int:
    from device.webhook_listen import listen  # with a web server: other commands start without it

    return listen(args, config)


def _test(args: argparse.Namespace, config: Config) -> int:
    url = _origin(args.url)
    sign = _signer(args, config, url)
    shots = _shots(args, sign)
    if not shots:
        raise ConfigError("webhook-nothing-to-send", f"no sample is called {args.only!r}; see the names without --only")
    return asyncio.run(webhook_test.report(url, shots, as_json=args.json))


def _origin(url: str) -> str:
    """Where the server is; the address of one webhook names its server too."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("webhook-url-invalid", f"{url!r} is no address in the form http://127.0.0.1:3000")
    path = parts.path.partition("/webhook/")[0].rstrip("/")
    return parts._replace(path=path, query="", fragment="").geturl()


def _signer(args: argparse.Namespace, config: Config, url: str) -> Signer:
    secrets = Secrets()
    named = ""
    if args.secret_env:
        named = secrets.get(args.secret_env) or os.environ.get(args.secret_env, "")
        if not named:
            raise ConfigError("webhook-no-secret", f"{args.secret_env} is not set")
        if args.provider is None:
            raise ConfigError("webhook-no-provider", "--secret-env needs --provider: whose secret is it?")
    # While secrets are rotated there are several: the newest is first.
    vapi, *_ = *split_secrets(named, secrets.get("VAPI_SERVER_SECRET"), secrets.get("VAPI_WEBHOOK_SECRET")), ""
    twilio, *_ = *split_secrets(named, secrets.get("TWILIO_AUTH_TOKEN")), ""
    if not {None: vapi or twilio, "vapi": vapi, "twilio": twilio}[args.provider]:
        raise ConfigError("webhook-no-secret", "set VAPI_SERVER_SECRET or TWILIO_AUTH_TOKEN, or name one: --secret-env")
    scheme: Scheme = args.scheme or config.web.schemes[0]
    return Signer(
        now=datetime.now(UTC),
        vapi_secret=vapi if args.provider != "twilio" else "",
        twilio_token=twilio if args.provider != "vapi" else "",
        scheme=scheme,
        settings=config.web.hmac,
        base_url=(args.base_url or config.web.base_url or url).rstrip("/"),
        window_s=config.web.window_s,
        body_limit=config.web.body_limit,
    )


def _shots(args: argparse.Namespace, sign: Signer) -> list[Shot]:
    shots: list[Shot] = []
    if sign.vapi_secret:
        shots += webhook_samples.vapi_shots(sign, args.only, effects=args.effects)
    if sign.twilio_token:
        shots += webhook_samples.twilio_shots(sign, args.only)
    if args.only:
        return shots
    if sign.vapi_secret:
        shots += webhook_attacks.vapi_attacks(sign)
    if sign.twilio_token:
        shots += webhook_attacks.twilio_attacks(sign)
    if args.slow:
        shots.append(webhook_attacks.slow_shot("vapi" if sign.vapi_secret else "twilio"))
    return shots
