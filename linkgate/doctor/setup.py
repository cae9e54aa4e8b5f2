"""What the configuration itself and the files that it came from show."""

import stat
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from linkgate.config import Config
from linkgate.config.checks import is_loopback
from linkgate.doctor.finding import Finding, Level

# Each visit tries the keys from the newest to the oldest, and each is one more that can leak.
MANY_KEYS = 5
# Where Docker and Kubernetes mount secrets: readable by all inside, and nobody else is inside.
_CONTAINER_SECRETS = (Path("/run/secrets"), Path("/var/run/secrets"))

_finding = partial(Finding, "setup")


def examine_setup(config: Config) -> list[Finding]:
    """Look at the signing keys, the way in as it is configured, and who can read the secrets."""
    findings = [_keys(config), _public_url(config), _proxies(config)]
    findings += [_file(path) for path in config.secret_files]
    return findings


def _keys(config: Config) -> Finding:
    count = len(config.signing.keys)
    if count > MANY_KEYS:
        return _finding(
            Level.WARNING,
            f"there are {count} signing keys",
            "remove the oldest ones from signing.keys once the links that they signed have expired",
        )
    return _finding(Level.OK, f"{count} signing key{'s' if count > 1 else ''}, the last one signs")


def _public_url(config: Config) -> Finding:
    url = config.server.public_url
    if is_loopback(urlsplit(url).hostname or ""):
        level = Level.WARNING if config.stripe.is_live else Level.OK
        mend = "set server.public_url to the address that your e-mails' links will have"
        message = f"links lead to {url}, which only this machine can open"
        return _finding(level, message, mend if level is Level.WARNING else "")
    if url.startswith("http:"):
        return _finding(
            Level.WARNING,
            f"links lead to {url} without TLS: anyone on the way can read and use them",
            "put a proxy with TLS in front, and set server.public_url to its https address",
        )
    return _finding(Level.OK, f"links lead to {url}")


def _proxies(config: Config) -> Finding:
    proxies = config.server.trusted_proxies
    if proxies:
        names = ", ".join(str(proxy) for proxy in proxies)
        return _finding(Level.OK, f"X-Forwarded-For is believed from {names}")
    if config.server.public_url.startswith("https:"):
        # linkgate speaks plain HTTP, so where people see https there is a proxy.
        return _finding(
            Level.WARNING,
            "there is a proxy with TLS in front, but server.trusted_proxies is empty, so every "
            "visit seems to come from the proxy",
            "set server.trusted_proxies to the proxy's address, like 127.0.0.1",
        )
    return _finding(Level.OK, "no proxy is trusted; visitors' addresses are those that connect")


def _file(path: Path) -> Finding:
    """Secrets are for the user that linkgate runs as, and for nobody else on the machine."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        message = f"{path} can't be looked at any more: {error.strerror}"
        return _finding(Level.WARNING, message, "check the path and its folder's permissions")
    mend = f"chmod 600 {path}"
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        # Whoever can write it can put a key of theirs in and sign links.
        message = f"{path} holds secrets and can be changed by other users"
        return _finding(Level.PROBLEM, message, mend)
    mounted = any(path.resolve().is_relative_to(at) for at in _CONTAINER_SECRETS)
    if mode & (stat.S_IRGRP | stat.S_IROTH) and not mounted:
        message = f"{path} holds secrets and can be read by other users"
        return _finding(Level.WARNING, message, mend)
    return _finding(Level.OK, f"{path} holds secrets and is private")
