"""Where a visit comes from: networks in which more machines than people open links.

People browse through all of them, so that none of these says more than suspect (law 3).
"""

from linkgate.detection.declared import suspect
from linkgate.detection.networks import Sort
from linkgate.detection.rules import Finding, Scene


def network_mail_security(scene: Scene) -> Finding | None:
    """The address belongs to a company that opens the links in its customers' mail.

    Source: logged visits of Exchange Online, Google, Proofpoint and Barracuda; the ranges that such
    companies publish or announce, data/networks.toml and data/asns.toml. Wrong about people: yes,
    with browser isolation (Proofpoint, Mimecast) and with companies' ways out, hence suspect.
    """
    names = _names(scene, Sort.MAIL_SECURITY)
    if not names:
        return None
    return suspect(f"it comes from a network of {names}, where mail is scanned")


def network_hosting(scene: Scene) -> Finding | None:
    """The address belongs to a host: a cloud, or rented machines.

    Source: hosts' published ranges, data/networks.toml and data/asns.toml; many scanners run there,
    Microsoft's among them (logged, 20.72.100.79). Wrong about people: yes, with cloud desktops, a
    company's way out through Azure and one's own VPN, hence suspect.
    """
    names = _names(scene, Sort.HOSTING)
    return (
        suspect(f"it comes from a network of {names}, where machines are rented") if names else None
    )


def _names(scene: Scene, sort: Sort) -> str:
    signals = scene.signals
    if not signals.address_known:  # a proxy that nobody told us of, with everybody behind it
        return ""
    owners = scene.networks.owners(signals.address)
    return " and ".join(owner.name for owner in owners if owner.sort is sort)
