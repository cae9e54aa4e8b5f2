"""The doctor: what it says of a healthy setup, and of each thing that can be wrong with one."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from litestar import Litestar
from pydantic import SecretStr
from redis import Redis

from linkgate import campaigns, payments
from linkgate.config import Config, load, parse
from linkgate.doctor import Finding, Level, examine, stripe_account
from linkgate.doctor.judging import examine_judging
from linkgate.doctor.reach import examine_reach
from linkgate.doctor.setup import examine_setup
from linkgate.doctor.store import _examine_server, examine_store
from linkgate.doctor.stripe_account import examine_stripe
from linkgate.payments import EVENTS
from linkgate.sandbox import Sandbox, WebhookEndpoint
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Connection
from linkgate.stripe_api import API_VERSION
from linkgate.web.app import create
from linkgate.webhook_endpoint import address
from tests.detection.test_networks import SHAPES, write_database
from tests.store import servers

KEYS = [f"{n}-k3y-with-enough-Random-looking-letters-0123456789" for n in range(8)]
PUBLIC = "https://go.example.com"
HOOK = f"{PUBLIC}/webhooks/stripe"
CHECKOUT = {"line_items": [{"price": "price_1"}]}


def config_with(**settings: Any) -> Config:
    values: dict[str, dict[str, Any]] = {
        "server": {"public_url": PUBLIC},
        "signing": {"keys": KEYS[:1]},
        "stripe": {"api_key": "sk_test_abc", "webhook_secrets": ["whsec_abc"]},
    }
    for name, value in settings.items():
        section, _, key = name.partition("__")
        values.setdefault(section, {})[key] = value
    return parse(values)


def live(config: Config) -> Config:
    """The same with a live key, which may not be configured together with a fake Stripe."""
    stripe = config.stripe.model_copy(update={"api_key": SecretStr("sk_live_abc")})
    return config.model_copy(update={"stripe": stripe})


def the(findings: list[Finding], words: str) -> Finding:
    """The one finding with these words in it."""
    found = [finding for finding in findings if words in finding.message]
    assert len(found) == 1, findings
    return found[0]


def bad(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level is not Level.OK]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server on this machine; yields its origin."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.close()


class TestJudging:
    NOW = 1_795_000_000.0  # 2026-11-18

    def look(self, config: Config, now: float = NOW) -> list[Finding]:
        return examine_judging(config, lambda: now)

    def test_knowledge_grows_old(self) -> None:
        assert bad(self.look(config_with())) == []
        finding = the(self.look(config_with(), self.NOW + 400 * 86_400), "browsers' versions")
        assert finding.level is Level.WARNING
        assert "upgrade linkgate" in finding.mend

    def test_asn_database(self, tmp_path: Path) -> None:
        records = {"198.51.100.0/24": SHAPES["GeoLite2-ASN"](64_500)}
        path = write_database(tmp_path / "asn.mmdb", "GeoLite2-ASN", records)
        config = config_with(detection__asn_database=str(path))
        assert the(self.look(config, time.time()), "GeoLite2-ASN").level is Level.OK
        old = the(self.look(config, time.time() + 200 * 86_400), "GeoLite2-ASN")
        assert old.level is Level.WARNING
        path.write_bytes(b"junk")
        broken = the(self.look(config), "detection.asn_database")
        assert broken.level is Level.PROBLEM

    def test_what_the_operator_changed_is_told(self) -> None:
        rule = {"name": "office", "says": "suspect", "agent": "Acme"}
        config = config_with(
            detection__rules=[rule],
            detection__rules_off=["twin"],
            detection__shadow={"burst_links": 2},
        )
        findings = self.look(config)
        for words in ("1 rule of your own", "not asked: twin", "a shadow rule set"):
            assert the(findings, words).level is Level.OK


class TestSetup:
    def test_a_sound_one_has_nothing_to_mend(self) -> None:
        config = config_with(server__trusted_proxies=["10.0.0.0/8"])
        findings = examine_setup(config)
        assert bad(findings) == []
        assert "1 signing key," in the(findings, "signing key").message
        assert "10.0.0.0/8" in the(findings, "X-Forwarded-For").message

    def test_https_without_a_trusted_proxy_loses_addresses(self) -> None:
        finding = the(examine_setup(config_with()), "server.trusted_proxies is empty")
        assert finding.level is Level.WARNING
        assert "127.0.0.1" in finding.mend

    def test_on_this_machine_no_proxy_is_expected(self) -> None:
        assert bad(examine_setup(config_with(server__public_url="http://localhost:8080"))) == []

    def test_live_links_to_this_machine_are_a_mistake(self) -> None:
        config = live(config_with(server__public_url="https://localhost"))
        finding = the(examine_setup(config), "only this machine can open")
        assert finding.level is Level.WARNING
        assert "server.public_url" in finding.mend

    def test_plain_http_is_told_even_where_it_is_allowed(self) -> None:
        config = config_with(server__public_url="http://10.0.0.5", server__allow_http=True)
        assert the(examine_setup(config), "without TLS").level is Level.WARNING

    def test_many_signing_keys_are_worth_a_thought(self) -> None:
        config = config_with(signing__keys=KEYS)
        assert the(examine_setup(config), "8 signing keys").level is Level.WARNING
        assert the(examine_setup(config_with(signing__keys=KEYS[:5])), "keys").level is Level.OK

    @pytest.mark.parametrize(
        ("mode", "level", "words"),
        [
            (0o600, Level.OK, "private"),
            (0o400, Level.OK, "private"),
            (0o640, Level.WARNING, "can be read by other users"),
            (0o604, Level.WARNING, "can be read by other users"),
            (0o620, Level.PROBLEM, "can be changed by other users"),
            (0o602, Level.PROBLEM, "can be changed by other users"),
            (0o666, Level.PROBLEM, "can be changed by other users"),
        ],
    )
    def test_files_with_secrets_are_for_their_owner(
        self, tmp_path: Path, mode: int, level: Level, words: str
    ) -> None:
        path = tmp_path / "linkgate.toml"
        path.write_text('[stripe]\napi_key = "sk_test_abc"\n')
        path.chmod(mode)
        env = {"LINKGATE_SERVER__PUBLIC_URL": PUBLIC, "LINKGATE_SIGNING__KEYS": KEYS[0]}
        finding = the(examine_setup(load(path, env)), str(path))
        assert finding.level is level
        assert words in finding.message
        assert bool(finding.mend) is (level is not Level.OK)

    def test_mounted_secrets_of_a_container_are_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "stripe_key"
        path.write_text("sk_test_abc")
        path.chmod(0o444)
        env = {
            "LINKGATE_SERVER__PUBLIC_URL": PUBLIC,
            "LINKGATE_SIGNING__KEYS": KEYS[0],
            "LINKGATE_STRIPE__API_KEY_FILE": str(path),
        }
        config = load(None, env)
        assert the(examine_setup(config), str(path)).level is Level.WARNING
        monkeypatch.setattr("linkgate.doctor.setup._CONTAINER_SECRETS", (tmp_path,))
        assert the(examine_setup(config), str(path)).level is Level.OK

    def test_a_file_that_has_gone_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "linkgate.toml"
        path.write_text('[stripe]\napi_key = "sk_test_abc"\n')
        env = {"LINKGATE_SERVER__PUBLIC_URL": PUBLIC, "LINKGATE_SIGNING__KEYS": KEYS[0]}
        config = load(path, env)
        path.unlink()
        assert the(examine_setup(config), "can't be looked at").level is Level.WARNING


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as it should be: append-only file, no eviction."""
    with servers.valkey(tmp_path_factory.mktemp("kept"), "--appendonly", "yes") as url:
        yield url


