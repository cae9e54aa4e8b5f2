"""One random interleaving of visits, payments, ends, webhooks and crashes; and what must hold."""

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from linkgate import campaigns
from linkgate.errors import DestinationBusy, StoreUnavailable
from linkgate.minting import Done, Minted
from linkgate.sandbox.deeds import Deed, perform
from linkgate.sandbox.errors import ApiError
from linkgate.sandbox.world import Object
from linkgate.store.entries import Visit
from linkgate.tokens import Link
from linkgate.webhooks import Taken
from tests.bars.mortal import BEGIN, Killed, Weather
from tests.bars.scene import Broken, Scene, is_done
from tests.bars.stand_in import Shop, StandIn
from tests.bars.trial import Process
from tests.bars.virtual import VirtualLoop, run
from tests.stack import PRICE

#: What a step lets pass afterwards, in seconds: from nothing to beyond a session's end.
PAUSES = (0, 0, 0, 0.001, 0.01, 0.1, 0.5, 3, 17, 20, 70, 130, 400, 1900)
DAY = 86_400.0
#: Where processes end, by the names of scripts and of requests to Stripe.
STEPS = (
    *("put into a queue", "take from a queue", "strike out of a queue", "put off in a queue"),
    *("enter", "take a turn", "arm", "settle", "release", "close a session", "a command"),
    *("apply", "count a change", "take from an outbox"),
    *("post /checkout/sessions", "post /checkout/sessions/expire", "get /checkout/sessions"),
)


