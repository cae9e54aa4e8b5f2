"""Whether the store answers, keeps what it is told, and never drops what is still needed."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from linkgate.campaigns import Status
from linkgate.doctor.finding import Finding, Level
from linkgate.doctor.stripe_account import SKEW_PROBLEM_SECONDS, SKEW_WARNING_SECONDS
from linkgate.errors import ConfigError, StoreUnavailable
from linkgate.store.campaigns import Campaigns
from linkgate.store.connect import Connection, Script

# The oldest that linkgate's tests and scripts are written for.
LEAST_VERSION = (6, 2)
# A person's visit waits for at least one round trip.
SLOW_SECONDS = 0.02
FULL_SHARE = 0.8
_PINGS = 5
#: Campaigns that are named of many.
SHOWN = 5

# Writes, reads and lets expire: what linkgate's own scripts do. It never touches a key of theirs.
_PROBE = Script(
    "the doctor's probe",
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', 10) return redis.call('GET', KEYS[1])",
)
_PROBE_KEY = "lg:{doctor}:probe"
_TIME = Script("the doctor's look at the clock", "return redis.call('TIME')")

_finding = partial(Finding, "store")


async def examine_store(
    url: str, *, sends_mail: bool = False, clock: Callable[[], float] = time.time
) -> list[Finding]:
    """Open the store (the embedded one is started if need be), look at it, and close it again.

    `sends_mail` says whether there is a mail server for the reminders that its campaigns want;
    `clock` gives Unix seconds.
    """
    try:
        connection = await Connection.open(url)
    except (ConfigError, StoreUnavailable) as error:
        return [_finding(Level.PROBLEM, str(error), "check store.url")]
    try:
        found = [
            await _speed(connection),
            await _writes(connection),
            *await _clock(connection, clock),
            *await _servers(connection),
        ]
        return found if sends_mail else [*found, *await _reminders(connection)]
    except StoreUnavailable as error:
        mend = "start it, or check store.url, the network between and the store's password"
        return [_finding(Level.PROBLEM, f"the store does not answer: {error}", mend)]
    except ResponseError as error:
        mend = "check the user and the password in store.url, and what that user may do"
        return [_finding(Level.PROBLEM, f"the store refuses: {error}", mend)]
    finally:
        await connection.close()


async def _speed(connection: Connection) -> Finding:
    # The first one also pays for connecting.
    best = min([await connection.ping() for _ in range(_PINGS)])
    message = f"answers within {best * 1000:.1f} ms"
    if best > SLOW_SECONDS:
        mend = "run the store on the same machine or in the same network as linkgate"
        return _finding(Level.WARNING, message, mend)
    return _finding(Level.OK, message)


async def _writes(connection: Connection) -> Finding:
    try:
        answer = await connection.script(_PROBE, [_PROBE_KEY], ["seen"])
    except ResponseError as error:
        mend = "let store.url's user run scripts (EVAL, EVALSHA) and write keys that begin with lg:"
        return _finding(Level.PROBLEM, f"scripts can't be run: {error}", mend)
    if answer not in ("seen", b"seen"):
        return _finding(
            Level.PROBLEM, "what is written can't be read back", "check the store's log"
        )
    return _finding(Level.OK, "can be written, and runs scripts")


async def _clock(connection: Connection, clock: Callable[[], float]) -> list[Finding]:
    """Compare the store's clock with this machine's, as the one of Stripe is compared."""
    before = clock()
    try:
        seconds, micros = await connection.script(_TIME, [_PROBE_KEY], [])
    except ResponseError:
        return []  # that scripts can't be run is told already
    ahead = int(seconds) + int(micros) / 1e6 - (before + clock()) / 2
    if abs(ahead) <= SKEW_WARNING_SECONDS:
        return [_finding(Level.OK, "has this machine's time")]
    side = "ahead of" if ahead > 0 else "behind"
    level = Level.WARNING if abs(ahead) <= SKEW_PROBLEM_SECONDS else Level.PROBLEM
    message = f"its clock is {abs(ahead):.0f} s {side} this machine's; sessions end by the store's"
    return [_finding(level, message, "let NTP set both clocks (systemd-timesyncd or chrony)")]


async def _reminders(connection: Connection) -> list[Finding]:
    campaigns = await Campaigns(connection).list()
    wanting = [one.slug for one in campaigns if one.reminder and one.status is not Status.ENDED]
    if not wanting:
        return []
    names = ", ".join(wanting[:SHOWN]) + (", ..." if len(wanting) > SHOWN else "")
    message = f"campaigns want a reminder sent, and there is no mail server: {names}"
    mend = "set mail.host and mail.sender, or take the reminder out of these campaigns"
    return [_finding(Level.WARNING, message, mend)]


async def _servers(connection: Connection) -> list[Finding]:
    findings: list[Finding] = []
    try:
        infos = await _infos(connection)
    except ResponseError as error:
        message = f"does not tell about itself: {error}"
        mend = (
            "let store.url's user run INFO, so that version, persistence and eviction can be seen"
        )
        return [_finding(Level.WARNING, message, mend)]
    for name, info in infos.items():
        where = f" ({name})" if name else ""
        for finding in _examine_server(info):
            told = Finding(finding.area, finding.level, finding.message + where, finding.mend)
            findings.append(told)
    return findings


async def _infos(connection: Connection) -> Mapping[str, Mapping[str, Any]]:
    """What each server says of itself, by its address; a single one has no name."""
    async with connection.guard() as client:
        if isinstance(client, RedisCluster):
            by_node: dict[str, Mapping[str, Any]] = {}
            for node in client.get_primaries():
                by_node[node.name] = await client.info(target_nodes=node)
            return by_node
        return {"": await client.info()}


def _examine_server(info: Mapping[str, Any]) -> Iterator[Finding]:
    yield _version(info)
    yield _role(info)
    yield _persistence(info)
    yield _eviction(info)
    yield from _memory(info)


def _version(info: Mapping[str, Any]) -> Finding:
    # Valkey tells the version of Redis that it is compatible with, and its own beside it.
    version = str(info.get("redis_version", ""))
    name = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {version}"
    parts = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if not parts:
        return _finding(Level.WARNING, "does not tell its version", "use Redis 6.2+ or Valkey")
    if tuple(parts) < LEAST_VERSION:
        return _finding(Level.PROBLEM, f"is {name}, which is too old", "use Redis 6.2+ or Valkey")
    return _finding(Level.OK, f"is {name}")


def _role(info: Mapping[str, Any]) -> Finding:
    if info.get("role", "master") != "master":
        mend = "point store.url at the primary"
        return _finding(Level.PROBLEM, "is a replica, which can't be written", mend)
    return _finding(Level.OK, "is a primary")


def _persistence(info: Mapping[str, Any]) -> Finding:
    failed = [
        what
        for what in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        if info.get(what, "ok") != "ok"
    ]
    if failed:
        message = f"could not write to its disk ({', '.join(failed)})"
        return _finding(Level.PROBLEM, message, "free disk space and look into the store's log")
    if int(info.get("aof_enabled", 0)):
        return _finding(Level.OK, "keeps what it is told (append-only file)")
    mend = "turn on the append-only file: CONFIG SET appendonly yes, and in its configuration"
    return _finding(
        Level.WARNING,
        "keeps no append-only file: a restart loses up to everything since the last snapshot, "
        "campaigns and what is known of payments included",
        mend,
    )


def _eviction(info: Mapping[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", ""))
    limit = int(info.get("maxmemory", 0))
    mend = "CONFIG SET maxmemory-policy noeviction, and in its configuration"
    if not policy:
        message = "does not tell what it does when its memory is full"
        return _finding(Level.WARNING, message, "make sure that its policy is noeviction")
    if policy == "noeviction":
        return _finding(Level.OK, "never drops keys to make room")
    if limit:
        # A dropped key could be the one that says that a link is paid.
        message = f"drops keys when its memory is full ({policy})"
        return _finding(Level.PROBLEM, message, mend)
    message = f"would drop keys ({policy}) if its memory were limited, which it isn't"
    return _finding(Level.WARNING, message, mend)


def _memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used > FULL_SHARE * limit:
        message = f"has {100 * used // limit} % of its memory in use"
        yield _finding(
            Level.WARNING, message, "give it more memory, or shorten store.retention_days"
        )
