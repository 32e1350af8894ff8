"""The faults. Each is a function that breaks something, mends it, and returns the moment from which all should be well.

`KINDS` names them in the words of the report. Which of them comes when is drawn in `faults.schedule`.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pika

from bus.api import INLET, connection_queue
from faults.driver import Driver
from faults.package import POISON
from faults.process import move_clock
from faults.recorder import MISBEHAVIOURS
from faults.town import TARGETS, TENANT, Town, until
from tests.support.servers import Postgres, Rabbit

NAP = 20.0  # longer than every lease (10 s), shorter than the settling time of the target that is searched (25 s)
SHORT_NAP = 12.0
CLOCK_ERROR = 20.0
BACK = 15.0  # seconds within which all consume once a service is back
DEAF = 30.0  # seconds within which a consumer that hears nothing is replaced


@dataclass(slots=True)
class Scene:
    """What a fault may touch. `stop`: nobody tells any more, so hurry."""

    town: Town
    drivers: Sequence[Driver]
    dice: random.Random
    stop: threading.Event = field(default_factory=threading.Event)
    nap: float = NAP

    def pause(self, low: float, high: float) -> None:
        self.stop.wait(self.dice.uniform(low, high))


@dataclass(frozen=True, slots=True)
class Mended:
    """`detail`: what was hit. `at`: since when all should be well. `consuming`: seconds within which every queue must
    have its consumer again; `flowing`: within which events must flow to every target. None: nothing is promised."""

    detail: str
    at: float
    consuming: float | None = None
    flowing: float | None = None

    @property
    def measured(self) -> bool:
        return (self.consuming or self.flowing) is not None


Break = Callable[[Scene], Mended]


# --- processes ---------------------------------------------------------------------------------------------------


def kill_process(scene: Scene) -> Mended:
    name = scene.dice.choice(list(scene.town.members))
    scene.town.kill(name)
    return _now(name)


def kill_all_processes(scene: Scene) -> Mended:
    with scene.town.hold_restarts():
        for name in scene.town.members:
            scene.town.kill(name)
    return _now("all")


def sleep_process(scene: Scene) -> Mended:
    name = scene.dice.choice(list(scene.town.members))
    scene.town.sleep(name)
    scene.pause(scene.nap, scene.nap)
    scene.town.wake(name)
    return _now(f"{name}, {scene.nap:.0f} s")


def poison(scene: Scene) -> Mended:
    target = scene.dice.choice(list(TARGETS))
    scene.dice.choice(list(scene.drivers)).want(POISON, target)
    return _now(target)


def move_one_clock(scene: Scene) -> Mended:
    member = scene.dice.choice(list(scene.town.members.values()))
    wrong = scene.dice.choice((-CLOCK_ERROR, CLOCK_ERROR))
    move_clock(member.clock, wrong)
    scene.pause(8, 12)
    move_clock(member.clock, 0.0)
    return _now(f"{member.name} {wrong:+.0f} s")


# --- the broker --------------------------------------------------------------------------------------------------


def kill_node(scene: Scene) -> Mended:
    return _kill(scene, scene.dice.choice(scene.town.rabbits))


def kill_leader(scene: Scene) -> Mended:
    queue = connection_queue(f"{TENANT}.{scene.dice.choice(list(TARGETS))}")
    lines = scene.town.rabbits[0].ctl("-q", "list_queues", "name", "leader").splitlines()
    leader = next((line.split()[1] for line in lines if line.split()[:1] == [queue]), "")
    found = [rabbit for rabbit in scene.town.rabbits if rabbit.node.name == leader]
    return _kill(scene, found[0] if found else scene.town.rabbits[0])


def kill_all_nodes(scene: Scene) -> Mended:
    nodes = [rabbit.node for rabbit in scene.town.rabbits]
    for rabbit in scene.town.rabbits:
        rabbit.keep_names()
    for node in nodes:
        node.end(signal.SIGKILL)
    for node in nodes:
        node.begin()
    for node in nodes:
        node.await_ready()
    return Mended("three nodes", time.monotonic(), consuming=BACK)


def delete_queue(scene: Scene) -> Mended:
    queue = scene.dice.choice([*(connection_queue(f"{TENANT}.{name}") for name in TARGETS), INLET])
    with pika.BlockingConnection(pika.URLParameters(scene.town.rabbits[0].url)) as connection:
        connection.channel().queue_delete(queue)
    return Mended(queue, time.monotonic(), consuming=BACK, flowing=DEAF)


def close_connections(scene: Scene) -> Mended:
    rabbit = scene.dice.choice(scene.town.rabbits)
    rabbit.ctl("close_all_connections", "--vhost", "/", "closed by the campaign")
    return Mended(rabbit.node.name, time.monotonic(), consuming=BACK)


def cut_in_mid_frame(scene: Scene) -> Mended:
    proxy = scene.dice.choice(scene.town.proxies)
    direction = scene.dice.choice(("up", "down"))
    proxy.cut_after(scene.dice.randrange(200, 3000), direction)  # type: ignore[arg-type]
    scene.pause(1, 2)
    return Mended(direction, time.monotonic(), consuming=BACK)


def go_deaf(scene: Scene) -> Mended:
    """Connections stand and carry nothing; new ones work. They must be noticed and replaced. The broker hears no
    farewell and counts the old consumers still, so only what flows tells."""
    for proxy in scene.town.proxies:
        proxy.hold_standing()
    return Mended("every connection", time.monotonic(), flowing=DEAF)


def part_nodes(scene: Scene) -> Mended:
    rabbits = list(scene.town.rabbits)
    alone = scene.dice.choice(rabbits)
    others = [rabbit for rabbit in rabbits if rabbit is not alone]
    cookie = alone.ctl("eval", "erlang:get_cookie().").strip()
    for other in others:
        _cut_off(alone, other)
        _cut_off(other, alone)
    scene.pause(8, 15)
    for other in others:
        for one, peer in ((alone, other), (other, alone)):
            one.ctl("eval", f"erlang:set_cookie('{peer.node.name}', {cookie}), net_adm:ping('{peer.node.name}').")
    until(lambda: not alone.ctl("await_startup").startswith("Error"), 60)
    return Mended(alone.node.name, time.monotonic(), consuming=BACK)


def _cut_off(one: Rabbit, peer: Rabbit) -> None:
    name = peer.node.name
    one.ctl("eval", f"erlang:set_cookie('{name}', bad), erlang:disconnect_node('{name}').")


def _kill(scene: Scene, rabbit: Rabbit) -> Mended:
    rabbit.kill()
    scene.pause(2, 6)
    rabbit.start()
    return Mended(rabbit.node.name, time.monotonic(), consuming=BACK)


# --- the database and its disk -----------------------------------------------------------------------------------


def restart_database(scene: Scene) -> Mended:
    postgres = _postgres(scene)
    if scene.dice.random() < 0.5:
        postgres.kill()
    else:
        postgres.server.end(signal.SIGINT)
    scene.pause(0.5, 4)
    postgres.start()
    return Mended("restarted", time.monotonic(), flowing=BACK)


def cut_database_connections(scene: Scene) -> Mended:
    cut = _postgres(scene).cut_connections()
    return Mended(f"{cut} connections", time.monotonic(), flowing=BACK)


def fill_disk(scene: Scene) -> Mended:
    disk = scene.town.disk
    assert disk is not None
    disk.fill()
    scene.pause(5, 8)
    disk.relieve()
    if scene.town.postgres is not None:
        scene.town.postgres.server.start_if_ended()
        until(lambda: scene.town.hub.ledger.now() and scene.town.counts(), 60)
    return Mended("full", time.monotonic(), flowing=BACK)


def cut_power(scene: Scene) -> Mended:
    """Only what the process had synced is there when it starts again."""
    town = scene.town
    assert town.disk is not None
    with town.hold_restarts():
        town.sleep("serve")
        town.disk.snapshot()
        town.end("serve")
        town.members["serve"].asleep = False
        town.hub.ledger.close()
        town.disk.lose_power()
    return _now("serve")


def _postgres(scene: Scene) -> Postgres:
    assert scene.town.postgres is not None
    return scene.town.postgres


def _now(detail: str) -> Mended:
    return Mended(detail, time.monotonic())


# --- the targets -------------------------------------------------------------------------------------------------


class Moods(threading.Thread):
    """Beside all the other faults, one target after the other misbehaves for a while."""

    def __init__(self, scene: Scene, seed: int) -> None:
        super().__init__(name="moods", daemon=True)
        self._scene, self._dice = scene, random.Random(seed)
        self.seen: list[tuple[float, str, str]] = []  # (when, target, kind)

    def run(self) -> None:
        recorder, stop = self._scene.town.recorder, self._scene.stop
        while not stop.wait(self._dice.uniform(2, 6)):
            target, kind = self._dice.choice(list(TARGETS)), self._dice.choice(MISBEHAVIOURS)
            self.seen.append((time.monotonic(), target, kind))
            recorder.misbehave(target, kind)
            stop.wait(self._dice.uniform(2, 5))
            recorder.behave(target)

    def sulking(self, since: float) -> set[str]:
        """The targets that misbehaved after that moment."""
        return {target for at, target, _ in self.seen if at > since}


FULL: dict[str, Break] = {
    "process killed": kill_process,
    "all processes killed": kill_all_processes,
    "process asleep": sleep_process,
    "poison that kills a worker": poison,
    "clock of a process moved": move_one_clock,
    "broker node killed": kill_node,
    "leader of a queue killed": kill_leader,
    "all broker nodes killed": kill_all_nodes,
    "queue deleted": delete_queue,
    "broker closes connections": close_connections,
    "connection cut in mid-frame": cut_in_mid_frame,
    "connections stand and carry nothing": go_deaf,
    "broker nodes parted": part_nodes,
    "database restarted": restart_database,
    "database connections cut": cut_database_connections,
    "disk of the ledger full": fill_disk,
}
EMBEDDED: dict[str, Break] = {
    "process killed": kill_process,
    "process asleep": sleep_process,
    "poison that kills a worker": poison,
    "clock of a process moved": move_one_clock,
    "disk of the ledger full": fill_disk,
    "power cut": cut_power,
}


def kinds_of(town: Town) -> tuple[dict[str, Break], dict[str, str]]:
    """The faults that can be made here, and those that cannot, with the reason."""
    kinds = dict(EMBEDDED if town.embedded else FULL)
    left_out = {}
    if town.disk is None:
        del kinds["disk of the ledger full"]
        left_out["disk of the ledger full"] = "only root can mount a small file system"
    if "power cut" in kinds and (town.disk is None or town.disk.image is None):
        del kinds["power cut"]
        left_out["power cut"] = "only root can mount a file system of its own, and not everywhere"
    return kinds, left_out


@contextlib.contextmanager
def nothing_left_broken(town: Town):  # type: ignore[no-untyped-def]
    """Whatever happened, wake and mend all."""
    try:
        yield
    finally:
        for member in town.members.values():
            with contextlib.suppress(ProcessLookupError):
                member.child.send_signal(signal.SIGCONT)
            move_clock(member.clock, 0.0)
        for proxy in town.proxies:
            proxy.release()
        if town.disk is not None:
            town.disk.relieve()
