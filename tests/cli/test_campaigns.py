"""`linkgate campaigns`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Invoke

SUCCESS = ("--success-url", "https://shop.example.com/thanks")
SPRING = ("spring", "--name", "Spring sale", "--price", "price_1", *SUCCESS)


def shown(linkgate: Invoke, slug: str = "spring") -> dict[str, Any]:
    data: dict[str, Any] = json.loads(linkgate("campaigns", "show", slug, "--json").stdout)
    return data


def test_one_is_created_from_options(linkgate: Invoke) -> None:
    result = linkgate(
        *("campaigns", "create", *SPRING, "--price", "price_2:3", "--policy", "confirm"),
        *("--sent-at", "2026-05-01T08:00:00Z", "--public", "--cancel-url", "https://example.com/"),
        *("--session-minutes", "60", "--link-days", "30", "--scan-minutes", "25"),
        *("--max-payments", "3", "--completed-url", "https://example.com/account", "--recovery"),
    )
    assert (result.exit_code, result.stdout) == (0, "Campaign spring was created.\n")
    campaign = shown(linkgate)
    goal = {
        "kind": "checkout",
        "mode": "payment",
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://example.com/",
        "params": {},
        "recovery": True,
    }
    assert {field: campaign["destination"][field] for field in goal} == goal
    items = [(item["price"], item["quantity"]) for item in campaign["destination"]["line_items"]]
    assert items == [("price_1", 1), ("price_2", 3)]
    expected = {
        "name": "Spring sale",
        "policy": "confirm",
        "sent_at": "2026-05-01T08:00:00Z",
        "public": True,
        "session_minutes": 60,
        "scan_minutes": 25,
        "link_days": 30,
        "max_payments": 3,
        "completed_url": "https://example.com/account",
        "status": "active",
        "trouble": None,
        "counts": {},
    }
    assert {field: campaign[field] for field in expected} == expected


@pytest.mark.parametrize(
    ("option", "goal", "leads_to"),
    [
        (["--url", "https://a.example/x"], {"kind": "url"}, "url: https://a.example/x"),
        (["--callback", "https://a.example/"], {"kind": "callback"}, "callback: https://a.example"),
        (["--portal"], {"kind": "portal"}, "portal"),
    ],
)
def test_one_can_lead_elsewhere(
    option: list[str], goal: dict[str, Any], leads_to: str, linkgate: Invoke
) -> None:
    assert linkgate("campaigns", "create", "spring", "--name", "S", *option).exit_code == 0
    assert goal.items() <= shown(linkgate)["destination"].items()
    [line] = re.findall(r"^leads to +(.*)$", linkgate("campaigns", "show", "spring").stdout, re.M)
    assert line.removesuffix("/") == leads_to


def test_an_option_of_another_kind_changes_where_it_leads(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    assert linkgate("campaigns", "change", "spring", "--url", "https://a.example/").exit_code == 0
    assert "line_items" not in shown(linkgate)["destination"]
    assert linkgate("campaigns", "change", "spring", "--price", "price_2").exit_code == 0
    goal = shown(linkgate)["destination"]
    assert (goal["kind"], goal["line_items"][0]["price"]) == ("checkout", "price_2")
    both = linkgate("campaigns", "change", "spring", "--portal", "--price", "price_2")
    assert both.exit_code == 2
    assert both.stderr.startswith("--price and --portal: ")


def test_how_often_a_link_can_be_paid_can_change(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING, "--recovery")
    assert "recovery" in linkgate("campaigns", "show", "spring").stdout
    change = ("campaigns", "change", "spring")
    assert linkgate(*change, "--max-payments", "unlimited", "--no-recovery").exit_code == 0
    assert shown(linkgate)["max_payments"] == "unlimited"
    assert shown(linkgate)["destination"]["recovery"] is False
    for often in ("0", "twice"):
        wrong = linkgate(*change, "--max-payments", often)
        assert wrong.exit_code == 2
        assert "(--max-payments)" in wrong.stderr


def test_what_was_set_by_a_file_is_shown(linkgate: Invoke) -> None:
    campaign = {
        "slug": "spring",
        "name": "Spring",
        "public": True,
        "public_prices": ["price_yearly"],
        "max_payments": "unlimited",
        "completed_url": "https://shop.example.com/account",
        "reminder": {"after_minutes": 90},
        "destination": {
            "mode": "subscription",
            "line_items": [{"price": "price_1"}, {"price": "price_2", "quantity": None}],
        },
    }
    created = linkgate("campaigns", "create", "--file", "-", stdin=json.dumps(campaign))
    assert created.exit_code == 0, created.stderr
    lines = dict(
        re.split(r"\s{2,}", line, maxsplit=1)
        for line in linkgate("campaigns", "show", "spring").stdout.splitlines()
    )
    assert (
        lines.items()
        >= {
            "leads to": "checkout, subscription: price_1 x 1, price_2 by use",
            "payments": "without end",
            "paid links": "https://shop.example.com/account",
            "reminder": "90 minutes after a checkout ran out",
            "public": "yes, and sells price_yearly",
        }.items()
    )


def test_every_wrong_option_is_named(linkgate: Invoke) -> None:
    result = linkgate(
        *("campaigns", "create", "Spring!", "--policy", "maybe", "--sent-at", "soon"),
        *("--price", "price_1", "--success-url", "javascript:alert(1)"),
    )
    assert result.exit_code == 2
    names = [line.partition(": ")[0] for line in result.stderr.splitlines()]
    assert sorted(names) == [
        "destination.success_url (--success-url)",
        "name (--name)",
        "policy (--policy)",
        "sent_at (--sent-at)",
        "slug (SLUG)",
    ]


def test_a_missing_price_refers_to_the_option(linkgate: Invoke) -> None:
    result = linkgate("campaigns", "create", "spring", "--name", "Spring", *SUCCESS)
    assert result.exit_code == 2
    assert "needs line_items" in result.stderr


@pytest.mark.parametrize("price", ["price_1:", "price_1:two", "price_1:-1", "price_1:\u0663"])
def test_a_quantity_is_a_number(price: str, linkgate: Invoke) -> None:
    result = linkgate("campaigns", "create", "spring", "--name", "S", "--price", price, *SUCCESS)
    assert result.exit_code == 2
    assert result.stderr.startswith("--price: ")


def test_one_is_created_once(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    result = linkgate("campaigns", "create", *SPRING)
    assert result.exit_code == 1
    assert result.stderr == "linkgate: there is a campaign 'spring' already\n"


JSON = {
    "slug": "spring",
    "name": "From a file",
    "destination": {"line_items": [{"price": "price_1"}], "success_url": SUCCESS[1]},
}
TOML = f"""
slug = "spring"
name = "From a file"
sent_at = 2026-05-01T08:00:00Z
[destination]
line_items = [{{ price = "price_1" }}]
success_url = "{SUCCESS[1]}"
"""


@pytest.mark.parametrize(("file", "text"), [("c.json", json.dumps(JSON)), ("c.toml", TOML)])
def test_one_is_created_from_a_file(file: str, text: str, linkgate: Invoke) -> None:
    Path(file).write_text(text)
    assert linkgate("campaigns", "create", "--file", file).exit_code == 0
    assert shown(linkgate)["name"] == "From a file"


def test_one_is_created_from_standard_input_and_options_win(linkgate: Invoke) -> None:
    words = ("campaigns", "create", "summer", "--file", "-", "--name", "Mine", "--price", "price_9")
    assert linkgate(*words, stdin=json.dumps(JSON)).exit_code == 0
    campaign = shown(linkgate, "summer")
    assert campaign["name"] == "Mine"
    assert campaign["destination"]["line_items"][0]["price"] == "price_9"
    assert campaign["destination"]["success_url"] == SUCCESS[1]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("c.json", b"{", "c.json: is not valid JSON"),
        ("c.json", b"[1]", "c.json: must hold one JSON object"),
        ("c.json", b"[" * 100_000, "c.json: is not valid JSON"),
        ("c.json", b"\xff\xfe", "c.json: is not UTF-8 text"),
        ("c.toml", b"x = ", "c.toml: is not valid TOML"),
        ("c.json", b'{"destination": 7}', "destination: must be an object"),
        ("none.json", None, "none.json: can't be read: No such file"),
        (".", None, ".: can't be read: Is a directory"),
    ],
)
def test_a_file_that_can_t_be_used_is_told(
    file: str, content: bytes | None, said: str, linkgate: Invoke
) -> None:
    if content is not None:
        Path(file).write_bytes(content)
    result = linkgate("campaigns", "create", "--file", file)
    assert result.exit_code == 2
    assert result.stderr.startswith(said)


def test_they_are_listed_newest_first(linkgate: Invoke) -> None:
    for slug in ("first", "second"):
        linkgate("campaigns", "create", slug, *SPRING[1:])
    listed = json.loads(linkgate("campaigns", "list", "--json").stdout)
    assert [campaign["slug"] for campaign in listed["campaigns"]] == ["second", "first"]
    table = linkgate("campaigns", "list").stdout
    assert "checkout, payment: price_1 x 1" in table


def test_an_empty_list_says_what_to_do(linkgate: Invoke) -> None:
    result = linkgate("campaigns", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "linkgate campaigns create --help" in result.stderr


def test_one_is_shown_to_people(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    text = linkgate("campaigns", "show", "spring").stdout
    assert "status         active\n" in text
    assert "after paying   https://shop.example.com/thanks\n" in text


def test_a_change_keeps_what_it_does_not_name(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    result = linkgate("campaigns", "change", "spring", "--price", "price_2:5", "--policy", "direct")
    assert (result.exit_code, result.stdout) == (0, "Campaign spring was changed.\n")
    campaign = shown(linkgate)
    assert (campaign["policy"], campaign["name"], campaign["revision"]) == (
        "direct",
        "Spring sale",
        2,
    )
    assert [item["price"] for item in campaign["destination"]["line_items"]] == ["price_2"]
    assert campaign["destination"]["success_url"] == SUCCESS[1]


def test_the_scan_window_is_changed_alone_and_shown(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    assert "scan window" not in linkgate("campaigns", "show", "spring").stdout
    for minutes in ("0", "45"):
        linkgate("campaigns", "change", "spring", "--scan-minutes", minutes)
        assert shown(linkgate)["scan_minutes"] == int(minutes)
        text = linkgate("campaigns", "show", "spring").stdout
        assert f"scan window    {minutes} minutes\n" in text


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["change", "spring", "--scan-minutes", "1441"], 2, "scan_minutes (--scan-minutes): "),
        (["change", "spring"], 2, "options: name nothing to change"),
        (["change", "spring", "--policy", "no"], 2, "policy (--policy): "),
        (["change", "none", "--name", "x"], 1, "linkgate: there is no campaign 'none'"),
        (["show", "none"], 1, "linkgate: there is no campaign 'none'"),
        (["pause", "none"], 1, "linkgate: there is no campaign 'none'"),
    ],
)
def test_what_can_t_be_done_is_told(
    words: list[str], status: int, said: str, linkgate: Invoke
) -> None:
    linkgate("campaigns", "create", *SPRING)
    result = linkgate("campaigns", *words)
    assert result.exit_code == status
    assert result.stderr.startswith(said)


def test_it_is_paused_resumed_and_ended_for_good(linkgate: Invoke) -> None:
    linkgate("campaigns", "create", *SPRING)
    for command, status in (("pause", "paused"), ("resume", "active"), ("end", "ended")):
        assert linkgate("campaigns", command, "spring").exit_code == 0
        assert shown(linkgate)["status"] == status
    result = linkgate("campaigns", "resume", "spring")
    assert result.exit_code == 1
    assert "has ended" in result.stderr
