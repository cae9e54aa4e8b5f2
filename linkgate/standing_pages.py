"""Which page says how a link stands that is done."""

from typing import Final

from linkgate.payments import OWING, SessionState, Standing

_BY_STATE: Final = {
    SessionState.PAID: "already_paid",
    SessionState.COMPLETE: "complete",
    SessionState.PENDING: "pending",
    # Its subscription lives all the same: else the link would not be done.
    SessionState.FAILED: "subscribed",
}


def page_of(done: str, standing: str) -> str:
    """Return the page's name, by what the store keeps of the link as `done` and `standing`."""
    if standing in OWING:
        return "on_hold"
    if standing == Standing.REFUNDED:
        return "refunded"
    return next((page for state, page in _BY_STATE.items() if state == done), "already_paid")