@dataclass
class Interleaving:
    """One trial. `log` tells what happened, for whoever has to find out why something broke."""

    seed: int
    client: Redis
    loop: VirtualLoop
    steps: int = 15
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        random.seed(self.seed)  # what linkgate itself leaves to chance
        rough = self.chance.random() < 0.7
        self.weather = Weather(
            self.chance,
            stripe=self.chance.choice((0.0, 0.1, 0.3)) if rough else 0.0,
            receiver=self.chance.choice((0.0, 0.3)) if rough else 0.0,
            slow=self.chance.choice((0.0, 0.2, 0.6)),
            frozen=self.chance.choice((0.0, 0.0, 0.01)) if rough else 0.0,
        )
        self.stand_in = StandIn(self.weather, self.loop)
        self.shop = Shop(self.weather)
        most = 2 if self.chance.random() < 0.15 else 1
        reuse = self.chance.choice((0, 0, 2, 29))
        self.campaign = campaigns.create(
            {
                "slug": "spring",
                "name": "Spring sale",
                "reuse_minutes": reuse,
                "max_payments": most,
                "destination": {
                    "line_items": [{"price": PRICE}],
                    "success_url": "https://shop.example.com/thanks",
                    "cancel_url": "https://shop.example.com/",
                },
            },
            datetime.fromtimestamp(BEGIN, UTC),
        )
        self.link = Link("spring", f"r-{self.seed}", BEGIN + 300 * 86_400)
        self.scene = Scene(self.client, self.link, self.stand_in, self.shop, most)
        #: Events that linkgate said it has taken.
        self.taken: set[str] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.processes: list[Process] = []
        self.visits = 0
        self.counts: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.faults: list[BaseException] = []

    def say(self, what: str) -> None:
        self.log.append(f"{self.loop.time():10.3f} {what}")

    async def run(self) -> None:
        """Go through all of it; raises Broken."""
        self.client.flushdb()
        self.processes = [self.process(), self.process()]
        await self.processes[0].store.campaigns.put(self.campaign, replaces=None)
        deeds: dict[Callable[[], Awaitable[None]], int] = {
            self.visit: 8,
            self.pay: 5,
            self.pay_later: 2,
            self.bank: 3,
            self.time_passes: 3,
            self.post: 5,
            self.background: 4,
            self.crash: 5,
            self.reconcile: 1,
        }
        for _ in range(self.steps):
            [deed] = self.chance.choices(list(deeds), list(deeds.values()))
            self.counts[deed.__name__] += 1
            await deed()
            self.now_holds()
            await asyncio.sleep(self.chance.choice(PAUSES))
            self.now_holds()
        await self.finish()

    def process(self) -> Process:
        return Process(self.client, self.stand_in, self.shop, self.loop)

    def one(self) -> Process:
        """Any living process; dead ones are replaced."""
        for process in self.processes:
            if process.life.dead:
                self.deaths[process.life.died_at] += 1
        self.processes = [self.process() if p.life.dead else p for p in self.processes]
        return self.chance.choice(self.processes)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except (Killed, DestinationBusy, StoreUnavailable) as error:
                self.say(f"  came to nothing: {error!r}")
            except BaseException as error:
                self.faults.append(error)
                raise

        task = asyncio.create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # What people, the bank, the post and the machines do

    async def visit(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            self.begin(self._visit(self.one()))

    async def _visit(self, process: Process) -> None:
        self.visits += 1
        name = f"visit{self.visits:04}"
        now = process.clock()
        visit = Visit(name, "mint", json.dumps({"id": name, "at": now}))
        self.say(f"{name} at {id(process) % 997}")
        result = await process.mint.session(self.campaign, self.link, visit, now)
        self.say(f"{name} -> {result!r:.120}")
        if isinstance(result, Minted):
            self.scene.tabs.add(result.session.id)
        if isinstance(result, Done) and not any(map(is_done, self.sessions)):
            raise Broken("a person was told that the link is paid, and it isn't")

    @property
    def sessions(self) -> list[Object]:
        return self.scene.sessions

    def act(self, session: Object, deed: str) -> None:
        self.say(f"{deed} {session['id'][-6:]}")
        try:
            perform(self.stand_in.world, session["id"], deed, Deed())
        except ApiError as error:
            self.say(f"  {error.message}")

    async def pay(self) -> None:
        """In any tab whose page still takes money, however old it is."""
        tabs = [s for s in self.sessions if s["id"] in self.scene.tabs and s["status"] == "open"]
        if tabs:
            self.act(self.chance.choice(tabs), "pay")

    async def pay_later(self) -> None:
        tabs = [s for s in self.sessions if s["id"] in self.scene.tabs and s["status"] == "open"]
        if tabs:
            self.act(self.chance.choice(tabs), "pay-later")

    async def bank(self) -> None:
        """It brings the money, or doesn't."""
        pending = [s for s in self.sessions if self.scene.awaits_money(s)]
        if pending:
            deed = self.chance.choice(("settle", "settle", "fail-async"))
            self.act(self.chance.choice(pending), deed)

    async def time_passes(self) -> None:
        seconds = self.chance.choice((40.0, 1900.0, 7200.0, DAY + 3600))
        self.say(f"{seconds:.0f} s pass")
        if seconds > 3600:
            # Not for so long is every process of linkgate away, or busy with nothing.
            await asyncio.sleep(300)
            await self.background()
        await asyncio.sleep(seconds)
        self.stand_in.world.sweep()

    async def post(self) -> None:
        """Some of what is on its way comes, in any order; or is lost; or comes twice."""
        self.stand_in.world.sweep()
        mail = self.stand_in.mail
        self.chance.shuffle(mail)
        for event in mail[: self.chance.randint(1, 6)]:
            fate = self.chance.random()
            if fate < 0.2:
                self.say(f"lost: {event['type']}")
                mail.remove(event)
                continue
            for _ in range(2 if fate < 0.4 else 1):
                self.begin(self._deliver(self.one(), event))

    async def _deliver(self, process: Process, event: Object) -> None:
        body, signature = self.stand_in.signed(event)
        if await process.webhooks.take(body, signature, process.clock()) is Taken.KEPT:
            self.taken.add(event["id"])
        self.say(f"came: {event['type']} {event['id'][-6:]}")
        if event in self.stand_in.mail:
            self.stand_in.mail.remove(event)

    async def background(self) -> None:
        process = self.one()
        for worker in process.workers:
            self.begin(self._work(worker))

    async def _work(self, worker: Any) -> None:
        await worker.work()

    async def crash(self) -> None:
        """A process will end at some kind of call; and it has something to do."""
        process = self.one()
        life = process.life
        life.fate, life.after = self.chance.choice(STEPS), self.chance.random() < 0.5
        # Longer than a lease: others take over, and then it is back.
        life.still = self.chance.choice((0.0, 0.0, self.chance.uniform(16, 50)))
        how = f"stands still for {life.still:.0f} s" if life.still else "ends"
        self.say(f"a process {how} {'after' if life.after else 'before'} {life.fate}")
        if self.chance.random() < 0.6:
            self.begin(self._visit(process))
        else:
            for worker in process.workers:
                self.begin(self._work(worker))

    async def reconcile(self) -> None:
        self.begin(self._reconcile(self.one()))

    async def _reconcile(self, process: Process) -> None:
        report = await process.reconciler.events()
        self.say(f"reconciled: {len(report.missed)} missed")

    async def finish(self) -> None:
        """Let the storm pass and everything come to its end; then compare with Stripe."""
        self.say("all is well from here")
        self.weather.calm()
        self.stand_in.faults.clear()
        while self.tasks:
            await asyncio.sleep(30)
            self.now_holds()
        self.processes = [process] = [self.process()]
        # Whatever is still on its way may be lost as well: Stripe's list has it.
        for event in self.chance.sample(self.stand_in.mail, len(self.stand_in.mail) // 2):
            await self._deliver(process, event)
        self.stand_in.mail.clear()
        # Nothing that a process died at waits for anybody to come, or for a reconciliation.
        await self.work_off(process, rounds=10)
        self.now_holds()
        await self.scene.nothing_lost(process, self.taken)
        await asyncio.sleep(700)
        await process.reconciler.everything()
        self.now_holds()
        self.scene.one_open_at_most()
        await self.scene.as_at_stripe(process, in_the_end=False)
        await asyncio.sleep(DAY + 3600)
        self.stand_in.world.sweep()
        self.stand_in.mail.clear()
        await asyncio.sleep(700)
        await process.reconciler.everything()
        self.now_holds()
        await self.scene.as_at_stripe(process, in_the_end=True)
        await self.work_off(process)
        self.scene.told_once_and_in_order()

    def now_holds(self) -> None:
        """Check what must hold at every moment."""
        if self.faults:
            raise self.faults[0]
        self.scene.no_second_payment()

    async def work_off(self, process: Process, rounds: int = 4) -> None:
        """Let what goes on in the background go on for a while."""
        for _ in range(rounds):
            for worker in process.workers:
                await worker.work()
            await asyncio.sleep(100)


class Alarm(logging.Handler):
    """Keeps what linkgate logs as an error: a handler that raised and was tried again."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


def interleave(seed: int, url: str, steps: int = 15) -> Interleaving:
    """Run one interleaving to its end; raises Broken, with what happened."""
    trial: list[Interleaving] = []

    async def work(loop: VirtualLoop) -> None:
        client = Redis.from_url(url, decode_responses=True, protocol=2)
        one = Interleaving(seed, client, loop, steps)
        trial.append(one)
        alarm = Alarm()
        logging.getLogger("linkgate").addHandler(alarm)
        try:
            await one.run()
            if alarm.records:
                raise Broken(f"linkgate logged an error: {alarm.records[0]}")
        except Exception as error:
            told = "\n".join(one.log)
            raise Broken(f"seed {seed}: {error!r}\n{told}") from error
        finally:
            logging.getLogger("linkgate").removeHandler(alarm)
            client.close()
            random.seed()

    run(work)
    return trial[0]
