"""Stripe, as linkgate asks it: sessions, subscriptions, the portal, and what its events say.

How a call is made, and what its failures mean, is in `stripe_calls`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import stripe

from linkgate import payments
from linkgate.destinations.base import Deadline, Gone, NotNow
from linkgate.errors import DestinationMisconfigured
from linkgate.payments import Known, Named, Session, named_in
from linkgate.stripe_calls import API_VERSION, StripeCalls

__all__ = ["API_VERSION", "Owner", "StripeAPI"]

#: Where Stripe keeps what an id of this kind names.
_KINDS = {
    "cs": "checkout/sessions",
    "sub": "subscriptions",
    "pi": "payment_intents",
    "in": "invoices",
    "seti": "setup_intents",
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a payment is: the link, None if it is none of linkgate's; and what told it."""

    named: Named | None
    known: tuple[Known, ...] = ()


class StripeAPI(StripeCalls):
    """Asks Stripe. Belongs to one event loop."""

    async def create_session(
        self, params: dict[str, Any], key: str, deadline: Deadline, *, asked_before: bool
    ) -> Session:
        """Create a Checkout Session under the idempotency key `key`.

        Raises DestinationBusy (nobody knows whether it was made), SpentKey, or
        DestinationMisconfigured (it was not made).
        """
        sessions = self._client.v1.checkout.sessions
        options: stripe.RequestOptions = {"idempotency_key": key}
        return await self._ask(
            lambda: sessions.create_async(cast(Any, params), options),
            payments.read_session,
            deadline,
            doubtful=asked_before,
            # The link, whose place in the line is kept.
            turn=str(params.get("client_reference_id") or key),
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
        self, link: str, attempt: int, since: int, until: int, deadline: Deadline
    ) -> Session | None:
        """Return the session that a link's attempt made between two times (Unix s), if it did."""
        wanted = {"linkgate_link": link, "linkgate_attempt": str(attempt)}
        params = {"created": {"gte": since, "lte": until}}
        async for data in self._listed(params, deadline):
            if wanted.items() <= dict(data.get("metadata") or {}).items():
                return payments.read_session(data)
        return None

    async def open_sessions(
        self,
        link: str,
        customer: str | None,
        since: int,
        deadline: Deadline,
        *,
        done_too: bool = False,
    ) -> AsyncIterator[Session]:
        """Go through the open sessions of a link that were made since then (Unix s).

        `done_too` adds those that are done. Stripe can't be asked for a link's sessions, but for a
        customer's: without one, every such session of the account since then is looked at, newest
        first, as far as the time goes.
        """
        params: dict[str, Any] = {"created": {"gte": since}}
        if customer:
            params["customer"] = customer
        # The open ones first: one that is paid meanwhile is then seen among those that are done.
        for status in ("open", "complete") if done_too else ("open",):
            async for data in self._listed({**params, "status": status}, deadline):
                if (data.get("metadata") or {}).get("linkgate_link") == link:
                    yield payments.read_session(data)

    async def _listed(
        self, params: Mapping[str, Any], deadline: Deadline
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Go through the sessions that Stripe lists for `params`, newest first, page by page."""
        sessions = self._client.v1.checkout.sessions
        wanted: dict[str, Any] = {**params, "limit": 100}
        while True:
            page = await self._ask(
                partial(sessions.list_async, cast(Any, wanted)), _as_page, deadline, safe=True
            )
            for data in page["data"]:
                yield data
            if not page["has_more"]:
                return
            wanted = {**wanted, "starting_after": page["data"][-1]["id"]}

    async def read(
        self, object_id: str, deadline: Deadline, account: str | None = None
    ) -> tuple[Known, ...]:
        """Return what Stripe has under an id now: of a session, a subscription, a payment...

        Raises Gone if it knows none, ValueError for an id of a kind that isn't asked about.
        """
        kind = _KINDS.get(object_id.partition("_")[0])
        if kind is None:
            raise ValueError(f"{object_id} is of no kind that linkgate asks about")
        # Only its payment tells of a session that one on its way has failed.
        inner = ["payment_intent", "subscription", "invoice"] if kind == _KINDS["cs"] else []
        params = {"expand": inner} if inner else {}
        data, at = await self._dated(f"/v1/{kind}/{object_id}", params, deadline, account)
        return payments.read_object(data, at, account=account)

    async def owner_of(
        self, payment_intent: str, deadline: Deadline, account: str | None = None
    ) -> Owner:
        """Return whose a payment is; `account` is the connected account that it was made in.

        A subscription's payments say it by their invoice alone, which says in turn what it is paid
        by only here: https://docs.stripe.com/api/invoice-payment
        """
        try:
            path = f"/v1/payment_intents/{payment_intent}"
            data, _ = await self._dated(path, {}, deadline, account)
            if named := named_in(data):
                return Owner(named)
            paid = {"type": "payment_intent", "payment_intent": payment_intent}
            params = {"payment": paid, "limit": 1, "expand": ["data.invoice"]}
            listed, at = await self._dated("/v1/invoice_payments", params, deadline, account)
        except Gone:
            return Owner(None)
        for one in listed["data"]:
            if isinstance(one.get("invoice"), Mapping) and (named := named_in(one["invoice"])):
                return Owner(named, payments.read_object(one, at, account=account))
        return Owner(None)

    async def events(
        self, since: int, until: int, types: Sequence[str], page_seconds: float
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Go through the events of these types between two times (Unix s), newest first.

        Each page may take `page_seconds`.

        Stripe keeps them for 30 days: https://docs.stripe.com/api/events
        """
        params: dict[str, Any] = {
            "created": {"gte": since, "lte": until},
            "types": list(types),
            "limit": 100,
        }
        while True:
            deadline = Deadline.after(page_seconds)
            page = _as_page((await self._dated("/v1/events", params, deadline, None))[0])
            for data in page["data"]:
                yield data
            if not page["has_more"]:
                return
            params = {**params, "starting_after": page["data"][-1]["id"]}

    async def event(
        self, event_id: str, deadline: Deadline, account: str | None = None
    ) -> Mapping[str, Any]:
        """Return one event; raises Gone once Stripe has forgotten it."""
        return (await self._dated(f"/v1/events/{event_id}", {}, deadline, account))[0]

    async def create_portal(
        self, params: dict[str, Any], key: str, deadline: Deadline
    ) -> Mapping[str, Any]:
        """Create a billing portal session under the idempotency key `key`.

        Raises DestinationBusy, SpentKey, Gone (no such customer) or DestinationMisconfigured.
        """
        sessions = self._client.v1.billing_portal.sessions
        options: stripe.RequestOptions = {"idempotency_key": key}
        # Nothing is paid by one, and it ends by itself: a second one does no harm.
        return await self._ask(
            lambda: sessions.create_async(cast(Any, params), options), _as_portal, deadline
        )

    async def subscriptions(self, customer: str, deadline: Deadline) -> list[Mapping[str, Any]]:
        """Return a customer's subscriptions that are not over; the newest hundred at most.

        Raises Gone if there is no such customer.
        """
        listed = self._client.v1.subscriptions
        params: Any = {"customer": customer, "limit": 100}
        page = await self._ask(lambda: listed.list_async(params), _as_page, deadline, safe=True)
        return list(page["data"])


def _as_portal(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if not str(data["url"]).startswith(("https://", "http://")):
        raise ValueError("a portal session has an address")
    return data


def _as_page(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": list(data["data"]), "has_more": bool(data["has_more"])}
