"""Every setting, section by section; the reference and the example file are made from here."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
)

from linkgate.addresses import Network
from linkgate.config import checks
from linkgate.config.detection import Detection
from linkgate.config.fields import About, Days, Seconds, Section, Whole
from linkgate.config.mail import Mail
from linkgate.config.outbound import Outbound


class Server(Section):
    """How people and proxies reach linkgate."""

    public_url: Annotated[
        str,
        AfterValidator(checks.origin),
        About(
            "URL",
            '"https://go.example.com"',
            "set it to the address that your e-mails' links will have, like https://go.example.com",
        ),
    ] = Field(
        description="The origin that people's browsers see: scheme and host, no path. Every link "
        "begins with it, so give linkgate a host name that you will keep."
    )
    allow_http: Annotated[bool, About("true or false")] = Field(
        default=False,
        description="Allow a public_url with http on a host other than this machine. Only for a "
        "closed test network: without TLS, anyone on the way can read and use a link.",
    )
    host: Annotated[str, StringConstraints(min_length=1, max_length=255), About("address")] = Field(
        default="127.0.0.1",
        description="The address to listen on. 0.0.0.0 in a container, 127.0.0.1 behind a proxy on "
        "the same machine.",
    )
    port: Annotated[Whole, About("number")] = Field(
        default=8080, ge=0, le=65535, description="The port to listen on; 0 takes any free one."
    )
    workers: Annotated[Whole, About("number")] = Field(
        default=1,
        ge=1,
        le=256,
        description="How many processes serve. They share everything through the store; one for "
        "each core is plenty.",
    )
    trusted_proxies: Annotated[
        tuple[
            Annotated[Network, BeforeValidator(checks.proxy_range)],
            ...,
        ],
        About("list of addresses or ranges", '["127.0.0.1/32", "10.0.0.0/8"]'),
    ] = Field(
        default=(),
        description="The proxies in front of linkgate. Only their X-Forwarded-For is believed. "
        "Without them every visit seems to come from the proxy itself, and judging loses the "
        "visitor's address.",
    )
    max_body_bytes: Annotated[Whole, About("bytes")] = Field(
        default=1_048_576,
        ge=16_384,
        le=104_857_600,
        description="The largest request body that is read. Stripe's webhooks stay well under "
        "the default.",
    )


class Signing(Section):
    """The keys that sign links. Whoever has one can make links; without them no old link opens."""

    keys: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(checks.signing_key)], ...],
        AfterValidator(checks.at_least_one),
        AfterValidator(checks.no_duplicates),
        About(
            "list of secrets",
            '["..."]',
            "run `linkgate init`, or make a key with `openssl rand -base64 32`",
        ),
    ] = Field(
        description="Oldest first; the last one signs, all are accepted. To rotate, add a new one "
        "at the end, and remove an old one when the last link that it signed has expired. Each has "
        "at least 32 random characters.",
    )


class Store(Section):
    """Where visits, sessions and campaigns are kept: Redis protocol, three ways to run it."""

    # Not shown by repr: the URL may hold the store's password.
    url: Annotated[
        str, AfterValidator(checks.store_url), About("URL", '"redis://127.0.0.1:6379/0"')
    ] = Field(
        default="embedded:./linkgate-data",
        repr=False,
        description="`embedded:FOLDER` starts a private server that keeps its data in that folder. "
        "`redis://`, `rediss://` and `unix://` reach a Redis 6.2+ or Valkey of yours, and "
        "`redis+cluster://host:port,host:port` a cluster.",
    )
    retention_days: Annotated[Days, Field(ge=0, le=3650)] = Field(
        default=30,
        description="How long what is known of a link is kept after the link has expired.",
    )
    visits_per_link: Annotated[Whole, About("number")] = Field(
        default=100,
        ge=1,
        le=10_000,
        description="How many of a link's latest visits are kept with their evidence. Counters "
        "count them all.",
    )


class Stripe(Section):
    """The Stripe account that sessions are made in."""

    api_key: Annotated[
        SecretStr,
        AfterValidator(checks.stripe_key),
        About(
            "secret",
            '"sk_test_..."',
            "copy the secret key, or better a restricted one, from "
            "https://dashboard.stripe.com/apikeys",
        ),
    ] = Field(
        description="A secret key (sk_...) or, better, a restricted one (rk_...) that may write "
        "Checkout Sessions and read what linkgate asks for; `linkgate doctor` tries it."
    )
    webhook_secrets: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(checks.webhook_secret)], ...],
        AfterValidator(checks.no_duplicates),
        About("list of secrets", '["whsec_..."]'),
    ] = Field(
        default=(),
        description="The signing secrets (whsec_...) of the webhook endpoint at "
        "/webhooks/stripe below public_url; several while one is rolled. Without any, every "
        "webhook is refused and no link is ever known to be paid.",
    )
    connected_accounts: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^acct_[A-Za-z0-9]{1,250}$")], ...],
        About("list of account ids", '["acct_1032D82eZvKYlo2C"]'),
    ] = Field(
        default=(),
        description="For Connect platforms: the connected accounts whose events count. Unset, all "
        "of them do, and whoever runs one could call any link paid.",
    )
    api_base: Annotated[str, AfterValidator(checks.api_base), About("URL")] = Field(
        default="https://api.stripe.com",
        description="Where Stripe's API is. Another address only for `linkgate sandbox`.",
    )
    api_version: Annotated[
        Annotated[str, AfterValidator(checks.api_version)] | None,
        About("version", '"2025-03-31.basil"'),
    ] = Field(
        default=None,
        description="The version of Stripe's API to ask for; unset, the one that "
        "linkgate was written against. Webhook endpoints have their own.",
    )
    timeout_seconds: Annotated[Seconds, Field(ge=0.1, le=60)] = Field(
        default=4, description="How long one request to Stripe may take."
    )
    creations_per_second: Annotated[
        float, BeforeValidator(checks.number), Field(gt=0, le=1000), About("number")
    ] = Field(
        default=20,
        description="How many sessions are made a second at most, by all processes together. "
        "Stripe allows 25 to one endpoint, unless it agreed on more with you; people above the "
        "number wait in line, and get in by turns.",
    )
    reconcile_minutes: Annotated[Whole, About("minutes")] = Field(
        default=10,
        ge=1,
        le=1440,
        description="How often Stripe's own list of events is gone through for what no webhook "
        "brought; one process at a time does it.",
    )
    person_deadline_seconds: Annotated[Seconds, Field(ge=0.5, le=60)] = Field(
        # Nobody waits ten seconds for a page, and what is around Stripe takes its time, too.
        default=8,
        description="How long a person waits in all, repeated tries included, before the page that "
        "says to try again.",
    )

    @property
    def is_live(self) -> bool:
        """Whether the key moves real money."""
        return self.api_key.get_secret_value()[3:].startswith("live_")


class Links(Section):
    """How long links and what belongs to them last, where a campaign says nothing else."""

    default_days: Annotated[Days, Field(ge=1, le=3650)] = Field(
        default=90,
        description="How long a link opens, from its creation or its sending time, whichever is "
        "later.",
    )
    max_days: Annotated[Days, Field(ge=1, le=3650)] = Field(
        default=400, description="The longest life that a link may be given."
    )
    challenge_minutes: Annotated[Whole, About("minutes")] = Field(
        default=1440,
        ge=1,
        le=1440,
        description="How long an opened interstitial's button works; later it shows a fresh one, "
        "and the visitor presses once more.",
    )
    device_days: Annotated[Days, Field(ge=1, le=400)] = Field(
        default=180,
        # Browsers keep no cookie longer than 400 days (RFC 6265bis, section 5.5).
        description="How long a browser that confirmed once goes straight through; 400 at most.",
    )
    public_per_minute: Annotated[Whole, About("number")] = Field(
        default=30,
        ge=1,
        le=10_000,
        description="How many sessions people without a link of theirs get from one network (/24, "
        "/64) in a minute just by coming, from a pricing page or a QR code. Above it they press "
        "the button first, and above ten times as many they wait for their turn.",
    )


class Destinations(Section):
    """Where campaigns may lead."""

    allow_private_networks: Annotated[bool, About("true or false")] = Field(
        default=False,
        description="Whether callbacks may go to this machine and to private networks, and by "
        "plain http. Whoever may change campaigns can then reach what only this machine can.",
    )


class Brand(Section):
    """What people see of you on linkgate's pages."""

    name: Annotated[
        Annotated[str, StringConstraints(max_length=80), AfterValidator(checks.plain_text)] | None,
        About("text", '"Example Shop"'),
    ] = Field(
        default=None,
        description="Your name on every page; unset, the host of public_url stands there.",
    )
    colour: Annotated[str, AfterValidator(checks.colour), About("colour")] = Field(
        default="#1f5eff", description="The colour of the button, as #rrggbb."
    )
    logo: Annotated[
        Annotated[Path, AfterValidator(checks.logo)] | None, About("file", '"./logo.svg"')
    ] = Field(
        default=None,
        description="A .png, .svg, .jpg or .webp file of at most 100 kB, shown above the campaign.",
    )
    contact: Annotated[
        Annotated[str, StringConstraints(max_length=500), AfterValidator(checks.contact)] | None,
        About("e-mail address or URL", '"help@example.com"'),
    ] = Field(
        default=None,
        description="Where a person can ask for help when a link has expired or a payment hangs.",
    )


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Log(Section):
    """What is written to standard error. Never a recipient, a token, a secret or a full address."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(_lower),
        About("debug, info, warning or error"),
    ] = Field(default="info", description="The least important messages to write.")
    format: Annotated[Literal["text", "json"], BeforeValidator(_lower), About("text or json")] = (
        Field(
            default="text", description="text for reading, json (one object a line) for machines."
        )
    )


class Config(BaseModel):
    """The whole configuration, and the files that its secrets came from."""

    model_config = Section.model_config

    server: Server
    signing: Signing
    store: Store
    stripe: Stripe
    links: Links
    destinations: Destinations
    brand: Brand
    mail: Mail
    detection: Detection
    outbound: Outbound
    log: Log

    _secret_files: tuple[Path, ...] = PrivateAttr(default=())

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files that secrets were read from; nobody else should be able to read them."""
        return self._secret_files

    @property
    def brand_name(self) -> str:
        """What to call the operator: the brand's name, or else the host that people see."""
        return self.brand.name or urlsplit(self.server.public_url).hostname or ""


SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}
