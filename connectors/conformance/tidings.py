"""What a connector tells: polled and received, read twice, page by page, there and back again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from connectors.conformance.examination import Examination, Opened, Taken
from connectors.sdk import Connector, Inbound
from schemas.delivery import Delivery
from schemas.errors import AccessDenied, InvalidMessage
from schemas.event import Event

_LATER = 3600.0
_YEARS = 800 * 86400.0  # after which whatever was followed is over
_ASKED = {"payment": ("payment.requested",), "message": ("message.letter-requested", "message.sms-requested")}
_PAGES = 3  # polls in which everything must have come out
_A_WEEK_AGO = "2026-02-23T09:00:00Z"


def polling(exam: Examination) -> None:
    """News come out valid, under the same identifiers until they are committed, and not again afterwards."""
    with exam.opened() as opened:
        if opened.case.news is None:
            return
        opened.case.news(1)
        first = _settled(exam, opened)
        again = [event for polled in exam.read(opened, "poll before the commit", None) for event in polled.events]
        exam.expect(bool(first), "poll: nothing came of the news")
        exam.events(opened.connector, "poll", first)
        _same(exam, "poll", first, again)
        taken = exam.committed(opened, "poll: acknowledge")
        known = {event.id for event in first}
        later = [e for polled in exam.read(opened, "poll after the commit", taken.cursor) for e in polled.events]
        exam.expect(all(event.id in known for event in later), "poll: old news came back under another identifier")
    _as_asked(exam)


def _as_asked(exam: Examination) -> None:
    """What another system asked for is told under the reference by which that one knows it, however it ends."""
    with exam.opened() as opened:
        if opened.case.news is None or not opened.case.opened:
            return
        opened.case.news(1)
        taken = exam.committed(opened, "poll: what is followed")
        opened.bench.clock.move(_YEARS)
        taken.events += exam.committed(opened, "poll: what is over", taken.cursor).events
        for event in taken.events:
            kind = event.type.partition(".")[0]
            asked = [one.asked() for one in opened.case.opened if one.type in _ASKED.get(kind, ())]
            named = event.data.get(kind, {}).get("reference") if asked else None
            if asked and named not in asked:
                advice = "its reference is {asked_system}, {asked_id}"
                exam.fault(f"{event.type} names another {kind} than the one asked for: {advice}")


def receiving(exam: Examination) -> None:
    with exam.opened() as opened:
        connector = opened.connector
        for number, inbound in enumerate(opened.case.inbound):
            sample = next(iter(opened.case.samples[number:]), "")
            where = f"receive {sample}".strip()
            exam.without_error("knows_caller", partial(connector.knows_caller, replace(inbound, body=b"")))
            first = exam.without_error(where, partial(connector.receive, inbound))
            again = exam.without_error(f"{where} again", partial(_retried, connector, inbound))
            if first is not None:
                exam.events(connector, where, first.polled.events)
            if first is not None and again is not None:
                _same(exam, where, first.polled.events, again.polled.events)
        for inbound in opened.case.forged:
            error = exam.raises((AccessDenied, InvalidMessage), "a forged call", connector.receive, inbound)
            if error is not None:
                exam.heard.append(repr(connector.refusal(error)))


def order(exam: Examination) -> None:
    """What comes late, again or in another order is the same: no identifier comes from the clock or from the order."""
    _read_an_hour_later(exam)
    _received_backwards(exam)
    _told_late(exam)


def turns(exam: Examination) -> None:
    """A → B → A → B is four events, in and out: a value that comes back is news."""
    _turns_in(exam)
    for number in range(_count_of_turns(exam)):
        _turns_out(exam, number)


def pages(exam: Examination) -> None:
    """None, one, a full page, and one more: each record comes out once."""
    with exam.opened() as opened:
        if opened.case.news is None:
            return
        opened.case.news(1)
        each = len(exam.committed(opened, "poll: one record").events)
        size = max(1, int(getattr(opened.case.twin, "page_size", 1)))
    for count in sorted({0, 2, size, size + 1}):
        with exam.opened() as opened:
            assert opened.case.news is not None
            opened.case.news(count)
            taken = _all_of(exam, opened, count * each)
            found = len({event.id for event in taken.events})
            exam.expect(found == count * each, f"poll: {found} events of {count} records, not {count * each}")
    if size > 1:
        _moved_between_pages(exam, size, each)


def _moved_between_pages(exam: Examination, size: int, each: int) -> None:
    """The first record changes while its page is read, and goes to the end: the first of the next page moves up."""
    with exam.opened() as opened:
        case = opened.case
        assert case.news is not None
        case.news(size + 1)
        taken, moved = Taken(), False
        batches = opened.connector.poll(None)

        def read() -> None:
            nonlocal moved
            for polled in batches:
                if not moved and case.turn is not None:
                    moved = True
                    case.turn(1)
                taken.events += polled.events
                taken.cursor = polled.cursor if polled.cursor is not None else taken.cursor
                if polled.acknowledge is not None:
                    polled.acknowledge()

        exam.without_error("poll: a record moves between two pages", read)
        _go_on(exam, opened, taken, (size + 1) * each)
        found = len({event.id for event in taken.events})
        exam.expect(found >= (size + 1) * each, f"poll: a record that moves between two pages hides one ({found})")


def _all_of(exam: Examination, opened: Opened, due: int) -> Taken:
    taken = Taken()
    _go_on(exam, opened, taken, due)
    return taken


def _go_on(exam: Examination, opened: Opened, taken: Taken, due: int) -> None:
    for _ in range(_PAGES):
        exam.without_error("poll: page by page", lambda: taken.poll(opened.connector))
        if due and len({event.id for event in taken.events}) >= due:
            return
        opened.bench.clock.move(60)


def _settled(exam: Examination, opened: Opened) -> list[Event]:
    """The first news, which nobody has committed."""
    for _ in range(3):
        found = [event for polled in exam.read(opened, "poll", None) for event in polled.events]
        if found:
            return found
        opened.bench.clock.move(60)
    return []


def _read_an_hour_later(exam: Examination) -> None:
    with exam.opened() as opened:
        if opened.case.news is None:
            return
        opened.case.news(2)
        first = _settled(exam, opened)
        opened.bench.clock.move(_LATER)
        again = [event for polled in exam.read(opened, "poll an hour later", None) for event in polled.events]
        _same(exam, "poll an hour later", first, again)


def _received_backwards(exam: Examination) -> None:
    found: list[set[str]] = []
    for calls in (lambda all_: all_, lambda all_: list(reversed(all_))):
        with exam.opened() as opened:
            replies = [
                exam.without_error("receive in another order", partial(opened.connector.receive, inbound))
                for inbound in calls(list(opened.case.inbound))
            ]
            found.append({event.id for reply in replies if reply for event in reply.polled.events})
    exam.expect(found[0] == found[1], "receive: in another order, the events have other identifiers")


def _told_late(exam: Examination) -> None:
    with exam.opened() as opened:
        for delivery in opened.case.deliveries:
            old = replace(delivery, event=replace(delivery.event, time=_A_WEEK_AGO))
            exam.without_error(f"{delivery.event.type}: a week late", partial(opened.connector.handle, old))


def _turns_in(exam: Examination) -> None:
    with exam.opened() as opened:
        case = opened.case
        if case.news is None or case.turn is None:
            return
        case.news(1)
        taken = exam.committed(opened, "poll: A")
        seen = {event.id for event in taken.events}
        for number, word in ((1, "B"), (0, "A again"), (1, "B again")):
            opened.bench.clock.move(300)
            case.turn(number)
            next_ = exam.committed(opened, f"poll: {word}", taken.cursor)
            fresh = [event for event in next_.events if event.id not in seen]
            said = f"poll: A, B, A, B: {word} is no news under an identifier of its own"
            exam.expect(bool(fresh), said + _why(opened, next_))
            exam.events(opened.connector, f"poll: {word}", next_.events)
            seen |= {event.id for event in next_.events}
            taken = next_


def _why(opened: Opened, taken: Taken) -> str:
    """What was said for A and B, and what the connector understood of it."""
    words = "".join(f"; {name} is {word}" for name, word in zip("AB", opened.case.words, strict=False))
    return words + "".join(f"; {fault.code} at {fault.place}: {fault.reason}" for fault in taken.faults[:1])


def _count_of_turns(exam: Examination) -> int:
    with exam.opened() as opened:
        return len(opened.case.turns)


def _turns_out(exam: Examination, number: int) -> None:
    with exam.opened() as opened:
        a, b = opened.case.turns[number]
        name, before = a.event.type, opened.effects()
        for turn, (delivery, word) in enumerate(((a, "A"), (b, "B"), (a, "A again"), (b, "B again")), start=1):
            told = _numbered(delivery, turn)
            opened.bench.clock.move(300)
            if word == "A again" and opened.case.before_again is not None:
                opened.case.before_again()
            if exam.manifest.idempotency == "look-up-first":
                early = exam.without_error(f"{name}: {word}: look_up", partial(opened.connector.look_up, told))
                exam.expect(early is None, f"{name}: A, B, A, B: look_up takes an earlier one for {word}")
            exam.without_error(f"{name}: {word}", partial(opened.connector.handle, told))
            after = opened.effects()
            exam.expect(after != before, f"{name}: A, B, A, B: {word} left no effect")
            before = after


def _numbered(delivery: Delivery, turn: int) -> Delivery:
    event = replace(delivery.event, id=f"{delivery.event.id}-turn-{turn}")
    return replace(delivery, event=event, key=f"{delivery.key}-turn-{turn}")


def _retried(connector: Connector, inbound: Inbound) -> Any:
    """A repetition, or None where the connector knows a replay and refuses it."""
    try:
        return connector.receive(inbound)
    except (AccessDenied, InvalidMessage):
        return None


def _same(exam: Examination, where: str, first: Sequence[Event], again: Sequence[Event]) -> None:
    told, retold = {event.id: event for event in first}, {event.id: event for event in again}
    exam.expect(len(told) == len(first), f"{where}: two events with one identifier")
    exam.expect(told.keys() == retold.keys(), f"{where}: read twice, the events have other identifiers")
    changed = [event for name, event in told.items() if name in retold and retold[name].data != event.data]
    exam.expect(not changed, f"{where}: read twice, an event has another body")
