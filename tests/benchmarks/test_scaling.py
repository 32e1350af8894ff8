"""The model of growth obeys the laws of queues, and the page says what was measured; measuring is no test."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scaling.measure import median_of
from benchmarks.scaling.model import (
    PARTS,
    Assumptions,
    Costs,
    Shape,
    calibrated,
    demands,
    limits,
    load,
    planned,
    simulate,
    simulate_machine,
)
from benchmarks.scaling.page import written
from benchmarks.scaling.simulation import Clock, Disk, Resource, Station
from benchmarks.scaling.study import PAGE, RECORDED, SWEEP, modelled

ASSUMED = Assumptions()
COSTS = Costs(
    gateway=0.001, door_alone=0.002, door_each=0.0005, relay_each=0.00004, relay_alone=0.0001, relay_round=0.001,
    worker_each=0.0002, worker_alone=0.001, worker_round=0.002, broker_each=0.00001, broker_alone=0.0002,
    database_accept=0.0003, database_relay=0.00002, database_worker=0.0001, database_alone=0.0005,
    database_round=0.0002, disk=0.0002,
    standing={"relay": 0.00001, "worker": 0.0002, "database": 0.0001, "broker": 0.0001},
)  # fmt: skip
SILENT = replace(COSTS, standing={})


# --- the simulation obeys the laws of queues ------------------------------------------------------------------------


def mean_wait(service: Callable[[random.Random], float], rate: float, servers: int = 1, number: int = 40_000) -> float:
    """The mean time in a station to which so many come by chance."""
    clock, chance = Clock(), random.Random(7)
    times: list[float] = []
    station: Station[float] = Station(
        clock, lambda batch: [(None, service(chance))],
        lambda batch: times.extend(clock.now - at for at in batch), servers=servers,
    )  # fmt: skip
    at = 0.0
    for _ in range(number):
        at += chance.expovariate(rate)
        clock.after(at, lambda: station.put(clock.now))
    clock.run()
    return sum(times) / len(times)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_server_with_service_by_chance_keeps_its_customers_as_long_as_m_m_1_says(busy: float) -> None:
    found = mean_wait(lambda chance: chance.expovariate(1.0), busy)

    assert found == pytest.approx(1 / (1 - busy), rel=0.08)


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_server_with_equal_service_keeps_its_customers_as_long_as_m_d_1_says(busy: float) -> None:
    found = mean_wait(lambda chance: 1.0, busy)

    assert found == pytest.approx(1 + busy / (2 * (1 - busy)), rel=0.08)


def test_two_servers_keep_their_customers_as_long_as_erlang_says() -> None:
    busy = 0.7  # of each of the two: waiting = busy^2 / (1 - busy^2) x service

    found = mean_wait(lambda chance: chance.expovariate(1.0), 2 * busy, servers=2)

    assert found == pytest.approx(1 + busy**2 / (1 - busy**2), rel=0.08)


def test_a_station_that_gathers_is_as_fast_as_its_largest_batch() -> None:
    clock = Clock()
    station: Station[int] = Station(clock, lambda batch: [(None, 1.0 + 0.1 * len(batch))], lambda batch: None, most=10)

    station.put(*range(1001))
    clock.run()

    assert clock.now == pytest.approx(100 * 2.0 + 1.1)
    assert (station.items, station.batches) == (1001, 101)


def test_stations_behind_one_lock_take_turns() -> None:
    clock, ended = Clock(), list[float]()
    lock = Resource(clock)
    for _ in range(3):
        Station[int](clock, lambda batch: [(None, 1.0)], lambda batch: ended.append(clock.now), lock=lock).put(1)

    clock.run()

    assert ended == [1.0, 2.0, 3.0]
    assert lock.busy == 3.0


def test_one_turn_of_the_disk_serves_all_who_asked_before_it() -> None:
    clock, ended = Clock(), list[float]()
    disk = Disk(clock)
    disk.use(1.0, lambda: ended.append(clock.now))
    for late in (0.2, 0.5):
        clock.after(late, lambda: disk.use(1.0, lambda: ended.append(clock.now)))

    clock.run()

    assert ended == [1.0, 2.0, 2.0]
    assert disk.busy == 2.0


def test_a_resource_that_something_else_takes_in_part_is_slower() -> None:
    clock = Clock()
    Resource(clock, slowed=0.5).use(1.0, lambda: None)

    clock.run()

    assert clock.now == 2.0


# --- the simulated hub keeps the utilisation law --------------------------------------------------------------------

SHAPE = Shape(gateway=2, worker=8, database=8, broker=4)


def test_each_part_is_as_busy_as_the_law_says() -> None:
    rate = 120.0  # over so many towns that each delivery comes alone to its connection

    found = simulate(SILENT, ASSUMED, SHAPE, towns=5000, rate=rate, events=8000)

    asked = load(SILENT, ASSUMED, rate, 0)
    assert found.busy["broker"] == pytest.approx(asked["broker"] / SHAPE.broker, rel=0.05)
    # A commit and a round cost something by themselves, which the law leaves out: they are shared the more, the more
    # there is to do; here, by nothing but the deliveries of one event.
    steps = rate * 5 * SILENT.worker_round
    assert asked["worker"] <= found.busy["worker"] * SHAPE.worker <= (asked["worker"] + steps) * 1.05
    commits = rate * 12 * SILENT.database_round
    assert asked["database"] <= found.busy["database"] * SHAPE.database <= (asked["database"] + commits) * 1.05
    assert asked["relay"] <= found.busy["relay"] <= asked["relay"] + rate * SILENT.relay_round + 0.05


def test_nothing_carries_more_than_its_slowest_part_allows() -> None:
    rate = 5 / demands(SILENT, ASSUMED)["door"]

    found = simulate(SILENT, ASSUMED, Shape(8, 64, 64, 64), towns=1000, rate=rate, events=8000)

    bound = min(1 / demands(SILENT, ASSUMED, alone=False)[part] for part in ("door", "relay"))
    assert found.rate <= bound * 1.02
    assert found.rate > 0.5 * bound


def test_parts_that_share_a_machine_carry_no_more_than_its_cores_allow() -> None:
    found = simulate_machine(SILENT, ASSUMED, cores=2, senders=32, sender=0.0002)

    asked = demands(SILENT, ASSUMED, alone=False)
    whole = 0.0002 + sum(asked[part] for part in PARTS if part not in ("door", "relay"))
    assert found.rate <= 2 / whole


def test_events_wait_longer_the_busier_the_hub_is() -> None:
    calm, full = (simulate(SILENT, ASSUMED, SHAPE, towns=500, rate=rate, events=4000) for rate in (5.0, 700.0))

    assert calm.percentile(0.5) < full.percentile(0.5)
    assert calm.gathered["door"] < 1.1 < full.gathered["door"]


# --- plans ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("towns", SWEEP)
def test_a_plan_keeps_every_part_below_the_limit_that_was_set(towns: int) -> None:
    plan = planned(COSTS, ASSUMED, towns)

    shape = {"gateway": plan.shape.gateway, "worker": plan.shape.worker, "database": plan.shape.database,
             "broker": plan.shape.broker, "door": 1, "relay": 1}  # fmt: skip
    assert plan.hubs * plan.towns == pytest.approx(towns)
    assert [part for part in PARTS if plan.busy[part] > ASSUMED.busy * shape[part] * 1.001] == []
    assert plan.towns * ASSUMED.connections <= ASSUMED.queues


def test_what_ends_one_hub_first_is_what_has_the_lowest_limit() -> None:
    slow = replace(SILENT, relay_each=0.01)

    assert planned(slow, ASSUMED, 35_000).first == "relay"
    assert limits(slow, ASSUMED)["relay"] == pytest.approx(
        ASSUMED.busy / (demands(slow, ASSUMED)["relay"] * ASSUMED.mean_of_town * ASSUMED.peak)
    )


def test_the_hours_of_a_day_add_up_to_the_day() -> None:
    assert sum(ASSUMED.day) == pytest.approx(24.0)
    assert ASSUMED.mean_of_town * ASSUMED.towns_in_france * ASSUMED.peak == pytest.approx(ASSUMED.peak_of_france)


# --- calibration ----------------------------------------------------------------------------------------------------


def measures() -> dict[str, Any]:
    """Those that a hub with round costs would show."""

    def stage(rate: float, transactions: float, **processor: float) -> dict[str, Any]:
        return {"rate": rate, "transactions": transactions, "processor": processor}

    stages = {
        "gateway_one": stage(700, 0.1, gateway=1.0, database=0.4), "worker": stage(5000, 0.1, worker=0.2, database=0.1,
                                                                                   broker=0.005),
        "gateway_batch": stage(900, 0.0, gateway=0.5, database=0.3),
        "relay": stage(25_000, 0.0, relay=0.03, database=0.02, broker=0.005),
    }  # fmt: skip
    one = {"connections": 5, "idle": {"relay": 10.0, "worker": 5.0, "transactions": 100.0}, "door": {"1": 2, "101": 52}}
    bursts = {"transactions": 3.0, "processor": {"relay": 0.7, "worker": 6.0, "database": 4.4, "broker": 1.05}}
    many = {
        **one, "connections": 105, "idle": {"relay": 20.0, "worker": 15.0, "transactions": 150.0}, "bursts": bursts,
        "paced": {"transactions": 9.0, "processor": {"relay": 1.65, "worker": 7.9, "database": 8.2, "broker": 1.05}},
    }  # fmt: skip
    return {"disk_ms": 0.2, "stages": {"1": stages}, "towns": {"1": one, "20": many}}


def test_costs_are_found_again_in_what_was_measured() -> None:
    costs = calibrated(measures())

    assert (costs.gateway, costs.disk) == (0.001, 0.0002)
    assert (costs.door_each, costs.door_alone) == pytest.approx((0.0005, 0.0015))
    assert (costs.worker_each, costs.worker_alone, costs.worker_round) == pytest.approx((0.0002, 0.00098, 0.002))
    assert (costs.relay_each, costs.relay_alone) == pytest.approx((0.000055, 0.0001))
    assert (costs.broker_each, costs.broker_alone) == pytest.approx((0.00001, 0.0002))
    assert costs.relay_round == pytest.approx(0.001)
    assert (costs.database_alone, costs.database_round) == pytest.approx((0.00066, 0.001))
    assert costs.standing == pytest.approx({"relay": 0.0001, "worker": 0.0001, "transactions": 0.5})


def test_rounds_become_one_by_the_median_of_each_number() -> None:
    rounds = [{"a": 1, "b": {"c": 10.0}}, {"a": 3, "b": {"c": 30.0}}, {"a": 2, "b": {"c": 20.0}}]

    assert median_of(rounds) == {"a": 2, "b": {"c": 20.0}}


# --- the page -------------------------------------------------------------------------------------------------------


def recorded() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return kept


def test_the_tables_of_the_page_are_what_was_recorded() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == written(page, recorded())


def test_a_page_without_a_place_for_a_table_is_not_written() -> None:
    with pytest.raises(ValueError, match="relay"):
        written("<!-- table relay -->\n<!-- end relay -->\n", recorded())


def test_what_is_recorded_of_the_model_follows_from_what_was_measured() -> None:
    kept = recorded()

    again = json.loads(json.dumps(modelled(kept["measured"])))

    assert again == kept["modelled"]


def test_no_part_was_measured_faster_than_the_cores_of_the_machine_allow() -> None:
    rows = recorded()["modelled"]["checked"]

    assert [row["what"] for row in rows if row["bound"] and row["measured"] > row["bound"] * 1.05] == []


def test_the_page_of_growth_is_found_from_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

    assert "(docs/scaling.md)" in readme
