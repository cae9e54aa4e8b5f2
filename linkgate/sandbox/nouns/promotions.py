"""Coupons, which take something off, and promotion codes, which people type to get one."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from stripe.params import (
    CouponCreateParams,
    CouponListParams,
    CouponRetrieveParams,
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
)

from linkgate.sandbox.errors import ApiError, missing_param, no_such
from linkgate.sandbox.money import check_currency
from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Cart, Object, World


def reduction(coupon: Object, amount: int, currency: str) -> int:
    """What a coupon takes off an amount; nothing where it is of another currency."""
    if coupon["percent_off"] is not None:
        exact = Decimal(amount) * Decimal(str(coupon["percent_off"])) / 100
        return int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    if coupon["currency"] != currency:
        return 0
    return min(int(coupon["amount_off"]), amount)


def given_discount(
    world: World, discounts: list[dict[str, str]], customer: Object | None
) -> Object | None:
    """The discount that a new session's `discounts` name; raises ApiError for one of no use."""
    if len(discounts) > 1:
        raise ApiError("You can only apply one discount to a Checkout Session.", param="discounts")
    if not discounts:
        return None
    discount, path = discounts[0], "discounts[0]"
    if len(discount) != 1:
        raise ApiError(
            "You must specify one of these parameters: coupon, promotion_code.", param=path
        )
    if "promotion_code" in discount:
        code = world.get("promotion_code", discount["promotion_code"])
        if code is None:
            raise no_such("promotion code", discount["promotion_code"], f"{path}[promotion_code]")
        return redeemable(world, code, customer, f"{path}[promotion_code]")
    coupon = world.get("coupon", discount["coupon"])
    if coupon is None:
        raise no_such("coupon", discount["coupon"], f"{path}[coupon]")
    _check_valid(world, coupon, f"{path}[coupon]")
    return {"coupon": coupon["id"], "promotion_code": None}


def typed_discount(world: World, text: str, customer: Object | None) -> Object:
    """The discount of a code that somebody typed; raises ApiError if there is none."""
    for code in world.every("promotion_code"):
        if code["code"].lower() == text.strip().lower() and code["active"]:
            return redeemable(world, code, customer, "code")
    raise ApiError("This code is invalid.", code="promotion_code_invalid", param="code")


def redeemable(world: World, code: Object, customer: Object | None, param: str) -> Object:
    """A code's discount, if this customer may use it now; raises ApiError otherwise."""
    most, ends = code["max_redemptions"], code["expires_at"]
    theirs = code["customer"] in (None, customer and customer["id"])
    if (
        not code["active"]
        or not theirs
        or (ends is not None and ends <= world.now())
        or (most is not None and code["times_redeemed"] >= most)
    ):
        raise ApiError("This promotion code cannot be redeemed.", param=param)
    coupon = world.objects["coupon"][code["promotion"]["coupon"]]
    _check_valid(world, coupon, param)
    return {"coupon": None, "promotion_code": code["id"]}


def apply_discount(world: World, session: Object, cart: Cart, discount: Object) -> None:
    """Take a discount off an open session's amount, instead of any other."""
    code = world.get("promotion_code", discount["promotion_code"] or "")
    coupon = world.objects["coupon"][code["promotion"]["coupon"] if code else discount["coupon"]]
    off = reduction(coupon, session["amount_subtotal"], session["currency"])
    left = off
    for item in cart.items:
        item["amount_discount"] = min(left, item["amount_subtotal"])
        item["amount_total"] = item["amount_subtotal"] - item["amount_discount"]
        left -= item["amount_discount"]
    session["discounts"] = [discount]
    session["amount_total"] = session["amount_subtotal"] - off
    session["total_details"] = {**session["total_details"], "amount_discount": off}


def count_redemption(world: World, session: Object) -> None:
    """A completed session has used up one of its code's and its coupon's redemptions."""
    for discount in session["discounts"]:
        code = world.get("promotion_code", discount["promotion_code"] or "")
        if code:
            code["times_redeemed"] += 1
        coupon_id = code["promotion"]["coupon"] if code else discount["coupon"]
        world.objects["coupon"][coupon_id]["times_redeemed"] += 1


def _check_valid(world: World, coupon: Object, param: str) -> None:
    most, ends = coupon["max_redemptions"], coupon["redeem_by"]
    if (most is not None and coupon["times_redeemed"] >= most) or (
        ends is not None and ends <= world.now()
    ):
        raise ApiError(f"Coupon expired: {coupon['id']}", code="coupon_expired", param=param)


