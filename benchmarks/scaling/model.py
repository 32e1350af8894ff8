"""The hub as queues, calibrated on what was measured: how busy each part is, what is needed, where one hub ends.

Two roads to the same figures: the utilisation law (a part is as busy as what is asked of it: rate x seconds) and a
simulation, which also tells how long an event takes. A test holds each to the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from typing import Any

from benchmarks.peers.common import SUBSCRIBERS
from benchmarks.scaling.simulation import Clock, Disk, Phase, Resource, Server, Station

Found = Mapping[str, Any]
PARTS = ("gateway", "door", "relay", "worker", "database", "broker")


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not measured but taken for true. All of it is shown on the page."""

    towns_in_france: int = 35_000
    peak_of_france: float = 1740.0  # events a second: all of France's requests at the peak
    peak: float = 20.0  # times the mean: a school enrolment that opens everywhere at once
    day: tuple[float, ...] = (
        0.25, 0.15, 0.1, 0.1, 0.1, 0.2, 0.4, 0.8, 1.4, 2.0, 2.3, 2.1,
        1.5, 1.5, 1.9, 1.9, 1.7, 1.4, 1.1, 1.0, 0.9, 0.7, 0.35, 0.15,
    )  # fmt: skip
    fan_out: int = len(SUBSCRIBERS)  # connections that get an event, as measured
    connections: int = 20  # of a town
    unequal: float = 0.8  # the town of rank r sends as r to the power of minus this
    package_seconds: float = 0.05  # that a package takes for a call
    package_calls: int = 4  # at once, of a connection
    door_most: int = 500  # events in one transaction of acceptance
    relay_most: int = 2000  # deliveries in one round of the relay
    per_message: int = 20  # events of one connection in one message
    database_cores: int = 16
    largest_database: int = 64  # cores, the largest machine that a town's host would buy
    broker_cores: int = 8  # of one node
    queues: int = 5000  # quorum queues of a broker, as RabbitMQ advises
    busy: float = 0.6  # how busy a part may be at the peak

    @property
    def mean_of_town(self) -> float:
        """Events a second of an average town, over a day."""
        return self.peak_of_france / self.peak / self.towns_in_france

    def levels(self) -> dict[str, float]:
        """Times the mean."""
        return {"mean": 1.0, "busiest hour": max(self.day), "peak": self.peak}


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. `each`: per event at the gateway and the door, per delivery elsewhere, when all is gathered. `alone`: on
    top of it for a delivery that shares no message with another; at the door, for a batch whatever its size. `round`:
    of a commit or a round whatever is in it. `standing`: per connection, in each second, when nothing happens."""

    gateway: float
    door_alone: float
    door_each: float
    relay_each: float
    relay_alone: float
    relay_round: float
    worker_each: float
    worker_alone: float
    worker_round: float
    broker_each: float
    broker_alone: float
    database_accept: float
    database_relay: float
    database_worker: float
    database_alone: float
    database_round: float
    disk: float
    standing: Mapping[str, float] = field(default_factory=dict)


_STEPS = 2  # of a worker for a delivery: receipt with the attempt, outcome
_COMMITS = 2 + _STEPS  # on the way of an event: acceptance, a round of the relay, and these


def calibrated(recorded: Found, fan_out: int = len(SUBSCRIBERS)) -> Costs:
    """The costs that the measures show. Those in full work come from each part alone; what comes on top of them, from
    events of many towns, each of which is alone in its connections: they come one by one, and one of each at once. All
    are seconds of processor, for those of a clock depend on what else a machine does; but the door's, the fastest seen.
    The relay waits for what it asks of the database and the broker: their seconds are its own too."""
    stage = {name: _Stage(found) for name, found in recorded["stages"]["1"].items()}
    accept, relay, worker = stage["gateway_batch"], stage["relay"], stage["worker"]
    number = max(recorded["towns"], key=int)
    few = recorded["towns"][number]
    sizes = {int(size): ms / 1000 for size, ms in few["door"].items()}
    low, high = min(sizes), max(sizes)
    door_each = max(sizes[high] - sizes[low], 0.0) / (high - low)
    broker = relay.of("broker") + worker.of("broker")
    database = accept.of("database") / fan_out + relay.of("database") + worker.of("database")
    split = {part: _split(few, part, int(number)) for part in ("relay", "worker", "database", "broker")}

    def alone(part: str, each: float) -> float:
        return max(split[part][1] / fan_out - each, 0.0)

    return Costs(
        gateway=stage["gateway_one"].of("gateway"), door_each=door_each, door_alone=max(sizes[low] - door_each, 0.0),
        relay_each=sum(relay.of(part) for part in ("relay", "database", "broker")),
        relay_alone=alone("relay", relay.of("relay")), relay_round=split["relay"][0],
        worker_each=worker.of("worker"), worker_alone=alone("worker", worker.of("worker")),
        worker_round=split["worker"][0], broker_each=broker, broker_alone=alone("broker", broker),
        database_accept=accept.of("database"), database_relay=relay.of("database"),
        database_worker=worker.of("database"), database_alone=alone("database", database),
        database_round=split["database"][0] / _COMMITS, disk=recorded["disk_ms"] / 1000,
        standing=_standing(recorded["towns"]),
    )  # fmt: skip


def _split(few: Found, part: str, towns: int) -> tuple[float, float]:
    """What a round costs whatever is in it, and an event in it: an event that comes slowly has a round to itself, those
    of all towns that come at once share one."""
    slow, shared = _Stage(few["paced"]).of(part), _Stage(few["bursts"]).of(part)
    round_ = max(slow - shared, 0.0) / (1 - 1 / towns)
    return round_, shared - round_ / towns


class _Stage:
    """One measure, in seconds."""

    def __init__(self, found: Found) -> None:
        self.rate = float(found.get("rate", 0.0))
        self.transactions = float(found["transactions"])
        self._processor = found["processor"]

    def of(self, part: str) -> float:
        return float(self._processor.get(part, 0.0)) / 1000


def _standing(towns: Found) -> dict[str, float]:
    """Of each part, what a connection more takes in a second of silence; `transactions` too."""
    least, most = (towns[pick(towns, key=int)] for pick in (min, max))
    more = most["connections"] - least["connections"]
    found = {}
    for name, value in most["idle"].items():
        unit = 1.0 if name == "transactions" else 1000.0
        found[name] = max(value - least["idle"].get(name, 0.0), 0.0) / unit / more
    return found


# --- the utilisation law --------------------------------------------------------------------------------------------


def demands(costs: Costs, assumed: Assumptions, *, alone: bool = True) -> dict[str, float]:
    """Seconds of each part per event. `alone`: each delivery comes alone to its connection, as with many towns; else
    everything is gathered, as in a backlog. What a commit of the door or a round of the relay costs by itself is not
    in it: the more there is to do, the more they take at once."""
    one, fan = float(alone), assumed.fan_out
    return {
        "gateway": max(costs.gateway, costs.door_each - costs.database_accept),
        "door": costs.door_each + costs.door_alone / assumed.door_most,
        "relay": fan * (costs.relay_each + one * costs.relay_alone),
        "worker": fan * (costs.worker_each + one * costs.worker_alone),
        "database": costs.database_accept + fan * (costs.database_relay + costs.database_worker)
        + one * fan * costs.database_alone,
        "broker": fan * (costs.broker_each + one * costs.broker_alone),
    }  # fmt: skip


def load(costs: Costs, assumed: Assumptions, rate: float, connections: float) -> dict[str, float]:
    """How many of each part are fully busy at a rate of events, with so many connections. The door and the relay are
    one of each: above 1 there is no way to have it."""
    asked = demands(costs, assumed)
    return {part: rate * asked[part] + connections * costs.standing.get(part, 0.0) for part in PARTS}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of each part one hub has; the broker's and the database's are cores."""

    gateway: int
    worker: int
    database: int
    broker: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many towns need at the peak: `hubs` of that shape, with `towns` each. `first`: the part that ends one hub
    first. `busy`: of one hub's parts; the door and the relay of 1."""

    hubs: int
    towns: float
    shape: Shape
    first: str
    busy: Mapping[str, float]


