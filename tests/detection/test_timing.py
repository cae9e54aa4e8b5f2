"""When visits come: the scan window, twins, bursts, and what a decoy leaves behind."""

from dataclasses import replace

import pytest

from linkgate.detection import (
    RULES,
    Authority,
    Finding,
    History,
    Kind,
    Limits,
    Sighting,
    Standing,
    hindsight,
    judge,
    person,
    timing,
    traps,
)
from linkgate.signals import Press, Signals
from tests.detection.scenes import NOW, scene

BY_HAND = Press(dwell=3.0, ran=True, pressed=True, trusted=True, visible=2.0)
SUBMITTED = Press(dwell=3.0, ran=True)
OLDER = Sighting("v1", "lnk_a", 0.4, same_network=True, same_address=True, same_browser=True)


def others(count: int, age: float = 0.4, **same: bool) -> tuple[Sighting, ...]:
    """Return sightings of so many other links, each a little older than the one before."""
    source = {"same_network": True, "same_address": True, "same_browser": True, **same}
    return tuple(Sighting(f"v{n}", f"lnk_{n}", age + n / 100, **source) for n in range(count))


def sent(ago: float, **more: object) -> Signals:
    return Signals(sent_at=NOW - ago, **more)  # type: ignore[arg-type]


# ---- scan window ----


@pytest.mark.parametrize(
    ("signals", "word"),
    [
        (sent(0), "0 s after"),
        (sent(22.4), "22 s after"),
        (sent(599.9), "10 minutes after"),
        (sent(-1), "before the e-mail was sent"),
        (sent(-86_400), "before the e-mail was sent"),
        (sent(3000, scan_seconds=3600.0), "50 minutes after"),
        (sent(22, press=BY_HAND), "22 s after"),
    ],
)
def test_scan_window_must_catch(signals: Signals, word: str) -> None:
    found = timing.scan_window(scene(signals))
    assert found is not None
    assert found.points_to is Standing.SUSPECT
    assert word in found.reason


@pytest.mark.parametrize("signals", [Signals(), sent(600), sent(90_000), sent(5, scan_seconds=5.0)])
def test_scan_window_must_pass(signals: Signals) -> None:
    assert timing.scan_window(scene(signals)) is None


# ---- twins ----


@pytest.mark.parametrize("age", [0.0, 0.047, 0.134, 1.0])
def test_twin_must_catch(age: float) -> None:
    found = timing.twin(scene(Signals(), History(link=(replace(OLDER, age=age),))))
    assert found is not None
    assert found.points_to is Standing.SUSPECT


@pytest.mark.parametrize(
    ("signals", "history"),
    [
        (Signals(), History()),
        (Signals(), History(link=(replace(OLDER, age=1.01),))),
        (Signals(), History(network=(OLDER,))),
        (Signals(method="POST", press=BY_HAND), History(link=(OLDER,))),
    ],
)
def test_twin_must_pass(signals: Signals, history: History) -> None:
    assert timing.twin(scene(signals, history)) is None


def test_twin_by_the_operators_threshold() -> None:
    history = History(link=(replace(OLDER, age=2.5),))
    assert timing.twin(scene(Signals(), history, limits=Limits(twin_seconds=3))) is not None


# ---- bursts ----


def test_burst_address_counts_links_and_not_visits() -> None:
    twice = (OLDER, replace(OLDER, visit="v2"))
    assert timing.burst_address(scene(Signals(), History(network=twice))) is None
    found = timing.burst_address(scene(Signals(), History(network=others(2))))
    assert found == Finding(Standing.SUSPECT, "3 links were opened from one address within 2 s")


@pytest.mark.parametrize(
    ("signals", "history"),
    [
        (Signals(), History(network=others(1))),
        (Signals(), History(network=others(4, age=2.1))),
        (Signals(), History(network=others(4, same_address=False))),
        (Signals(method="POST", press=BY_HAND), History(network=others(4))),
    ],
)
def test_burst_address_must_pass(signals: Signals, history: History) -> None:
    assert timing.burst_address(scene(signals, history)) is None


def test_burst_network() -> None:
    near = others(4, same_address=False)
    assert timing.burst_network(scene(Signals(), History(network=near[:3]))) is None
    found = timing.burst_network(scene(Signals(), History(network=near)))
    assert found is not None
    assert "5 links were opened from one network" in found.reason


# ---- decoys ----

AFTER_DECOY = [
    (traps.decoy_link, History(link_decoy=5.0)),
    (traps.decoy_address, History(address_decoy=60.0)),
]


