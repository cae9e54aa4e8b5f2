"""All kinds of destinations: told apart, changed into one another, described, and documented."""

import json
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import jwt
import pytest
from standardwebhooks import WebhookVerificationError

from linkgate import campaigns, proofs
from linkgate.campaigns import Campaign
from linkgate.destinations import DEFAULT_KIND, KINDS, InTurn, Means, PerVisit, registry
from linkgate.destinations.checkout_items import LineItem
from linkgate.errors import Invalid
from linkgate.tokens import Keyring, Link, Purpose
from linkgate.web.api.documents import describe
from tests.web.conftest import Api

DOCUMENT = (Path(__file__).parents[2] / "docs" / "destinations.md").read_text()
NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
CHECKOUT = {"kind": "checkout", "line_items": [{"price": "price_1"}], "cancel_url": "https://a.b/"}
URL = {"kind": "url", "url": "https://a.example/", "proof": True, "params": {"a": "b"}}
CALLBACK = {"kind": "callback", "url": "https://a.example/"}
KEYRING = Keyring(["old-key-" * 5, "new-key-" * 5])


def made(destination: Any) -> Campaign:
    return campaigns.create({"slug": "s", "name": "S", "destination": destination}, NOW)


def refused(destination: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        made(destination)
    return {problem.field: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize("kind", ["nope", "", 5, None, ["url"], {}, "URL"])
def test_an_unknown_kind_is_told_the_known_ones(kind: Any) -> None:
    [(field, message)] = refused({**URL, "kind": kind}).items()
    assert field == "destination"
    assert all(known.name in message for known in KINDS)


def test_without_a_kind_it_is_a_checkout_unless_it_looks_like_another() -> None:
    assert made({"line_items": [{"price": "p"}]}).destination.kind == DEFAULT_KIND
    assert "one of" in refused({"url": "https://a.example/"})["destination"]
    assert "one of" in refused({"flow_data": {"type": "x"}})["destination"]
    assert set(refused({"mode": "payment", "what": 1})) == {"destination.what"}
    assert refused("checkout") == {"destination": "must be an object"}


def test_fields_of_another_kind_are_named() -> None:
    assert set(refused({**URL, "line_items": []})) == {"destination.line_items"}
    assert (
        "timeout_seconds"
        in refused({**CALLBACK, "timeout_second": 1})["destination.timeout_second"]
    )


def test_a_change_of_kind_replaces_and_any_other_merges() -> None:
    campaign = made(CHECKOUT)
    changed = campaigns.change(campaign, {"destination": URL}, NOW)
    assert changed.destination == made(URL).destination
    merged = campaigns.change(changed, {"destination": {"params": {"c": "d"}}}, NOW)
    assert merged.destination.params == {"a": "b", "c": "d"}  # type: ignore[attr-defined]
    same = campaigns.change(merged, {"destination": {"kind": "url", "proof": False}}, NOW)
    assert same.destination.params == {"a": "b", "c": "d"}  # type: ignore[attr-defined]
    # Of one name, and of another meaning.
    called = campaigns.change(merged, {"destination": CALLBACK}, NOW)
    assert called.destination == made(CALLBACK).destination
    with pytest.raises(Invalid):
        campaigns.change(called, {"destination": {"kind": "url"}}, NOW)
    back = campaigns.change(called, {"destination": {**CHECKOUT, "kind": None}}, NOW)
    assert back.destination == campaign.destination
    with pytest.raises(Invalid, match="one of"):
        campaigns.change(called, {"destination": {"kind": "nope"}}, NOW)


def test_every_kind_is_built_and_leads_one_way_or_the_other() -> None:
    nothing: Any = None
    built = registry(Means(nothing, nothing, KEYRING, "https://go.example.com", 10.0))
    assert set(built) == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert kind.settings.model_fields["kind"].default == kind.name
        destination: InTurn | PerVisit = built[kind.name]
        assert isinstance(destination, InTurn) != hasattr(destination, "lead")
        # Only what takes money is paid once.
        assert (kind.settings.default_payments == 1) == kind.settings.is_checkout


def test_the_api_describes_every_kind() -> None:
    document = describe(campaigns.NewCampaign, answer=False).to_schema()
    shown: Any = document["properties"]["destination"]
    kinds = {each["properties"]["kind"]["const"]: each for each in shown["oneOf"]}
    assert set(kinds) == {kind.name for kind in KINDS}
    for kind in KINDS:
        described = kinds[kind.name]
        assert described["additionalProperties"] is False
        assert described["description"]
        assert set(described["properties"]) == set(kind.settings.model_fields)
    # What is nested is described too, and in its place.
    words = set(re.findall(r"[$\w]+", json.dumps(shown)))
    assert {"unit_amount_decimal", "hosted_confirmation", "maximum"} <= words
    assert not {"$ref", "$defs"} & words


async def test_secrets_are_shown_to_administrators_alone(api: Api) -> None:
    path = "/campaigns/spring/secrets"
    assert (await api.get(path)).status_code == 404
    await api.campaign()
    assert (await api.get(path)).json() == {"kind": "checkout", "current": [], "next": None}
    for destination, purpose in ((URL, Purpose.PROOF), (CALLBACK, Purpose.CALLBACK)):
        answer = await api.patch("/campaigns/spring", {"destination": destination})
        assert answer.status_code == 200
        found = (await api.get(path)).json()
        expected = proofs.secrets_of(api.gateway.keyring, purpose, "spring", 1)
        assert found == {
            "kind": destination["kind"],
            "current": list(expected.current),
            "next": expected.next,
        }
        # Neither the campaign nor its list gives them away.
        assert found["current"][0] not in answer.text
    await api.patch("/campaigns/spring", {"destination": {"secret_number": 2}})
    assert (await api.get(path)).json()["current"] == [expected.next]
    for scope in ("links:write", "stats:read", None):
        assert (await api.get(path, scope=scope)).status_code in {401, 403}


def test_the_document_names_every_kind_and_every_field() -> None:
    for kind in KINDS:
        section = DOCUMENT.partition(f"\n## {kind.name}\n")[2].partition("\n## ")[0]
        assert section, kind.name
        named = set(re.findall(r"^\| `(\w+)`", section, re.M))
        fields = set(kind.settings.model_fields) - {"kind"}
        if kind.name == "checkout":
            fields |= set(LineItem.model_fields)
        assert fields <= named
        assert named <= fields | {"iss", "aud", "sub", "iat", "jti", "campaign"}


def test_the_documents_examples_are_campaigns() -> None:
    found = re.findall(r"^```\n(\{\"kind\".*?)^```", DOCUMENT, re.M | re.S)
    examples = [each for text in found for each in re.split(r"\n(?=\{)", text.strip())]
    assert len(examples) == 6
    for example in examples:
        assert made(json.loads(example)).destination.kind in example


def snippet(language: str, holding: str) -> str:
    [found] = [
        text
        for text in re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.M | re.S)
        if holding in text
    ]
    return found


ISSUER, AUDIENCE = "https://go.example.com", "https://shop.example.com"


def proof(*, secret: str | None = None, **changes: Any) -> str:
    """A proof as linkgate makes it, or one like it with other claims."""
    now = time.time()
    genuine = proofs.issue(
        KEYRING,
        Link("s", "r-1", 2_000_000_000),
        number=1,
        issuer=ISSUER,
        audience=AUDIENCE,
        visit="v1",
        now=now,
        seconds=120,
    )
    if not changes and secret is None:
        return genuine
    claims = jwt.decode(genuine, options={"verify_signature": False})
    key = secret or proofs.secrets_of(KEYRING, Purpose.PROOF, "s", 1).current[0]
    algorithm = changes.pop("alg", "HS256")
    return jwt.encode(
        {**claims, **changes}, key if algorithm != "none" else None, algorithm=algorithm
    )


SECRETS = list(proofs.secrets_of(KEYRING, Purpose.PROOF, "s", 1).current)
FORGED = {
    "another secret": proof(secret="x" * 40),
    "another issuer": proof(iss="https://evil.example.com"),
    "another audience": proof(aud="https://evil.example.com"),
    "too late": proof(exp=int(time.time()) - 60),
    "no algorithm": proof(alg="none"),
    "another algorithm": proof(alg="HS384"),
    "altered": proof()[:-4] + "AAAA",
}


def test_the_documents_python_verifies_proofs_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(snippet("python", "import jwt"), names)
    verify = names["verify"]
    for genuine in (proof(), proof(iat=int(time.time()) + 20), proof(secret=SECRETS[1], jti="v2")):
        assert verify(genuine, SECRETS, ISSUER, AUDIENCE)["recipient"] == "r-1"
    for forged in FORGED.values():
        with pytest.raises(jwt.InvalidTokenError):
            verify(forged, SECRETS, ISSUER, AUDIENCE)


@pytest.mark.skipif(which("node") is None, reason="there is no Node")
def test_the_documents_javascript_verifies_proofs_and_nothing_else() -> None:
    tried = [proof(), proof(secret=SECRETS[1], jti="v2"), *FORGED.values()]
    script = snippet("javascript", "createHmac") + (
        "const [tried, ...how] = JSON.parse(process.argv[1]);\n"
        "const run = (each) => { try { return verify(each, ...how).recipient }"
        " catch { return null } };\n"
        "console.log(JSON.stringify(tried.map(run)));"
    )
    told = json.dumps([tried, SECRETS, ISSUER, AUDIENCE])
    done = subprocess.run(
        ["node", "-e", script, told], capture_output=True, text=True, check=True, timeout=30
    )
    assert json.loads(done.stdout) == ["r-1", "r-1", *[None] * len(FORGED)]


def test_the_documents_python_verifies_requests_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(snippet("python", "import Webhook"), names)
    read = names["read"]
    body = b'{"type": "link.opened"}'
    headers = dict(
        proofs.sign_request(KEYRING, "s", number=1, name="v1", at=int(time.time()), body=body)
    )
    known = proofs.secrets_of(KEYRING, Purpose.CALLBACK, "s", 1)
    for text in (*known.current, known.next):
        assert read(text, body, headers) == {"type": "link.opened"}
    with pytest.raises(WebhookVerificationError):
        read(known.next, body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        read(proofs.secrets_of(KEYRING, Purpose.CALLBACK, "t", 1).next, body, headers)
