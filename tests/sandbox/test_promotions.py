"""Coupons, promotion codes, and what Checkout may save on a customer."""

from typing import Any

import pytest
import stripe

from tests.sandbox.conftest import Clock, Live
from tests.sandbox.test_pages import press, read


async def coupon(live: Live, **given: Any) -> Any:
    return await live.client.v1.coupons.create_async(given or {"percent_off": 25})  # type: ignore[arg-type]


async def code(live: Live, coupon_id: str, **given: Any) -> Any:
    return await live.client.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon_id}, **given}  # type: ignore[arg-type]
    )


async def test_a_discount_takes_its_part_off(live: Live) -> None:
    percent = await coupon(live, percent_off=12.5)
    session = await live.session(discounts=[{"coupon": percent.id}])
    assert (session.amount_subtotal, session.amount_total) == (4900, 4287)
    assert session.total_details.amount_discount == 613
    assert session.to_dict()["discounts"] == [{"coupon": percent.id, "promotion_code": None}]
    amount = await coupon(live, amount_off=900, currency="EUR")
    made = await code(live, amount.id, code="SPRING")
    session = await live.session(discounts=[{"promotion_code": made.id}])
    assert session.amount_total == 4000
    await live.do(session.id, "pay")
    (intent,) = (await live.client.v1.payment_intents.list_async()).data
    assert intent.amount_received == 4000
    used = await live.client.v1.promotion_codes.retrieve_async(made.id)
    assert used.times_redeemed == 1


async def test_nothing_is_charged_where_all_is_taken_off(live: Live) -> None:
    session = await live.session(discounts=[{"coupon": (await coupon(live, percent_off=100)).id}])
    await live.do(session.id, "pay")
    done = await live.sessions.retrieve_async(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


async def test_a_code_is_typed_on_the_page(live: Live) -> None:
    made = await code(live, (await coupon(live, percent_off=50)).id, code="HALF")
    session = await live.session(allow_promotion_codes=True)
    await press(live, session, "promote", code="none")
    assert "This code is invalid" in (await read(live, session.url))[1]
    await press(live, session, "promote", code=" half ")
    text = (await read(live, session.url))[1]
    assert "This code is invalid" not in text
    assert "−€24.50" in text
    await press(live, session, "pay")
    done = await live.sessions.retrieve_async(session.id)
    assert done.amount_total == 2450
    assert done.to_dict()["discounts"][0]["promotion_code"] == made.id
    closed = await live.session()
    await press(live, closed, "promote", code="HALF")
    assert (await live.sessions.retrieve_async(closed.id)).amount_total == 4900


async def test_a_recovered_session_allows_codes_where_its_first_said_so(live: Live) -> None:
    recovery = {"recovery": {"enabled": True, "allow_promotion_codes": True}}
    session = await live.session(after_expiration=recovery, metadata={"linkgate_link": "l"})
    await live.do(session.id, "expire")
    again = await live.do(session.id, "recover")
    assert again["recovered_from"] == session.id
    assert again["metadata"] == {"linkgate_link": "l"}
    assert again["allow_promotion_codes"] is True
    assert again["status"] == "open"


async def test_codes_and_coupons_that_are_over_are_refused(live: Live, clock: Clock) -> None:
    now = int(clock())
    short = await coupon(live, percent_off=10, redeem_by=now + 60)
    other = await live.client.v1.customers.create_async({})
    good = await coupon(live)
    useless = [
        {"coupon": "none"},
        {"promotion_code": "promo_none"},
        {"promotion_code": (await code(live, good.id, active=False)).id},
        {"promotion_code": (await code(live, good.id, expires_at=now + 60)).id},
        {"promotion_code": (await code(live, good.id, customer=other.id)).id},
        {"coupon": short.id},
    ]
    clock.at += 61
    for discount in useless:
        with pytest.raises(stripe.InvalidRequestError):
            await live.session(discounts=[discount])
    one = {"coupon": good.id}
    for discounts in ([one, one], [{**one, "promotion_code": "promo_1"}]):
        with pytest.raises(stripe.InvalidRequestError):
            await live.session(discounts=discounts)
    session = await live.session(
        customer=other.id, discounts=[{"promotion_code": useless[4]["promotion_code"]}]
    )
    assert session.amount_total == 3675


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"percent_off": 10, "amount_off": 5},
        {"amount_off": 5},
        {"percent_off": 101},
        {"percent_off": 10, "duration": "repeating"},
    ],
)
async def test_a_wrong_coupon_is_refused(live: Live, given: Any) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await live.client.v1.coupons.create_async(given)


async def test_codes_are_unlike_each_other_and_found_whatever_their_case(live: Live) -> None:
    off = await coupon(live)
    made = await code(live, off.id, code="Spring")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        await code(live, off.id, code="SPRING")
    with pytest.raises(stripe.InvalidRequestError, match="No such coupon"):
        await code(live, "none")
    codes = live.client.v1.promotion_codes
    assert [each.id for each in (await codes.list_async({"code": "sPRING"})).data] == [made.id]
    assert (await codes.list_async({"active": False})).data == []


ADDRESS: Any = {"country": "DE", "line1": "Weg 1", "postal_code": "10115", "city": "Berlin"}
TAX: Any = {"automatic_tax": {"enabled": True}}
IDS: Any = {"tax_id_collection": {"enabled": True}}


async def test_tax_needs_an_address_or_leave_to_save_one(live: Live) -> None:
    bare = (await live.client.v1.customers.create_async({})).id
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await live.session(customer=bare, **TAX)
    assert caught.value.code == "customer_tax_location_invalid"
    known = (await live.client.v1.customers.create_async({"address": ADDRESS})).id
    session = await live.session(customer=known, **TAX)
    assert session.automatic_tax.status == "requires_location_inputs"
    assert (await live.session(**TAX)).automatic_tax.enabled
    session = await live.session(customer=bare, customer_update={"address": "auto"}, **TAX)
    await live.do(session.id, "pay")
    saved = await live.client.v1.customers.retrieve_async(bare)
    assert saved.address is not None
    assert saved.address.country == "DE"
    assert (await live.sessions.retrieve_async(session.id)).automatic_tax.status == "complete"
    assert "customer.updated" in [event["type"] for event in await live.events()]


async def test_tax_ids_need_leave_to_save_a_name_and_an_address(live: Live) -> None:
    bare = (await live.client.v1.customers.create_async({})).id
    with pytest.raises(stripe.InvalidRequestError, match="updating business name"):
        await live.session(customer=bare, **IDS)
    with pytest.raises(stripe.InvalidRequestError, match="find a valid address"):
        await live.session(customer=bare, customer_update={"name": "auto"}, **IDS)
    both = {"name": "auto", "address": "auto"}
    assert (await live.session(customer=bare, customer_update=both, **IDS)).status == "open"
    with pytest.raises(stripe.InvalidRequestError, match="shipping_address_collection"):
        await live.session(customer=bare, customer_update={"shipping": "auto"})
