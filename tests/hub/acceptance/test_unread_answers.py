"""The timeline says which answers of a form could not be read, and never what they were (ma-cantine#3784)."""

from __future__ import annotations

from hub.requests.timeline import OPERATOR, Viewer, request_view
from tests.hub.acceptance.test_accept import TOWN, Desk, received


def line_of(desk: Desk, viewer: Viewer, form: object) -> str:
    (verdict,) = desk.submit(received(form=form))
    with desk.ledger.reading() as tx:
        view = request_view(tx, desk.directory, TOWN, verdict.request_id or "", viewer)
    assert view is not None
    return str(view["timeline"][0]["text"])


def test_the_names_of_the_answers_are_said_and_not_what_was_written(desk: Desk) -> None:
    line = line_of(desk, OPERATOR, {"unread_answers": {"telephone": "le soir chez Blanche", "sexe": "Autre"}})

    assert line.endswith("réponses non reconnues, gardées telles quelles dans le formulaire : telephone, sexe")
    assert "Blanche" not in line


def test_a_form_that_was_read_says_nothing_more(desk: Desk) -> None:
    assert line_of(desk, OPERATOR, {"unread_answers": {}}) == "Reçue par Portail"


def test_a_free_answer_of_that_name_is_no_list_of_answers(desk: Desk) -> None:
    assert line_of(desk, OPERATOR, {"unread_answers": "aucune"}) == "Reçue par Portail"


def test_names_are_shown_on_one_line_that_has_an_end(desk: Desk) -> None:
    line = line_of(desk, OPERATOR, {"unread_answers": {f"champ\n{n} {'x' * 100}": "" for n in range(40)}})

    assert "\n" not in line
    assert line.endswith(", …")
    assert len(line) < 1500


def test_the_portal_that_brought_it_knows_already(desk: Desk) -> None:
    assert (
        line_of(desk, Viewer("portal", f"{TOWN}.portail"), {"unread_answers": {"sexe": "Autre"}}) == "Reçue par Portail"
    )
