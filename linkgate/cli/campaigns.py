"""`linkgate campaigns`: create, list, show, change, pause, resume, end, secret."""
# ruff: noqa: PLC0415 - what a command needs is imported when it runs; see linkgate.cli

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linkgate.cli import printing
from linkgate.cli.campaign_facts import facts, leads_to
from linkgate.cli.context import with_store
from linkgate.cli.drafts import Draft, read_draft, refer_to_options

if TYPE_CHECKING:
    from linkgate.campaigns import Campaign
    from linkgate.config import Config
    from linkgate.store import Store

app = typer.Typer(
    no_args_is_help=True,
    help="Campaigns: create, change, pause, resume, end, list, show.",
)

Slug = Annotated[str, typer.Argument(help="The campaign's slug.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str | None, typer.Option(help="What people see.")]
Price = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PRICE[:QUANTITY]", help="A price at Stripe, like price_123:2; may be repeated."
    ),
]
Mode = Annotated[str | None, typer.Option(help="payment (the default), subscription or setup.")]
SuccessUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where Stripe sends people who have paid.")
]
CancelUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where Stripe sends people who turn back.")
]
Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Instead of a checkout: the address that its links lead to."),
]
Callback = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Instead of a checkout: your service, which says where each goes."
    ),
]
Portal = Annotated[
    bool, typer.Option("--portal", help="Instead of a checkout: Stripe's billing portal.")
]
Policy = Annotated[str | None, typer.Option(help="adaptive (the default), confirm or direct.")]
SentAt = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="When the e-mail goes out: 2026-05-01T08:00:00Z."),
]
ScanMinutes = Annotated[
    int | None,
    typer.Option(
        metavar="MINUTES",
        help="How long after that scanners are expected, and people press once: 0 to 1440.",
    ),
]
Public = Annotated[
    bool | None,
    typer.Option(
        "--public/--no-public",
        help="Whether people get in without a link of theirs, by /c/SLUG and /checkout?price=...",
    ),
]
SessionMinutes = Annotated[
    int | None, typer.Option(metavar="MINUTES", help="How long a checkout stays open: 30 to 1430.")
]
LinkDays = Annotated[int | None, typer.Option(metavar="DAYS", help="How long its links live.")]
MaxPayments = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="How often one link can be paid: once, unless you say so; or unlimited."
    ),
]
CompletedUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Where people go who open a link that is paid.")
]
Recovery = Annotated[
    bool | None,
    typer.Option(
        "--recovery/--no-recovery",
        help="Whether Stripe makes a recovery link when a checkout expires.",
    ),
]
File = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="The campaign as .json or .toml, in the API's words; - reads JSON from standard "
        "input. Options go before what it says.",
    ),
]


