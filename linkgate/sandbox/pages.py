"""The hosted pay page, where a person does what they would do at Stripe's, and no money moves.

Plain HTML and forms: no script, and nothing from another host. The unguessable session id in the
address is the only key, as with Stripe.
"""

import datetime
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from litestar import HttpMethod, MediaType, Request, Response, get, post, route
from litestar.params import FromPath
from litestar.response import Redirect

from linkgate.sandbox import settle
from linkgate.sandbox.deeds import Deed, charge_of, perform
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.faults import FaultBook
from linkgate.sandbox.handling import Handling, HandlingBook
from linkgate.sandbox.money import written
from linkgate.sandbox.page_orders import PageOrders
from linkgate.sandbox.portal_pages import PortalPages
from linkgate.sandbox.world import Object, World

STYLE = Path(__file__).parent / "templates" / "pay.css"
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    # No form-action: browsers apply it to the redirect that leads back to the shop as well.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; frame-ancestors 'none'",
}
PLACEHOLDER = "{CHECKOUT_SESSION_ID}"
SHOWN = 50


class Pages:
    """The handlers under /c, and what they share with the portal's under /p."""

    def __init__(self, world: World, book: HandlingBook, faults: FaultBook) -> None:
        self._world = world
        self._book = book
        self._orders = PageOrders(world, faults)
        self._templates = Environment(
            loader=PackageLoader("linkgate.sandbox"), autoescape=True, trim_blocks=True
        )
        self._style = STYLE.read_text(encoding="utf-8")

    def handlers(self) -> list[Any]:
        @get("/c/pay.css", media_type="text/css", sync_to_thread=False)
        def style() -> str:
            return self._style

        @route(
            "/c/pay/{session_id:str}",
            http_method=[HttpMethod.GET, HttpMethod.HEAD],
            media_type=MediaType.HTML,
            sync_to_thread=False,
        )
        def show(session_id: FromPath[str]) -> Response[str]:
            return self._show(session_id)

        # Async, so that it runs on the event loop, where the courier's tasks live.
        @post("/c/pay/{session_id:str}/{action:str}")
        async def act(
            session_id: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any]
        ) -> Response[Any]:
            form = await request.form()
            if action in ("fault", "clock"):
                self._orders.take(action, form)
                return _back(session_id)
            fate = FATES.get(str(form.get("webhooks") or ""))
            with self._book.just_now(fate):
                if action == "promote":
                    return self._promote(session_id, str(form.get("code") or ""))
                return self._act(session_id, action, str(form.get("email") or "") or None)

        @get("/c/recover/{token:str}", sync_to_thread=False)
        def recover(token: FromPath[str]) -> Response[Any]:
            session = settle.recover(self._world, token)
            if session is None:
                return self._page("gone.html", 404)
            return Redirect(session["url"], status_code=303, headers=dict(HEADERS))

        @get("/", media_type=MediaType.HTML, sync_to_thread=False)
        def home() -> Response[str]:
            return self._page("home.html", 200)

        portal = PortalPages(self._world, self._page, dict(HEADERS))
        return [style, show, act, recover, home, *portal.handlers()]

    def overview(self, state: Object) -> Response[str]:
        """What `/sandbox/state` counts, for reading; the newest sessions and deliveries."""
        return self._page(
            "overview.html",
            200,
            counts=state["counts"],
            sessions=[_line(session) for session in state["sessions"][:SHOWN]],
            deliveries=[
                {**delivery, "at": _clock_time(delivery["at"])}
                for delivery in reversed(state["deliveries"][-SHOWN:])
            ],
        )

    def _page(self, template: str, status: int, **values: Any) -> Response[str]:
        html = self._templates.get_template(template).render(**values)
        return Response(html, status_code=status, media_type=MediaType.HTML, headers=dict(HEADERS))

    def _show(self, session_id: str) -> Response[str]:
        self._world.sweep()
        session = self._world.get("checkout.session", session_id)
        if session is None or session["ui_mode"] != "hosted_page":
            return self._page("gone.html", 404)
        return self._page("pay.html", 200, **self._facts(session))

    def _facts(self, session: Object) -> dict[str, Any]:
        cart = self._world.carts[session["id"]]
        ends = _moment(session["expires_at"])
        recovery = (session["after_expiration"] or {}).get("recovery") or {}
        total = session["amount_total"]
        return {
            "session": session,
            "notice": cart.notice,
            "items": [_row(item) for item in cart.items],
            "total": None if total is None else written(total, session["currency"]),
            "later": bool(total),
            "discount": session["total_details"]
            and session["total_details"]["amount_discount"]
            and written(session["total_details"]["amount_discount"], session["currency"]),
            "trial": session["mode"] == "subscription" and total == 0,
            "ends": ends.strftime("%d %B %Y, %H:%M UTC"),
            "email": (session["customer_details"] or {}).get("email"),
            "pending": settle.awaits_money(self._world, session),
            "recovery_url": recovery.get("url"),
            "success_url": _success_url(session),
            "orders": self._orders.standing(),
            **self._later(session),
        }

    def _later(self, session: Object) -> dict[str, Any]:
        """What can still become of the money, and of the subscription."""
        subscription = self._world.get("subscription", session["subscription"] or "")
        try:
            charge = charge_of(self._world, session)
        except ApiError:
            charge = None
        disputes = [
            each
            for each in self._world.every("dispute")
            if charge is not None and each["charge"] == charge["id"]
        ]
        return {
            "refundable": charge is not None and not charge["refunded"] and not disputes,
            "given_back": charge
            and charge["amount_refunded"]
            and written(charge["amount_refunded"], charge["currency"]),
            "dispute": disputes[0]["status"].replace("_", " ") if disputes else None,
            "subscription": subscription and subscription["status"].replace("_", " "),
        }

    def _promote(self, session_id: str, code: str) -> Response[Any]:
        session = self._world.get("checkout.session", session_id)
        if session is not None and code:
            # What is wrong with a code stands on the page as a notice.
            with suppress(ApiError):
                settle.promote(self._world, session, code)
        return _back(session_id)

    def _act(self, session_id: str, action: str, email: str | None) -> Response[Any]:
        self._world.sweep()
        session = self._world.get("checkout.session", session_id)
        if session is None:
            return self._page("gone.html", 404)
        back = _back(session_id)
        try:
            if action == "cancel" and session["status"] == "open" and session["cancel_url"]:
                return Redirect(session["cancel_url"], status_code=303, headers=dict(HEADERS))
            if action in ("pay", "pay-later"):
                step = settle.pay if action == "pay" else settle.pay_later
                step(self._world, session, email)
                return Redirect(_success_url(session), status_code=303, headers=dict(HEADERS))
            if action in OFFERED:
                perform(self._world, session_id, action, Deed())
        except ApiError:
            # Paid, settled or expired in another tab: its page says how things stand.
            return back
        return back