def limits(costs: Costs, assumed: Assumptions) -> dict[str, float]:
    """With how many towns each part ends one hub, at the peak and as busy as it may be."""
    town = load(costs, assumed, assumed.mean_of_town * assumed.peak, assumed.connections)
    room = {"door": 1, "relay": 1, "database": assumed.largest_database}
    found = {part: assumed.busy * number / town[part] for part, number in room.items() if town[part] > 0}
    return found | {"queues": assumed.queues / assumed.connections}


def planned(costs: Costs, assumed: Assumptions, towns: int) -> Plan:
    ends = limits(costs, assumed)
    first = min(ends, key=lambda part: ends[part])
    hubs = math.ceil(towns / ends[first])
    each = towns / hubs
    busy = load(costs, assumed, each * assumed.mean_of_town * assumed.peak, each * assumed.connections)
    number = {part: max(math.ceil(busy[part] / assumed.busy), 1) for part in PARTS}
    shape = Shape(number["gateway"], number["worker"], max(number["database"], 2), max(number["broker"], 2))
    return Plan(hubs, each, shape, first, busy)


# --- the simulation -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """Of each delivery, `latency`: seconds from arrival to the call of the handler; `accepted`: from the beginning of
    acceptance. `busy`: of each part, how much of its servers' time was taken. `gathered`: how many went together."""

    latency: list[float]
    accepted: list[float]
    rate: float
    busy: dict[str, float]
    gathered: dict[str, float]

    def percentile(self, share: float) -> float:
        return percentile(self.latency, share)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