@pytest.mark.parametrize(("rule", "history"), AFTER_DECOY)
@pytest.mark.parametrize(
    "press", [None, SUBMITTED, Press(dwell=0.2), Press(), Press(dwell=9.0, second=True)]
)
def test_after_a_decoy_a_visit_is_automated(rule, history: History, press: Press | None) -> None:  # type: ignore[no-untyped-def]
    found = rule(scene(Signals(press=press), history))
    assert (found.points_to, found.kind) == (Standing.AUTOMATED, Kind.SCANNER)


@pytest.mark.parametrize("press", [Press(dwell=9.0), Press(dwell=1.0)])
def test_who_reads_without_script_behind_a_scanners_address_goes_through(press: Press) -> None:
    found = traps.decoy_address(scene(Signals(press=press), History(address_decoy=5.0)))
    assert found is not None
    assert found.points_to is Standing.SUSPECT
    # The link's own decoy says more, and its minute passes.
    found = traps.decoy_link(scene(Signals(press=press), History(link_decoy=5.0)))
    assert found is not None
    assert found.points_to is Standing.AUTOMATED


@pytest.mark.parametrize(("rule", "history"), AFTER_DECOY)
def test_after_a_decoy_a_press_by_hand_goes_through(rule, history: History) -> None:  # type: ignore[no-untyped-def]
    found = rule(scene(Signals(method="POST", press=BY_HAND), history))
    assert found.points_to is Standing.SUSPECT
    driven = Press(dwell=3.0, ran=True, pressed=True, trusted=True, visible=2.0, driven=True)
    assert rule(scene(Signals(press=driven), history)).points_to is Standing.AUTOMATED


@pytest.mark.parametrize(
    ("rule", "history"),
    [
        (traps.decoy_link, History(address_decoy=1.0)),
        (traps.decoy_link, History(link_decoy=60.1)),
        (traps.decoy_address, History(link_decoy=1.0)),
        (traps.decoy_address, History(address_decoy=60.1)),
    ],
)
def test_an_old_or_another_decoy_counts_for_nothing(rule, history: History) -> None:  # type: ignore[no-untyped-def]
    assert rule(scene(Signals(), history)) is None


# ---- hindsight ----


def doubted(
    signals: Signals, history: History, limits: Limits | None = None
) -> list[tuple[str, str]]:
    found = hindsight(signals, history, limits or Limits())
    return [(doubt.sighting.visit, doubt.evidence.rule) for doubt in found]


def test_an_ordinary_visit_changes_nothing() -> None:
    assert doubted(Signals(), History()) == []
    assert doubted(Signals(), History(network=others(1))) == []


def test_the_visit_that_completes_a_burst_takes_back_its_beginning() -> None:
    assert doubted(Signals(), History(network=others(2))) == [
        ("v0", "burst-address"),
        ("v1", "burst-address"),
    ]


def test_whoever_goes_on_with_a_burst_takes_nothing_back_again() -> None:
    assert doubted(Signals(), History(network=others(3))) == []

    # A machine that hammers on three links: each of its visits finds two others, again and again.
    def hammered(*links: str) -> tuple[Sighting, ...]:
        turns = [(link, n / 10) for n in range(20) for link in links]
        return tuple(replace(OLDER, visit=f"{a}-{b}", link=a, age=b) for a, b in turns)

    history = History(link=hammered("lnk_0"), network=hammered("lnk_1", "lnk_2"))
    assert doubted(Signals(), history) == []


def test_a_burst_after_a_pause_is_another_one() -> None:
    earlier = tuple(replace(s, age=s.age + 2.5) for s in others(3))
    later = tuple(replace(s, visit=f"late-{s.visit}", link=f"late-{s.link}") for s in others(2))
    found = doubted(Signals(), History(network=(*later, *earlier)))
    assert {visit for visit, _ in found} == {"late-v0", "late-v1"}


def test_a_decoy_that_is_hammered_on_takes_back_but_once() -> None:
    before = History(link=(OLDER,), network=others(1))
    assert len(doubted(Signals(decoy=True), before)) == 2
    assert doubted(Signals(decoy=True), replace(before, link_decoy=0.2, address_decoy=0.2)) == []


def test_the_visit_that_completes_a_networks_burst_does_likewise() -> None:
    near = others(4, same_address=False)
    assert [rule for _, rule in doubted(Signals(), History(network=near))] == ["burst-network"] * 4


