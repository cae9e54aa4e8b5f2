"""Calls to Stripe: one client per process, own timeouts, own retries.

stripe-python retries nothing by default, and never a 429; and a person is waiting. So every call
has a deadline, and within it each failure is met by what it means:

- 429: nothing was done; wait as Retry-After says, and ask again.
- 409, no answer, a cut answer, an error that isn't Stripe's JSON (a proxy's, a firewall's): it may
  have been done; ask again under the same idempotency key.
- 5xx: Stripe keeps the answer to the key, so the key is spent, and whether a session exists is
  open; the caller has to look.
- any other 4xx, in answer to the first and only send: it was not done, and asking again won't help.
  In answer to a later one it says nothing about the first: some 4xx come before idempotency.

Source: https://docs.stripe.com/error-low-level and stripe-python 16's _http_client.
"""

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import aiohttp
import stripe

from linkgate.destinations.base import Deadline, Gone, SpentKey
from linkgate.errors import DestinationBusy, DestinationMisconfigured

log = logging.getLogger(__name__)

T = TypeVar("T")

# Without HOME its telemetry code raises, and a visit's latency is nobody else's business.
stripe.enable_telemetry = False

#: The API version that linkgate was written against; a newer library must not change the wire.
API_VERSION = "2026-10-28.endive"


class _Meaningless(Exception):
    """The answer is JSON, and not what was asked for."""


#: What a lost, cut or meaningless answer raises.
_NO_ANSWER = (
    stripe.APIConnectionError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    _Meaningless,
)

#: E-mail addresses, whole or half, and ids of customers.
_PERSONAL = re.compile(r"[^\s'\"]*@[^\s'\"]*|\bcus_\w+")

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was answered, and Stripe's clock when it was asked (Unix s)."""

    data: Mapping[str, Any]
    at: int

    def to_dict(self) -> dict[str, Any]:
        return {"data": self.data, "at": self.at}


class StripeCalls:
    """Wraps one StripeClient and one HTTP client; belongs to one event loop."""

    def __init__(
        self,
        api_key: str,
        *,
        base: str,
        timeout_s: float,
        version: str = API_VERSION,
        again: Callable[[str, float], Awaitable[bool]] | None = None,
    ) -> None:
        """Take what grants a turn before a creation is sent again: to whom, within what seconds."""
        self._timeout_s = timeout_s
        self._again = again
        self._http = stripe.AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=timeout_s))
        self._client = stripe.StripeClient(
            api_key,
            stripe_version=version,
            base_addresses={"api": base},
            http_client=self._http,
            max_network_retries=0,
        )

    async def close(self) -> None:
        """Close the HTTP client's connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def _dated(
        self,
        path: str,
        params: Mapping[str, Any],
        deadline: Deadline,
        account: str | None,
    ) -> tuple[Mapping[str, Any], int]:
        """GET, and return what was answered with Stripe's clock when it was asked (Unix s)."""
        options: stripe.RequestOptions = {"stripe_account": account} if account else {}

        async def get() -> _Answered:
            began = time.monotonic()
            answer = await self._client.raw_request_async("get", path, **{**params, **options})
            took = time.monotonic() - began
            date = parsedate_to_datetime(str(answer.headers["date"])).timestamp()
            return _Answered(answer.data, int(date - took))

        found: _Answered = await self._ask(get, lambda data: _Answered(**data), deadline, safe=True)
        return found.data, found.at

    async def _ask(
        self,
        call: Callable[[], Awaitable[Any]],
        read: Callable[[Mapping[str, Any]], T],
        deadline: Deadline,
        *,
        safe: bool = False,
        doubtful: bool = False,
        turn: str = "",
    ) -> T:
        """Call, and call again while that may help.

        `safe` calls may be repeated after a 5xx, and are never in doubt; `doubtful` says that an
        earlier send of the same call may have been carried out. `turn` names whoever has to wait
        for a turn before each repeat, because Stripe takes only so many such calls a second.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(min(self._timeout_s, max(deadline.left, 0.01))):
                    return _read(await _answer(call), read)
            except Exception as error:
                wait = _wait(error, pause, safe=safe)
                if wait is None:
                    if doubtful and not safe:
                        raise SpentKey(_words(error)) from error
                    raise _translated(error) from error
                doubtful = doubtful or not _is_throttled(error)
                if wait >= deadline.left:
                    raise DestinationBusy(_words(error), retry_after=max(wait, 2.0)) from error
                log.info("asking Stripe again in %.2f s: %s", wait, _words(error))
                await asyncio.sleep(wait)
                if turn and self._again and not await self._again(turn, max(deadline.left, 0.0)):
                    raise DestinationBusy(_words(error), retry_after=2.0) from error
                pause = min(pause * 2, _LONGEST_PAUSE)


async def _answer(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # stripe-python stumbles over an error that isn't shaped like Stripe's: a proxy's.
        raise _Meaningless(repr(error)) from error


def _read(answer: Any, read: Callable[[Mapping[str, Any]], T]) -> T:
    try:
        return read(answer.to_dict())
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _Meaningless(repr(error)) from error


def _wait(error: Exception, pause: float, *, safe: bool) -> float | None:
    """Return the seconds until the same request is worth another try, or None if it is not."""
    jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
    if isinstance(error, _NO_ANSWER):
        return jittered
    if not isinstance(error, stripe.StripeError):
        return None
    if _is_throttled(error):
        return max(_retry_after(error), jittered)
    status = error.http_status or 0
    # No error of Stripe's has a lower status, and none is without JSON (which stripe-python raises
    # as a plain APIError): it was cut, or is a proxy's in between.
    foreign = status < 400 or (status < 500 and type(error) is stripe.APIError)
    if status == 409 or foreign or (status >= 500 and safe):
        return jittered
    return None


def _is_throttled(error: Exception) -> bool:
    return isinstance(error, stripe.StripeError) and error.http_status == 429


def _retry_after(error: stripe.StripeError) -> float:
    try:
        return min(max(float((error.headers or {}).get("retry-after", "")), 0.0), 60.0)
    except ValueError:
        return 0.0


def _translated(error: Exception) -> Exception:
    if not isinstance(error, stripe.StripeError):
        return error
    if isinstance(error, stripe.IdempotencyError) or (error.http_status or 500) >= 500:
        return SpentKey(_words(error))
    param = getattr(error, "param", None)
    if error.http_status == 404 and error.code == "resource_missing":
        return Gone(_words(error), param=param)
    hint = "; is the store's clock right?" if param == "expires_at" else ""
    return DestinationMisconfigured(
        _words(error) + hint, settled=True, param=param, at=_date(error.headers or {})
    )


def _date(headers: Mapping[str, str]) -> float | None:
    """Return Stripe's clock when it answered, in Unix seconds."""
    said = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(said).timestamp()
    except ValueError:
        return None


def _words(error: Exception) -> str:
    """Say what Stripe said, for the operator's log: without the person it may have named.

    Stripe masks keys in its own messages.
    """
    if not isinstance(error, stripe.StripeError):
        return f"Stripe did not answer ({type(error).__name__})"
    param = getattr(error, "param", None)
    where = f" (parameter {param})" if param else ""
    request = f" [{error.request_id}]" if error.request_id else ""
    text = _PERSONAL.sub("[left out]", error.user_message or error.code or type(error).__name__)
    return f"Stripe answered {error.http_status or 'nothing'}: {text}{where}{request}"