@dataclass(slots=True)
class _Event:
    at: float
    connections: Sequence[object]
    accepted: float = 0.0


_Delivery = tuple[_Event, object]


class SimulatedHub:
    """One hub. `machine`: everything runs on these cores and on no others (as on the machine of the measures)."""

    def __init__(
        self, clock: Clock, costs: Costs, assumed: Assumptions, shape: Shape, *, connections: float = 0.0,
        machine: Resource | None = None, chance: random.Random | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._costs, self._assumed, self._shape = clock, costs, assumed, shape
        self._chance = chance or random.Random(1)
        standing = {part: connections * costs.standing.get(part, 0.0) for part in PARTS}
        self._relay_slowed = 1.0 - min(standing["relay"], 0.99)

        def cores(part: str, servers: int) -> Resource:
            return machine or Resource(clock, servers, slowed=standing[part] / servers)

        self.machine = machine
        self.door = Resource(clock)
        self.database, self.broker = cores("database", shape.database), cores("broker", shape.broker)
        self.disk = Disk(clock)
        self.gateways = [machine or Resource(clock) for _ in range(shape.gateway)]
        slowed = standing["worker"] / shape.worker
        self.workers = [machine or Resource(clock, slowed=slowed) for _ in range(shape.worker)]
        self.batchers = [
            Station(clock, partial(self._accepting, core), self._accepted, most=assumed.door_most, lock=self.door)
            for core in self.gateways
        ]
        self.relay = Station(clock, self._relaying, self._relayed, most=max(assumed.relay_most // assumed.fan_out, 1))
        self._steps: dict[tuple[object, int], Station[_Delivery]] = {}
        self.handled: list[tuple[float, float, float]] = []  # arrival, seconds from it and from acceptance to handler
        self.answered: Callable[[_Event], None] = lambda event: None

    def arrive(self, connections: Sequence[object]) -> None:
        """An event that so many connections of a town must get."""
        event, place = _Event(self._clock.now, connections), self._chance.randrange(self._shape.gateway)
        http = max(self._costs.gateway - self._accept_own(1.0), 0.0)
        self.gateways[place].use(http, lambda: self.batchers[place].put(event))

    def _accept_own(self, events: float, alone: float = 0.0) -> float:
        """Of the door's time, what is neither the database's nor the disk's."""
        costs = self._costs
        whole = alone * (costs.door_alone - costs.disk - costs.database_round) + events * costs.door_each
        return max(whole - events * costs.database_accept, 0.0)

    def _accepting(self, core: Server, batch: list[_Event]) -> list[Phase]:
        costs = self._costs
        for event in batch:
            event.accepted = self._clock.now
        database = costs.database_round + len(batch) * costs.database_accept
        return [(core, self._accept_own(len(batch), 1.0)), (self.database, database), (self.disk, costs.disk)]

    def _accepted(self, batch: list[_Event]) -> None:
        for event in batch:
            self.answered(event)
        self.relay.put(*batch)

    def _relaying(self, batch: list[_Event]) -> list[Phase]:
        costs = self._costs
        deliveries = sum(len(event.connections) for event in batch)
        own = costs.relay_round + self._messages(batch) * costs.relay_alone
        own += deliveries * max(costs.relay_each - costs.database_relay, 0.0)
        database = costs.database_round + deliveries * costs.database_relay
        core = (self.machine, own) if self.machine else (None, own / self._relay_slowed)
        return [core, (self.database, database)]

    def _messages(self, batch: Sequence[_Event]) -> int:
        return sum(math.ceil(len(mine) / self._assumed.per_message) for mine in _by_connection(batch).values())

    def _relayed(self, batch: list[_Event]) -> None:
        for connection, mine in _by_connection(batch).items():
            for start in range(0, len(mine), self._assumed.per_message):
                message = mine[start : start + self._assumed.per_message]
                seconds = self._costs.broker_alone + len(message) * self._costs.broker_each
                receipt = self._step(connection, 0)
                self.broker.use(seconds, partial(receipt.put, *message))

    def _step(self, connection: object, number: int) -> Station[_Delivery]:
        """Receipt, the package, outcome. The connections of a worker process share its commits; a package takes several
        calls at once."""
        worker = hash(connection) % self._shape.worker
        key = (connection, number) if number == 1 else (worker, number)
        if key not in self._steps:
            then = [self._started, self._called, lambda batch: None][number]
            if number == 1:
                calls, seconds = self._assumed.package_calls, self._assumed.package_seconds
                made = Station(self._clock, lambda batch: [(None, seconds)], then, servers=calls)
            else:
                made = Station(self._clock, partial(self._working, self.workers[worker]), then, most=10_000)
            self._steps[key] = made
        return self._steps[key]

    def _working(self, core: Server, batch: list[_Delivery]) -> list[Phase]:
        costs, number = self._costs, len(batch)
        lonely = len({connection for _, connection in batch})
        own = costs.worker_round + number * costs.worker_each + lonely * costs.worker_alone
        database = number * costs.database_worker + lonely * costs.database_alone
        return [
            (core, own / _STEPS),
            (self.database, costs.database_round + database / _STEPS),
            (self.disk, costs.disk),
        ]

    def _started(self, batch: list[_Delivery]) -> None:
        for event, connection in batch:
            self.handled.append((event.at, self._clock.now - event.at, self._clock.now - event.accepted))
            self._step(connection, 1).put((event, connection))

    def _called(self, batch: list[_Delivery]) -> None:
        self._step(batch[0][1], 2).put(*batch)


def _by_connection(batch: Sequence[_Event]) -> dict[object, list[_Delivery]]:
    found: dict[object, list[_Delivery]] = {}
    for event in batch:
        for connection in event.connections:
            found.setdefault(connection, []).append((event, connection))
    return found


def simulate(
    costs: Costs, assumed: Assumptions, shape: Shape, *, towns: int, rate: float, events: int = 6000, seed: int = 1
) -> Result:
    """Events of `towns` arrive by chance, `rate` a second in all, the larger towns more often. The first fifth, while
    the queues fill, is left out."""
    clock, chance = Clock(), random.Random(seed)
    hub = SimulatedHub(clock, costs, assumed, shape, connections=towns * assumed.connections, chance=chance)
    weights = list(accumulate((rank + 1) ** -assumed.unequal for rank in range(towns)))
    left = events

    def arrive() -> None:
        nonlocal left
        left -= 1
        (town,) = chance.choices(range(towns), cum_weights=weights)
        hub.arrive([(town, n) for n in chance.sample(range(assumed.connections), assumed.fan_out)])
        if left:
            clock.after(chance.expovariate(rate), arrive)

    clock.after(chance.expovariate(rate), arrive)
    clock.run()
    return _result(hub, clock, shape, events)


def simulate_machine(
    costs: Costs, assumed: Assumptions, *, cores: int, senders: int = 0, sender: float = 0.0, rate: float = 0.0,
    events: int = 4000,
) -> Result:  # fmt: skip
    """The measured hub itself: all parts on the same cores, five connections, packages that answer at once. Either
    `senders` that take those cores too, each with its next event as soon as the last one is answered; or events by the
    clock, `rate` a second, straight to the door."""
    clock, shape = Clock(), Shape(1, 1, 1, 1)
    here = Resource(clock, cores)
    hub = SimulatedHub(clock, costs, replace(assumed, package_seconds=0.0), shape, machine=here)
    left = events

    def send(_: object = None) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            here.use(sender, lambda: hub.arrive(SUBSCRIBERS))

    if rate:
        for number in range(events):
            clock.after(number / rate, send)
    else:
        hub.answered = send
        for _ in range(senders):
            send()
    clock.run()
    return _result(hub, clock, shape, events)


def _result(hub: SimulatedHub, clock: Clock, shape: Shape, events: int) -> Result:
    whole = clock.now
    late = sorted(hub.handled)[len(hub.handled) // 5 :]
    gates = sum(core.busy for core in hub.gateways) / shape.gateway
    busy = {
        "gateway": gates, "door": hub.door.busy, "relay": hub.relay.busy,
        "worker": sum(core.busy for core in hub.workers) / shape.worker,
        "database": hub.database.busy / shape.database, "broker": hub.broker.busy / shape.broker,
    }  # fmt: skip
    door = sum(station.batches for station in hub.batchers)
    steps = [station for key, station in hub._steps.items() if key[1] == 0]
    gathered = {
        "door": events / max(door, 1), "relay": hub.relay.items / max(hub.relay.batches, 1),
        "worker": sum(s.items for s in steps) / max(sum(s.batches for s in steps), 1),
    }  # fmt: skip
    return Result(
        [took for _, took, _ in late],
        [took for _, _, took in late],
        events / whole,
        {k: v / whole for k, v in busy.items()},
        gathered,
    )
