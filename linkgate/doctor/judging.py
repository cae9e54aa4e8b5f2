"""What judging goes by: how old its knowledge is, and what the operator has changed of it."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from linkgate.asn import AsnDatabase
from linkgate.config import Config
from linkgate.detection.freshness import knowledge_of
from linkgate.doctor.finding import Finding, Level
from linkgate.errors import ConfigError

#: Browsers' versions: an old list errs on people's side, and lets old machines' browsers in.
OLD_LIST = timedelta(days=365)
#: Networks change hands; GeoLite2 and DB-IP come out weekly to monthly.
OLD_DATABASE = timedelta(days=180)

_finding = partial(Finding, "judging")


def examine_judging(config: Config, clock: Callable[[], float]) -> list[Finding]:
    """Look at the age of what is known, the ASN database, own rules and the shadow."""
    today = datetime.fromtimestamp(clock(), UTC).date()
    settings = config.detection
    findings = [_browsers(today)]
    if settings.asn_database is not None:
        findings.append(_asns(settings.asn_database, today))
    if settings.rules_off:
        names = ", ".join(settings.rules_off)
        findings.append(_finding(Level.OK, f"rules that are not asked: {names}"))
    if settings.own_rules:
        count = len(settings.own_rules)
        findings.append(_finding(Level.OK, f"{count} rule{'s' if count > 1 else ''} of your own"))
    if settings.in_shadow is not None:
        message = "a shadow rule set is tried beside the one in force, without effect"
        findings.append(_finding(Level.OK, message))
    return findings


def _browsers(today: date) -> Finding:
    known = knowledge_of()
    message = f"browsers' versions are known as of {known}"
    if today - known > OLD_LIST:
        mend = "upgrade linkgate: scanners' old browsers pass for newer ones year by year"
        return _finding(Level.WARNING, message, mend)
    return _finding(Level.OK, message)


def _asns(path: Path, today: date) -> Finding:
    try:
        database = AsnDatabase(path)
    except ConfigError as error:
        problem = error.problems[0]
        return _finding(Level.PROBLEM, f"{problem.field}: {problem.message}")
    built = datetime.fromtimestamp(database.built_at, UTC).date()
    database.close()
    message = f"the ASN database {path.name} ({database.kind}) is of {built}"
    if today - built > OLD_DATABASE:
        mend = "download a newer one, rename it over the old one, and restart linkgate"
        return _finding(Level.WARNING, message, mend)
    return _finding(Level.OK, message)
