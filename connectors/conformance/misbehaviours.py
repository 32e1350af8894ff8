"""Every misbehaviour that the twin can play, at every call that the connector makes, and how the work ends."""

from __future__ import annotations

from connectors.conformance.acts import Act, Ending, Staged, acts_of, ending_of, staged
from connectors.conformance.examination import Examination
from connectors.conformance.outcome import Column
from connectors.conformance.sentences import unfit_for_a_timeline
from schemas.errors import HubError, InvalidMessage, TryLater

_ALWAYS = 1000
_LASTING = ("401", "password")  # what is so until somebody changes it
_WAITING = ("timeout", "late", "drip", "slow")  # no answer comes: the less is waited for it, the better
_IMPATIENT, _MORE_PATIENT, _PATIENT = 0.3, 2.0, 10.0  # seconds; the last for what comes at once, and surely comes
_GONE = ("404", "410")
NEVER = "·"


def misbehaviours(exam: Examination) -> None:
    """Each call of each act with its outcomes; what does not end well is a fault. A call that two deliveries make is
    played at the first of them."""
    played: set[tuple[str, str]] = set()
    for act in acts_of(exam):
        due = ending_of(exam, act)
        exam.expect(bool(due.operations), f"{act.name}: the twin saw no call")
        for operation in due.operations:
            if (act.kind, operation) not in played:
                played.add((act.kind, operation))
                exam.columns.append(Column(act.name, operation, _cells(exam, act, operation, due)))


def _cells(exam: Examination, act: Act, operation: str, due: Ending) -> dict[str, str]:
    with exam.opened() as opened:
        kinds = dict(opened.case.twin.kinds)
    return {words: _cell(exam, act, operation, kind, due) for kind, words in kinds.items()}


def _cell(exam: Examination, act: Act, operation: str, kind: str, due: Ending) -> str:
    """A machine that is busy may let an impatient connection give up before the call that is to go wrong: then once
    more, patiently."""
    first = _played(exam, act, operation, kind, due, _IMPATIENT if kind in _WAITING else _PATIENT)
    return _played(exam, act, operation, kind, due, _MORE_PATIENT) if first == NEVER and kind in _WAITING else first


def _played(exam: Examination, act: Act, operation: str, kind: str, due: Ending, timeout: float) -> str:
    where = f"{act.name}: {kind} at {operation}"
    with staged(exam, act, timeout=timeout) as stage:
        twin = stage.opened.case.twin
        twin.misbehave(kind, _ALWAYS if kind in _LASTING else 1, at=operation)
        error = _outcome(exam, where, stage)
        if not twin.met(kind):
            return NEVER
        if error is not None and not isinstance(error, HubError):
            return f"{type(error).__name__}"
        _plainly_said(exam, where, error)
        wrong = stage.settle(error, due, gone=kind in _GONE)
        exam.expect(not wrong, f"{where}: {wrong}")
        return "told" if error is None and stage.taken.faults else said(error)


def _outcome(exam: Examination, where: str, stage: Staged) -> Exception | None:
    """What the act raised. What is no error of the hub is a fault."""
    try:
        stage.run()
    except HubError as error:
        exam.overhear(error)
        return error
    except Exception as error:
        exam.overhear(error)
        exam.fault(f"{where}: raised {type(error).__name__}: translate it in the file that hides the library")
        return error
    return None


def _plainly_said(exam: Examination, where: str, error: HubError | None) -> None:
    """What makes no sense is answered to who sent it, or kept for an operator: it stands on no timeline."""
    if error is None or isinstance(error, InvalidMessage):
        return
    unfit = unfit_for_a_timeline(str(error))
    exam.expect(unfit is None, f"{where}: no sentence for a timeline ({unfit}): {error}")


def said(error: HubError | None) -> str:
    """An outcome as the page says it."""
    if error is None:
        return "done"
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ in ("schemas.errors", "schemas.exchange"))
    wish = f", {error.after:.0f} s" if isinstance(error, TryLater) and error.after is not None else ""
    return f"`{kind.__name__}`{wish}"
