"""Each word of the closed list, there and back."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sdk.mapping import Converter, converters_from
from connectors.sdk.mapping.declared import declare_all
from schemas.errors import ConfigError, InvalidMessage
from schemas.times import to_rfc3339

PARIS = ZoneInfo("Europe/Paris")


def word(words: str, raw: dict[str, Any] | None = None, **more: Any) -> Converter:
    (found,) = converters_from(raw or {}, zone=PARIS, **more).of(words)
    return found


def kind(**raw: Any) -> Converter:
    return word("one", {"one": raw})


def code_of(call: Any, value: object) -> str:
    with pytest.raises(InvalidMessage) as raised:
        call(value)
    return raised.value.code


@pytest.mark.parametrize(
    ("words", "said", "read"),
    [
        ("text", "  rue \t des\u00a0Tilleuls\n ", "rue des Tilleuls"),
        ("text", 38999, "38999"),
        ("text", 38999.0, "38999"),
        ("text", "   ", None),
        ("upper", "Évreux", "ÉVREUX"),
        ("integer", "1 250", 1250),
        ("integer", "-3", -3),
        ("integer", 4.0, 4),
        ("integer:0..10", "10", 10),
        ("decimal", "1 234,50", 1234.5),
        ("decimal", "14,00 €", 14),
        ("decimal", 0.1, 0.1),
        ("cents", "12,50", 1250),
        ("cents", "12.5", 1250),
        ("cents", 12, 1200),
        ("cents", 19.99, 1999),
        ("cents", "1 250 €", 125000),
        ("cents:100..10000000", "1,00", 100),
        ("date", "2026-03-09", "2026-03-09"),
        ("date:%d/%m/%Y", "9/3/2026", "2026-03-09"),
        ("date:%d%m%Y", "09032026", "2026-03-09"),
        ("date:%d/%m/%Y", "00/00/1962", "1962"),
        ("date:%d/%m/%Y", "07/1962", "1962-07"),
        ("date", "1962-00-00", "1962"),
        ("instant", "2026-03-02T10:14:05.120+01:00", "2026-03-02T09:14:05.120000Z"),
        ("instant", "2026-03-02 10:14", "2026-03-02T09:14:00Z"),
        ("instant", "2026-03-02T09:14:05Z", "2026-03-02T09:14:05Z"),
        ("boolean", "Oui", True),
        ("boolean", 0, False),
        ("boolean", False, False),
        ("boolean", "VRAI", True),
        ("boolean", "x", True),
        ("boolean", "Oui, je suis menacé", True),
        ("boolean", "Non, personne", False),
        ("boolean", "Non renseigné", None),
    ],
)
def test_a_word_reads(words: str, said: object, read: object) -> None:
    found = word(words).apply(said)

    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("text", True, "not_a_text"),
        ("text", ["a"], "not_a_text"),
        ("text", float("nan"), "not_a_number"),
        ("text", "l\x92Église", "bad_character"),
        ("integer", "12,5", "not_a_number"),
        ("integer", "9" * 5000, "not_a_number"),
        ("integer", "٣", "not_a_number"),
        ("integer:1..9", "10", "out_of_bounds"),
        ("decimal", "1.234,50", "not_a_number"),
        ("cents", "12,505", "bad_amount"),
        ("cents", "1,234", "bad_amount"),
        ("cents:100..", "0,99", "bad_amount"),
        ("date", "2026-02-30", "bad_date"),
        ("date:%m/%d/%Y", "25/12/1962", "bad_date"),
        ("date", "00/00/0000", "bad_date"),
        ("date", "0020-01-01", "bad_date"),
        ("date:%d%m%Y", "9032026", "bad_date"),
        ("instant", "2026-03-02", "bad_date"),
        ("instant", "2026-03-02T25:00:00Z", "bad_date"),
        ("instant", "9999-12-31T23:59:59-12:00", "bad_date"),
        ("boolean", "peut-être", "not_a_boolean"),
    ],
)
def test_a_word_refuses_what_it_cannot_read(words: str, said: object, code: str) -> None:
    assert code_of(word(words).apply, said) == code


@pytest.mark.parametrize(
    ("raw", "said", "written"),
    [
        ({"date": "%d/%m/%Y"}, "2026-03-09", "09/03/2026"),
        ({"date": ["%d/%m/%Y", "%Y"]}, "1962", "1962"),
        ({"date": "%d/%m/%Y"}, "2026-03-08T23:30:00Z", "09/03/2026"),
        ({"instant": "%Y-%m-%d %H:%M:%S %z"}, "2026-07-02T08:14:05Z", "2026-07-02 10:14:05 +0200"),
        ({"date": "%d%m%Y %H%M", "zone": "Indian/Reunion"}, "2026-07-02T08:14:05Z", "02072026 1214"),
        ({"cents": "100..5000"}, 1250, "12,50"),
        ({"cents": "", "mark": "."}, 5, "0.05"),
        ({"decimal": "", "mark": "."}, 14.25, "14.25"),
        ({"decimal": ""}, 1000, "1000"),
        ({"table": {"User": "online", "Agent": "desk", "*": "desk"}}, "desk", "Agent"),
        ({"boolean": {"true": ["O", "Oui"], "false": "N"}}, False, "N"),
    ],
)
def test_a_declared_kind_writes_as_the_package_wants_it(raw: dict[str, Any], said: object, written: object) -> None:
    reverse = kind(**raw).reverse

    assert reverse is not None
    assert reverse(said) == written


def test_a_date_of_a_year_alone_is_as_much_as_is_known() -> None:
    birth = kind(date=["%d/%m/%Y", "%m/%Y", "%Y"])

    assert [birth.apply(said) for said in ("09/03/1987", "03/1987", "1962")] == ["1987-03-09", "1987-03", "1962"]


def test_the_hour_that_comes_twice_is_the_first_and_the_one_that_never_was_goes_on_counting() -> None:
    local = kind(date="%Y-%m-%d %H:%M")

    assert local.apply("2026-10-25 02:30") == "2026-10-25T00:30:00Z"
    assert local.apply("2026-03-29 02:30") == "2026-03-29T01:30:00Z"
    assert word("instant").apply("2026-10-25T02:30:00") == "2026-10-25T00:30:00Z"


def test_a_code_means_what_its_table_says() -> None:
    intake = kind(table={"User": "online", "1": "mail", "true": "phone", "ignore": "", "*": "desk", "": "unknown"})

    assert [intake.apply(code) for code in ("User", 1, True, "ignore", "x")] == [
        "online",
        "mail",
        "phone",
        None,
        "desk",
    ]
    assert intake.absent == "unknown"


def test_an_unknown_code_is_named_where_it_is_one() -> None:
    closed = kind(table={"P5": "later"})

    for code in ("A2", "no-show", "in_progress", "status.3", "CDG"):
        with pytest.raises(InvalidMessage, match=f"code inconnu « {code} »"):
            closed.apply(code)
    for said in ("Corvisart", "06 12 34", "0612345", "a@b.example", "x" * 41, "é", "12 rue Basse", "1987-03-09"):
        with pytest.raises(InvalidMessage) as raised:
            closed.apply(said)
        assert str(raised.value) == "code inconnu"


def test_a_setting_is_a_table_of_the_connection() -> None:
    found = word("setting:procedures", settings={"procedures": {"4501": "titre-identite"}})

    assert found.apply(4501) == "titre-identite"
    assert code_of(found.apply, 4502) == "unknown_code"
    with pytest.raises(ConfigError, match="the setting procedures is not a table"):
        word("setting:procedures", settings={"procedures": "x"})


def test_a_hook_is_given_the_raw_value_and_its_stumbles_are_refusals() -> None:
    found = word("py:street", hooks={"street": lambda value: value["line"].title()})

    assert found.apply({"line": "rue basse"}) == "Rue Basse"
    with pytest.raises(InvalidMessage) as raised:
        found.apply({"line": 7})
    assert (raised.value.detail, raised.value.reason) == ("street: AttributeError", "valeur illisible")


def test_a_name_stands_for_a_chain_of_those_above_it() -> None:
    raw = {"kind": {"table": {"A": "adulte"}}, "shout": "kind,upper"}

    shout = word("shout", raw)
    assert shout.apply("A") == "ADULTE"
    both = converters_from(raw, zone=PARIS).of("kind upper")
    assert [one.name for one in both] == ["table", "upper"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"a": "tetx"}, r'no converter "tetx" \(did you mean "text"\?\)'),
        ({"a": "split:,:1"}, 'no converter "split:"'),
        ({"a": "text:3"}, "takes nothing after a colon"),
        ({"a": "integer:"}, 'no converter "integer:"'),
        ({"a": "integer:x"}, "bounds are min..max"),
        ({"a": {"date": "%d/%m/%y"}}, "%y is not read here"),
        ({"a": {"date": "%H:%M"}}, "a format holds a year"),
        ({"a": {"date": []}}, "must be a format or a list of formats"),
        ({"a": {"instant": "%Y-%m-%d"}}, "an instant needs the hour"),
        ({"a": {"date": "%Y-%m-%d", "zone": "Europe/Pariss"}}, "zone is no time zone"),
        ({"a": {"table": {}}}, "must be a table of codes"),
        ({"a": {"tabel": {}}}, "must be converters as a text, or a table with one of"),
        ({"a": {"table": {"x": "y"}, "zone": "Europe/Paris"}}, 'unknown key "zone"'),
        ({"a": {"boolean": {"true": "O"}}}, "must say the words of true and of false"),
        ({"py": "upper"}, "setting and py are taken"),
        ({"Été": "upper"}, "a name is of a-z"),
        ({"a": 3}, "must be converters"),
    ],
)
def test_a_declaration_that_is_none_is_told_with_its_key(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        converters_from(raw, zone=PARIS)
    assert raised.value.key == f"converters.{next(iter(raw))}"


def test_a_declared_name_goes_before_a_closed_word() -> None:
    found = converters_from({"instant": {"date": "%d/%m/%Y %Hh%M"}, "text": "text,upper"}, zone=PARIS)

    assert found.of("instant")[0].apply("02/03/2026 10h14") == "2026-03-02T09:14:00Z"
    assert found.of("text")[0].apply("rue basse") == "RUE BASSE"


def test_every_declaration_that_is_none_is_told_at_once() -> None:
    found = converters_from({}, zone=PARIS)

    assert [name for name, _ in declare_all(found, {"a": "tetx", "b": "text", "c": {"date": "%q"}})] == ["a", "c"]
    assert list(found) == ["b"]


@given(cents=st.integers(0, 10**12))
def test_an_amount_comes_back_as_it_was(cents: int) -> None:
    for one in (kind(cents=""), kind(cents="", mark=".")):
        assert one.reverse is not None
        assert one.apply(one.reverse(cents)) == cents


@given(day=st.dates(min_value=date(1000, 1, 1), max_value=date(2999, 12, 31)))
def test_a_day_comes_back_as_it_was(day: Any) -> None:
    for text in ("%d/%m/%Y", "%Y%m%d", "%m-%d-%Y"):
        one = kind(date=text)
        assert one.reverse is not None
        assert one.apply(one.reverse(day.isoformat())) == day.isoformat()


@given(seconds=st.integers(-3_000_000_000, 20_000_000_000))
def test_an_instant_comes_back_as_it_was(seconds: int) -> None:
    text = to_rfc3339(seconds, "seconds")
    one = kind(date="%d/%m/%Y %H:%M:%S %z")
    assert one.reverse is not None
    assert one.apply(one.reverse(text)) == text


def test_a_reader_of_what_people_write_is_a_word() -> None:
    class Found:
        def __init__(self, value: str | None) -> None:
            self.value = value

    found = word("phone", readers={"phone": lambda text: Found(text if text[0] in "+0" else None)})

    assert [found.apply(said) for said in (" 04 00\t00 00 12", "  ")] == ["04 00 00 00 12", None]
    assert code_of(found.apply, "plus tard") == "bad_value"
    with pytest.raises(ConfigError, match=r'no converter "phnoe" \(did you mean "phone"\?\)'):
        word("phnoe", readers={"phone": Found})


def test_what_a_database_or_soap_gives_is_read_as_what_it_is() -> None:
    at = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    number = UUID("8a6e0804-2bd0-4672-b79d-d97027f9071a")
    plain = converters_from({}, zone=PARIS)

    def of(words: str, value: object) -> object:
        return plain.of(words)[0].apply(value)

    assert [of("text", one) for one in (Decimal("12.50"), number)] == ["12.50", str(number)]
    assert [of("cents", Decimal("12.50")), of("integer", Decimal(3)), of("decimal", Decimal("0.1"))] == [1250, 3, 0.1]
    local = datetime(2026, 3, 2, 0, 30)  # noqa: DTZ001
    assert [of("date", date(2026, 3, 2)), of("date:%d/%m/%Y", at), of("date", local)] == ["2026-03-02"] * 3
    assert [of("instant", at), of("instant", local)] == ["2026-03-01T23:30:00Z"] * 2
    assert kind(date="%d/%m/%Y %H:%M").apply(at) == "2026-03-01T23:30:00Z"
    assert code_of(plain.of("instant")[0].apply, date(2026, 3, 2)) == "bad_date"
    assert code_of(plain.of("text")[0].apply, Decimal("1e999999")) == "not_a_number"
