"""What citizens write into forms: read, or kept as it was written."""

from __future__ import annotations

import pytest

from connectors.sdk import values
from connectors.sdk.values import Unread
from schemas.registry import Registry

RECORDS = Registry.load().schema_set


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("04 00 00 00 12", "04 00 00 00 12"),
        ("(+33) 4 00 00 00 12", "+33 4 00 00 00 12"),  # ma-cantine#3784
        ("(+33)0400000012", "+33 4 00 00 00 12"),
        ("00221 33 821 00 00", "00221 33 821 00 00"),
        ("+33\u00a04\u00a000\u00a000\u00a000\u00a012", "+33 4 00 00 00 12"),
    ],
)
def test_a_telephone_number_is_read_however_it_is_written(written: str, read: str) -> None:
    found = values.phone(written)

    assert (found.value, found.whole) == (read, True)
    assert RECORDS.accepts("urn:unefois:record:phone:v1", found.value)


@pytest.mark.parametrize("written", ["04 00 00 00 12 poste 34", "04 00 00 00 12 ext. 34", "0400000012 #34"])
def test_the_number_is_read_without_its_extension_and_the_whole_is_kept(written: str) -> None:
    unread = Unread()

    assert str(unread.read("telephone", written, values.phone)).replace(" ", "") == "0400000012"
    assert unread.answers == {"telephone": written}


@pytest.mark.parametrize("written", ["le soir", "12", "04 00 00 00 12 / 06 00 00 00 12", "+", "DUPONT"])
def test_what_is_no_telephone_number_is_kept_as_it_was_written(written: str) -> None:
    unread = Unread()

    assert unread.read("telephone", written, values.phone) is None
    assert unread.answers == {"telephone": written}


def test_of_two_addresses_none_is_chosen() -> None:
    assert values.email("a@maison.example, b@travail.example").value is None  # ma-cantine#3784
    assert values.email("a@maison.example").value == "a@maison.example"
    assert values.email("a\u200b@maison.example").value is None  # flask-mail#28


@pytest.mark.parametrize(("said", "read"), [("Féminin", "female"), ("M.", "male"), ("Autre", None), ("x", None)])
def test_a_gender_that_civil_records_do_not_know_is_not_guessed_at(said: str, read: str | None) -> None:
    assert values.gender(said).value == read


@pytest.mark.parametrize(
    ("said", "code"),
    [("France", "FR"), ("fr", "FR"), ("SÉNÉGAL", "SN"), ("Hong Kong", "HK"), ("cote d'ivoire", "CI"),
     ("Royaume-Uni", "GB"), ("Syldavie", None), ("XX", None)],
)  # fmt: skip
def test_a_country_is_read_by_its_code_or_its_name(said: str, code: str | None) -> None:
    assert values.country(said).value == code


def test_of_twenty_one_given_names_twenty_are_read_and_all_are_kept() -> None:
    unread, written = Unread(), " ".join(f"Prénom{number}" for number in range(21))

    read = unread.read("prenoms", written, values.given_names)

    assert read == [f"Prénom{number}" for number in range(20)]
    assert unread.answers == {"prenoms": written}


@pytest.mark.parametrize(
    ("said", "read"),
    [("09/03/1987", "1987-03-09"), ("1987-03-09", "1987-03-09"), ("1987", "1987"), ("1987-03", "1987-03"),
     ("00/00/1962", "1962"),
     ("1962-00-00", "1962"), ("07/1962", "1962-07"), ("09/03/0020", None), ("31/02/1987", None), ("vers 1987", None)],
)  # fmt: skip
def test_a_date_of_birth_is_read_as_far_as_it_is_known(said: str, read: str | None) -> None:
    assert values.partial_date(said).value == read


@pytest.mark.parametrize(
    ("written", "code"),
    [("1000", "01000"), ("38999", "38999"), ("38 999", "38999"), ("1000.0", "01000"), ("F-38999", "38999"),
     ("100", None), ("389990", None), ("0000", None), ("2A004", None), ("", None), ("١٠٠٠", None)],
)  # fmt: skip
def test_a_french_postal_code_of_a_spreadsheet_gets_its_zero_back(written: str, code: str | None) -> None:
    assert values.french_postal_code(written) == code  # addok#373, pix PR 4914


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (("Valbruyère", "38 999", ""), {"postal_code": "38999", "city": "Valbruyère"}),
        (("Valbruyère", "38999", "France"), {"postal_code": "38999", "city": "Valbruyère"}),
        (("Kehl", "77694", "Allemagne"), {"postal_code": "77694", "city": "Kehl", "country": "DE"}),
        (("Dublin", "", "IE"), {"city": "Dublin", "country": "IE"}),
        (("Valbruyère", "", ""), None), (("Valbruyère", "8999", ""), None), (("", "38999", ""), None),
        (("Kehl", "77694", "Atlantide"), None), (("Kehl", "!", "DE"), None),
    ],
)  # fmt: skip
def test_a_town_is_read_with_its_country_which_is_never_dropped(
    said: tuple[str, str, str], read: dict[str, str] | None
) -> None:
    assert values.town(*said) == read


