"""One model of all contracts: operations, and the fields that they ask for and give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Type = Literal["text", "integer", "number", "boolean", "date", "instant", "bytes", "any"]
NOWHERE = "package.example"
"""The host that a reduced contract names in the place of the vendor's."""


@dataclass(frozen=True, slots=True)
class Field:
    """One value. `place`: as `mapping.csv` writes it: a JSON pointer (`/user/email`, `/lines/0/label`), a way through
    elements (`arg0/montant`), the name of a column. `where`: the part of a call that holds it; "record" of a table.
    `choices`: the only values that it may have. `limits`: further keywords of JSON Schema (`maxLength`, `pattern`,
    `minimum`, `format`)."""

    place: str
    type: Type = "any"
    required: bool = False
    where: Literal["path", "query", "header", "body", "form", "record"] = "body"
    about: str = ""
    example: Any = None
    choices: tuple[Any, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    nullable: bool = False

    @property
    def name(self) -> str:
        """Its last part that is no position: `email`."""
        parts = [part for part in self.place.split("/") if part and not part.isdigit()]
        return parts[-1] if parts else self.place


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `name`: as a manifest writes it: `PATCH users/{id}`, `creerPaiementSecurise`; of a table its name.
    `asks`: what it takes, `gives`: what a success answers (places below one record where it `lists`). `lists`: where
    the list of records stands in the answer, "" when the answer is the list, None when it gives one record. `beside`:
    what the answer says beside that list, as the address of the next page.
    `harmless`: it changes nothing. `faults`: the refusals that the contract names: statuses, or codes."""

    name: str
    about: str = ""
    asks: tuple[Field, ...] = ()
    gives: tuple[Field, ...] = ()
    lists: str | None = None
    harmless: bool = False
    faults: tuple[str, ...] = ()
    beside: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract file. `kind`: that of the connector which speaks it. `source`: the file. `base`: the path below the
    server's address, as `/api/v1`; of SOAP the address. `security`: the ways to prove who calls, as OpenAPI's security
    schemes (`{"type": "http", "scheme": "bearer"}`), those of its operations first."""

    kind: Literal["rest", "soap", "dump", "sql"]
    source: Path
    title: str = ""
    version: str = ""
    base: str = ""
    operations: tuple[Operation, ...] = ()
    security: tuple[Mapping[str, Any], ...] = ()

    def operation(self, name: str) -> Operation | None:
        return next((one for one in self.operations if one.name == name), None)
