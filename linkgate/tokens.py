"""Tokens: how a link travels through e-mail without a row in any store.

WIRE FORMAT, append-only. Tokens live for months in other people's mailboxes: what was ever issued
has to be read for ever. New claims are appended to the array; nothing is moved or given a new
meaning; a format that can't be appended to gets a salt of its own (``linkgate.link.v2``).

    token     = payload "." signature
    payload   = base64url, unpadded, of a compact UTF-8 JSON array
                [campaign, recipient, expires, sent_at, customer]; trailing nulls are left off
    expires   = hours since 1970-01-01T00:00Z; the token is good until that hour begins
    sent_at   = seconds since 1970-01-01T00:00Z, or null
    signature = base64url, unpadded (43 characters), of HMAC-SHA-256(derived key, payload)
    derived   = HMAC-SHA-256(key, salt); salt "linkgate.link.v1", "linkgate.decoy.v1", ...

The payload is readable by anyone who holds the link: nothing personal belongs in it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote

import msgspec
from itsdangerous import BadSignature as _BadSignature
from itsdangerous import Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm

from linkgate.errors import BadSignature, ExpiredToken, MalformedToken

#: Longer input is refused unread: a token of ours stays far below, even mangled.
MAX_TEXT = 2048

#: Tokens remembered as verified, by each process: at most some 10 MB.
_REMEMBERED = 8192

#: A recipient is the marketing tool's opaque id. No "@": an e-mail address has no place in a token.
RECIPIENT = re.compile(r"[A-Za-z0-9._:~+/=|-]{1,128}")
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,47}")
LINK_ID = re.compile(r"lnk_[0-9a-f]{32}")
CUSTOMER = re.compile(r"cus_[A-Za-z0-9_]{1,60}")

_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,1400}\.[A-Za-z0-9_-]{43}")
_SOFT_BREAK = re.compile(r"=\s+|\s+|=0[dD]=0[aA]")
_QUOTED_PRINTABLE = re.compile(r"=([0-9A-Fa-f]{2})")


class Purpose(StrEnum):
    """What a signature is for; the salt, so that one purpose's token is never good for another."""

    LINK = "linkgate.link.v1"
    DECOY = "linkgate.decoy.v1"
    CHALLENGE = "linkgate.challenge.v1"
    DEVICE = "linkgate.device.v1"
    #: A link's return pages, and its recipient's way out of reminders; see `references`.
    RETURN = "linkgate.return.v1"
    UNSUBSCRIBE = "linkgate.unsubscribe.v1"
    #: Names of networks and addresses in the store's memory; they never leave it.
    SOURCE = "linkgate.source.v1"
    #: Names of people who want no reminders.
    SUPPRESSED = "linkgate.suppressed.v1"
    #: The secrets of a campaign that its target or its service shares; see `proofs`.
    PROOF = "linkgate.proof.v1"
    CALLBACK = "linkgate.callback.v1"


@dataclass(frozen=True, slots=True)
class Link:
    """One recipient's way into one campaign. Times are in whole Unix seconds."""

    campaign: str
    recipient: str
    expires_at: int
    sent_at: int | None = None
    customer: str | None = None
    #: The link's name in the store and at Stripe; see `link_id`.
    id: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", link_id(self.campaign, self.recipient))


@dataclass(frozen=True, slots=True)
class Reading:
    """A token that verified: the link it carries, and whether it came in as the link's decoy.

    `token` is what was signed, without what mail added to it.
    """

    link: Link
    decoy: bool
    token: str


def link_id(campaign: str, recipient: str) -> str:
    """Name the link of `recipient` in `campaign`: "lnk_" and 128 bits of SHA-256 in hex.

    It follows from the two alone, so issuing the same link again, with a later expiry or in a
    reminder, names the same link: what was paid through one e-mail is paid in all of them.
    """
    return "lnk_" + hashlib.sha256(f"{campaign}\0{recipient}".encode()).hexdigest()[:32]


class Keyring:
    """The signing keys, oldest first: the newest signs, all verify.

    Dropping a key from the front ends every token that it signed.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        """Derive one key per purpose; raises ValueError for an empty ring or an empty key."""
        if not keys or not all(keys):
            raise ValueError("a keyring needs at least one key, and no empty one")
        self._signers = {purpose: _signer(keys, purpose) for purpose in Purpose}

    def sign(self, purpose: Purpose, payload: bytes) -> str:
        """Return `payload` and its signature, joined by a dot."""
        return self._signers[purpose].sign(payload).decode("ascii")

    def pseudonym(self, text: str) -> str:
        """Return a name for `text` that only the holder of the newest key can make: 66 bits."""
        return self._signers[Purpose.SOURCE].get_signature(text).decode("ascii")[:11]

    def names(self, purpose: Purpose, text: str) -> tuple[str, ...]:
        """Return a name of 132 bits for `text` under each key, the newest key's first."""
        signer = self._signers[purpose]
        keyed = (signer.algorithm.get_signature(key, text.encode()) for key in signer.secret_keys)
        return tuple(base64_encode(name)[:22].decode("ascii") for name in keyed)[::-1]

    def secrets(self, purpose: Purpose, text: str) -> tuple[bytes, ...]:
        """Return a secret of 32 bytes for `text` under each key, the oldest key's first.

        It may be told to others: nothing about the keys or about other secrets follows from it.
        """
        signer = self._signers[purpose]
        return tuple(
            signer.algorithm.get_signature(key, text.encode()) for key in signer.secret_keys
        )

    def verify(self, purpose: Purpose, signed: str) -> bytes:
        """Return the payload of `signed`; raises BadSignature if no key made it for `purpose`."""
        try:
            return self._signers[purpose].unsign(signed)
        except (_BadSignature, UnicodeError) as error:
            raise BadSignature("no key in use signed this") from error