def test_people_with_other_browsers_behind_the_address_keep_their_sessions() -> None:
    mixed = (*others(1), Sighting("w", "lnk_w", 0.3, same_network=True, same_address=True))
    assert doubted(Signals(), History(network=mixed)) == [("v0", "burst-address")]


def test_a_double_clicks_first_tab_stays() -> None:
    assert doubted(Signals(), History(link=(OLDER,))) == []


def test_a_decoy_takes_back_its_links_visits_whoever_came() -> None:
    stranger = Sighting("s", "lnk_a", 9.0)
    found = doubted(Signals(decoy=True), History(link=(stranger,)))
    assert found == [("s", "decoy-link")]
    assert doubted(Signals(decoy=True), History(link=(replace(stranger, age=10.1),))) == []


def test_a_decoy_takes_back_the_same_machines_visits_to_other_links() -> None:
    assert doubted(Signals(decoy=True), History(network=others(1))) == [("v0", "decoy-address")]
    for same in ({"same_address": False}, {"same_browser": False}):
        assert doubted(Signals(decoy=True), History(network=others(1, **same))) == []


def test_a_decoy_of_long_ago_holds_nothing_up_that_a_shadow_remembers_for_longer() -> None:
    stale = History(link=(OLDER,), network=others(1), link_decoy=61.0, address_decoy=61.0)
    assert len(doubted(Signals(decoy=True), stale)) == 2


def closings(signals: Signals, history: History) -> list[tuple[str, bool]]:
    found = hindsight(signals, history, Limits())
    return [(doubt.sighting.visit, doubt.closes) for doubt in found]


def test_only_a_burst_of_moments_takes_sessions() -> None:
    assert closings(Signals(), History(network=others(2))) == [("v0", True), ("v1", True)]
    slower = others(2, age=0.6)
    assert closings(Signals(), History(network=slower)) == [("v0", False), ("v1", False)]
    # Two of moments and one before: the burst took longer.
    mixed = (*others(1), replace(others(2)[1], age=1.9))
    assert closings(Signals(), History(network=mixed)) == [("v0", False), ("v1", False)]


def test_a_networks_burst_takes_no_session() -> None:
    at_once = others(4, age=0.0, same_address=False)
    assert {closes for _, closes in closings(Signals(), History(network=at_once))} == {False}


def test_a_decoy_takes_the_session_of_what_looks_like_its_opener() -> None:
    for same, closes in (
        ({}, False),
        ({"same_network": True}, True),
        ({"same_browser": True}, True),
    ):
        stranger = Sighting("s", "lnk_a", 8.0, **same)
        assert closings(Signals(decoy=True), History(link=(stranger,))) == [("s", closes)]


def test_a_decoy_takes_other_links_sessions_only_at_once() -> None:
    assert closings(Signals(decoy=True), History(network=others(1, age=1.5))) == [("v0", True)]
    assert closings(Signals(decoy=True), History(network=others(1, age=3.0))) == [("v0", False)]


def test_a_press_takes_nothing_back() -> None:
    everything = History(link=(OLDER,), network=others(4))
    assert doubted(Signals(method="POST", press=BY_HAND), everything) == []
    assert doubted(Signals(method="POST", press=BY_HAND, decoy=True), everything) == []


def test_hindsight_speaks_in_the_names_of_rules() -> None:
    names = {rule.name for rule in RULES.rules}
    history = History(link=(OLDER,), network=others(2))
    for signals in (Signals(), Signals(decoy=True)):
        assert {doubt.evidence.rule for doubt in hindsight(signals, history, Limits())} <= names


# ---- a browser that confirmed before ----


def test_known_device() -> None:
    found = person.known_device(scene(Signals(known_device=True)))
    assert found is not None
    assert found.points_to is Standing.HUMAN
    assert person.known_device(scene(Signals())) is None


# ---- together ----


def test_no_rule_outranks_what_never_mints() -> None:
    laws = {rule.name for rule in RULES.rules if rule.authority is Authority.LAW}
    assert laws == {"method", "prefetch", "decoy"}


def test_history_makes_an_automated_visit_of_a_perfect_one() -> None:
    verdict = judge(Signals(), History(link_decoy=1.0, link=(OLDER,)), NOW)
    assert (verdict.value, verdict.kind) == (Standing.AUTOMATED, Kind.SCANNER)
    assert {"decoy-link", "twin"} <= {evidence.rule for evidence in verdict.evidence}
