"""What a connector shows of itself: its twin, and what passes between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk import Connector, Context, Inbound, Manifest
from connectors.sdk.twin import Misbehaving
from schemas.delivery import Delivery, Opened, StoredDocument
from schemas.errors import HubError
from schemas.exchange import Question

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


class Clock:
    """The hour of a bench: it moves when the suite says so, and waits for nobody."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class WallClock(Clock):
    """The hour as it is, for a twin that is played with by hand."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)


class MemoryDocuments:
    """Documents of one tenant, in memory."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}

    def store(self, content: bytes, *, name: str, media_type: str, kind: str | None = None) -> StoredDocument:
        digest = hashlib.sha256(content).hexdigest()
        self.contents[digest] = content
        return StoredDocument(digest, name, media_type, len(content), digest, kind)

    def read(self, document_id: str) -> bytes:
        return self.contents[document_id]


@dataclass
class Bench:
    """What the suite gives to a case: the clock of connector and twin, documents in memory, and `timeout`, the seconds
    that a connection should wait for its twin."""

    manifest: Manifest
    clock: Clock = field(default_factory=Clock)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    timeout: float = 0.3
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("Europe/Paris"))

    def context(self, settings: Mapping[str, Any]) -> Context:
        """The context of a connection with these settings; secrets among them must already be `Secret`."""
        name = self.manifest.id
        return Context(
            tenant="saint-aubin", connection=name, system=name, settings=settings, manifest=self.manifest,
            documents=self.documents, tenant_siret="21930001100018", tenant_insee="93001",
            answer_secret=b"the secret of a bench's answer keys", now=self.clock, zone=self.zone,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """One evidence type that the connector answers for.

    `question`: one that the twin can answer in full, asking for every field of the manifest.
    `stranger`: one about nobody that the twin knows; None when the citizen of every question is known there (`token`).
    `narrow`: make the twin leave out fields of its answers, as a narrower scope does, until it behaves again (`mend`);
    None when its interface cannot.
    """

    question: Question
    stranger: Question | None
    narrow: Callable[[], object] | None = None
    mend: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no in the package's own words. `name`: the file that holds it; `act`: what makes a connector call for it, after
    `arm`; `becomes`: the error that `[[error]]` says it is, None when it says nothing of it."""

    name: str
    act: Callable[[Connector], object]
    arm: Callable[[], object]
    becomes: type[HubError] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One connection, its twin and what passes between them. The manifest says what must be here: what it declares and
    the case does not show is a fault.

    `connect`: a new connector of a connection to the twin.
    `twin`: what plays the package (`connectors.sdk.twin.Misbehaving`).
    `deliveries`: one for each event type that is consumed; each is taken, in this order, and leaves an effect.
    `effects`: what the package holds by now, as a value that can be compared.
    `calls`: how many calls reached the twin; by default the length of its `operations`.
    `refused`: a delivery that the package says no to; by default the last one, after `refuse` has armed the twin.
    `refusals`: further ones, each in the package's own words.
    `deny`: make the twin not let us in, at the next call.
    `turns`: two deliveries of one type that say something different of the same thing, A and B: where it consumes what
    can be said again. `before_again`: what must happen at the package before A is taken once more after B.
    `news`: put so many new records at the twin, each worth the same number of events.
    `turn`: let the record that was there first say A (0) or B (1), as somebody does who works with the package.
    `retell`: let the package tell, as news of its own, what it holds of the person with this identifier.
    `words`: what the package says for A and B, to be named where one of them is no news.
    `opened`: what is followed of the news, as the hub tells of it: grows with them.
    `inbound`: authentic calls of the package; `resigned`: one of them with another body, as authentic as before;
    `forged`: calls that must not be taken. `samples`: the files that `inbound` was read from.
    `unshown`: what is declared and comes of none of the samples, a sentence each.
    `personal`: texts of the deliveries, the news and the evidence (names, addresses) that no log and no message may
    hold; those of the questions themselves are looked for anyway.
    `asked`: one for each evidence type that the connector answers for.
    """

    connect: Callable[[], Connector]
    twin: Misbehaving
    deliveries: Sequence[Delivery] = ()
    effects: Callable[[], Any] | None = None
    calls: Callable[[], int] | None = None
    refuse: Callable[[], object] | None = None
    refused: Delivery | None = None
    refusals: Sequence[Refusal] = ()
    deny: Callable[[], object] | None = None
    turns: Sequence[tuple[Delivery, Delivery]] = ()
    before_again: Callable[[], object] | None = None
    news: Callable[[int], object] | None = None
    turn: Callable[[int], object] | None = None
    retell: Callable[[str], object] | None = None
    words: Sequence[str] = ()
    opened: Sequence[Opened] = ()
    inbound: Sequence[Inbound] = ()
    resigned: Callable[[Inbound, bytes], Inbound] | None = None
    forged: Sequence[Inbound] = ()
    samples: Sequence[str] = ()
    unshown: Sequence[str] = ()
    personal: Sequence[str] = ()
    asked: Sequence[Asked] = ()


Stand = Callable[[Bench], AbstractContextManager[Case]]
"""A case of a connector: what starts the twin, yields the `Case` and ends the twin."""
