"""Answer keys: nobody makes one without the hub's secret, and people copy them as people do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk import Context
from connectors.sdk.answer_key import AnswerKeys
from schemas.errors import ConfigError, InvalidMessage
from tests.support.context import context_for

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SUBJECT = "k-1~0197a1c2"


def keys_of(**changes: Any) -> AnswerKeys:
    return AnswerKeys(replace(context_for("filedrop", {}), **changes), "~")


KEYS = keys_of()
KEY = KEYS.write(SUBJECT)
CODE = KEY.removeprefix(f"{SUBJECT}~")


def refusal(keys: AnswerKeys, typed: str) -> str:
    with pytest.raises(InvalidMessage) as caught:
        keys.read(typed)
    return caught.value.code


def test_a_key_is_read_back_and_written_in_letters_that_people_tell_apart() -> None:
    assert KEYS.read(KEY) == SUBJECT
    assert re.fullmatch(f"[{ALPHABET}]{{5}}-[{ALPHABET}]{{5}}-[{ALPHABET}]{{5}}", CODE)
    assert keys_of().write(SUBJECT) == KEY


@pytest.mark.parametrize(
    "copied",
    [
        KEY.lower(), KEY.upper(), KEY.replace("-", " - "), f"  {KEY} ", f"{SUBJECT}~{CODE.replace('-', '')}",
        f"{SUBJECT} {CODE.replace('-', ' ').lower()}", f"{SUBJECT}~{CODE.replace('-', '–')}",
    ],
)  # fmt: skip
def test_a_key_is_known_however_it_is_copied(copied: str) -> None:
    assert KEYS.read(copied) == SUBJECT


def test_letters_that_look_like_digits_are_taken_for_them() -> None:
    subject = next(f"k~{n}" for n in range(1000) if {"0", "1"} <= set(KEYS.write(f"k~{n}")[-17:]))
    body, code = KEYS.write(subject)[:-17], KEYS.write(subject)[-17:]
    for one in "Iil":
        assert KEYS.read(body + code.replace("0", "o").replace("1", one)) == subject


@given(st.text(st.characters(exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=100))
@settings(max_examples=100, deadline=None)
def test_two_subjects_have_two_keys(subject: str) -> None:
    assert KEYS.write(subject)[-17:] != CODE or subject == SUBJECT


@pytest.mark.parametrize("place", [n for n, symbol in enumerate(CODE) if symbol != "-"])
def test_one_wrong_symbol_is_caught_by_the_check(place: int) -> None:
    for symbol in set(ALPHABET) - {CODE[place]}:
        assert refusal(KEYS, f"{SUBJECT}~{CODE[:place]}{symbol}{CODE[place + 1 :]}") == "key_mistyped"


def test_two_symbols_in_the_wrong_order_are_caught_by_the_check() -> None:
    code = list(CODE.replace("-", ""))
    for one in range(15):
        for other in range(one):
            swapped = [*code]
            swapped[one], swapped[other] = code[other], code[one]
            if swapped != code:
                assert refusal(KEYS, f"{SUBJECT}~{''.join(swapped)}") == "key_mistyped"


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "another-town"}, {"connection": "another"}, {"answer_secret": b"the secret of another hub"},
        {"tenant": "saint-aubin\0filedrop", "connection": ""},
    ],
)  # fmt: skip
def test_a_key_of_another_town_connection_or_hub_is_unknown(other: dict[str, Any]) -> None:
    theirs = keys_of(**other)
    assert refusal(KEYS, theirs.write(SUBJECT)) == "key_unknown"
    assert refusal(theirs, KEY) == "key_unknown"


@pytest.mark.parametrize("subject", ["k-1~0197a1c3", "k-2~0197a1c2", "", "k-1~", "k-1~0197a1c2~"])
def test_the_code_of_another_subject_is_unknown(subject: str) -> None:
    assert refusal(KEYS, f"{subject}~{CODE}") == "key_unknown"


@pytest.mark.parametrize(
    "typed", ["", "-", "~", CODE[:-1], "k" * 5000, f"{'-' * 5000}{KEY}", "k~UUUUU-UUUUU-UUUUU", "k~" + "é" * 15, "k~\0"]
)
def test_what_is_no_key_is_unknown(typed: str) -> None:
    assert refusal(KEYS, typed) == "key_unknown"


def test_a_connection_without_a_secret_makes_no_keys() -> None:
    for short in (b"", b"short"):
        with pytest.raises(ConfigError):
            keys_of(answer_secret=short)


def test_the_secret_is_not_printed() -> None:
    context = replace(context_for("filedrop", {}), answer_secret=b"a secret that nobody may print")
    assert "nobody may print" not in repr(context)
    assert "nobody may print" not in repr(AnswerKeys(context, "~"))


@pytest.mark.parametrize(("until", "taken"), [(None, False), ("2026-03-01", False), ("2026-03-02", True)])
def test_the_old_form_is_taken_until_the_day_that_the_town_sets(until: str | None, taken: bool) -> None:
    settings = {} if until is None else {"old_keys_until": until}
    assert keys_of(settings=settings).takes_old_form() is taken


def test_a_day_that_does_not_exist_stops_the_connection() -> None:
    with pytest.raises(ConfigError, match="old_keys_until"):
        keys_of(settings={"old_keys_until": "2026-02-30"})


def test_a_tag_tells_texts_apart_and_is_nothing_without_the_secret() -> None:
    assert re.fullmatch("[0-9a-z]{10}", KEYS.tag("a"))
    assert KEYS.tag("a") == keys_of().tag("a")
    others: list[Context] = [replace(context_for("filedrop", {}), answer_secret=b"the secret of another hub")]
    assert len({KEYS.tag("a"), KEYS.tag("b"), *(AnswerKeys(other, "~").tag("a") for other in others)}) == 3
