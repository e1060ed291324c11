"""Hands a ringing Twilio call to Vapi by its documented bypass: `POST /call` answers with the TwiML to return.

The flag is in Vapi's guides and not in its API definition, so everything about the answer is checked.
"""

from __future__ import annotations

import asyncio
import logging

import httpx

from device.calls.link import LinkError, LinkUncertain
from device.calls.vapi import USER_AGENT
from device.calls.vendor import error_of, require
from device.web.twiml import is_twiml

# It logs every URL at INFO.
logging.getLogger("httpx").setLevel(logging.WARNING)

PATIENCE_S = 8.0
"""Twilio gives up after 15 s, and the caller hears nothing so long."""


class Bypass:
    """One account at Vapi; `hand_over` once per call."""

    def __init__(
        self,
        api_key: str,
        assistant_id: str,
        phone_number_id: str,
        *,
        base_url: str,
        patience_s: float = PATIENCE_S,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._key = api_key
        self._assistant = assistant_id
        self._number = phone_number_id
        self._base = base_url.rstrip("/")
        self._patience = patience_s
        self._given = http
        self._own: httpx.AsyncClient | None = None

    async def hand_over(self, caller: str) -> str:
        """The TwiML that connects this caller. Never repeated: each request makes a call at Vapi.

        Raises:
            LinkError: whatever went wrong, within the patience.
        """
        require("Vapi", VAPI_API_KEY=self._key, VAPI_ASSISTANT_ID=self._assistant, VAPI_PHONE_NUMBER_ID=self._number)
        payload = {
            "assistantId": self._assistant,
            "phoneNumberId": self._number,
            "phoneCallProviderBypassEnabled": True,
            # A caller who hides the number is no reason to refuse the call.
            "customer": {"number": caller or "anonymous", "numberE164CheckEnabled": False},
        }
        try:
            async with asyncio.timeout(self._patience):
                answer = await self._client().post(
                    f"{self._base}/call",
                    json=payload,
                    headers={"Authorization": f"Bearer {self._key}", "User-Agent": USER_AGENT},
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise LinkUncertain(f"Vapi gave no answer ({type(error).__name__})") from None
        if not answer.is_success:
            raise error_of("Vapi", answer.status_code)
        return _twiml(answer)

    async def aclose(self) -> None:
        if self._own is not None:
            await self._own.aclose()
            self._own = None

    def _client(self) -> httpx.AsyncClient:
        if self._given is not None:
            return self._given
        if self._own is None:
            self._own = httpx.AsyncClient(timeout=self._patience)
        return self._own


def _twiml(answer: httpx.Response) -> str:
    try:
        call = answer.json()
    except ValueError:
        raise LinkError("Vapi's answer is no JSON") from None
    details = call.get("phoneCallProviderDetails") if isinstance(call, dict) else None
    twiml = details.get("twiml") if isinstance(details, dict) else None
    if not is_twiml(twiml):
        raise LinkError("Vapi's answer has no TwiML: is the bypass open to this account?")
    return str(twiml)
