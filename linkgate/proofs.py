"""Proofs: how a campaign's target knows that linkgate sent a person, without asking linkgate.

A campaign shares a secret with whoever it leads to. The secret is derived from the signing keys, so
nothing is kept; from it nobody gets back to a key, which could make links.

    secret  = HMAC-SHA-256(derived key, campaign ":" number); see `tokens` for the derived keys
    proof   = a JSON Web Token (RFC 7519), HS256 under the text of the secret
    request = signed as in Standard Webhooks, under the bytes of the secret

A secret changes with the campaign's `secret_number` and with the signing keys. Neither may leave a
target behind: the OLDEST key's secret signs a proof, so that a key that is added changes nothing
until it is the only one; and a request carries the signature of every secret in question.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import jwt
from standardwebhooks import Webhook

from linkgate.tokens import Keyring, Link, Purpose

#: What a proof says it is, so that no other token under the same secret passes for one
#: (RFC 8725, section 3.11).
PROOF_TYPE = "linkgate-proof+jwt"

_TEXT = {Purpose.PROOF: "lgp_", Purpose.CALLBACK: "whsec_"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a campaign shares with its target.

    `current` are the texts in use, one for each signing key: the first one signs proofs, and a
    target accepts them all. `next` is what `secret_number` + 1 will make of the first.
    """

    current: tuple[str, ...]
    next: str


def secrets_of(keyring: Keyring, purpose: Purpose, campaign: str, number: int) -> Secrets:
    """Return the secrets of a campaign as texts; `purpose` is PROOF or CALLBACK."""
    texts, later = (
        [_text(purpose, raw) for raw in keyring.secrets(purpose, f"{campaign}:{each}")]
        for each in (number, number + 1)
    )
    return Secrets(tuple(texts), later[0])


def issue(
    keyring: Keyring,
    link: Link,
    *,
    number: int,
    issuer: str,
    audience: str,
    visit: str,
    now: float,
    seconds: int,
) -> str:
    """Return a proof that a person came by `link` just now, good for `seconds`.

    `issuer` is linkgate's origin and `audience` the target's; `visit` makes it good for one use, if
    the target remembers it.
    """
    claims = {
        "iss": issuer,
        "sub": link.id,
        "aud": audience,
        "iat": int(now),
        "exp": int(now) + seconds,
        "jti": visit,
        "campaign": link.campaign,
        "recipient": link.recipient,
    }
    key = secrets_of(keyring, Purpose.PROOF, link.campaign, number).current[0]
    return jwt.encode(claims, key, algorithm="HS256", headers={"typ": PROOF_TYPE})


def sign_request(
    keyring: Keyring, campaign: str, *, number: int, name: str, at: int, body: bytes
) -> Mapping[str, str]:
    """Return the headers that sign `body`, sent at `at` (Unix s) under the unique `name`.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    signing = [
        *keyring.secrets(Purpose.CALLBACK, f"{campaign}:{number}"),
        # So that a service may take up the next secret before the campaign does.
        keyring.secrets(Purpose.CALLBACK, f"{campaign}:{number + 1}")[0],
    ]
    sent, text = datetime.fromtimestamp(at, UTC), body.decode()
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(Webhook(key).sign(name, sent, text) for key in signing),
    }


def _text(purpose: Purpose, raw: bytes) -> str:
    if purpose is Purpose.PROOF:
        return _TEXT[purpose] + base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
    return _TEXT[purpose] + base64.b64encode(raw).decode("ascii")