class TestStore:
    async def test_a_sound_server_has_nothing_to_mend(self, kept: str) -> None:
        findings = await examine_store(kept)
        assert bad(findings) == []
        assert the(findings, "answers within")
        assert the(findings, "runs scripts")
        assert the(findings, "is Valkey")
        assert the(findings, "append-only file")

    @pytest.mark.parametrize(
        ("skew", "level", "words"),
        [
            (0, Level.OK, "this machine's time"),
            (120, Level.WARNING, "behind"),
            (-4000, Level.PROBLEM, "ahead of"),
        ],
    )
    async def test_its_clock_is_compared(
        self, kept: str, skew: int, level: Level, words: str
    ) -> None:
        findings = await examine_store(kept, clock=lambda: time.time() + skew)
        assert the(findings, words).level is level

    async def test_the_probe_leaves_nothing_behind(self, kept: str) -> None:
        await examine_store(kept)
        with closing(Redis.from_url(kept)) as client:
            assert all(client.ttl(key) > 0 for key in client.scan_iter())

    @pytest.mark.parametrize("path", ["kept", "nobody"])
    async def test_what_is_opened_is_closed(
        self, kept: str, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = []
        close = Connection.close

        async def spy(connection: Connection) -> None:
            closed.append(connection)
            await close(connection)

        monkeypatch.setattr(Connection, "close", spy)
        await examine_store(kept if path == "kept" else f"redis://127.0.0.1:{free_port()}/0")
        assert len(closed) == 1

    async def test_reminders_that_nobody_sends(self, kept: str) -> None:
        connection = await Connection.open(kept)
        await connection.client.flushall()
        for slug, reminder in {"plain": None, "plus": {"after_minutes": 90}}.items():
            data = {"slug": slug, "name": "S", "destination": CHECKOUT, "reminder": reminder}
            campaign = campaigns.create(data, datetime.now(UTC))
            await Campaigns(connection).put(campaign, replaces=None)
        await connection.close()
        finding = the(await examine_store(kept), "reminder")
        assert finding.level is Level.WARNING
        assert finding.message.endswith(": plus")
        assert "mail.host" in finding.mend
        assert bad(await examine_store(kept, sends_mail=True)) == []

    async def test_the_embedded_server_is_sound(self, tmp_path: Path) -> None:
        assert bad(await examine_store(f"embedded:{tmp_path}/data")) == []

    async def test_an_evicting_and_forgetful_server(self, tmp_path: Path) -> None:
        options = ("--maxmemory", "10mb", "--maxmemory-policy", "volatile-lru")
        with servers.valkey(tmp_path, *options) as url:
            findings = await examine_store(url)
        assert the(findings, "volatile-lru").level is Level.PROBLEM
        assert "noeviction" in the(findings, "volatile-lru").mend
        assert the(findings, "append-only").level is Level.WARNING
        assert "appendonly yes" in the(findings, "append-only").mend

    async def test_a_replica(self, tmp_path: Path) -> None:
        with servers.valkey(tmp_path, "--replicaof", "127.0.0.1 1") as url:
            findings = await examine_store(url)
        assert Level.PROBLEM in {finding.level for finding in findings}

    async def test_a_user_who_may_not_run_scripts(self, tmp_path: Path) -> None:
        with servers.valkey(tmp_path, "--appendonly", "yes") as url:
            with closing(Redis.from_url(url)) as admin:
                admin.acl_setuser(
                    "weak",
                    enabled=True,
                    passwords=["+pw"],
                    keys=["*"],
                    categories=["+@all", "-@scripting"],
                )
            findings = await examine_store(url.replace("redis://", "redis://weak:pw@"))
        assert "EVAL" in the(findings, "scripts can't be run").mend

    async def test_a_user_who_may_not_ask_about_the_server(self, tmp_path: Path) -> None:
        with servers.valkey(tmp_path) as url:
            with closing(Redis.from_url(url)) as admin:
                categories, commands = ["+@all"], ["-info"]
                admin.acl_setuser(
                    "weak",
                    enabled=True,
                    passwords=["+pw"],
                    keys=["*"],
                    categories=categories,
                    commands=commands,
                )
            findings = await examine_store(url.replace("redis://", "redis://weak:pw@"))
        assert the(findings, "runs scripts").level is Level.OK
        assert the(findings, "does not tell about itself").level is Level.WARNING

    async def test_a_wrong_password_is_told_and_not_repeated(self, tmp_path: Path) -> None:
        with servers.valkey(tmp_path) as url:
            findings = await examine_store(url.replace("redis://", "redis://me:hunter2@"))
        assert [finding.level for finding in findings] == [Level.PROBLEM]
        assert "store.url" in findings[0].mend
        assert "hunter2" not in repr(findings)

    async def test_nobody_there(self) -> None:
        findings = await examine_store(f"redis://127.0.0.1:{free_port()}/0")
        assert [finding.level for finding in findings] == [Level.PROBLEM]
        assert "does not answer" in findings[0].message

    async def test_a_folder_that_cannot_be_used(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        findings = await examine_store(f"embedded:{tmp_path}/file/data")
        assert [finding.level for finding in findings] == [Level.PROBLEM]

    async def test_each_node_of_a_cluster_is_looked_at(self, tmp_path: Path) -> None:
        with servers.cluster(tmp_path) as url:
            findings = await examine_store(url)
        nodes = url.removeprefix("redis+cluster://").split(",")
        told = [finding.message for finding in findings if "append-only" in finding.message]
        assert len(told) == len(nodes)
        assert all(any(node in message for message in told) for node in nodes)

    @pytest.mark.parametrize(
        ("said", "words", "level"),
        [
            ({"redis_version": "6.0.16"}, "too old", Level.PROBLEM),
            ({"redis_version": "6.2.0"}, "Redis 6.2.0", Level.OK),
            ({"redis_version": "10.0.1"}, "Redis 10.0.1", Level.OK),
            ({"redis_version": ""}, "its version", Level.WARNING),
            ({"role": "slave"}, "replica", Level.PROBLEM),
            ({"aof_last_write_status": "err"}, "aof_last_write_status", Level.PROBLEM),
            ({"rdb_last_bgsave_status": "err"}, "rdb_last_bgsave_status", Level.PROBLEM),
            ({"aof_enabled": 0}, "append-only", Level.WARNING),
            ({"maxmemory_policy": ""}, "memory is full", Level.WARNING),
            ({"maxmemory_policy": "allkeys-lru"}, "allkeys-lru", Level.WARNING),
            ({"maxmemory": 100, "used_memory": 81}, "81 %", Level.WARNING),
        ],
    )
    def test_what_a_server_says_of_itself(
        self, said: Mapping[str, Any], words: str, level: Level
    ) -> None:
        sound = {
            "redis_version": "7.2.4",
            "role": "master",
            "aof_enabled": 1,
            "maxmemory_policy": "noeviction",
            "maxmemory": 0,
            "used_memory": 50,
        }
        assert bad(list(_examine_server(sound))) == []
        findings = list(_examine_server({**sound, **said}))
        assert the(findings, words).level is level
        assert len(bad(findings)) == (level is not Level.OK)


def endpoint(**other: Any) -> dict[str, Any]:
    return {
        "id": "we_1",
        "object": "webhook_endpoint",
        "url": HOOK,
        "status": "enabled",
        "enabled_events": list(EVENTS),
        **other,
    }


@dataclass
class FakeStripe:
    """The three answers that the doctor asks for; a status other than 200 stands for an error."""

    endpoints: list[dict[str, Any]] = field(default_factory=lambda: [endpoint()])
    account: dict[str, Any] = field(default_factory=lambda: {"charges_enabled": True})
    statuses: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    #: Endpoints on a page.
    page: int = 100

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.versions.add(request.headers["Stripe-Version"])
        name = request.path.rpartition("/")[2]
        status = self.statuses.get(name, 200)
        if status != 200:
            body: Any = {"error": {"message": f"no {name} for you", "type": "api_error"}}
        elif name == "account":
            body = {"id": "acct_1", "object": "account", **self.account}
        else:
            data = self.endpoints if name == "webhook_endpoints" else []
            if after := request.query.get("starting_after"):
                data = data[1 + [item["id"] for item in data].index(after) :]
            more = len(data) > self.page
            body = {
                "object": "list",
                "data": data[: self.page],
                "has_more": more,
                "url": request.path,
            }
        return web.json_response(body, status=status, headers=self.headers)


async def stripe_says(fake: FakeStripe, **settings: Any) -> list[Finding]:
    async with serving(fake.answer) as base:
        return await examine_stripe(config_with(stripe__api_base=base, **settings))


class TestStripe:
    async def test_a_sound_account_has_nothing_to_mend(self) -> None:
        findings = await stripe_says(FakeStripe())
        assert bad(findings) == []
        assert "test mode" in the(findings, "acct_1").message
        assert the(findings, "same time")
        assert the(findings, "Checkout Sessions")
        assert the(findings, HOOK)
        assert the(findings, "1 webhook secret configured")

    @pytest.mark.parametrize("configured", [None, "2025-03-31.basil"])
    async def test_the_version_is_the_one_that_links_are_served_with(
        self, configured: str | None
    ) -> None:
        fake = FakeStripe()
        await stripe_says(fake, stripe__api_version=configured)
        assert fake.versions == {configured or API_VERSION}

    async def test_a_refused_key(self) -> None:
        findings = await stripe_says(FakeStripe(statuses={"account": 401}))
        assert the(findings, "does not accept the key").level is Level.PROBLEM
        assert "stripe.api_key" in the(findings, "does not accept the key").mend
        assert "sk_test_abc" not in repr(findings)
        assert not [finding for finding in findings if "Checkout" in finding.message]

    async def test_a_restricted_key_need_not_read_the_account(self) -> None:
        findings = await stripe_says(FakeStripe(statuses={"account": 403}))
        assert bad(findings) == []
        assert the(findings, "a restricted one")

    async def test_a_restricted_key_that_may_not_read_sessions(self) -> None:
        findings = await stripe_says(FakeStripe(statuses={"account": 403, "sessions": 403}))
        assert the(findings, "no sessions for you").level is Level.PROBLEM
        assert "write access" in the(findings, "no sessions for you").mend

    async def test_a_restricted_key_that_may_not_read_endpoints(self) -> None:
        findings = await stripe_says(FakeStripe(statuses={"webhook_endpoints": 403}))
        finding = the(findings, "does not show webhook endpoints")
        assert finding.level is Level.WARNING
        assert HOOK in finding.mend

    @pytest.mark.parametrize("status", [429, 500])
    async def test_a_busy_stripe(self, status: int) -> None:
        findings = await stripe_says(FakeStripe(statuses={"account": status}))
        assert the(findings, str(status)).level is Level.PROBLEM

    async def test_nobody_there(self) -> None:
        config = config_with(stripe__api_base=f"http://127.0.0.1:{free_port()}")
        finding = the(await examine_stripe(config), "can't be reached")
        assert finding.level is Level.PROBLEM
        assert "stripe.api_base" in finding.mend
        assert "support@stripe.com" not in finding.message

    async def test_something_else_than_stripe(self) -> None:
        async def page(request: web.Request) -> web.StreamResponse:
            return web.Response(text="<h1>It works!</h1>", content_type="text/html")

        async with serving(page) as base:
            findings = await examine_stripe(config_with(stripe__api_base=base))
        assert the(findings, base).level is Level.PROBLEM

    async def test_silence_is_not_waited_out(self) -> None:
        answered = asyncio.Event()

        async def hang(request: web.Request) -> web.StreamResponse:
            await answered.wait()
            return web.Response()

        async with serving(hang) as base:
            config = config_with(stripe__api_base=base, stripe__timeout_seconds=0.1)
            findings = await examine_stripe(config)
            answered.set()
        assert the(findings, "can't be reached").level is Level.PROBLEM

    @pytest.mark.parametrize(
        ("skew", "level", "words"),
        [
            (30, Level.OK, "same time"),
            (-30, Level.OK, "same time"),
            (120, Level.WARNING, "ahead of"),
            (-120, Level.WARNING, "behind"),
            (4000, Level.PROBLEM, "ahead of"),
        ],
    )
    @pytest.mark.parametrize("status", [200, 401])
    async def test_a_clock_that_differs(
        self, skew: int, level: Level, words: str, status: int
    ) -> None:
        fake = FakeStripe(statuses={"account": status})
        async with serving(fake.answer) as base:
            config = config_with(stripe__api_base=base)
            findings = await examine_stripe(config, lambda: time.time() + skew)
        assert the(findings, words).level is level

    @pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Foo 2026 00:00:00 GMT"])
    async def test_a_date_that_cannot_be_read_says_nothing(self, date: str) -> None:
        assert bad(await stripe_says(FakeStripe(headers={"Date": date}))) == []

    async def test_a_live_account_that_may_not_take_payments(self) -> None:
        fake = FakeStripe(account={"charges_enabled": False})
        async with serving(fake.answer) as base:
            config = config_with(stripe__api_base=base)
            assert bad(await examine_stripe(config)) == []
            findings = await examine_stripe(live(config))
        assert the(findings, "may not take payments").level is Level.PROBLEM
        assert the(findings, "live mode")

    async def test_no_webhook_secret(self) -> None:
        findings = await stripe_says(FakeStripe(), stripe__webhook_secrets=[])
        assert the(findings, "no webhook secret").level is Level.PROBLEM

    @pytest.mark.parametrize(
        ("endpoints", "words", "level"),
        [
            ([], "has no webhook endpoint", Level.PROBLEM),
            ([endpoint(url="https://other.example.com/webhooks/stripe")], "has no", Level.PROBLEM),
            ([endpoint(url=f"{PUBLIC}/stripe")], "has no webhook endpoint", Level.PROBLEM),
            ([endpoint(status="disabled")], "is disabled", Level.PROBLEM),
            ([endpoint(status="disabled"), endpoint()], "sends the needed", Level.OK),
            ([endpoint(enabled_events=["*"])], "sends the needed", Level.OK),
            ([endpoint(url=HOOK + "/")], "sends the needed", Level.OK),
            (
                [endpoint(enabled_events=[EVENTS[0], "customer.created"])],
                f"does not send {', '.join(EVENTS[1:])}",
                Level.PROBLEM,
            ),
            (
                [
                    endpoint(enabled_events=list(EVENTS[:2])),
                    endpoint(enabled_events=list(EVENTS[2:])),
                ],
                "sends the needed",
                Level.OK,
            ),
        ],
    )
    async def test_the_registered_endpoint(
        self, endpoints: list[dict[str, Any]], words: str, level: Level
    ) -> None:
        finding = the(await stripe_says(FakeStripe(endpoints=endpoints)), words)
        assert finding.level is level
        assert bool(finding.mend) is (level is not Level.OK)

    async def test_a_loopback_url_needs_forwarding(self) -> None:
        url = "http://localhost:8080"
        config = config_with(server__public_url=url)
        finding = stripe_account._registered(config, address(config), [])
        assert "can't send webhooks" in finding.message
        assert finding.level is Level.WARNING
        assert f"stripe listen --forward-to {url}/webhooks/stripe" in finding.mend

    async def test_a_sandbox_reaches_this_machine(self) -> None:
        url = "http://localhost:8080"
        findings = await stripe_says(FakeStripe(endpoints=[]), server__public_url=url)
        finding = the(findings, "no webhook endpoint")
        assert (finding.level, finding.mend) == (Level.PROBLEM, "run `linkgate webhooks install`")

    async def test_an_endpoint_beyond_the_first_page_is_found(self) -> None:
        others = [endpoint(id=f"we_{n}", url=f"{PUBLIC}/{n}") for n in range(3)]
        fake = FakeStripe(endpoints=[*others, endpoint(id="we_9")], page=2)
        assert the(await stripe_says(fake), "sends the needed").level is Level.OK

    def test_the_needed_events_are_those_that_linkgate_reads(self) -> None:
        for kind in EVENTS:
            data = {"id": "evt", "type": kind, "created": 1, "data": {"object": {}}}
            with pytest.raises((LookupError, TypeError, ValueError)):
                payments.read_event(data)
        other = {"id": "evt", "type": "customer.created", "created": 1, "data": {"object": {}}}
        assert payments.read_event(other) is None


MARKS = {
    "Cache-Control": "no-store, max-age=0",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass
class FakeLinkgate:
    """What the public URL answers."""

    health: int = 200
    location: str = ""
    marks: Mapping[str, str] = field(default_factory=lambda: MARKS)
    webhook: int = 400

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health/live":
            headers = {"Location": self.location} if self.location else {}
            return web.Response(status=self.health, headers=headers)
        if request.path == "/webhooks/stripe":
            assert request.method == "POST"
            return web.Response(status=self.webhook)
        assert request.path.startswith("/l/")
        return web.Response(status=404, headers=self.marks)


async def reach_of(fake: FakeLinkgate) -> list[Finding]:
    async with serving(fake.answer) as base:
        return await examine_reach(config_with(server__public_url=base))


class TestReach:
    async def test_a_reachable_linkgate(self) -> None:
        findings = await reach_of(FakeLinkgate())
        assert bad(findings) == []
        assert the(findings, "is linkgate")
        assert the(findings, "takes webhooks")

    async def test_somebody_else(self) -> None:
        finding = the(await reach_of(FakeLinkgate(marks={})), "isn't linkgate")
        assert finding.level is Level.WARNING

    async def test_a_cache_in_between(self) -> None:
        marks = {**MARKS, "Cache-Control": "public, max-age=3600"}
        finding = the(await reach_of(FakeLinkgate(marks=marks)), "removes or changes")
        assert finding.level is Level.WARNING
        assert "Cache-Control" in finding.message
        assert "Referrer-Policy" not in finding.message

    async def test_a_redirect_elsewhere(self) -> None:
        findings = await reach_of(FakeLinkgate(health=301, location="https://www.example.com/"))
        assert [finding.level for finding in findings] == [Level.WARNING]
        assert "https://www.example.com/" in findings[0].message

    async def test_a_proxy_without_a_target(self) -> None:
        findings = await reach_of(FakeLinkgate(health=502))
        assert [finding.level for finding in findings] == [Level.WARNING]
        assert "502" in findings[0].message

    @pytest.mark.parametrize("status", [200, 301, 403, 404, 405, 500])
    async def test_webhooks_that_do_not_get_through(self, status: int) -> None:
        findings = await reach_of(FakeLinkgate(webhook=status))
        assert the(findings, f"answers {status}").level is Level.WARNING

    async def test_nobody_there(self) -> None:
        config = config_with(server__public_url=f"http://127.0.0.1:{free_port()}")
        findings = await examine_reach(config)
        assert [finding.level for finding in findings] == [Level.WARNING]
        assert "linkgate serve" in findings[0].mend

    async def test_silence_is_not_waited_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("linkgate.doctor.reach.TIMEOUT_SECONDS", 0.1)
        answered = asyncio.Event()

        async def hang(request: web.Request) -> web.StreamResponse:
            await answered.wait()
            return web.Response()

        async with serving(hang) as base:
            findings = await examine_reach(config_with(server__public_url=base))
            answered.set()
        assert "did not answer within" in findings[0].message

    @pytest.mark.parametrize("said", [b"", b"220 mail.example.com ESMTP\r\n\r\n"])
    async def test_a_server_that_does_not_speak_http(self, said: bytes) -> None:
        async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            writer.close()

        async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            config = config_with(
                server__public_url=f"http://127.0.0.1:{port}",
                stripe__api_base=f"http://127.0.0.1:{port}",
            )
            findings = [*await examine_reach(config), *await examine_stripe(config)]
        told = [finding for finding in findings if "can't be reached" in finding.message]
        assert [finding.area for finding in told] == ["reach", "stripe"]

    async def test_plain_http_where_https_is_expected(self) -> None:
        async with serving(FakeLinkgate().answer) as base:
            config = config_with(server__public_url=base.replace("http:", "https:"))
            findings = await examine_reach(config)
        assert [finding.level for finding in findings] == [Level.WARNING]


@asynccontextmanager
async def sandbox(key: str, *webhooks: WebhookEndpoint) -> AsyncIterator[str]:
    """The sandbox Stripe, over HTTP on this machine; yields its address."""
    base = f"http://127.0.0.1:{free_port()}"
    async with running(Sandbox(base, key, webhooks).app(), base):
        yield base


@asynccontextmanager
async def running(app: Litestar, base: str) -> AsyncIterator[None]:
    """An application at an address of this machine."""
    port = int(base.rpartition(":")[2])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="on"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


class TestAll:
    async def test_a_whole_sound_setup(self, tmp_path: Path) -> None:
        public = f"http://127.0.0.1:{free_port()}"
        hook = WebhookEndpoint(f"{public}/webhooks/stripe", "whsec_abc", EVENTS)
        async with sandbox("sk_test_abc", hook) as base:
            config = config_with(
                server__public_url=public,
                store__url=f"embedded:{tmp_path}/data",
                stripe__api_base=base,
            )
            async with running(create(config), public):
                findings = await examine(config)
        assert bad(findings) == []
        assert {finding.area for finding in findings} == {
            "setup",
            "judging",
            "store",
            "stripe",
            "reach",
        }

    async def test_the_sandbox_refuses_another_key(self) -> None:
        async with sandbox("sk_test_abc") as base:
            config = config_with(stripe__api_base=base, stripe__api_key="sk_test_hunter2")
            findings = await examine_stripe(config)
        assert the(findings, "does not accept the key").level is Level.PROBLEM
        assert "hunter2" not in repr(findings)

    async def test_nothing_there_at_all_is_told_in_every_area(self, tmp_path: Path) -> None:
        config = config_with(
            server__public_url=f"http://127.0.0.1:{free_port()}",
            store__url=f"redis://127.0.0.1:{free_port()}/0",
            stripe__api_base=f"http://127.0.0.1:{free_port()}",
            stripe__webhook_secrets=[],
        )
        findings = await examine(config)
        assert {finding.area for finding in bad(findings)} == {"store", "stripe", "reach"}
        assert all(finding.mend for finding in bad(findings))
