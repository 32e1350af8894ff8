"""What a connector declares is there, and nothing else; and it says how it is."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.conformance.case import Case
from connectors.conformance.examination import Examination, Opened
from connectors.sdk import Connector, connector_class
from connectors.sdk.discovery import KINDS
from schemas.manifest import Answered

TOLD_ONCE = ("request.received",)
"""Event types that are told once of one thing: no A after a B."""


def declaration(exam: Examination) -> None:
    with exam.opened() as opened:
        _events_exist(exam)
        _is_its_own_class(exam, opened)
        _methods(exam, opened)
        _shown(exam, opened.case)
        _answers(exam, opened.case)


def probe(exam: Examination) -> None:
    with exam.opened() as opened:
        found = exam.without_error("probe", opened.connector.probe)
        exam.expect(found is None or found.ok, "probe: not ok while the package is up")
        if found is not None:
            exam.heard.append(found.detail)
            exam.expect(bool(found.detail), "probe: says nothing")
        with opened.away():
            found = exam.without_error("probe during an outage", opened.connector.probe)
        if found is not None:
            exam.heard.append(found.detail)
            exam.expect(not found.ok, "probe: ok while the package is down")


def _events_exist(exam: Examination) -> None:
    for name in exam.manifest.publishes:
        exam.expect(exam.registry.known(name), f"publishes {name}, which is no shared event")
    for consumed in exam.manifest.consumes:
        known = exam.registry.known(consumed.type, consumed.version)
        exam.expect(known, f"consumes {consumed.type} version {consumed.version}, which is no shared event")


def _is_its_own_class(exam: Examination, opened: Opened) -> None:
    kind = type(opened.connector)
    if kind.__module__.startswith("connectors.") and connector_class(exam.manifest) is not kind:
        exam.fault("connector.py holds another Connector than the one that is checked")


def _methods(exam: Examination, opened: Opened) -> None:
    manifest, kind, case = exam.manifest, type(opened.connector), opened.case
    for declared, method, shown in (
        (bool(manifest.consumes), "prepare", bool(case.deliveries)),
        (bool(manifest.consumes), "send", bool(case.deliveries)),
        (bool(manifest.poll_seconds), "poll", case.news is not None),
        (manifest.receives, "receive", bool(case.inbound)),
        (bool(manifest.answers), "answer", bool(case.asked)),
        (manifest.lists_people, "people", case.news is not None or bool(case.deliveries)),
        (manifest.states_again, "state", case.news is not None),
    ):
        written = getattr(kind, method) is not getattr(Connector, method)
        if method == "send":
            written |= kind.handle is not Connector.handle or kind.handle_many is not Connector.handle_many
        if getattr(kind, method).__module__.startswith(KINDS):  # the kit's does what is declared
            written = declared
        exam.expect(declared == written, f"{method}: the manifest and the code disagree on whether it is there")
        exam.expect(shown or not declared, f"{method}: the case shows nothing for it")
    looks = kind.look_up is not Connector.look_up
    exam.expect(looks or manifest.idempotency != "look-up-first", "look-up-first, but there is no look_up")


def _shown(exam: Examination, case: Case) -> None:
    """What the manifest requires of a case, whatever its author thought that it needs."""
    manifest = exam.manifest
    consumed, shown = {one.type for one in manifest.consumes}, {one.event.type for one in case.deliveries}
    again = consumed - set(TOLD_ONCE)
    exam.expect(bool(shown) or not consumed, "the case shows no delivery")
    for name in sorted(shown - consumed):
        exam.fault(f"the case delivers {name}, which is not declared")
    for sentence in case.unshown:
        exam.fault(sentence)
    for due, kept, wanted in (
        (bool(consumed), case.effects is not None, "`effects`: what the package holds"),
        (bool(consumed) and says_no(case), _has_a_no(case), "a no: `refused` or `refuse`"),
        (bool(consumed or manifest.answers), case.deny is not None, "a closed door: `deny`"),
        (bool(consumed & again), bool(case.turns), "`turns`: A and B of what can be said again"),
        (bool(manifest.poll_seconds), case.turn is not None, "`turn`: a record that changes and changes back"),
        (manifest.receives, bool(case.forged), "`forged`: a call that proves nothing"),
        (manifest.receives, case.resigned is not None, "`resigned`: the same call with another body"),
    ):  # fmt: skip
        exam.expect(kept or not due, f"the case lacks {wanted}")


def says_no(case: Case) -> bool:
    """A package whose success is its status alone has no word for a no that is final."""
    return not getattr(case.twin, "status_is_all", False)


def _has_a_no(case: Case) -> bool:
    return case.refused is not None or case.refuse is not None


def _answers(exam: Examination, case: Case) -> None:
    declared: Sequence[Answered] = exam.manifest.answers
    shown = {(asked.question.evidence, asked.question.version) for asked in case.asked}
    for answered in declared:
        name = f"{answered.type} version {answered.version}"
        if answered.version not in exam.registry.evidence_versions(answered.type):
            exam.fault(f"answers {name}, which is no shared evidence")
            continue
        known = exam.registry.evidence_fields(answered.type, answered.version)
        for wrong in (one for one in answered.fields if one not in known):
            exam.fault(f"answers {name}: there is no field {wrong}")
        exam.expect((answered.type, answered.version) in shown, f"answers {name}: the case shows no question")
    for evidence_type, version in shown - {(answered.type, answered.version) for answered in declared}:
        exam.fault(f"the case asks for {evidence_type} version {version}, which is not declared")
