"""The APIs of WeChat 服务号 and WeCom over our own HTTP: one token for all threads, time limits, every error a decision.

wechatpy brings the catalogue of calls (`Api` is the client its API classes ask for); it does none of the HTTP.
urllib3 does: a broadcast makes twenty thousand calls, and httpx takes twice the computing for each.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import certifi
import urllib3

from bot.channels import errors
from bot.messages import TemporaryFailure, Undeliverable

CONNECT_S, ANSWER_S = 5.0, 10.0
FETCH_CONNECT_S, FETCH_S = 10.0, 60.0
_EARLY_S = 300  # a new token is to be had, and both are good, this long before the end of the old one
_FORCED_EVERY_S = 30  # the platform's own limit for force_refresh
_BLOCK = 64 * 1024
_CONNECTIONS = 32  # kept open: more than threads that send (bot.delivery) and fetch at once

Answer = dict[str, Any]  # Any: the JSON of the platform
Grant = Callable[[bool], tuple[str, str, dict[str, Any], dict[str, Any] | None]]  # Any: what is asked of the platform


class Api:
    """Calls the platform. `clock` is the time of day that quotas go by.

    `grant` is how a token is asked for: method, endpoint, parameters and body, given whether a new one must be made.
    """

    def __init__(self, *, grant: Grant, api_base: str, clock: Callable[[], datetime]) -> None:
        self._grant, self._clock = grant, clock
        self._base = api_base.rstrip("/")
        self._http = urllib3.PoolManager(maxsize=_CONNECTIONS, ca_certs=certifi.where())
        self._lock = threading.Lock()
        self._token, self._good_until, self._forced_at = "", 0.0, -_FORCED_EVERY_S * 1.0

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()

    # --- what wechatpy's API classes call ------------------------------------------------------------------------

    def get(self, endpoint: str, *, params: Mapping[str, Any] | None = None, **_: object) -> Answer:
        return self._call("GET", endpoint, dict(params or {}), None)

    def post(
        self,
        endpoint: str,
        *,
        data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        **_: object,
    ) -> Answer:
        return self._call("POST", endpoint, dict(params or {}), data)

    # --- calls ---------------------------------------------------------------------------------------------------

    def _call(self, method: str, endpoint: str, params: Mapping[str, Any], data: Mapping[str, Any] | None) -> Answer:
        """One call with the token, once more with a new token. Raises what errors.fail raises."""
        token = self.token()
        answer = self._ask(method, endpoint, {**params, "access_token": token}, data)
        if errors.behaviour(_code(answer)) == "token" and _code(answer):
            token = self.token(instead_of=token)
            answer = self._ask(method, endpoint, {**params, "access_token": token}, data)
        if code := _code(answer):
            errors.fail(code, self._clock())
        return answer

    def _ask(self, method: str, endpoint: str, params: Mapping[str, Any], data: object) -> Answer:
        """Send and read JSON. Raises TemporaryFailure, unsure when the request may have been carried out."""
        try:
            response = self._request(method, endpoint, params, json=data)
        except urllib3.exceptions.HTTPError as error:
            if _unsent(error):
                raise TemporaryFailure("unreachable") from error
            raise TemporaryFailure("no-answer", sure=False) from error
        if response.status != 200:
            raise TemporaryFailure(f"http-{response.status}", sure=False)
        try:
            answer = response.json()
        except ValueError as error:
            raise TemporaryFailure("garbage", sure=False) from error
        if not isinstance(answer, dict):
            raise TemporaryFailure("garbage", sure=False)
        return answer

    def _request(
        self, method: str, endpoint: str, params: Mapping[str, Any], *, connect_s: float = CONNECT_S, **more: Any
    ) -> urllib3.BaseHTTPResponse:
        """Ask our API host, once: no redirect is followed and nothing is tried again. Raises urllib3's HTTPError."""
        url = f"{self._base}/cgi-bin/{endpoint}?{urlencode(params)}"
        timeout = urllib3.Timeout(connect=connect_s, read=ANSWER_S)
        return self._http.request(method, url, timeout=timeout, retries=False, redirect=False, **more)

    def token(self, *, instead_of: str = "") -> str:
        """A good token; one thread at a time asks for it. `instead_of` is one that the platform no longer takes."""
        with self._lock:
            stale = time.monotonic() >= self._good_until or (instead_of != "" and self._token == instead_of)
            if stale:
                self._fetch_token(forced=instead_of != "")
            return self._token

    def _fetch_token(self, *, forced: bool) -> None:
        now = time.monotonic()
        forced = forced and now - self._forced_at >= _FORCED_EVERY_S
        if forced:
            self._forced_at = now
        try:
            answer = self._ask(*self._grant(forced))
            if code := _code(answer):
                errors.fail(code, self._clock())
        except TemporaryFailure as trouble:  # a token may be asked for again without harm
            raise TemporaryFailure(f"token-{trouble.code}", retry_after_s=trouble.retry_after_s) from trouble
        token, lasts_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lasts_s, int):
            raise TemporaryFailure("token-garbage")
        self._token, self._good_until = token, now + max(lasts_s - _EARLY_S, lasts_s / 2)

    def media(self, media_id: str, most: int) -> bytes:
        """The bytes of a temporary media. Raises TemporaryFailure, or Undeliverable when it is gone or too big.

        Only our API host is asked, redirects are not followed, and an endless or slow answer is cut off.
        """
        token = self.token()
        try:
            return self._media(media_id, token, most)
        except _TokenRefused:
            pass
        try:
            return self._media(media_id, self.token(instead_of=token), most)
        except _TokenRefused as refusal:
            errors.fail(refusal.code, self._clock())
            raise AssertionError from refusal  # fail raises for a token's code

    def _media(self, media_id: str, token: str, most: int) -> bytes:
        ends_at = time.monotonic() + FETCH_S
        params = {"access_token": token, "media_id": media_id}
        found = bytearray()
        try:
            with self._request("GET", "media/get", params, connect_s=FETCH_CONNECT_S, preload_content=False) as answer:
                if answer.status >= 500:
                    raise TemporaryFailure(f"http-{answer.status}")
                if answer.status != 200:
                    raise Undeliverable(f"http-{answer.status}")
                if int(answer.headers.get("content-length", "0") or 0) > most:
                    raise Undeliverable("too-big")
                while part := answer.read1(_BLOCK):  # what has come: a full block may be long in coming
                    found += part
                    if len(found) > most:
                        raise Undeliverable("too-big")
                    if time.monotonic() > ends_at:
                        raise TemporaryFailure("too-slow")
                kind = answer.headers.get("content-type", "")
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise TemporaryFailure("no-answer") from error
        if "json" in kind or "text" in kind:
            self._said_instead(bytes(found))
        return bytes(found)

    def _said_instead(self, body: bytes) -> None:
        """The platform answers a media it cannot give with JSON, whatever it calls the type."""
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise Undeliverable("not-media") from error
        code = _code(answer) if isinstance(answer, dict) else 0
        if errors.behaviour(code) == "token" and code:
            raise _TokenRefused(code)
        if code:
            errors.fail(code, self._clock())
        raise Undeliverable("not-media")  # a video comes as the address of another host, which is not asked


class _TokenRefused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _code(answer: Mapping[str, Any]) -> int:
    """The error code of an answer; 0 when it is none."""
    code = answer.get("errcode", 0)
    if not isinstance(code, int):
        raise TemporaryFailure("garbage", sure=False)
    return code


def _unsent(error: urllib3.exceptions.HTTPError) -> bool:
    """Whether a call failed before the platform could have been asked anything."""
    refused = isinstance(error, urllib3.exceptions.SSLError) and isinstance(error.args[0], ssl.SSLCertVerificationError)
    return refused or isinstance(error, urllib3.exceptions.ConnectTimeoutError)  # also when there is no connection


def stable_token(app_id: str, secret: str) -> Grant:
    """How WeChat gives a token: the same to all who ask, until a new one is forced."""
    wanted = {"grant_type": "client_credential", "appid": app_id, "secret": secret}
    return lambda forced: ("POST", "stable_token", {}, {**wanted, "force_refresh": forced})
