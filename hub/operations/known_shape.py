"""What is known of the shape of one operation's answers, and what in a new one is a change."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.answer_shape import ABSENT, NULL, Manner, Shape, is_folded, parent_of

SURE = 20  # answers after which the types of a place are known
NEW, MISSING, RETYPED = "new", "missing", "type"
_MOST = 2_000  # places of one operation
_OF_A_MAP = 12  # names that come and go at one place: they are data where none is always there
_BESIDE = 50  # or where there are so many


class Change(NamedTuple):
    """What changed in an operation's answers. `was`, `now`: types."""

    change: str
    place: str
    was: str = ""
    now: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same change."""
        return self.change, self.place, self.now if self.change == RETYPED else ""

    @property
    def code(self) -> str:
        """What nothing can read any more, or what nothing reads yet."""
        return "review" if self.change == NEW else "breaking"


@dataclass(slots=True)
class Place:
    """`seen`: in how many answers it said something, as far as that matters. `optional`: what holds it may lack it.
    `missed`: answers in a row that lack it though what held it is there. `calm`: answers in a row in which no name was
    new in it; where there are enough, what comes then is a change."""

    seen: int = 0
    types: set[str] = field(default_factory=set)
    optional: bool = False
    missed: int = 0
    calm: int = 0


@dataclass(slots=True)
class Known:
    """`maps`: places whose members are entries, of names that are data. `pending`: names seen too seldom to be kept,
    how often, and whether they came late; they never leave the process."""

    manner: Manner
    places: dict[str, Place] = field(default_factory=dict)
    maps: set[str] = field(default_factory=set)
    pending: dict[str, tuple[int, bool]] = field(default_factory=dict)
    stirred: bool = False  # something is to be kept
    unsure: bool = False  # the same answer again may say more

    def learn(self, shape: Shape, told: Collection[Change]) -> tuple[list[Change], list[Change]]:
        """Take one more answer; the changes that it shows, and those of `told` that are no more. What is told stays
        unknown until a person accepts it."""
        self.stirred = self.unsure = False
        by_place = self._by_place(shape)
        before = {place: one.calm >= self.manner.known_after for place, one in self.places.items()}
        news = {one.place for one in told if one.change == NEW}
        changes, back = [], []
        for place in sorted(by_place):
            if any(place == one or place.startswith(f"{one}/") for one in news):
                continue
            if place not in self.places:
                found = self._meet(place, by_place[place], before)
                news |= {found.place} if found else set()
                changes += [found] if found else []
            else:
                changes += self._see(place, by_place[place])
                back += [one for one in told if one.change == MISSING and one.place == place]
        changes += self._miss(by_place)
        self._fold_maps()
        known = {one.key for one in told}
        return [one for one in changes if one.key not in known], back

    def strange(self, shape: Shape) -> set[tuple[str, str]]:
        """What of a shape is not known, where what it stands in is."""
        found: set[tuple[str, str]] = set()
        for place, kinds in sorted(self._by_place(shape).items()):
            one = self.places.get(place)
            if one is None and kinds - {ABSENT} and self._is_known(parent_of(place)) and not is_folded(place):
                found |= {(place, "")}
            elif one is not None and one.seen >= SURE:
                found |= {(place, kind) for kind in _beyond(one.types, kinds)}
        return found

    def accept(self, change: Change) -> None:
        """What was told is how it is."""
        if change.change == MISSING:
            self.places = {place: one for place, one in self.places.items() if not _is_within(place, [change.place])}
        elif change.change == NEW:
            self.places[change.place] = Place(1, {one for one in change.now.split("|") if one}, optional=True)
        elif change.place in self.places:
            self.places[change.place].types |= {change.now}

    def is_waiting(self) -> bool:
        """Whether something is missing that may yet be there again."""
        return any(0 < one.missed < self.manner.gone_after for one in self.places.values())

    def _is_known(self, place: str) -> bool:
        found = self.places.get(place)
        return found is not None and found.calm >= self.manner.known_after

    def _by_place(self, shape: Shape) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for place, kind in shape:
            found[self._through_maps(place)].add(kind)
        return found

    def _through_maps(self, place: str) -> str:
        for one in sorted(self.maps):
            if place.startswith(f"{one}/"):
                step, slash, rest = place[len(one) + 1 :].partition("/")
                if f"{one}/{step}" not in self.places:
                    place = f"{one}/{{}}{slash}{rest}"
        return place

    def _meet(self, place: str, kinds: set[str], before: Mapping[str, bool]) -> Change | None:
        """A place that is not known. `before`: those that were, and whether all that is in them was."""
        parent = parent_of(place)
        if kinds == {ABSENT} or (place and parent not in self.places and parent not in self.pending):
            return None
        if len(self.places) + len(self.pending) >= _MOST:
            return None
        seen, late = self.pending.get(place, (0, before.get(parent, False)))
        seen += 1
        self.pending[place] = (seen, late)
        if seen == 1 and not is_folded(place) and before.get(parent) is False:
            self.places[parent].calm = 0
        if (seen < self.manner.told_after and not is_folded(place)) or (place and parent not in self.places):
            self.unsure = True
            return None
        del self.pending[place]
        types = kinds - {ABSENT, NULL}
        if not is_folded(place) and late:
            return Change(NEW, place, now="|".join(sorted(types)))
        always = ABSENT not in kinds and (not place or self.places[parent].seen <= seen)
        seen = seen if types else 0
        self.places[place] = Place(seen, types, optional=not always, calm=seen)
        self.stirred = True
        return None

    def _see(self, place: str, kinds: set[str]) -> Iterator[Change]:
        """A place that is known."""
        one = self.places[place]
        others = _beyond(one.types, kinds) if one.seen >= SURE else set()
        for kind in sorted(others):
            yield Change(RETYPED, place, "|".join(sorted(one.types)), kind)
        types = kinds - {ABSENT, NULL} - others
        optional = one.optional or ABSENT in kinds or 0 < one.missed < self.manner.gone_after
        here, said = kinds != {ABSENT}, bool(kinds - {ABSENT, NULL})
        seen, calm = min(one.seen + said, SURE), min(one.calm + said, SURE)
        after = Place(seen, one.types | types, optional, 0 if here else one.missed, calm)
        self.stirred |= after != one
        self.places[place] = after

    def _miss(self, by_place: Mapping[str, set[str]]) -> Iterator[Change]:
        """What had always been there and is not."""
        for place, one in self.places.items():
            holder = by_place.get(parent_of(place), ())
            if one.optional or is_folded(place) or place in by_place or "object" not in holder:
                continue
            if one.seen < self.manner.known_after:
                one.optional = self.stirred = True
                continue
            self.stirred |= one.missed < self.manner.gone_after
            one.missed = min(one.missed + 1, self.manner.gone_after)
            if one.missed == self.manner.gone_after:
                yield Change(MISSING, place, was="|".join(sorted(one.types)))

    def _fold_maps(self) -> None:
        """Names that come and go at one place are data: they are forgotten."""
        members = [(parent_of(place), one) for place, one in self.places.items() if not is_folded(place)]
        recorded = {parent for parent, one in members if not one.optional}
        coming = Counter(parent for parent, one in members if one.optional and one.seen < SURE)
        for place, (seen, _) in self.pending.items():
            holder = self.places.get(parent_of(place))
            if holder is not None and seen < holder.seen:
                coming[parent_of(place)] += 1
            elif holder is not None:
                recorded.add(parent_of(place))
        for parent, many in coming.items():
            if many > (_BESIDE if parent in recorded else _OF_A_MAP):
                self._fold(parent)

    def _fold(self, parent: str) -> None:
        self.maps.add(parent)
        self.stirred = True
        gone = {
            place for place, one in self.places.items()
            if parent_of(place) == parent and one.optional and not is_folded(place)
        }  # fmt: skip
        self.places = {place: one for place, one in self.places.items() if not _is_within(place, gone)}
        self.pending = {place: seen for place, seen in self.pending.items() if not place.startswith(f"{parent}/")}

    def to_dict(self) -> dict[str, Any]:
        """As it is kept."""
        places = {
            place: [one.seen, "|".join(sorted(one.types)), int(one.optional), one.missed, one.calm]
            for place, one in self.places.items()
        }
        return {"places": places, "maps": sorted(self.maps)}

    @staticmethod
    def of(raw: Mapping[str, Any], manner: Manner) -> Known:
        places = {
            place: Place(seen, {one for one in types.split("|") if one}, bool(optional), missed, calm)
            for place, (seen, types, optional, missed, calm) in raw.get("places", {}).items()
        }
        return Known(manner, places, set(raw.get("maps", ())))


def _beyond(types: Collection[str], kinds: Iterable[str]) -> set[str]:
    """Types that a place has not had; a number may be whole, and a whole one may be none any more."""
    numbers = {"integer", "number"}
    known = {*types, ABSENT, NULL} | (numbers if numbers & {*types} else set())
    return {*kinds} - known if types else set()


def _is_within(place: str, others: Iterable[str]) -> bool:
    return any(place == one or place.startswith(f"{one}/") for one in others)