@app.command()
def create(
    ctx: typer.Context,
    slug: Annotated[str | None, typer.Argument(help="Its name in links and commands.")] = None,
    name: Name = None,
    price: Price = None,
    mode: Mode = None,
    success_url: SuccessUrl = None,
    cancel_url: CancelUrl = None,
    url: Url = None,
    callback: Callback = None,
    portal: Portal = False,
    policy: Policy = None,
    sent_at: SentAt = None,
    scan_minutes: ScanMinutes = None,
    public: Public = None,
    session_minutes: SessionMinutes = None,
    link_days: LinkDays = None,
    max_payments: MaxPayments = None,
    completed_url: CompletedUrl = None,
    recovery: Recovery = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Create a campaign: what a set of links leads to.

    For example: linkgate campaigns create spring --name "Spring sale" --price price_123
    --success-url https://example.com/thanks
    """
    from linkgate.campaigns import check_life
    from linkgate.campaigns import create as created

    draft = Draft(
        name, price, mode, success_url, cancel_url, url, callback, portal, policy, sent_at,
        scan_minutes, public, session_minutes, link_days, max_payments, completed_url, recovery,
    )  # fmt: skip
    data = read_draft(file, draft, whole=True)
    if slug is not None:
        data["slug"] = slug
    with refer_to_options(slug="SLUG"):
        campaign = created(data, _now())

    async def put(config: "Config", store: "Store") -> None:
        with refer_to_options():
            check_life(campaign, config.links.max_days)
        await store.campaigns.put(campaign, replaces=None)

    with_store(ctx, put)
    _tell(campaign, "was created", as_json)
    if not as_json:
        printing.note(f"Next: linkgate links create {campaign.slug} RECIPIENT")


@app.command("list")
def show_all(ctx: typer.Context, as_json: Json = False) -> None:
    """List all campaigns, newest first."""
    campaigns = with_store(ctx, lambda _, store: store.campaigns.list())
    if as_json:
        printing.as_json({"campaigns": [one.model_dump(mode="json") for one in campaigns]})
    elif campaigns:
        printing.table(
            ("slug", "name", "status", "policy", "leads to", "created"),
            [
                (one.slug, one.name, one.status, one.policy, leads_to(one), one.created_at)
                for one in campaigns
            ],
        )
    else:
        printing.note(
            "There are no campaigns. `linkgate campaigns create --help` tells how to make one."
        )


@app.command()
def show(ctx: typer.Context, slug: Slug, as_json: Json = False) -> None:
    """Show a campaign, what was counted for it, and what last kept it from opening."""

    async def read(
        _: object, store: "Store"
    ) -> "tuple[Campaign, dict[str, int], dict[str, Any] | None]":
        kept = store.campaigns
        return await kept.read(slug), await kept.counts(slug), await kept.trouble(slug)

    campaign, counts, trouble = with_store(ctx, read)
    if as_json:
        data = campaign.model_dump(mode="json")
        printing.as_json({**data, "trouble": trouble, "counts": counts})
        return
    printing.facts(facts(campaign))
    if trouble:
        printing.line()
        printing.line(f"It could not be opened at {trouble['at']}: {trouble['message']}")
    if counts:
        printing.line()
        printing.table(("counted", "times"), list(counts.items()))


@app.command()
def change(
    ctx: typer.Context,
    slug: Slug,
    name: Name = None,
    price: Price = None,
    mode: Mode = None,
    success_url: SuccessUrl = None,
    cancel_url: CancelUrl = None,
    url: Url = None,
    callback: Callback = None,
    portal: Portal = False,
    policy: Policy = None,
    sent_at: SentAt = None,
    scan_minutes: ScanMinutes = None,
    public: Public = None,
    session_minutes: SessionMinutes = None,
    link_days: LinkDays = None,
    max_payments: MaxPayments = None,
    completed_url: CompletedUrl = None,
    recovery: Recovery = None,
    file: File = None,
    as_json: Json = False,
) -> None:
    """Change a campaign; links that went out before follow. What isn't named stays as it is."""
    from linkgate.campaigns import change as changed
    from linkgate.campaigns import check_life

    draft = Draft(
        name, price, mode, success_url, cancel_url, url, callback, portal, policy, sent_at,
        scan_minutes, public, session_minutes, link_days, max_payments, completed_url, recovery,
    )  # fmt: skip
    patch = read_draft(file, draft, whole=False)

    async def put(config: "Config", store: "Store") -> "Campaign":
        known = await store.campaigns.read(slug)
        with refer_to_options():
            campaign = changed(known, patch, _now())
            check_life(campaign, config.links.max_days)
        await store.campaigns.put(campaign, replaces=known)
        return campaign

    _tell(with_store(ctx, put), "was changed", as_json)


@app.command()
def pause(ctx: typer.Context, slug: Slug, as_json: Json = False) -> None:
    """Pause a campaign: its links show a page that says to come back later."""
    _tell(_move(ctx, slug, "paused"), "is paused", as_json)


@app.command()
def resume(ctx: typer.Context, slug: Slug, as_json: Json = False) -> None:
    """Let a paused campaign's links lead on again."""
    _tell(_move(ctx, slug, "active"), "is active", as_json)


@app.command()
def end(ctx: typer.Context, slug: Slug, as_json: Json = False) -> None:
    """End a campaign for good: its links show a page that says so."""
    _tell(_move(ctx, slug, "ended"), "has ended", as_json)


@app.command()
def secret(ctx: typer.Context, slug: Slug, as_json: Json = False) -> None:
    """Show the secret by which a campaign's target or service verifies linkgate."""
    from linkgate.campaigns import secrets_of
    from linkgate.errors import NotFound
    from linkgate.proofs import Secrets
    from linkgate.tokens import Keyring

    async def read(config: "Config", store: "Store") -> "tuple[Campaign, Secrets | None]":
        campaign = await store.campaigns.read(slug)
        keyring = Keyring([key.get_secret_value() for key in config.signing.keys])
        return campaign, secrets_of(keyring, campaign)

    campaign, found = with_store(ctx, read)
    kind = campaign.destination.kind
    if found is None:
        raise NotFound(f"campaign {slug!r} leads to a {kind}, which needs no secret")
    if as_json:
        printing.as_json({"kind": kind, "current": list(found.current), "next": found.next})
        return
    for text in found.current:
        printing.line(text)
    if len(found.current) > 1:
        printing.note("One for each signing key: what verifies a proof has to accept them all.")
    printing.note(f"After secret_number is raised by one: {found.next}")


def _move(ctx: typer.Context, slug: str, status: str) -> "Campaign":
    from linkgate.campaigns import Status, change_status

    async def put(_: object, store: "Store") -> "Campaign":
        known = await store.campaigns.read(slug)
        moved = change_status(known, Status(status), _now())
        if moved is not known:
            await store.campaigns.put(moved, replaces=known)
        return moved

    return with_store(ctx, put)


def _tell(campaign: "Campaign", what: str, as_json: bool) -> None:
    if as_json:
        printing.as_json(campaign.model_dump(mode="json"))
    else:
        printing.line(f"Campaign {campaign.slug} {what}.")


def _now() -> datetime:
    return datetime.now(UTC)
