"""Products and prices."""

from stripe.params import PriceListParams, PriceRetrieveParams, ProductRetrieveParams

from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.world import Object


def retrieve_price(call: Call) -> Object:
    return fetch(call, "price", "price")


def retrieve_product(call: Call) -> Object:
    return fetch(call, "product", "id")


def list_prices(call: Call) -> Object:
    wanted = {key: call.params[key] for key in ("active", "type", "product") if key in call.params}
    prices = call.world.every("price")
    return page(
        call,
        "/v1/prices",
        [price for price in prices if all(price[key] == value for key, value in wanted.items())],
    )


OPERATIONS = (
    Operation("GET", "/v1/prices", PriceListParams, list_prices, check_page),
    Operation("GET", "/v1/prices/{id}", PriceRetrieveParams, retrieve_price),
    Operation("GET", "/v1/products/{id}", ProductRetrieveParams, retrieve_product),
)