def check_coupon(call: Call) -> None:
    params = call.params
    ways = [name for name in ("percent_off", "amount_off") if name in params]
    if len(ways) != 1:
        raise ApiError(
            "You must pass either `percent_off` or `amount_off`, and not both.",
            param=ways[-1] if ways else "percent_off",
        )
    if "amount_off" in params:
        if "currency" not in params:
            raise missing_param("currency")
        check_currency(params["currency"], "currency")
    if not 0 < params.get("percent_off", 1) <= 100:
        raise ApiError("Invalid percent_off: must be within 0 and 100.", param="percent_off")
    if params.get("duration") == "repeating" and "duration_in_months" not in params:
        raise missing_param("duration_in_months")


def create_coupon(call: Call) -> Object:
    world, params = call.world, call.params
    coupon_id = params.get("id") or world.new_id("", 8)
    if world.get("coupon", coupon_id):
        raise ApiError("Coupon already exists.", code="resource_already_exists", param="id")
    percent = params.get("percent_off")
    return world.put(
        {
            "id": coupon_id,
            "object": "coupon",
            "amount_off": params.get("amount_off"),
            "created": world.now(),
            "currency": params["currency"].lower() if "currency" in params else None,
            "duration": params.get("duration", "once"),
            "duration_in_months": params.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": params.get("metadata") or {},
            "name": params.get("name"),
            "percent_off": None if percent is None else float(percent),
            "redeem_by": params.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
        }
    )


def check_code(call: Call) -> None:
    if "coupon" not in call.params["promotion"]:
        raise missing_param("promotion[coupon]")


def create_code(call: Call) -> Object:
    world, params = call.world, call.params
    coupon_id = params["promotion"]["coupon"]
    if world.get("coupon", coupon_id) is None:
        raise no_such("coupon", coupon_id, "promotion[coupon]")
    text = params.get("code") or world.new_id("", 8).upper()
    for other in world.every("promotion_code"):
        if other["active"] and other["code"].lower() == text.lower():
            raise ApiError(
                "An active promotion code with this code already exists.",
                code="resource_already_exists",
                param="code",
            )
    return world.put(
        {
            "id": world.new_id("promo_"),
            "object": "promotion_code",
            "active": params.get("active", True),
            "code": text,
            "created": world.now(),
            "customer": params.get("customer"),
            "expires_at": params.get("expires_at"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": params.get("metadata") or {},
            "promotion": {"coupon": coupon_id, "type": "coupon"},
            "restrictions": {
                "first_time_transaction": False,
                "minimum_amount": None,
                "minimum_amount_currency": None,
            },
            "times_redeemed": 0,
        }
    )


def retrieve_coupon(call: Call) -> Object:
    return fetch(call, "coupon", "coupon")


def list_coupons(call: Call) -> Object:
    return page(call, "/v1/coupons", call.world.every("coupon"))


def retrieve_code(call: Call) -> Object:
    return fetch(call, "promotion_code", "promotion_code")


def list_codes(call: Call) -> Object:
    params: dict[str, Any] = call.params
    return page(
        call,
        "/v1/promotion_codes",
        [
            each
            for each in call.world.every("promotion_code")
            if params.get("active") in (None, each["active"])
            and str(params.get("code", each["code"])).lower() == each["code"].lower()
            and params.get("coupon") in (None, each["promotion"]["coupon"])
            and params.get("customer") in (None, each["customer"])
        ],
    )


OPERATIONS = (
    Operation(
        "POST", "/v1/coupons", CouponCreateParams, create_coupon, check_coupon, (("name", 40),)
    ),
    Operation("GET", "/v1/coupons", CouponListParams, list_coupons, check_page),
    Operation("GET", "/v1/coupons/{id}", CouponRetrieveParams, retrieve_coupon),
    Operation(
        "POST",
        "/v1/promotion_codes",
        PromotionCodeCreateParams,
        create_code,
        check_code,
        (("code", 500),),
    ),
    Operation("GET", "/v1/promotion_codes", PromotionCodeListParams, list_codes, check_page),
    Operation("GET", "/v1/promotion_codes/{id}", PromotionCodeRetrieveParams, retrieve_code),
)