class LinkTokens:
    """Issues and reads the tokens of links and of their decoys."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        # A link is opened several times within moments: by scanners, previewers, the person. Only
        # whole tokens that verified are kept: neither junk nor spellings push out what is good.
        self._verified = lru_cache(_REMEMBERED)(self._verify)

    def issue(self, link: Link, purpose: Purpose = Purpose.LINK) -> str:
        """Sign `link`; under 160 characters for a 24-character slug and a 36-character recipient.

        `expires_at` is rounded up to the full hour.
        """
        claims: list[str | int | None] = [
            link.campaign,
            link.recipient,
            -(-link.expires_at // 3600),
            link.sent_at,
            link.customer,
        ]
        while claims[-1] is None:
            claims.pop()
        payload = json.dumps(claims, separators=(",", ":"), ensure_ascii=False).encode()
        return self._keyring.sign(purpose, base64_encode(payload))

    def issue_decoy(self, link: Link) -> str:
        """Sign the decoy of `link`: the same shape, and good for nothing but being noticed."""
        return self.issue(link, Purpose.DECOY)

    def read(self, text: str, now: float) -> Reading:
        """Return what `text` carries, though mail may have mangled it.

        Raises MalformedToken, BadSignature, or ExpiredToken (which names the campaign).
        """
        reading = self.read_ignoring_expiry(text)
        if now >= reading.link.expires_at:
            raise ExpiredToken(reading.link.campaign)
        return reading

    def read_ignoring_expiry(self, text: str) -> Reading:
        """Return what `text` carries, expired or not, for the operator who looks a link up.

        Raises MalformedToken or BadSignature.
        """
        shaped = False
        for candidate in _candidates(text):
            shaped = True
            try:
                return self._verified(candidate)
            except BadSignature:
                continue
        if shaped:
            raise BadSignature("no key in use signed this token")
        raise MalformedToken("this is not shaped like a token")

    def _verify(self, token: str) -> Reading:
        try:
            return Reading(_parse(self._keyring.verify(Purpose.LINK, token)), False, token)
        except BadSignature:
            return Reading(_parse(self._keyring.verify(Purpose.DECOY, token)), True, token)


class _HmacSha256(SigningAlgorithm):
    """What itsdangerous.HMACAlgorithm computes, from a copy of each key's prepared state.

    Preparing it anew each time is half the cost of a signature.
    """

    def __init__(self) -> None:
        self._prepared: dict[bytes, hmac.HMAC] = {}

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = hmac.new(key, digestmod="sha256")
        mac = prepared.copy()
        mac.update(value)
        return mac.digest()


def _signer(keys: Sequence[str], purpose: Purpose) -> Signer:
    # Deriving once here instead of at every call halves the cost of reading a token.
    derived = [
        Signer(
            key, salt=purpose.value, key_derivation="hmac", digest_method=hashlib.sha256
        ).derive_key()
        for key in keys
    ]
    return Signer(derived, key_derivation="none", algorithm=_HmacSha256())


def _candidates(text: str) -> Iterator[str]:
    """Yield the tokens that `text` may have been before mail programs handled it, likeliest first.

    The signature's length is fixed, so whatever stands behind it is junk (".", ")", "%0D", a
    slash, "&utm_source=..."). Then: percent-encoding done twice, quoted-printable left undecoded
    ("=2E"), and its soft line breaks left in ("=" before a line end).
    """
    if len(text) > MAX_TEXT:
        return
    if exact := _TOKEN.match(text):
        yield exact[0]
    unbroken = _SOFT_BREAK.sub("", unquote(unquote(text))).lstrip("<\"'( ")
    decoded = _QUOTED_PRINTABLE.sub(lambda hit: chr(int(hit[1], 16)), unbroken)
    for form in (unbroken, decoded, unbroken.replace("=", "")):
        if match := _TOKEN.match(form):
            yield match[0]


def _parse(payload: bytes) -> Link:
    # The signature was good, so only another version of linkgate or a stolen key gets to these.
    try:
        claims = msgspec.json.decode(base64_decode(payload))
        campaign, recipient, hours, sent_at, customer = (*claims, None, None)[:5]
        return Link(str(campaign), str(recipient), int(hours) * 3600, sent_at, customer)
    except Exception as error:
        raise MalformedToken("the token's payload is not a link's") from error
