"""What can be bad inside a case of HubEE: its form, its attachments."""

from __future__ import annotations

from collections.abc import Callable

from connectors.conformance.case import Bench
from connectors.conformance.contents import Content, names, polled
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import File, HubEETwin, civil_record_form

_BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
_OUTSIDE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
_PDF = ("ActeEtatCivil-PDF", "application/pdf", b"%PDF")
_FORM = civil_record_form()


def _case_with(*files: File) -> Callable[[Bench], str]:
    def act(bench: Bench) -> str:
        with HubEETwin() as twin:
            twin.add_case(list(files), email="o@courriel.example")
            connector = HubEEConnector(bench.context(twin.settings()))
            told = polled(connector)
            connector.close()
            assert told.error is None, f"{told.error!r} stops the others"
            assert len(twin.notifications) == len(told.faults), "the notification must stay with its fault"
            if not told.faults:
                [event] = told.events.values()
                return f"taken: {names(event.data['request']['documents'])}"
            assert bench.documents.contents == {}, "something was stored"
            [fault] = told.faults
            return f"told: {fault.reason}; HubEE keeps the case"

    return act


def _form(content: bytes) -> File:
    return File("ActeEtatCivil-XML.xml", "ActeEtatCivil-XML", "application/xml", content)


contents = (
    Content("an XML bomb as attachment", _case_with(_form(_BOMB))),
    Content("XML that names a file of ours", _case_with(_form(_OUTSIDE))),
    Content("XML cut in the middle", _case_with(_form(_FORM[:200]))),
    Content("XML nested 5000 deep", _case_with(_form(b"<a>" * 5000 + b"</a>" * 5000))),
    Content("a request without its form", _case_with(File("a.pdf", *_PDF))),
    Content(
        "an attachment that does not match its digest",
        _case_with(_form(_FORM), File("a.pdf", *_PDF, digest="wrong")),
    ),
    Content(
        "an attachment above 10 MiB",
        _case_with(_form(_FORM), File("a.pdf", _PDF[0], _PDF[1], b"x" * (10 * 1024 * 1024 + 1))),
    ),
    Content("an attachment named `../../etc/cron.d/a`", _case_with(_form(_FORM), File("../../etc/cron.d/a", *_PDF))),
)
