"""[mail] in the configuration, and a campaign's reminder."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from linkgate import campaigns, config
from linkgate.errors import ConfigError, Invalid
from linkgate.mail.settings import Reminder

ENOUGH: dict[str, dict[str, Any]] = {
    "server": {"public_url": "https://go.example.com"},
    "signing": {"keys": ["k3y-with-enough-Random-looking-letters-0123456789"]},
    "stripe": {"api_key": "sk_test_abc"},
}
GOOD = {"host": "smtp.example.com", "sender": "Example Shop <shop@example.com>"}


def refused(**mail: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        config.parse({**ENOUGH, "mail": mail})
    return {problem.field: problem.message for problem in caught.value.problems}


def test_without_a_host_there_is_no_mail() -> None:
    assert config.parse(ENOUGH).mail.host is None


def test_a_server_a_login_and_a_sender() -> None:
    login = {"username": "apikey", "password": "very secret"}
    mail = config.parse({**ENOUGH, "mail": {**GOOD, **login}}).mail
    assert (mail.port, mail.security, mail.per_minute) == (587, "starttls", 60)
    assert mail.sender_parts == ("Example Shop", "shop@example.com")
    assert "very secret" not in repr(mail)


def test_the_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("very secret\n")
    env = {
        "LINKGATE_SERVER__PUBLIC_URL": "https://go.example.com",
        "LINKGATE_SIGNING__KEYS": ENOUGH["signing"]["keys"][0],
        "LINKGATE_STRIPE__API_KEY": "sk_test_abc",
        "LINKGATE_MAIL__HOST": "smtp.example.com",
        "LINKGATE_MAIL__SENDER": "shop@example.com",
        "LINKGATE_MAIL__USERNAME": "apikey",
        "LINKGATE_MAIL__PASSWORD_FILE": str(tmp_path / "password"),
    }
    found = config.load(None, env)
    assert found.mail.password
    assert found.mail.password.get_secret_value() == "very secret"
    assert tmp_path / "password" in found.secret_files


def test_certificates_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "linkgate.toml").write_text(
        f'[server]\npublic_url = "https://go.example.com"\n[signing]\nkeys = '
        f'["{ENOUGH["signing"]["keys"][0]}"]\n[stripe]\napi_key = "sk_test_abc"\n'
        '[mail]\nhost = "smtp.example.com"\nsender = "a@example.com"\nca_bundle = "ca.pem"\n'
    )
    assert config.load(tmp_path / "linkgate.toml", {}).mail.ca_bundle == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("sender", "parts"),
    [
        ("shop@example.com", ("", "shop@example.com")),
        ("<shop@example.com>", ("", "shop@example.com")),
        ('"Shop, Inc." <shop@example.com>', ("Shop, Inc.", "shop@example.com")),
        ("Bücher <laden@bücher.example>", ("Bücher", "laden@xn--bcher-kva.example")),
    ],
)
def test_senders(sender: str, parts: tuple[str, str]) -> None:
    assert config.parse({**ENOUGH, "mail": {**GOOD, "sender": sender}}).mail.sender_parts == parts


@pytest.mark.parametrize(
    ("mail", "field", "mend"),
    [
        ({"host": "smtp.example.com"}, "mail.sender", "is missing"),
        ({**GOOD, "security": "none"}, "mail.security", "server on this machine"),
        ({**GOOD, "username": "a"}, "mail.password", "set both or neither"),
        ({**GOOD, "password": "a"}, "mail.username", "set both or neither"),
        ({**GOOD, "host": "smtp.example.com:587"}, "mail.host", "alone"),
        ({**GOOD, "host": "smtp://example.com"}, "mail.host", "alone"),
        ({**GOOD, "host": "a\r\nb"}, "mail.host", "alone"),
        ({**GOOD, "sender": "Shop"}, "mail.sender", "must be an e-mail address"),
        ({**GOOD, "sender": "Shop\n<a@b.de>"}, "mail.sender", "one line"),
        ({**GOOD, "sender": "ü@example.com"}, "mail.sender", "must be an e-mail address"),
        ({**GOOD, "reply_to": "a@b.de, c@d.de"}, "mail.reply_to", "must be an e-mail address"),
        ({**GOOD, "security": "ssl"}, "mail.security", "'starttls', 'tls' or 'none'"),
        ({**GOOD, "per_minute": 0}, "mail.per_minute", "at least 1"),
        ({**GOOD, "ca_bundle": "/nowhere.pem"}, "mail.ca_bundle", "can't be read"),
        ({**GOOD, "ca_bundle": __file__}, "mail.ca_bundle", "no certificate"),
    ],
)
def test_what_cannot_be(mail: dict[str, Any], field: str, mend: str) -> None:
    problems = refused(**mail)
    assert list(problems) == [field]
    assert mend in problems[field]


def test_without_encryption_only_on_this_machine() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        config.parse({**ENOUGH, "mail": {**GOOD, "host": host, "security": "none"}})


def campaign(**changes: Any) -> campaigns.Campaign:
    destination = {
        "line_items": [{"price": "price_1"}],
        "success_url": "https://shop.example.com/thanks",
    }
    data = {"slug": "spring", "name": "Spring", "destination": destination, **changes}
    return campaigns.create(data, datetime.now(UTC))


def test_reminders_are_off_until_a_campaign_wants_them() -> None:
    assert campaign().reminder is None
    assert campaign(reminder={}).reminder == Reminder(after_minutes=60, language="en")
    wanted = campaign(reminder={"after_minutes": 5, "subject": "Still here, {brand}"})
    changed = campaigns.change(wanted, {"reminder": {"subject": None}}, datetime.now(UTC))
    assert changed.reminder == Reminder(after_minutes=5)
    off = campaigns.change(wanted, {"reminder": None}, datetime.now(UTC))
    assert off.reminder is None


def test_a_wrong_placeholder_is_refused_when_the_campaign_is_written() -> None:
    with pytest.raises(Invalid) as caught:
        campaign(reminder={"subject": "Hi {name}", "text": "{Link}", "after_minute": 3})
    problems = {problem.field: problem.message for problem in caught.value.problems}
    assert problems == {
        "reminder.subject": "there is no placeholder {name}; there are {link}, {brand}, {campaign}",
        "reminder.text": "there is no placeholder {Link}; there are {link}, {brand}, {campaign}",
        "reminder.after_minute": "is not a field here; did you mean after_minutes?",
    }
