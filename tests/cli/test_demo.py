"""`linkgate demo` as a real process: the whole path of a link, and every line that it prints."""

import json
import re
import signal
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser
from rich.console import Console

from linkgate.cli.tour import show
from linkgate.demo import SampleLink, Tour, steps
from linkgate.demo.running import _bind_near
from linkgate.detection import Limits
from linkgate.serving import bind
from tests.browser import CHROMES
from tests.cli.processes import (
    Running,
    command,
    fetch,
    is_alive,
    paste,
    run,
    running,
    wait_for,
)
from tests.stack import BROWSER, BY_HAND, CHROME
from tests.threaded import press


class Demo:
    """A running demo, by what it printed."""

    def __init__(self, process: Running) -> None:
        self.process = process
        self.tour: dict[str, Any] = json.loads(process.first_line)
        self.folder = Path(self.tour["config"]).parent

    def url(self, link: str) -> str:
        return str(self.tour["links"][link]["url"])

    def picture(self, link: str) -> dict[str, Any]:
        """What the API says of a link."""
        bearer = {"Authorization": f"Bearer {self.tour['api_key']}"}
        token = self.tour["links"][link]["token"]
        answer = fetch(f"{self.tour['url']}/api/v1/links/{token}", headers=bearer)
        assert answer.status == 200, answer.body
        picture: dict[str, Any] = json.loads(answer.body)
        return picture

    def new_link(self, recipient: str) -> str:
        """The URL of a new link in the first campaign."""
        done = run(
            command("--config", self.tour["config"], "links", "create", "spring-sale", recipient)
        )
        assert done.returncode == 0, done.stderr
        # The configuration knows the usual address; this demo may have another.
        return f"{self.tour['url']}/l/{done.stdout.strip().rpartition('/')[2]}"

    def sessions_made(self) -> int:
        """How many sessions were ever made, as the sandbox counts them."""
        bearer = {"Authorization": f"Bearer {self.tour['sandbox_key']}"}
        state = fetch(f"{self.tour['sandbox_url']}/sandbox/state", headers=bearer)
        return int(json.loads(state.body)["counts"]["created"])

    def step(self, name: str) -> str:
        """What the printed line of this name shows."""
        [line] = [step["command"] for step in self.tour["steps"] if step["name"] == name]
        return paste(line)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for the tests of this module."""
    with running(tmp_path_factory.mktemp("demo"), "demo", "--json", "--port", "0") as process:
        yield Demo(process)


def pay_page(location: str) -> str:
    return location.partition("#")[0]


def test_a_machine_gets_the_page_and_a_person_a_checkout_that_gets_paid(demo: Demo) -> None:
    before = demo.sessions_made()
    machine = fetch(demo.url("spring"), headers={"User-Agent": "python-requests/2.32"})
    assert machine.status == 200
    assert '<form method="post"' in machine.body
    assert demo.sessions_made() == before

    person = fetch(demo.url("spring"), headers=BROWSER)
    assert person.status == 303
    page = pay_page(person.headers["location"])
    assert page.startswith(f"{demo.tour['sandbox_url']}/c/pay/cs_test_")
    assert demo.sessions_made() == before + 1
    assert demo.picture("spring")["state"] == "open"

    paid = fetch(
        f"{page}/pay",
        "POST",
        {"Content-Type": "application/x-www-form-urlencoded"},
        "email=person%40example.com",
    )
    assert (paid.status, paid.headers["location"]) == (303, f"{demo.tour['url']}/demo/thanks")
    assert "Thank you" in fetch(paid.headers["location"]).body
    wait_for(lambda: demo.picture("spring")["state"] == "paid", "the webhook")

    again = fetch(demo.url("spring"), headers=BROWSER)
    assert again.status == 200
    assert "location" not in again.headers
    assert demo.sessions_made() == before + 1


def test_the_second_campaign_asks_everyone_to_press(demo: Demo) -> None:
    page = fetch(demo.url("plus"), headers=BROWSER)
    assert page.status == 200
    match = re.search(r'name="challenge" value="([^"]+)"', page.body)
    assert match
    headers = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded"}
    headers |= {"Sec-Fetch-Site": "same-origin", "Origin": demo.tour["url"]}
    form = urlencode({"challenge": match[1], "gesture": BY_HAND})
    # The demo's clock is a real one, and no person presses within half a second.
    time.sleep(0.6)
    pressed = fetch(demo.url("plus"), "POST", headers, form)
    assert pressed.status == 303
    assert "every month" in fetch(pay_page(pressed.headers["location"])).body


def test_every_printed_line_shows_what_is_promised(demo: Demo) -> None:
    before = demo.sessions_made()
    assert demo.step("scanner") == "200 \n"
    assert demo.step("tool") == "200 \n"
    head = demo.step("head")
    assert re.match(r"HTTP/1\.1 200", head)
    assert "cache-control: no-store" in head.lower()
    assert demo.step("prefetch") == "503 \n"
    assert demo.sessions_made() == before
    # A person takes longer to paste a line than these processes for all of them.
    time.sleep(Limits().twin_seconds + 0.1)
    status, address = demo.step("browser").split()
    assert status == "303"
    assert address.startswith(f"{demo.tour['sandbox_url']}/c/pay/")
    time.sleep(Limits().twin_seconds + 0.1)
    assert demo.step("browser").split()[1] == address
    assert demo.sessions_made() == before + 1

    state = json.loads(demo.step("state"))
    assert len(state["sessions"]) == 1
    verdicts = [(visit["method"], visit["verdict"], visit["kind"]) for visit in state["visits"]]
    assert verdicts == [
        ("GET", "human", None),
        ("GET", "human", None),
        ("GET", "automated", "prefetch"),
        ("HEAD", "automated", "tool"),
        ("GET", "automated", "tool"),
        ("GET", "suspect", None),
    ]
    assert all(visit["evidence"] for visit in state["visits"])

    body, status = demo.step("create").rsplit("\n", 2)[:2]
    assert status == "201"
    assert fetch(json.loads(body)["url"], "HEAD").status == 200


def test_in_browsers_the_links_do_what_is_written_beside_them(
    demo: Demo, undriven: Browser
) -> None:
    for settings, presses in ((CHROMES, False), ({"user_agent": CHROME}, True)):
        context = undriven.new_context(**settings)
        page = context.new_page()
        before = demo.sessions_made()
        page.goto(demo.new_link(f"r-browser-{presses}"))
        if presses:
            assert demo.sessions_made() == before
            press(page)
        assert page.url.startswith(f"{demo.tour['sandbox_url']}/c/pay/")
        assert demo.sessions_made() == before + 1
        context.close()
    assert "Chromium without a vendor's name" in demo.tour["links"]["spring"]["about"]


def test_every_step_is_tested() -> None:
    assert {step.name for step in steps(tour())} == {
        *("scanner", "tool", "head", "prefetch", "browser", "state", "create")
    }


def test_the_inbox_leads_to_the_links(demo: Demo) -> None:
    page = fetch(f"{demo.tour['url']}/").body
    assert set(re.findall(r'href="([^"]+)"', page)) == {demo.url("spring"), demo.url("plus")}


def test_the_other_commands_work_on_the_demo(demo: Demo) -> None:
    done = run(command("--config", demo.tour["config"], "campaigns", "list", "--json"))
    assert done.returncode == 0, done.stderr
    listed = {campaign["slug"] for campaign in json.loads(done.stdout)["campaigns"]}
    assert listed == {"spring-sale", "plus"}


def test_a_link_is_shown_to_people_with_its_evidence(demo: Demo) -> None:
    url = demo.new_link("r-shown")
    fetch(url, headers={"User-Agent": "python-requests/2.32"})
    assert fetch(url, headers=BROWSER).status == 303
    shown = ""

    def complete() -> bool:
        nonlocal shown
        # The gateway holds machines' visits back for a moment.
        shown = run(command("--config", demo.tour["config"], "links", "show", url)).stdout
        return shown.count("\nvisit ") == 2

    wait_for(complete, "both visits")
    visit = r"^visit [\d :-]+ UTC, GET\n  automated \(tool\): interstitial\n(  - .*\n)*"
    tool = r"  - agent-tool points to automated \(tool\): .*Python\n"
    assert re.search(visit + tool, shown, re.MULTILINE), shown
    session = r"^session cs_test_\w+\n  open, 4900 eur, made .* UTC, open until .* UTC$"
    assert re.search(session, shown, re.MULTILINE), shown


def test_a_decoy_is_automated(demo: Demo) -> None:
    before = demo.sessions_made()
    assert fetch(demo.tour["links"]["paste"]["decoy_url"], headers=BROWSER).status == 200
    assert demo.sessions_made() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_ends_cleanly_and_removes_its_data(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "demo", "--json", "--port", "0") as process:
        demo = Demo(process)
        store = int((demo.folder / "store" / "server.lock").read_text().split()[0])
        assert is_alive(store)
        assert process.stop(number) == 0
        assert process.errors() == "The demo has ended; its data was removed.\n"
        assert not demo.folder.exists()
        assert not is_alive(store)


def test_data_that_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    words = ("demo", "--json", "--port", "0", "--data", "kept")
    with running(tmp_path, *words) as process:
        first = Demo(process)
        assert fetch(first.url("spring"), headers={"User-Agent": "curl/8"}).status == 200
        token = first.tour["links"]["spring"]["token"]
        assert process.stop() == 0
    with running(tmp_path, *words) as process:
        second = Demo(process)
        # The ports are others: the same link opens here, and its checkout ends here.
        assert fetch(f"{second.tour['url']}/l/{token}", headers=BROWSER).status == 303
        bearer = {"Authorization": f"Bearer {second.tour['api_key']}"}
        known = fetch(f"{second.tour['url']}/api/v1/campaigns", headers=bearer)
        goals = {one["destination"]["success_url"] for one in json.loads(known.body)["campaigns"]}
        assert goals == {f"{second.tour['url']}/demo/thanks"}
        assert process.stop() == 0
    assert process.errors() == "The demo has ended; its data is kept in kept.\n"


def test_a_port_that_was_asked_for_has_to_be_free(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        done = run(command("demo", "--port", str(port)), tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"linkgate: port {port} on 127.0.0.1 is taken")


def test_a_usual_port_that_is_taken_is_replaced() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with _bind_near(port) as other:
            assert other.getsockname()[1] != port


def test_a_folder_that_can_t_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(command("demo", "--port", "0", "--data", "file"), tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("--data: can't be used: ")


def test_people_are_told_of_each_visit(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--port", "0") as process:
        stream = process.process.stdout
        assert stream
        told = [next(stream)]
        while "as it happens" not in told[-1]:
            told.append(next(stream))
        url = re.search(r"http://127\.0\.0\.1:\d+/l/\S+", "".join(told))
        assert url
        fetch(url[0], headers={"User-Agent": "python-requests/2.32"})
        line = next(stream)
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d  Spring sale: GET by automated \(tool\): the page with the button "
            r"\(.*python-requests.*\)\n",
            line,
        )
        assert process.stop() == 0


def tour() -> Tour:
    """A tour to print, with long addresses in it."""
    links = tuple(
        SampleLink(
            name=name,
            title=f"Title {name}",
            about="About [it].",
            campaign="spring-sale",
            recipient="r-1",
            id="lnk_1",
            token="t" * 120,
            url=f"http://127.0.0.1:8080/l/{name}{'t' * 120}",
            decoy_url="http://127.0.0.1:8080/l/decoy",
        )
        for name in ("spring", "plus", "paste")
    )
    return Tour(
        url="http://127.0.0.1:8080",
        sandbox_url="http://127.0.0.1:8081",
        api_key="lg_key",
        sandbox_key="sk_test_key",
        config=Path("/tmp/[demo]/linkgate.toml"),
        kept=False,
        links=links,
    )


@pytest.mark.parametrize("width", [30, 80, 300])
def test_what_is_there_to_copy_is_never_broken(width: int) -> None:
    out = StringIO()
    show(tour(), Console(file=out, width=width, highlight=False))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert {link.url for link in tour().inbox} <= set(lines)
    for step in steps(tour()):
        wanted = [line.strip() for line in step.command.split("\n")]
        assert any(lines[at : at + len(wanted)] == wanted for at in range(len(lines))), step.name
    assert "linkgate --config '/tmp/[demo]/linkgate.toml' campaigns list" in lines
    assert "\x1b" not in out.getvalue()


def test_prose_is_wrapped_to_the_terminal() -> None:
    out = StringIO()
    show(tour(), Console(file=out, width=40, highlight=False))
    prose = [line for line in out.getvalue().splitlines() if not line.startswith("  ")]
    assert max(map(len, prose)) <= 40
