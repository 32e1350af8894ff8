"""What the columns of a file or a table say of a person, by their names: an address, ways to be reached, a status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from connectors.sdk.contract.cell_types import FORMAT
from connectors.sdk.contract.model import Field
from connectors.sdk.drafting.invented import field_value, shared_value
from connectors.sdk.drafting.writing import Line
from schemas.names import words_of

ADDRESS, CONTACT = "citizen.address-changed", "citizen.contact-changed"
_PARTS: Mapping[str, Sequence[str]] = {
    "email": (r"(adresse )?(e ?mail|mail|courriel|mel)",),
    "postal_code": (r"(adr ?)?(code ?postal|postal code|post ?code|cp|zip( code)?)",),
    "city": (r"(adr ?)?(ville|commune|localite|city|town)",),
    "phone": (r"(telephone |tel |phone )?(portable|mobile|gsm)", r"(telephone|tel|phone)( (domicile|fixe|1))?"),
    "street": (r"(adr ?)?(numero ?voie|adresse|voie|rue|street|address)",),
    "country": (r"pays|country",),
    "family_name": (r"nom( (de )?(famille|naissance|usage))?|last ?name|family ?name",),
    "given_names": (r"prenoms?|first ?name|given ?names?",),
    "birthdate": (r"(date )?(de |d )?(naissance|nais)|ne le|birth ?date",),
}  # fmt: skip
"""A part of a person, and what columns call it, the best word first."""
_STATUS = re.compile(r"(.* )?(statut|status|etat|state|moderate|avancement)( .*)?")
_PLACES: Mapping[str, str] = {
    "family_name": "/citizen/identity/family_name", "given_names": "/citizen/identity/given_names/0",
    "birthdate": "/citizen/identity/birthdate",
}  # fmt: skip
_INVENTED: Mapping[str, tuple[str, str]] = {
    "street": ("12 allée des Tilleuls", "4 chemin du Vieux Lavoir"), "city": ("Valbruyère", "Mornefontaine"),
    "phone": ("04 00 00 00 12", "04 00 00 00 34"), "country": ("FRANCE", "FRANCE"),
}  # fmt: skip
_FIGURES = re.compile(r"(?<=[a-z])(?=\d)")
_MOMENTS = (datetime(2026, 3, 2, 9, 0, tzinfo=UTC), datetime(2026, 3, 9, 15, 30, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Person:
    """The columns of one person of a row, by what they say: `{"street": "Adresse payeur"}`. `owner`: the words that
    stand beside them, `payeur`; "" for none."""

    owner: str
    columns: Mapping[str, str] = field(default_factory=dict)

    def has(self, *parts: str) -> bool:
        return all(part in self.columns for part in parts)

    @property
    def names(self) -> Mapping[str, str]:
        """The columns of the names, where there are both."""
        parts = ("family_name", "given_names")
        return {part: self.columns[part] for part in parts} if self.has(*parts) else {}


def people_in(names: Sequence[str]) -> Sequence[Person]:
    """Everybody whom the columns tell of, in their order. Where two columns say the same part of one person, the better
    word counts."""
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for name in names:
        for part, rank, owner in _parts_of(name):
            known = found.setdefault(owner, {})
            if part not in known or rank < known[part][0]:
                known[part] = (rank, name)
    return [Person(owner, {part: name for part, (_, name) in parts.items()}) for owner, parts in found.items()]


def status_column(fields: Sequence[Field]) -> Field | None:
    """The column that says how far something is; None for none."""
    return next(
        (one for one in fields if _STATUS.fullmatch(column_words(one.place)) and one.type in ("text", "integer")), None
    )


@dataclass(frozen=True, slots=True)
class Change:
    """An event that such columns can tell. `name`: of its map. `parts`: what it says, by column. `due`: the columns
    without which a row says nothing of it. `names`: the columns that say the names of who is meant."""

    type: str
    name: str
    parts: Mapping[str, str]
    due: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)

    def lines(
        self, key: str, day: tuple[str, str] = ("={day}", ""), words: Mapping[str, str] = MappingProxyType({}), *,
        named: bool = False,
    ) -> Iterator[Line]:  # fmt: skip
        """Its rows of `mapping.csv`, about the person whom `key` names. `day`: since when, and its converter. `words`:
        converters of parts, for which `text` will not do. `named`: the key is that of a household, and the names say
        who of it is meant."""
        yield Line(self.name, "/citizen/references/0/system", "={system}")
        yield Line(self.name, "/citizen/references/0/id", key, "text", required=True)
        for part, column in self.names.items() if named else ():
            yield Line(self.name, _PLACES[part], column, "text", required=True)
        holder = "new_address" if self.type == ADDRESS else self.name
        for part, column in self.parts.items():
            target = f"/{holder}/value/{part}" if self.type == ADDRESS else f"/{holder}/value"
            yield Line(self.name, target, column, words.get(part, "text"), column in self.due)
        yield Line(self.name, f"/{holder}/source", "={system}")
        yield Line(self.name, f"/{holder}/date", *day)
        yield Line(self.name, f"/{holder}/quality", "=declared")


def changes_in(names: Sequence[str]) -> Iterator[Change]:
    """What the columns can tell of the first person who has an address, and of the first who can be reached; those two
    are one where somebody is both."""
    people = people_in(names)
    housed = next((one for one in people if one.has("postal_code", "city")), None)
    if housed is not None:
        parts = {part: housed.columns[part] for part in ("street", "postal_code", "city") if housed.has(part)}
        yield Change(ADDRESS, "address", parts, [parts["postal_code"], parts["city"]], housed.names)
    for part in ("email", "phone"):
        known = [one for one in [*([housed] if housed else []), *people] if one.has(part)]
        for one in known[:1]:
            yield Change(CONTACT, part, {part: one.columns[part]}, [one.columns[part]], one.names)


def unused_lines(name: str, fields: Sequence[Field], used: Sequence[str]) -> Iterator[Line]:
    """A line that is kept for later for each column that nothing reads, with its likely target."""
    said = {column: part for one in people_in([one.place for one in fields]) for part, column in one.columns.items()}
    for one in fields:
        if one.place not in used:
            target = _PLACES.get(said.get(one.place, ""), "/")
            yield Line(name, target, one.place, about=one.about or one.type, used=False)


def invented_row(fields: Sequence[Field], variant: int) -> dict[str, str]:
    """A row about nobody: a cell for each column, which says in the second row something else than in the first."""
    said = {column: part for one in people_in([one.place for one in fields]) for part, column in one.columns.items()}
    return {one.place: _invented(one, said.get(one.place, ""), variant) for one in fields}


def _invented(one: Field, part: str, variant: int) -> str:
    if FORMAT in one.limits:
        return _MOMENTS[variant].strftime(str(one.limits[FORMAT]))
    wish = _INVENTED[part][variant] if part in _INVENTED else shared_value(f"/{part}", variant) if part else None
    if one.choices:
        return str(one.choices[variant % len(one.choices)])
    found = _cut(wish if wish is not None and one.type in ("text", "any") else field_value(one, variant), one)
    if isinstance(found, bool):
        return "1" if found else "0"
    return str(found).replace(".", ",") if isinstance(found, float) else str(found)


def _cut(found: Any, one: Field) -> Any:
    most = one.limits.get("maxLength")
    return found[:most] if isinstance(found, str) and isinstance(most, int) else found


def column_words(name: str) -> str:
    """What a column is called, in small letters, its words and figures apart."""
    return _FIGURES.sub(" ", " ".join(words_of(name)))


def _parts_of(name: str) -> Iterator[tuple[str, int, str]]:
    """What a column says, how good its word is, and the words beside that."""
    said = column_words(name)
    for part, words in _PARTS.items():
        for rank, word in enumerate(words):
            found = re.search(rf"(?<![a-z0-9])(?:{word})(?![a-z0-9])", said)
            if found is not None:
                beside = f"{said[: found.start()]} {said[found.end() :]}"
                yield part, rank, " ".join(beside.split())
                return
