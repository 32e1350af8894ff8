"""What changed in one operation, graded by what a connector uses of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.sdk.contract.field_changes import Shift, shifts_of, word
from connectors.sdk.contract.grades import Change, Direction, Grade
from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.contract.pairs import paired_fields
from connectors.sdk.contract.uses import Read, Sent, Use, Uses, full_place

_B: Grade = "breaking"
_R: Grade = "review"
_A: Grade = "additive"
_USUAL = ("401", "403", "404", "408", "429", "500", "502", "503", "504", "4XX", "5XX", "default")
"""Statuses that every connector reads alike, whether or not a contract names them."""

_SENT: Mapping[str, Grade] = {
    "field-removed": _B, "field-moved": _B, "field-renamed": _B, "type-narrowed": _B, "type-changed": _B,
    "choices-narrowed": _B, "limits-narrowed": _B, "limits-changed": _R, "deprecated-changed": _R,
}  # fmt: skip
"""What a change does to a value that is sent; what is not here does nothing."""
_READ: Mapping[str, Grade] = {
    "field-removed": _B, "field-moved": _B, "field-renamed": _B, "type-widened": _B, "type-changed": _B,
    "choices-widened": _R, "limits-widened": _R, "limits-changed": _R, "field-optional": _R, "null-added": _R,
    "deprecated-changed": _R,
}  # fmt: skip
"""The same for a value that is read."""


@dataclass(frozen=True, slots=True)
class OperationChanges:
    """`use`: None for an operation that is never called, in which nothing is grave."""

    kind: str
    old: Operation
    new: Operation
    use: Use | None
    uses: Uses

    def changes(self) -> Iterator[Change]:
        if self._list_moved():
            yield self._change(_B, "list-moved", before=_list(self.old), after=_list(self.new))
        for fault in (one for one in self.new.faults if one not in self.old.faults):
            yield self._change(_A if self._knows(fault) else _R, "fault-added", after=fault)
        for fault in (one for one in self.old.faults if one not in self.new.faults):
            yield self._change(_A, "fault-removed", before=fault)
        yield from self._columns_moved()
        yield from self._sent()
        yield from self._read()

    def _columns_moved(self) -> Iterator[Change]:
        """Of a table: a column that is read by its position, where another stands there now."""
        for position in sorted(self.uses.positions):
            old, new = ([one.place for one in op.gives[position - 1 : position]] for op in (self.old, self.new))
            if old and old != new:
                yield Change(_B, "column-moved", self.old.name, old[0], "read", old[0], "".join(new), used=True)

    def _list_moved(self) -> bool:
        """Which list of an answer holds its records is guessed: one that lies where it lay has not moved."""
        lists = (self.old.lists, self.new.lists)
        return lists[0] != lists[1] and (None not in lists or "" in lists)

    def _knows(self, fault: str) -> bool:
        return fault.upper() in map(str.upper, _USUAL) or fault in self.uses.faults or "*" in self.uses.faults

    def _sent(self) -> Iterator[Change]:
        for known, old, new in paired_fields(self.old.asks, self.new.asks):
            sent = self._sends(known)
            for shift in _shifts(old, new):
                grade = self._grade_sent(shift, old, new, sent)
                yield self._of(grade, shift, known, new, "sent", used=sent is not None)

    def _grade_sent(self, shift: Shift, old: Field | None, new: Field | None, sent: Sent | None) -> Grade:
        if self.use is None:
            return _A
        if shift.what in ("field-added", "field-required") and new is not None and new.required:
            return self._demanded(shift, new, sent)
        if shift.what == "default-changed":
            return _A if sent is not None else _R
        if sent is None:
            return _R if old is not None and old.required and shift.what in _SENT else _A
        if shift.what == "choices-narrowed" and sent.values and new and sent.values <= set(map(word, new.choices)):
            return _A
        return _SENT.get(shift.what, _A)

    def _demanded(self, shift: Shift, new: Field, sent: Sent | None) -> Grade:
        """What the package now wants with each call: harmless where it has it already, or says itself what it takes."""
        if sent is not None and not self.uses.whole and sent.always:
            return _A
        if "default" in new.limits:
            return _R
        return _B if sent is None or self.uses.whole else _R

    def _read(self) -> Iterator[Change]:
        for olds, news, whole in self._given():
            for known, old, new in paired_fields(olds, news):
                read = self._reads(old if whole else replace(old, place=full_place(self.old, old))) if old else None
                for shift in _shifts(old, new):
                    if not _says_nothing(self.kind, shift, read):
                        yield self._of(self._grade_read(shift, read), shift, known, new, "read", used=read is not None)

    def _given(self) -> Iterator[tuple[Sequence[Field], Sequence[Field], bool]]:
        """The values of both answers: those of a record by their places in it, and those beside; all by their places in
        the answer where one of both is taken for a list of records and the other is not."""
        if self._in_records():
            yield self.old.gives, self.new.gives, False
            yield self.old.beside, self.new.beside, True
            return
        old, new = (
            [replace(f, place=full_place(op, f), required=False) for f in op.gives] + list(op.beside)
            for op in (self.old, self.new)
        )
        yield old, new, True

    def _in_records(self) -> bool:
        return self.old.lists == self.new.lists or None not in (self.old.lists, self.new.lists)

    def _grade_read(self, shift: Shift, read: Read | None) -> Grade:
        grade = _READ.get(shift.what, _A)
        if self.use is None or read is None:
            return _A
        if shift.what in ("field-optional", "null-added") and read.needed and self.kind != "dump":
            return _B
        if shift.what == "choices-widened" and read.codes is not None:
            unknown = [value for value in shift.values if value not in read.codes]
            return (_B if read.strict else _R) if unknown or not shift.values else _A
        return _R if self.kind == "dump" and shift.what.startswith("type-") and grade == _B else grade

    def _sends(self, one: Field) -> Sent | None:
        if self.uses.whole or (self.use is not None and one.where == "path"):
            return Sent(always=not self.uses.whole)
        return self.use.sent(one.place) if self.use is not None else None

    def _reads(self, one: Field) -> Read | None:
        if self.uses.whole:
            return Read()
        return self.use.read(one.place) if self.use is not None else None

    def _of(
        self, grade: Grade, shift: Shift, known: Field, new: Field | None, direction: Direction, *, used: bool
    ) -> Change:
        return Change(
            grade, shift.what, self.old.name, known.place, direction, shift.before, shift.after,
            used=used and self.use is not None, field=new or known,
        )  # fmt: skip

    def _change(self, grade: Grade, kind: str, before: str = "", after: str = "") -> Change:
        """Of the operation itself: of one that is never called, nothing is grave."""
        used = self.use is not None
        return Change(grade if used else _A, kind, self.old.name, before=before, after=after, used=used)


def _shifts(old: Field | None, new: Field | None) -> Iterator[Shift]:
    if old is None and new is not None:
        yield Shift("field-added", after=_told(new))
    elif new is None and old is not None:
        yield Shift("field-removed", before=_told(old))
    elif old is not None and new is not None:
        yield from shifts_of(old, new)


def _says_nothing(kind: str, shift: Shift, read: Read | None) -> bool:
    """The case of a name in SQL; what two samples of one file say differently because other rows are in them."""
    if kind == "sql":
        return shift.what == "field-renamed" and shift.before.casefold() == shift.after.casefold()
    if kind != "dump":
        return False
    if shift.what == "choices-widened":
        return read is None or read.codes is None
    return shift.what.startswith(("limits-", "choices-", "null-", "field-required", "field-optional"))


def _told(one: Field) -> str:
    return f"{one.type}, required" if one.required else one.type


def _list(operation: Operation) -> str:
    return "one record" if operation.lists is None else f"the list at {operation.lists or '/'}"