def test_nothing_is_kept_of_an_empty_answer() -> None:
    unread = Unread()

    assert unread.read("telephone", "  ", values.phone) is None
    assert unread.added_to({"form": {"commentaire": "oui"}}) == {"form": {"commentaire": "oui"}}


def test_what_was_kept_stands_in_the_form_of_the_request() -> None:
    unread = Unread()
    unread.keep("sexe", "Autre\n")

    assert unread.added_to({"procedure": "p"}) == {"procedure": "p", "form": {"unread_answers": {"sexe": "Autre"}}}


def test_a_long_list_of_unread_answers_has_an_end() -> None:
    unread = Unread()
    for number in range(60):
        unread.keep(f"champ {number}", "x" * 5000)

    assert len(unread.answers) == 50
    assert max(map(len, unread.answers.values())) == 1000
    assert sum(map(len, unread.answers.values())) == 8000


@pytest.mark.parametrize("text", ["," * 1_000_000, "x@" * 500_000, "0" * 1_000_000, " ;" * 500_000, "a\n" * 500_000])
@pytest.mark.timeout(10)
def test_no_answer_however_long_holds_a_reader_up(text: str) -> None:
    for reader in (
        values.phone, values.email, values.gender, values.country, values.birth_country, values.given_names,
        values.partial_date, values.calendar_date, values.postal_code, values.insee_code, values.siret, values.rna,
    ):  # fmt: skip
        reader(text)
    values.french_postal_code(text)


@pytest.mark.parametrize(
    ("parts", "meant"),
    [
        (("1962", "00", "00"), "1962"), (("1962", "3", ""), "1962-03"), (("1962", "03", "9"), "1962-03-09"),
        (("1962", "", "09"), "1962"), (("0000", "03", "09"), None), (("1962", "13", ""), None),
        (("1962", "02", "31"), None), (("",), None), (("62", "03", "09"), None), (("1962", "mars", ""), "1962"),
    ],
)  # fmt: skip
def test_a_date_of_which_a_part_is_unknown_tells_what_comes_before(parts: tuple[str, ...], meant: str | None) -> None:
    assert values.dated_parts(*parts) == meant


def test_the_number_of_a_line_of_street_is_told_apart() -> None:
    assert values.street_line("12 bis, rue des Tilleuls") == ("12 bis", "rue des Tilleuls")
    assert values.street_line("Les Quatre Vents") == ("", "Les Quatre Vents")


@pytest.mark.parametrize(
    ("said", "insee"),
    [
        ("FRA", "99100"), ("FR", "99100"), ("France", "99100"), ("99352", "99352"), ("DZA", "99352"),
        ("algérie", "99352"), ("REU", "99100"), ("Guernesey", "99161"), ("ZZZ", None), ("93066", None), ("", None),
    ],
)  # fmt: skip
def test_a_country_of_birth_is_read_from_its_codes_and_its_name(said: str, insee: str | None) -> None:
    assert values.birth_country(said).value == insee


def test_the_code_of_a_birthplace_names_its_country() -> None:
    assert [values.country_of_birthplace(code) for code in ("93066", "99352", "", None)] == [
        "99100", "99352", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(("territory", "text", "read"), [
    ("98818", "78 12 34", "78 12 34"), ("98735", "87 12 34 56", "87 12 34 56"), ("98818", "n/a", None),
    ("93001", "78 12 34", None), ("", "78 12 34", None), ("97411", "0692 11 22 33", "0692 11 22 33"),
])  # fmt: skip
def test_a_national_number_is_read_as_the_people_of_the_town_dial_it(
    territory: str, text: str, read: str | None
) -> None:
    """https://github.com/demarche-numerique/demarche.numerique.gouv.fr/pull/5549"""
    unread = values.Unread(territory)
    assert unread.read("telephone", text, unread.phone) == read
    assert bool(unread.answers) == (read is None)
