"""The hosted billing portal, where a customer cancels a subscription or goes back.

As at Stripe the secret in the address is the only key, and it doesn't last: minutes when nobody
comes, an hour after the last time somebody did.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from litestar import HttpMethod, MediaType, Request, Response, post, route
from litestar.params import FromPath
from litestar.response import Redirect

from linkgate.sandbox import lives
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.money import written
from linkgate.sandbox.nouns.portal import NOUN, WITH_HASH
from linkgate.sandbox.nouns.subscriptions import OVER
from linkgate.sandbox.world import Object, World

UNVISITED_SECONDS = 5 * 60
IDLE_SECONDS = 60 * 60
FLOWS = {
    "customer_update": "Update your details",
    "payment_method_update": "Change your payment method",
    "subscription_cancel": "Cancel your subscription",
    "subscription_pause": "Pause your subscription",
    "subscription_update": "Change your subscription",
    "subscription_update_confirm": "Confirm the change of your subscription",
}

Render: TypeAlias = Callable[..., Response[str]]


class PortalPages:
    """The handlers under /p; `render` takes a template's name, a status and values."""

    def __init__(self, world: World, render: Render, headers: dict[str, str]) -> None:
        self._world = world
        self._render = render
        self._headers = headers
        self._seen: dict[str, int] = {}

    def handlers(self) -> list[Any]:
        @route(
            "/p/session/{secret:str}",
            http_method=[HttpMethod.GET, HttpMethod.HEAD],
            media_type=MediaType.HTML,
            sync_to_thread=False,
        )
        def show(secret: FromPath[str]) -> Response[str]:
            session = self._session(secret)
            if session is None:
                return self._gone()
            return self._render("portal.html", 200, **self._facts(session, secret))

        # Async, so that it runs on the event loop, where the courier's tasks live.
        @post("/p/session/{secret:str}/{action:str}")
        async def act(
            secret: FromPath[str], action: FromPath[str], request: Request[Any, Any, Any]
        ) -> Response[Any]:
            session = self._session(secret)
            if session is None:
                return self._gone()
            form = await request.form()
            return self._act(session, secret, action, str(form.get("subscription") or ""))

        return [show, act]

    def _gone(self) -> Response[str]:
        return self._render("gone.html", 404)

    def _session(self, secret: str) -> Object | None:
        """The session that a secret opens, if it still does; this counts as a visit."""
        for session in self._world.every(NOUN):
            if session["url"].rpartition("/")[2] != secret:
                continue
            now, seen = self._world.now(), self._seen.get(session["id"])
            last, lives_for = (
                (session["created"], UNVISITED_SECONDS) if seen is None else (seen, IDLE_SECONDS)
            )
            if now > last + lives_for:
                return None
            self._seen[session["id"]] = now
            return session
        return None

    def _facts(self, session: Object, secret: str) -> dict[str, Any]:
        customer = self._world.objects["customer"][session["customer"]]
        flow = session["flow"]
        return {
            "secret": secret,
            "email": customer["email"],
            "flow": flow and FLOWS[flow["type"]],
            "flow_done": flow and _after(session),
            "return_url": session["return_url"],
            "subscriptions": [
                _row(self._world, each)
                for each in self._world.every("subscription")
                if each["customer"] == customer["id"] and _in_flow(flow, each)
            ],
        }

    def _act(
        self, session: Object, secret: str, action: str, subscription_id: str
    ) -> Response[Any]:
        done = f"/p/session/{secret}"
        if session["flow"]:
            done = _after(session) or done
        subscription = self._world.get("subscription", subscription_id)
        mine = subscription is not None and subscription["customer"] == session["customer"]
        if action in STEPS and subscription is not None and mine:
            try:
                STEPS[action](self._world, subscription)
            except ApiError:
                # Canceled in another tab: the page says how things stand.
                done = f"/p/session/{secret}"
        elif action != "done":
            done = f"/p/session/{secret}"
        return Redirect(done, status_code=303, headers=self._headers)


def _leave_later(world: World, subscription: Object) -> None:
    lives.leave(world, subscription, at_period_end=True)


STEPS: dict[str, Callable[[World, Object], None]] = {
    "cancel": lives.leave,
    "cancel-later": _leave_later,
    "keep": lives.stay,
}


def _in_flow(flow: Object | None, subscription: Object) -> bool:
    """Whether a flow that is about one subscription is about this one."""
    if flow is None or flow["type"] not in WITH_HASH:
        return True
    return bool(flow[flow["type"]]["subscription"] == subscription["id"])


def _after(session: Object) -> str | None:
    """Where a finished flow leads; None stays in the portal."""
    redirect = session["flow"]["after_completion"]["redirect"]
    return str(redirect["return_url"]) if redirect else None


def _row(world: World, subscription: Object) -> dict[str, Any]:
    item = subscription["items"]["data"][0]
    price = item["price"]
    product = world.get("product", price["product"])
    return {
        "id": subscription["id"],
        "name": product["name"] if product else price["id"],
        "amount": written((price["unit_amount"] or 0) * item["quantity"], price["currency"]),
        "every": price["recurring"]["interval"],
        "status": subscription["status"].replace("_", " "),
        "over": subscription["status"] in OVER,
        "ending": bool(subscription["cancel_at"]),
    }
