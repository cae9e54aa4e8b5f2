"""What is remembered at the time of a visit, and the thresholds that it is held against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sighting:
    """An earlier visit that was not automated, as it is remembered for some seconds.

    `age` is in seconds before the visit that is judged now; the others compare the two visits'
    sources, and are False where a source isn't known.
    """

    visit: str
    link: str
    age: float
    same_network: bool = False
    same_address: bool = False
    same_browser: bool = False
    way: str = ""
    """The unsigned way in that was opened, where each visit has a link of its own."""

    @property
    def opened(self) -> str:
        """What was opened. Many people at a poster open one thing, each by a link of their own."""
        return self.way or self.link


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a link and of a visitor's network (/24, /64) when a visit comes."""

    link: tuple[Sighting, ...] = ()
    """Earlier visits to the same link, from anywhere."""
    network: tuple[Sighting, ...] = ()
    """Earlier visits to other links (and other unsigned ways) from the visitor's network, the
    address's own included."""
    link_decoy: float | None = None
    """Seconds since the link's decoy was opened, if it was lately."""
    address_decoy: float | None = None
    """Seconds since the visitor's address opened any decoy, if it did lately."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules; docs/detection.md says where each default comes from."""

    twin_seconds: float = 1.0
    """Two visits of one link within this time are a machine's, or a double click."""
    burst_seconds: float = 2.0
    burst_links: int = 3
    """So many links from one address within `burst_seconds`, this one included, are a burst."""
    burst_close_seconds: float = 0.5
    """A burst takes sessions away as well if it came within this time: colleagues don't."""
    burst_network_links: int = 5
    """The same for a whole network, where many people may be."""
    decoy_seconds: float = 60.0
    """How long a decoy's opening counts against its link and the address that opened it."""
    decoy_before_seconds: float = 10.0
    """How far back it does."""
    press_seconds: float = 0.5
    """A page that was visible for less was not read before it was pressed."""
    dwell_seconds: float = 1.0
    """The same where the page's script did not run, from when the page was made."""

    @property
    def remembered_seconds(self) -> float:
        """How long a sighting is of use: whether the ones in a burst had seen it coming takes what
        came before them.
        """
        return max(self.twin_seconds, 2 * self.burst_seconds, self.decoy_before_seconds)
