"""One form of a telephone number: what is dialled in two ways is one number, what is dialled otherwise another."""

from __future__ import annotations

import pytest

from schemas.phones import fold_phone


@pytest.mark.parametrize("written", [
    "0612345678", "06 12 34 56 78", "06.12.34.56.78", "06-12-34-56-78", "06 12‑34‑56‑78", "06/12/34/56/78",
    "+33 6 12 34 56 78", "+33(0)6 12 34 56 78", "+33 (0) 6 12 34 56 78", "0033612345678", "00 33 (0)6 12 34 56 78",
    "(+33) 6 12 34 56 78", "+330612345678",  # https://github.com/whisperfish/rust-phonenumber/pull/92
])  # fmt: skip
def test_a_french_number_is_ten_digits_however_it_is_dialled(written: str) -> None:
    assert fold_phone(written) == "0612345678"


@pytest.mark.parametrize(("written", "folded"), [
    # https://github.com/google/libphonenumber/issues/2135: one numbering plan, six codes of country
    ("+590 590 29 00 00", "0590290000"), ("0590 29 00 00", "0590290000"),
    # https://github.com/giggsey/libphonenumber-for-php/issues/446: La Réunion, as its people write it
    ("+33692112233", "0692112233"), ("+262 (0)692 11 22 33", "0692112233"), ("0692112233", "0692112233"),
    ("+596 696 12 34 56", "0696123456"), ("+594 694 12 34 56", "0694123456"),
    # https://github.com/daddyz/phonelib/issues/218: a French mobile is no number of Samoa
    ("0685123456", "0685123456"), ("+685 123456", "00685123456"),
    # https://github.com/google/libphonenumber/issues/1815: a zero too many is not mended
    ("004-92-58-76-11", "00492587611"),
    # https://github.com/brick/phonenumber/issues/12, https://github.com/giggsey/libphonenumber-for-php/issues/495
    ("+39 011 651 1111", "00390116511111"), ("+225 07 89 88 12 34", "002250789881234"),
    ("+32 470 12 34 56", "0032470123456"), ("0032 470 12 34 56", "0032470123456"),
    ("04 00 00 00 12 poste 34", "0400000012x34"), ("04 00 00 00 12, ext. 34", "0400000012x34"),
    ("0400000012x34", "0400000012x34"), ("612345678", "612345678"), ("33612345678", "33612345678"),
])  # fmt: skip
def test_a_number_keeps_what_is_dialled(written: str, folded: str) -> None:
    assert fold_phone(written) == folded


@pytest.mark.parametrize("text", [
    "", "12", "93001", "rue du 8 mai", "x34", "0612 ou 0613 le soir", "+33 6 12 x3 56", "٠٦١٢٣٤٥٦٧٨",
])  # fmt: skip
def test_what_is_no_number_is_none(text: str) -> None:
    assert fold_phone(text) is None


def test_another_number_is_another() -> None:
    numbers = ("0400000012", "0400000013", "0400000012x1", "0400000012x2", "+32 400000012", "+590 400000012")
    assert len({fold_phone(number) for number in numbers[:-1]}) == 5
    assert fold_phone(numbers[-1]) == fold_phone(numbers[0])  # what nobody can dial
