"""Stripe, as linkgate calls it: one client per process, own timeouts, own retries.

stripe-python retries nothing by default, and never a 429; and a person is waiting. So every call
has a deadline, and within it each failure is met by what it means:

- 429: nothing was done; wait as Retry-After says, and ask again.
- 409, no answer, a cut answer: it may have been done; ask again under the same idempotency key.
- 5xx: Stripe keeps the answer to the key, so the key is spent, and whether a session exists is
  open; the caller has to look.
- any other 4xx: it was not done, and asking again won't help.

Source: https://docs.stripe.com/error-low-level and stripe-python 16's _http_client.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, TypeVar, cast

import aiohttp
import stripe

from linkgate import payments
from linkgate.errors import DestinationBusy, DestinationMisconfigured
from linkgate.payments import Session

log = logging.getLogger(__name__)

T = TypeVar("T")

# Without HOME its telemetry code raises, and a visit's latency is nobody else's business.
stripe.enable_telemetry = False

#: The API version that linkgate was written against; a newer library must not change the wire.
API_VERSION = "2026-10-28.endive"

#: What a lost, cut or meaningless answer raises; the last four come from reading its JSON.
_NO_ANSWER = (
    stripe.APIConnectionError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
)

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0


class SpentKey(Exception):
    """Stripe answered 5xx, or refused the key: this idempotency key will never yield a session."""


class NotNow(Exception):
    """Stripe refused a request about one session in its present state (400); read it again."""


class Gone(Exception):
    """Stripe knows nothing of this session: it can't be paid."""


class ExpiryRefused(Exception):
    """Stripe refused `expires_at`: a replayed attempt has become too old, nothing was minted."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the event loop's clock by which a person has to have an answer."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        return cls(asyncio.get_running_loop().time() + seconds)

    @property
    def left(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.at - asyncio.get_running_loop().time()


class StripeAPI:
    """Wraps one StripeClient and one HTTP client; belongs to one event loop."""

    def __init__(
        self, api_key: str, *, base: str, timeout_s: float, version: str = API_VERSION
    ) -> None:
        self._timeout_s = timeout_s
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

    async def create_session(self, params: dict[str, Any], key: str, deadline: Deadline) -> Session:
        """Create a Checkout Session under the idempotency key `key`.

        Raises DestinationBusy (nobody knows whether it was made), SpentKey, ExpiryRefused or
        DestinationMisconfigured.
        """
        sessions = self._client.v1.checkout.sessions
        options: stripe.RequestOptions = {"idempotency_key": key}
        return await self._ask(
            lambda: sessions.create_async(cast(Any, params), options),
            payments.read_session,
            deadline,
        )

    async def expire_session(self, session: str, deadline: Deadline) -> Session:
        """Close an open session; raises NotNow if it is not open any more."""
        sessions = self._client.v1.checkout.sessions
        try:
            return await self._ask(
                lambda: sessions.expire_async(session), payments.read_session, deadline, safe=True
            )
        except (DestinationMisconfigured, Gone) as error:
            raise NotNow(str(error)) from error

    async def read_session(self, session: str, deadline: Deadline) -> Session:
        """Return a session as Stripe has it now; raises Gone if Stripe knows of none."""
        sessions = self._client.v1.checkout.sessions
        return await self._ask(
            lambda: sessions.retrieve_async(session), payments.read_session, deadline, safe=True
        )

    async def find_session(
        self, link: str, attempt: int, since: int, deadline: Deadline
    ) -> Session | None:
        """Return the session that a link's attempt made since `since` (Unix s), if there is one."""
        sessions = self._client.v1.checkout.sessions
        params: dict[str, Any] = {"created": {"gte": since}, "limit": 100}
        while True:
            page = await self._ask(
                partial(sessions.list_async, cast(Any, params)), _as_page, deadline, safe=True
            )
            for data in page["data"]:
                metadata = data.get("metadata") or {}
                wanted = (link, str(attempt))
                if (metadata.get("linkgate_link"), metadata.get("linkgate_attempt")) == wanted:
                    return payments.read_session(data)
            if not page["has_more"]:
                return None
            params = {**params, "starting_after": page["data"][-1]["id"]}

    async def _ask(
        self,
        call: Callable[[], Awaitable[Any]],
        read: Callable[[Mapping[str, Any]], T],
        deadline: Deadline,
        *,
        safe: bool = False,
    ) -> T:
        """Call, and call again while that may help; `safe` calls may be repeated after a 5xx."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(min(self._timeout_s, max(deadline.left, 0.01))):
                    return read((await call()).to_dict())
            except Exception as error:
                wait = _wait(error, pause, safe=safe)
                if wait is None:
                    raise _translated(error) from error
                if wait >= deadline.left:
                    raise DestinationBusy(_words(error), retry_after=max(wait, 2.0)) from error
                log.info("asking Stripe again in %.2f s: %s", wait, _words(error))
                await asyncio.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)


def _as_page(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": list(data["data"]), "has_more": bool(data["has_more"])}


def _wait(error: Exception, pause: float, *, safe: bool) -> float | None:
    """Return the seconds until the same request is worth another try, or None if it is not."""
    jittered = pause * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
    if isinstance(error, stripe.RateLimitError):
        return max(_retry_after(error), jittered)
    if isinstance(error, _NO_ANSWER):
        return jittered
    if not isinstance(error, stripe.StripeError):
        return None
    status = error.http_status or 0
    # Below 300 it is an answer that is no JSON: cut, or a proxy's in between.
    if status == 409 or status < 300 or (status >= 500 and safe):
        return jittered
    return None


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
    if error.http_status == 404 and error.code == "resource_missing":
        return Gone(_words(error))
    if getattr(error, "param", None) == "expires_at":
        return ExpiryRefused(_words(error))
    return DestinationMisconfigured(_words(error))


def _words(error: Exception) -> str:
    """Say what Stripe said, for the operator; Stripe masks keys in its own messages."""
    if not isinstance(error, stripe.StripeError):
        return f"Stripe did not answer ({type(error).__name__})"
    param = getattr(error, "param", None)
    where = f" (parameter {param})" if param else ""
    request = f" [{error.request_id}]" if error.request_id else ""
    text = error.user_message or error.code or type(error).__name__
    return f"Stripe answered {error.http_status or 'nothing'}: {text}{where}{request}"
