"""The form encoding, and parameters against the library's own types; no server needed."""

from typing import Any
from urllib.parse import urlencode

import pytest
import stripe.params as params
import stripe.params.checkout as checkout
from stripe._encode import _api_encode

from linkgate.sandbox import forms, shapes
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.nouns import OPERATIONS
from linkgate.sandbox.reading import read


def test_brackets_nest_and_empty_ones_append() -> None:
    assert forms.decode("a[0][b]=1&a[0][c]=2&e[]=x&e[]=y&s=") == {
        "a": {"0": {"b": "1", "c": "2"}},
        "e": {"0": "x", "1": "y"},
        "s": "",
    }
    assert forms.decode("i[][p]=1&i[][q]=2&i[][p]=3") == {
        "i": {"0": {"p": "1", "q": "2"}, "1": {"p": "3"}}
    }


@pytest.mark.parametrize(
    "encoded",
    ["a=1&a[b]=2", "a[b]=2&a=1", "a[[b]]=1", "a[b=1", "[a]=1", "a" + "[b]" * 20 + "=1", "a=%ff"],
)
def test_a_form_that_does_not_nest_is_refused(encoded: str) -> None:
    with pytest.raises(ApiError, match="Invalid request"):
        forms.decode(encoded)


def test_what_the_library_encodes_is_read_back() -> None:
    given: dict[str, Any] = {
        "mode": "payment",
        "line_items": [{"price": "p", "quantity": 2}, {"price": "q", "quantity": 1}],
        "metadata": {"a": "b", "ü": "é & ="},
        "allow_promotion_codes": True,
        "expires_at": 1_800_000_000,
        "expand": ["customer", "line_items"],
        "subscription_data": {"metadata": {"linkgate_link": "x"}},
    }
    sent = urlencode(list(_api_encode(given)))
    assert read(checkout.SessionCreateParams, forms.decode(sent)) == given


def shape_tree(shape: Any, seen: set[Any]) -> None:
    if isinstance(shape, shapes.Record):
        if shape.declared in seen:
            return
        seen.add(shape.declared)
        for inner in shapes.fields_of(shape.declared).shapes.values():
            shape_tree(inner, seen)
    for name in ("item", "value", "shape"):
        if hasattr(shape, name):
            shape_tree(getattr(shape, name), seen)
    for option in getattr(shape, "options", ()):
        shape_tree(option, seen)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.name))
def test_every_parameter_type_of_the_library_has_a_shape(operation: Any) -> None:
    seen: set[Any] = set()
    shape_tree(shapes.Record(operation.params), seen)
    assert operation.params in seen


def test_the_librarys_request_options_are_no_parameters() -> None:
    fields = shapes.fields_of(checkout.SessionCreateParams).shapes
    assert "idempotency_key" not in fields
    assert "success_url" in fields


REFUSED = [
    ("foo=1", "foo", "parameter_unknown", "Received unknown parameter: foo"),
    ("b=1&mode=x&c=1", "b", "parameter_unknown", "Received unknown parameters: b, c"),
    ("line_items[0][p]=1", "line_items[0][p]", "parameter_unknown", "line_items[0][p]"),
    ("api_key=sk", "api_key", "parameter_unknown", "Received unknown parameter: api_key"),
    ("mode=x", "mode", None, "Invalid mode: must be one of payment, setup, or subscription"),
    ("expires_at=1.5", "expires_at", "parameter_invalid_integer", "Invalid integer: 1.5"),
    ("expires_at=١٢", "expires_at", "parameter_invalid_integer", "Invalid integer"),
    ("success_url=", "success_url", "parameter_invalid_empty", "empty string"),
    ("line_items=3", "line_items", None, "Invalid array"),
    ("line_items[x]=3", "line_items", None, "Invalid array"),
    ("line_items[0]=3", "line_items[0]", None, "Invalid object"),
    ("mode[a]=3", "mode", None, "Invalid string"),
    ("allow_promotion_codes=1", "allow_promotion_codes", None, "Invalid boolean: 1"),
    (
        "line_items[0][price_data][unit_amount]=3",
        "line_items[0][price_data][currency]",
        "parameter_missing",
        "Missing required param",
    ),
    ("metadata[a][b]=1", "metadata[a]", None, "must be strings"),
    ("metadata[a]=" + "x" * 501, "metadata[a]", None, "501 characters"),
    ("metadata[" + "k" * 41 + "]=1", "metadata[" + "k" * 41 + "]", None, "41 characters"),
    ("&".join(f"metadata[{n}]=1" for n in range(51)), "metadata", None, "up to 50"),
    (
        "subscription_data[metadata][a]=" + "x" * 501,
        "subscription_data[metadata][a]",
        None,
        "501 characters",
    ),
    (
        "line_items[0][price_data][unit_amount_decimal]=NaN&line_items[0][price_data][currency]=eur",
        "line_items[0][price_data][unit_amount_decimal]",
        "parameter_invalid_decimal",
        "Invalid decimal",
    ),
    ("client_reference_id=" + "x" * 201, "client_reference_id", None, "at most 200 characters"),
    ("success_url=" + "x" * 5001, "success_url", None, "at most 5000 characters"),
]


@pytest.mark.parametrize(("encoded", "param", "code", "words"), REFUSED)
def test_a_wrong_parameter_is_refused_by_name(
    encoded: str, param: str, code: str | None, words: str
) -> None:
    with pytest.raises(ApiError) as caught:
        read(checkout.SessionCreateParams, forms.decode(encoded), {"client_reference_id": 200})
    assert caught.value.param == param
    assert caught.value.code == code
    assert words in caught.value.message


def test_limits_themselves_are_allowed() -> None:
    encoded = "&".join(f"metadata[{'k' * 37}{n:03}]={'v' * 500}" for n in range(50))
    encoded += "&client_reference_id=" + "x" * 200
    got = read(checkout.SessionCreateParams, forms.decode(encoded), {"client_reference_id": 200})
    assert len(got["metadata"]) == 50
    assert len(got["client_reference_id"]) == 200


def test_a_union_takes_either_side_and_names_what_is_wrong_with_it() -> None:
    assert read(params.EventListParams, forms.decode("created=5")) == {"created": 5}
    assert read(params.EventListParams, forms.decode("created[gte]=5")) == {"created": {"gte": 5}}
    with pytest.raises(ApiError, match=r"Received unknown parameter: created\[ge\]"):
        read(params.EventListParams, forms.decode("created[ge]=5"))


def test_what_can_be_cleared_may_be_empty() -> None:
    assert read(checkout.SessionCreateParams, forms.decode("custom_text[submit]=")) == {
        "custom_text": {"submit": ""}
    }