# What the page offers beside paying; every other deed is a control's.
OFFERED = (
    *("fail", "settle", "fail-async", "expire"),
    *("refund", "dispute", "win-dispute", "lose-dispute"),
    *("renew", "fail-renewal", "catch-up", "cancel"),
)
# What may become of the events that a button brings about.
FATES: Mapping[str, Handling] = {
    "lost": Handling("lose"),
    "doubled": Handling("double"),
    "late": Handling("delay"),
}


def _back(session_id: str) -> Redirect:
    return Redirect(f"/c/pay/{session_id}", status_code=303, headers=dict(HEADERS))


def _moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def _clock_time(at: float) -> str:
    return _moment(at).strftime("%d %b, %H:%M:%S")


def _line(session: Object) -> dict[str, Any]:
    total = session["amount_total"]
    return {
        "id": session["id"],
        "created": _clock_time(session["created"]),
        "state": f"{session['status']}, {session['payment_status'].replace('_', ' ')}",
        "amount": "" if total is None else written(total, session["currency"]),
        "reference": session["client_reference_id"] or "",
    }


def _success_url(session: Object) -> str:
    return str(session["success_url"]).replace(PLACEHOLDER, session["id"])


def _row(item: Object) -> dict[str, Any]:
    recurring = item["price"]["recurring"]
    every = None
    if recurring:
        count = recurring["interval_count"]
        every = recurring["interval"] if count == 1 else f"{count} {recurring['interval']}s"
    return {
        "name": item["description"] or item["price"]["id"],
        "quantity": item["quantity"],
        "amount": written(item["amount_subtotal"], item["currency"]),
        "every": every,
    }
