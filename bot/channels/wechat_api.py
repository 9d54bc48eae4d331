"""The APIs of WeChat 服务号 and WeCom over our own HTTP: one token for all threads, time limits, every error a decision.

wechatpy brings the catalogue of calls (`Api` is the client its API classes ask for); it does none of the HTTP.
"""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import httpx

from bot.channels import errors
from bot.messages import TemporaryFailure, Undeliverable

CONNECT_S, ANSWER_S = 5.0, 10.0
FETCH_CONNECT_S, FETCH_S = 10.0, 60.0
_EARLY_S = 300  # a new token is to be had, and both are good, this long before the end of the old one
_FORCED_EVERY_S = 30  # the platform's own limit for force_refresh
_BLOCK = 64 * 1024

Answer = dict[str, Any]  # Any: the JSON of the platform
Grant = Callable[[bool], tuple[str, str, dict[str, Any], dict[str, Any] | None]]  # Any: what is asked of the platform


class Api:
    """Calls the platform. `clock` is the time of day that quotas go by.

    `grant` is how a token is asked for: method, endpoint, parameters and body, given whether a new one must be made.
    """

    def __init__(self, *, grant: Grant, api_base: str, clock: Callable[[], datetime]) -> None:
        self._grant, self._clock = grant, clock
        self._base = api_base.rstrip("/")
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        self._http = httpx.Client(timeout=timeout, follow_redirects=False, trust_env=False)
        self._lock = threading.Lock()
        self._token, self._good_until, self._forced_at = "", 0.0, -_FORCED_EVERY_S * 1.0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

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
        url = _address(f"{self._base}/cgi-bin/{endpoint}", tuple(params.items()))
        try:
            response = self._http.request(method, url, json=data)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise TemporaryFailure("unreachable") from error
        except httpx.HTTPError as error:
            raise TemporaryFailure("no-answer", sure=False) from error
        if response.status_code != 200:
            raise TemporaryFailure(f"http-{response.status_code}", sure=False)
        try:
            answer = response.json()
        except ValueError as error:
            raise TemporaryFailure("garbage", sure=False) from error
        if not isinstance(answer, dict):
            raise TemporaryFailure("garbage", sure=False)
        return answer

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
        timeout = httpx.Timeout(ANSWER_S, connect=FETCH_CONNECT_S)
        found = bytearray()
        try:
            with self._http.stream("GET", f"{self._base}/cgi-bin/media/get", params=params, timeout=timeout) as answer:
                if answer.status_code >= 500:
                    raise TemporaryFailure(f"http-{answer.status_code}")
                if answer.status_code != 200:
                    raise Undeliverable(f"http-{answer.status_code}")
                if int(answer.headers.get("content-length", "0") or 0) > most:
                    raise Undeliverable("too-big")
                for part in answer.iter_bytes(_BLOCK):
                    found += part
                    if len(found) > most:
                        raise Undeliverable("too-big")
                    if time.monotonic() > ends_at:
                        raise TemporaryFailure("too-slow")
                kind = answer.headers.get("content-type", "")
        except (httpx.HTTPError, ValueError) as error:
            raise TemporaryFailure("no-answer") from error
        if "json" in kind or "text" in kind:
            self._said_instead(bytes(found))
        return bytes(found)

    def _said_instead(self, body: bytes) -> None:
        """The platform answers a media it cannot give with JSON, whatever it calls the type."""
        try:
            answer = httpx.Response(200, content=body).json()
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


@lru_cache(maxsize=32)
def _address(url: str, params: tuple[tuple[str, Any], ...]) -> httpx.URL:
    """Where a call goes. Message after message goes to the same address, and httpx takes long to put one together."""
    return httpx.URL(url, params=dict(params) or None)


def stable_token(app_id: str, secret: str) -> Grant:
    """How WeChat gives a token: the same to all who ask, until a new one is forced."""
    wanted = {"grant_type": "client_credential", "appid": app_id, "secret": secret}
    return lambda forced: ("POST", "stable_token", {}, {**wanted, "force_refresh": forced})
