"""Found by `unefois faults --seed 1 --minutes 2`: a target that was away for four seconds got nothing for a minute."""

from __future__ import annotations

from bus.worker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_calls_that_fail_together_are_one_failure_of_the_package() -> None:
    clock = Clock()
    breaker = Breaker(clock)

    for _ in range(12):  # all that was under way when the package went away
        breaker.failed(None)

    assert 0 < breaker.resting < 1


def test_each_probe_that_fails_doubles_the_pause() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    pauses = []

    for _ in range(3):
        breaker.failed(None)
    for _ in range(5):
        clock.now += breaker.resting
        breaker.failed(None)
        pauses.append(breaker.resting)

    assert pauses[0] < 1.5
    assert pauses[-1] > 10


def test_a_package_that_says_when_to_come_again_is_believed_even_while_we_rest() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(3):
        breaker.failed(None)

    breaker.failed(30.0)

    assert breaker.resting == 30.0
