"""A campaign as `linkgate campaigns` prints it for people."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign


def facts(campaign: "Campaign") -> dict[str, object]:
    """Return what there is to say of a campaign; empty or None where there is nothing."""
    return {
        "campaign": campaign.slug,
        "name": campaign.name,
        "status": campaign.status,
        "policy": campaign.policy,
        "leads to": leads_to(campaign),
        **_ways_back(campaign),
        "payments": _payments(campaign),
        "paid links": campaign.completed_url,
        "recovery": "by Stripe" if getattr(campaign.destination, "recovery", False) else None,
        "reminder": _reminder(campaign),
        "sent": campaign.sent_at,
        "scan window": _minutes(campaign.scan_minutes),
        "public": _public(campaign),
        "checkout open": (
            f"{campaign.session_minutes} minutes" if campaign.destination.is_checkout else None
        ),
        "links live": f"{campaign.link_days} days" if campaign.link_days else None,
        "created": campaign.created_at,
        "changed": campaign.updated_at,
        "revision": campaign.revision,
    }


def leads_to(campaign: "Campaign") -> str:
    """Return a campaign's destination in a line: its kind, and what or where."""
    from linkgate.destinations.checkout import CheckoutDestination

    goal = campaign.destination
    if not isinstance(goal, CheckoutDestination):
        where = getattr(goal, "url", "")
        return f"{goal.kind}: {where}".removesuffix(": ")
    items = (
        f"{item.price or 'an inline price'} {f'x {item.quantity}' if item.quantity else 'by use'}"
        for item in goal.line_items
    )
    return f"{goal.kind}, {goal.mode}: {', '.join(items)}".removesuffix(": ")


def _ways_back(campaign: "Campaign") -> dict[str, str]:
    ways = {"after paying": "success_url", "turning back": "cancel_url"}
    goal = campaign.destination
    return {said: url for said, name in ways.items() if (url := getattr(goal, name, None))}


def _payments(campaign: "Campaign") -> str | None:
    if not campaign.destination.is_checkout:
        return None
    most = campaign.payments_allowed
    return "without end" if most is None else f"{most} for each link"


def _reminder(campaign: "Campaign") -> str | None:
    if campaign.reminder is None:
        return None
    return f"{campaign.reminder.after_minutes} minutes after a checkout ran out"


def _public(campaign: "Campaign") -> str:
    if not campaign.public:
        return "no"
    return f"yes, and sells {', '.join(prices)}" if (prices := campaign.public_prices) else "yes"


def _minutes(minutes: float | None) -> str | None:
    return None if minutes is None else f"{minutes:g} minutes"
