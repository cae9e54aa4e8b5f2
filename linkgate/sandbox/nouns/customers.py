"""Customers: created by the API, or by a Checkout Session that needs one."""

from typing import Any

from stripe.params import CustomerCreateParams, CustomerListParams, CustomerRetrieveParams

from linkgate.sandbox.operations import Call, Operation, check_page, fetch, page
from linkgate.sandbox.rules import check_email
from linkgate.sandbox.world import NO_REQUEST, Cause, Object, World


def add_customer(world: World, given: dict[str, Any], cause: Cause = NO_REQUEST) -> Object:
    """Keep a new customer with what is given of it, and tell it."""
    customer = {
        "id": world.new_id("cus_", 14),
        "object": "customer",
        "address": given.get("address"),
        "balance": given.get("balance", 0),
        "created": world.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": given.get("description"),
        "email": given.get("email"),
        "invoice_prefix": world.new_id("", 8).upper(),
        "invoice_settings": {"default_payment_method": None, "footer": None},
        "livemode": False,
        "metadata": given.get("metadata") or {},
        "name": given.get("name"),
        "phone": given.get("phone"),
        "preferred_locales": given.get("preferred_locales", []),
        "shipping": given.get("shipping"),
        "tax_exempt": given.get("tax_exempt", "none"),
        "test_clock": None,
    }
    world.put(customer)
    world.emit("customer.created", customer, cause)
    return customer


def check_customer(call: Call) -> None:
    check_email(call.params.get("email"), "email")


def create(call: Call) -> Object:
    return add_customer(call.world, call.params, call.cause)


def retrieve(call: Call) -> Object:
    return fetch(call, "customer", "id")


def list_customers(call: Call) -> Object:
    email = call.params.get("email")
    customers = call.world.every("customer")
    return page(
        call,
        "/v1/customers",
        [each for each in customers if email is None or each["email"] == email],
    )


OPERATIONS = (
    Operation(
        "POST", "/v1/customers", CustomerCreateParams, create, check_customer, (("email", 512),)
    ),
    Operation("GET", "/v1/customers", CustomerListParams, list_customers, check_page),
    Operation("GET", "/v1/customers/{id}", CustomerRetrieveParams, retrieve),
)
