"""What every connector is: a subclass of `Connector`, given its `Context` by the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.first_use import FirstUse, in_this_process
from connectors.sdk.records import check_record
from connectors.sdk.shapes import Shapes, Unwatched
from connectors.sdk.statuses import Statuses
from schemas.delivery import Delivery, Documents, Done, Inbound, Listed, Opened, Polled, Probe, Reply
from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.exchange import Evidence, Question
from schemas.fault import Fault
from schemas.manifest import Manifest
from schemas.registry import Registry
from schemas.times import to_rfc3339

_PARIS = ZoneInfo("Europe/Paris")


def _nothing_opened(since: datetime) -> Sequence[Opened]:
    return ()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Context:
    """All that the hub gives to a connector of one connection. `settings` were validated against the manifest;
    those marked `"secret": true` are `Secret`. `system` is the name under which identifiers of this package are
    linked (`system-reference.system`). `answer_secret` is known to this hub and
    made for this connection alone: `AnswerKeys` draws from it, so only a hub that runs needs to give one. `zone`: where
    the days of the tenant are counted. `first_use` says whether something that may be used once comes for the first
    time, to any process of the hub. `opened`: what the package gave an identifier for since then, oldest first.
    `shapes` watches what the package answers: give it to the clients that you make. `now` is the clock: use it, never
    `datetime.now()`."""

    tenant: str
    connection: str
    system: str
    settings: Mapping[str, Any]
    documents: Documents
    manifest: Manifest
    tenant_siret: str = ""
    tenant_insee: str = ""
    answer_secret: bytes = field(default=b"", repr=False)
    zone: tzinfo = _PARIS
    now: Callable[[], datetime] = _utc_now
    first_use: FirstUse = field(default_factory=in_this_process)
    opened: Callable[[datetime], Sequence[Opened]] = _nothing_opened
    shapes: Shapes = field(default_factory=Unwatched)


class Connector:
    """The code that speaks one package's wire format.

    Override what the package can do: `poll`, `receive`, `prepare` + `send`, `look_up`, `answer`, `people`, `state`,
    `probe`. Methods may be called from several threads (at most `concurrency` of the manifest), never twice at once for
    one order key.

    They raise (`schemas/errors.py`): `TryLater`, the call surely had no effect and is made again; `Unknown`, it may
    have had its effect, which is looked up or left to a person; `Refused`, the package said no for good;
    `AccessDenied`, it does not let us in, and the connection is paused until a person acts.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = context.settings
        path = context.manifest.folder / "statuses.csv"
        self.statuses = Statuses.load(path) if path.exists() else Statuses(())

    @classmethod
    def faults(cls, raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
        """What `unefois check` is to say of the tables that the kind of a `connector.toml` has, in whatever file they
        stand; their shape is sound. A fault of `connector.toml` gives the key, and the line is looked up."""
        return iter(())

    def probe(self) -> Probe:
        """Call the package in the cheapest harmless way. Never raises HubError."""
        raise NotImplementedError

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Read what is new since `cursor` (None at first). Each `Polled` is committed before the next is asked for."""
        return iter(())

    def knows_caller(self, head: Inbound) -> bool:
        """Whether a call proves by its head alone who makes it: asked before its body is read, with `body` empty.
        Raises AccessDenied when it is a stranger's. False: only the body tells. `receive` checks all of it again, and
        it alone uses up what is good once."""
        return False

    def receive(self, inbound: Inbound) -> Reply:
        """Read an HTTP call that the package made to `/in/{connection}`. Raises AccessDenied when it does not prove who
        it is (check that first), InvalidMessage when it cannot be read."""
        raise InvalidMessage("this connection takes no incoming call", code="not_receiving")

    def refusal(self, error: HubError) -> tuple[int, Mapping[str, Any]] | None:
        """How the package wants an error of `receive` answered: HTTP status and JSON body. None: problem details, RFC
        9457."""
        return None

    def prepare(self, delivery: Delivery) -> Any:
        """What `send` is to send for this event. Calls nobody: it also runs in mode `observe`. Raises Refused when the
        package cannot take such an event."""
        raise NotImplementedError

    def explain(self, delivery: Delivery) -> Sequence[str]:
        """Line by line, where each value of the message comes from, without a value: for `unefois connector try`. Empty
        where code decides. Raises nothing for what cannot be said: the line says so."""
        return ()

    def send(self, delivery: Delivery, prepared: Any) -> Done:
        """Send what `prepare` made. Not called in mode `observe`."""
        raise NotImplementedError

    def handle(self, delivery: Delivery) -> Done:
        return self.send(delivery, self.prepare(delivery))

    def handle_many(self, deliveries: Sequence[Delivery]) -> list[Done | HubError]:
        """Handle deliveries of distinct order keys together; one outcome each, in order. Called when the manifest's
        `batch` is above 1. An error returned concerns its delivery alone; an error raised concerns all of them."""
        outcomes: list[Done | HubError] = []
        for delivery in deliveries:
            try:
                outcomes.append(self.handle(delivery))
            except HubError as error:
                outcomes.append(error)
        return outcomes

    def look_up(self, delivery: Delivery) -> Done | None:
        """Ask the package whether an earlier attempt of this delivery had its effect: its outcome if so, None if surely
        not. Needed for the idempotency `look-up-first`, before each new attempt."""
        return None

    def people(self) -> Iterator[Listed]:
        """The people whom the package has a record of, a page at a time, whole, for a first load: read-only, nothing
        of them is an event. Declared by `[people]`. Raises as `poll` does, InvalidMessage where there is no list."""
        raise InvalidMessage("ce logiciel ne donne pas la liste de ses usagers", code="no_people_list")

    def state(self, references: Sequence[str]) -> Iterator[Polled]:
        """What the package knows of these people, whom it calls so, said again: the hub keeps it no more, and somebody
        lacks it. Read-only; the events are as a poll makes them, and the hub gives them identifiers of its own. Nothing
        of whom it does not know, or has no value of. `cursor` and `acknowledge` are not looked at. Declared by
        `[state]`. Raises as `poll` does."""
        raise InvalidMessage("ce logiciel ne redit pas ce qu'il sait d'une personne", code="no_state")

    def waiting(self) -> Mapping[str, str]:
        """Files that lie there and may wait for a person's word: by the key of the fault that told of it, the place."""
        return {}

    def decide(self, key: str, *, refused: str = "") -> bool:
        """A person's word about the file of this key: it is taken, or with a reason refused and set aside. False when
        it is not there any more, or was written anew since."""
        return False

    def answer(self, question: Question) -> Evidence:
        """Answer a live question about a citizen, for an evidence type of the manifest's `answers`. Read-only.

        Raises `NotMatched` (nobody under this identity), `AmbiguousIdentity`, `AuthorisationExpired`, `TryLater` (away,
        too many questions, too late), `Refused` (the question itself is not one that the source takes)."""
        raise NotImplementedError

    def close(self) -> None:
        """Give back connections and files: the `client` of a connector, once it has made one."""
        close = getattr(vars(self).get("client"), "close", None)
        if close is not None:
            close()

    def event(
        self, event_type: str, data: Mapping[str, Any], *, id: str, time: str | None = None, subject: str | None = None,
        extensions: Mapping[str, Any] | None = None, version: int = 1,
    ) -> Event:  # fmt: skip
        """An event of this connection. `id` must be derived from the package's own identifiers, so that reading the
        same thing twice gives the same id; in the oldest `version` that can say it, for the same reason. Raises
        InvalidMessage, with its place, when the door would not take it: what the package said makes no such event."""
        if not (id.isprintable() and (subject or "").isprintable()):
            raise InvalidMessage("un identifiant du logiciel contient des caractères illisibles", code="bad_name")
        event = Event(
            type=event_type, source=f"/{self.context.tenant}/{self.context.connection}", data=data, id=id,
            subject=subject, time=time or to_rfc3339(self.context.now()), extensions=dict(extensions or {}),
            version=version,
        )  # fmt: skip
        return check_record(event)
