"""What settings say about one another."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from linkgate.config.checks import is_loopback
from linkgate.config.mail import check_mail
from linkgate.errors import Problem


def cross_check(valid: Mapping[str, Any]) -> list[Problem]:
    """Judge the settings that are valid by themselves (`section.key` -> value) by one another."""
    problems = [
        *_check_origin(valid),
        *_check_order(valid, "links.default_days", "links.max_days"),
        *_check_order(valid, "stripe.timeout_seconds", "stripe.person_deadline_seconds"),
        *_check_order(valid, "detection.burst_links", "detection.burst_network_links"),
        *_check_shadow(valid),
        *check_mail(valid),
    ]
    key = valid.get("stripe.api_key")
    base = valid.get("stripe.api_base")
    if key and base and _is_live(key) and not _is_stripe(urlsplit(base).hostname or ""):
        message = "would send a live key to a host that isn't Stripe's; use a test key there"
        problems.append(Problem("stripe.api_base", message))
    return problems


def _is_live(key: SecretStr) -> bool:
    return key.get_secret_value()[3:].startswith("live_")


def _is_stripe(host: str) -> bool:
    return host == "stripe.com" or host.endswith(".stripe.com")


def _check_origin(valid: Mapping[str, Any]) -> list[Problem]:
    url = valid.get("server.public_url")
    if url is None or url.startswith("https://"):
        return []
    key = valid.get("stripe.api_key")
    if key and _is_live(key):
        message = "must use https, because stripe.api_key is a live key; use a test key until then"
        return [Problem("server.public_url", message)]
    if is_loopback(urlsplit(url).hostname or "") or valid.get("server.allow_http"):
        return []
    message = "must use https; on a closed test network, set server.allow_http to true"
    return [Problem("server.public_url", message)]


def _check_order(valid: Mapping[str, Any], smaller: str, larger: str) -> list[Problem]:
    if smaller not in valid or larger not in valid or valid[smaller] <= valid[larger]:
        return []
    message = (
        f"is {valid[smaller]:g} and must not be more than {larger}, which is {valid[larger]:g}"
    )
    return [Problem(smaller, message)]


def _check_shadow(valid: Mapping[str, Any]) -> list[Problem]:
    """The order of the shadow's bursts, where what it doesn't set is as in [detection]."""
    shadow = valid.get("detection.shadow")
    if shadow is None or {"burst_links", "burst_network_links"}.isdisjoint(shadow.model_fields_set):
        return []
    both = {
        f"detection.shadow.{key}": value
        for key in ("burst_links", "burst_network_links")
        if (value := getattr(shadow, key) or valid.get(f"detection.{key}")) is not None
    }
    return _check_order(
        both, "detection.shadow.burst_links", "detection.shadow.burst_network_links"
    )
