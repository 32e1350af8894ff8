"""A word that nobody knows never means no."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.yes_no import NO, UNTOLD, YES, yes_or_no


@pytest.mark.parametrize(
    "word",
    ["oui", "OUI", " Oui. ", "O", "VRAI", "vrai", "x", "X", "yes", "Y", "TRUE", True, 1, 1.0, "1", "on", "-1", "t", "✔",
     "Oui, je suis menacé", "OUI - menacée", "Oui : 2 enfants", "oui\u00a0", "\ufeffoui", ["Non", "Oui, moi"]],
)  # fmt: skip
def test_each_word_for_yes_means_yes(word: Any) -> None:
    assert yes_or_no(word) is True


@pytest.mark.parametrize(
    "word",
    ["non", "NON", "N", "FAUX", "no", "false", False, 0, 0.0, "0", "off", "f", "Non, je ne suis pas menacé", "",
     None, "  ", "Non renseigné",
     "sans objet", "-", [], [""]],
)  # fmt: skip
def test_each_word_for_no_and_what_nobody_told_means_no(word: Any) -> None:
    assert yes_or_no(word) is False


@pytest.mark.parametrize(
    "word",
    ["peut-être", "menacée", "ne sait pas", "ouais", "2", 2, "nono", "Non mais il me cherche", "Je suis menacé",
     "#REF!",
     {"raw": "oui"}, ["Non", "menacé"], float("nan"), b"oui"],
)  # fmt: skip
def test_what_is_neither_is_said_to_be_neither(word: Any) -> None:
    assert yes_or_no(word) is None


def test_no_word_means_two_things() -> None:
    assert not {*YES} & {*NO, *UNTOLD}


@given(st.one_of(st.text(), st.floats(), st.integers(), st.lists(st.text())))
def test_anything_may_be_asked(written: Any) -> None:
    assert yes_or_no(written) in (True, False, None)
