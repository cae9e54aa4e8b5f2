"""Stripe, as far as one link goes: its objects in three versions of its API, and its events.

The shapes are those of https://docs.stripe.com/api and of its changelog: until 2022-08-01 a payment
intent lists its charges; until 2025-03-31 an invoice names its subscription and payment intent at
its top, and a subscription has its period.
"""

import copy
from typing import Any

OLDEST, OLD, NEW = VERSIONS = ("2022-08-01", "2022-11-15", "2026-10-28")

Object = dict[str, Any]

LINK = "lnk_00000000000000000000000000000001"
OURS = {"linkgate_link": LINK, "linkgate_campaign": "spring", "linkgate_attempt": "1"}
AMOUNT = 4900


class Stripe:
    """One link's objects. Every method that changes one tells the event, as a snapshot."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.now = 1_700_000_000
        self.objects: dict[str, Object] = {}
        self.events: list[Object] = []

    def wait(self, seconds: int = 5) -> None:
        self.now += seconds

    def put(self, kind: str, id_: str, **fields: Any) -> Object:
        made = {"id": id_, "object": kind, "created": self.now, "livemode": False, **fields}
        self.objects[id_] = made
        return made

    def tell(self, kind: str, about: Object, **previous: Any) -> None:
        data: Object = {"object": copy.deepcopy(about)}
        if kind.endswith(".updated"):
            data["previous_attributes"] = previous
        self.events.append(
            {
                "id": f"evt_{len(self.events)}",
                "object": "event",
                "api_version": self.version,
                "created": self.now,
                "livemode": False,
                "type": kind,
                "data": data,
            }
        )

    # -- sessions

    def open_session(self, mode: str = "payment", n: int = 1, **fields: Any) -> Object:
        return self.put(
            "checkout.session",
            f"cs_{n}",
            url=f"https://pay/{n}",
            mode=mode,
            status="open",
            payment_status="no_payment_required" if mode == "setup" else "unpaid",
            expires_at=self.now + 86_400,
            amount_total=None if mode == "setup" else AMOUNT,
            currency="eur",
            customer=None,
            payment_intent=None,
            setup_intent=None,
            subscription=None,
            invoice=None,
            recovered_from=None,
            after_expiration=None,
            metadata=dict(OURS),
            **fields,
        )

    def complete(self, session: Object, payment_status: str, **made: Any) -> None:
        session |= {"status": "complete", "payment_status": payment_status, "url": None, **made}
        self.tell("checkout.session.completed", session)

    def expire(self, session: Object) -> None:
        session |= {"status": "expired", "url": None}
        recovery = {"enabled": True, "url": "https://again/1", "expires_at": self.now + 2_592_000}
        session["after_expiration"] = {"recovery": recovery}
        self.tell("checkout.session.expired", session)

    # -- payments

    def intent(self, n: int = 1, **fields: Any) -> Object:
        made = {"amount": AMOUNT, "amount_received": 0, "currency": "eur", "customer": None}
        made |= {"status": "requires_payment_method", "last_payment_error": None, "metadata": {}}
        made |= {"charges": self._list()} if self.version == OLDEST else {"latest_charge": None}
        if self.version != NEW:
            made["invoice"] = None
        return self.put("payment_intent", f"pi_{n}", **made | fields)

    def charge(self, intent: Object, *, failed: bool = False) -> Object:
        number = sum(one["object"] == "charge" for one in self.objects.values())
        made = self.put(
            "charge",
            f"ch_{intent['id']}_{number}",
            amount=intent["amount"],
            amount_captured=0 if failed else intent["amount"],
            amount_refunded=0,
            captured=not failed,
            currency="eur",
            failure_code="card_declined" if failed else None,
            metadata=intent["metadata"],
            payment_intent=intent["id"],
            refunded=False,
            status="failed" if failed else "succeeded",
        )
        if self.version == OLDEST:
            intent["charges"]["data"].insert(0, made)
        else:
            intent["latest_charge"] = made["id"]
        if self.version != NEW:
            made["invoice"] = intent["invoice"]
        return made

    def decline(self, intent: Object) -> None:
        self.charge(intent, failed=True)
        error = {"code": "card_declined", "decline_code": "generic_decline", "type": "card_error"}
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        self.tell("payment_intent.payment_failed", intent)

    def succeed(self, intent: Object) -> Object:
        charge = self.charge(intent)
        intent |= {"status": "succeeded", "amount_received": AMOUNT, "last_payment_error": None}
        self.tell("payment_intent.succeeded", intent)
        return charge

    def refund(self, charge: Object, amount: int) -> None:
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self.tell("charge.refunded", charge)

    def dispute(self, charge: Object) -> Object:
        made = self.put(
            "dispute",
            "dp_1",
            amount=AMOUNT,
            charge=charge["id"],
            currency="eur",
            metadata={},
            payment_intent=charge["payment_intent"],
            reason="fraudulent",
            status="needs_response",
        )
        self.tell("charge.dispute.created", made)
        return made

    def close_dispute(self, dispute: Object, status: str) -> None:
        dispute["status"] = status
        self.tell("charge.dispute.closed", dispute)

    # -- subscriptions

    def subscription(self, status: str, trial_end: int | None = None) -> Object:
        item = {"id": "si_1", "object": "subscription_item", "price": {"id": "price_1"}}
        made = self.put(
            "subscription",
            "sub_1",
            cancel_at=None,
            cancel_at_period_end=False,
            customer="cus_1",
            ended_at=None,
            items=self._list(item),
            metadata=dict(OURS),
            status=status,
            trial_end=trial_end,
        )
        (item if self.version == NEW else made)["current_period_end"] = self.now + 2_592_000
        self.tell("customer.subscription.created", made)
        return made

    def update(self, subscription: Object, **fields: Any) -> None:
        before = {name: subscription[name] for name in fields}
        subscription |= fields
        self.tell("customer.subscription.updated", subscription, **before)

    def end(self, subscription: Object) -> None:
        subscription |= {"status": "canceled", "ended_at": self.now}
        self.tell("customer.subscription.deleted", subscription)

    def invoice(self, n: int, reason: str, amount: int = AMOUNT) -> Object:
        intent = self.intent(100 + n) if amount else None
        line = {"id": "il_1", "object": "line_item", "metadata": dict(OURS)}
        made = self.put(
            "invoice",
            f"in_{n}",
            amount_due=amount,
            amount_paid=0,
            attempt_count=0,
            billing_reason=reason,
            currency="eur",
            customer="cus_1",
            lines=self._list(line),
            metadata={},
            status="open",
        )
        if self.version == NEW:
            details = {"metadata": dict(OURS), "subscription": "sub_1"}
            made["parent"] = {"type": "subscription_details", "subscription_details": details}
            if intent:
                paid_by = {"type": "payment_intent", "payment_intent": intent["id"]}
                self.put("invoice_payment", f"inpay_{n}", invoice=made["id"], payment=paid_by)
        else:
            made |= {"subscription": "sub_1", "payment_intent": intent and intent["id"]}
            if intent:
                intent["invoice"] = made["id"]
        return made

    def pay_invoice(self, invoice: Object) -> Object | None:
        intent = self.objects.get(f"pi_{100 + int(invoice['id'][3:])}")
        charge = self.succeed(intent) if intent else None
        invoice |= {"status": "paid", "amount_paid": invoice["amount_due"]}
        invoice["attempt_count"] += 1
        self.tell("invoice.paid", invoice)
        return charge

    def fail_invoice(self, invoice: Object) -> None:
        self.decline(self.objects[f"pi_{100 + int(invoice['id'][3:])}"])
        invoice["attempt_count"] += 1
        self.tell("invoice.payment_failed", invoice)

    @staticmethod
    def _list(*items: Object) -> Object:
        return {"object": "list", "data": list(items), "has_more": False}
