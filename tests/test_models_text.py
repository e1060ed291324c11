"""Text for speech: the normaliser and the cutting into clauses."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clauses import clauses
from models.spoken import spoken

SPOKEN = [
    ("It is 10:05.", "It is ten oh five."),
    ("See you at 7:00", "See you at seven o'clock"),
    ("At 7:00 p.m. on Thursday", "At seven p m on Thursday"),
    ("15:30 and 00:15", "three thirty p m and twelve fifteen a m"),
    ("open 7am to 9 P.M.", "open seven a m to nine p m"),
    ("It costs $5.", "It costs five dollars."),
    ("$5.50, $1,250.99 and $1", "five dollars and fifty cents, one thousand two hundred fifty dollars"
     " and ninety nine cents and one dollar"),
    ("\u00a33 million", "three million pounds"),
    ("$0.01", "one cent"),
    ("Dr. Smith is in No. 5, Ext. 204.", "Doctor Smith is in number five, extension two zero four."),
    ("Mr. and Mrs. Jones", "Mister and Missus Jones"),
    ("Call 555-0123.", "Call five five five, zero one two three."),
    ("+1 (415) 555-0123", "plus one, four one five, five five five, zero one two three"),
    ("2026-11-24T10:05:00Z", "November twenty fourth, twenty twenty six at ten oh five"),
    ("2026-13-45", "two zero two six one three four five"),
    ("Nov 24th", "November twenty fourth"),
    ("1,250 people", "one thousand two hundred fifty people"),
    ("10% of 3.5", "ten percent of three point five"),
    ("-5\u00b0C", "minus five degrees Celsius"),
    ("5-7 days", "five to seven days"),
    ("007", "zero zero seven"),
    ("\u0663 apples", "three apples"),
    ("[word](/f\u0259n/) and [[\u02c8\u026apa]] x", "word and x"),
    ("**bold** `code` # Heading", "bold code Heading"),
    ("<b>hi</b>", "hi"),
    ("hey \ud800 there\x07", "hey there"),
    ("Wait \u2014 what?", "Wait, what?"),
    ("...", ""),
    ("\U0001f600", ""),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), SPOKEN)
def test_text_is_spelled_out(text: str, said: str) -> None:
    assert spoken(text) == said


@given(st.text())
def test_nothing_reaches_a_voice_that_it_cannot_say(text: str) -> None:
    said = spoken(text)
    assert not re.search(r"[\[\]<>*_`#|~^\\(){}\d]", said)
    assert not any(unicodedata.category(character)[0] == "C" for character in said)
    assert all(len(word) <= 40 for word in said.split())
    said.encode()


HARD = (
    "$5", "10:05", "+1", "555-0123", "-7", "3.5", "1,000", "24th", "2026-11-24", "[[", "]]", "(",
    "p.m.", "9am", ".", "%",
)  # fmt: skip


@given(st.lists(st.sampled_from(HARD)))
def test_numbers_and_marks_in_any_order(parts: list[str]) -> None:
    assert not re.search(r"[\d\[\]$%]", spoken(" ".join(parts)) + spoken("".join(parts)))


CLAUSES = [
    ("Okay. It is three thirty.", ["Okay.", "It is three thirty."]),
    ("Dr. Smith can see you at 3 p.m. on Thursday, or on Friday at 10:05, whichever you like better.",
     ["Dr. Smith can see you at 3 p.m. on Thursday,", "or on Friday at 10:05,", "whichever you like better."]),
    ("Call J. Smith at Ext. 5. Thanks!", ["Call J. Smith at Ext. 5.", "Thanks!"]),
    ("Yes, that is fine.", ["Yes, that is fine."]),
    ("See you at 7 p.m. Bring a coat.", ["See you at 7 p.m.", "Bring a coat."]),
    ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
    ("  ", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "cut"), CLAUSES)
def test_text_is_cut_where_a_speaker_pauses(text: str, cut: list[str]) -> None:
    assert clauses(text) == cut


@given(st.lists(st.sampled_from(["a", "Dr.", "end.", "pause,", "What?", "5", "x" * 90, "p.m.", "\u201cso\u201d"])))
def test_clauses_are_the_words_again(words: list[str]) -> None:
    cut = clauses(" ".join(words))
    assert " ".join(cut).split() == words
    assert all(0 < len(clause) <= 200 for clause in cut)


@given(st.text())
def test_any_text_can_be_cut(text: str) -> None:
    assert " ".join(clauses(text)).split() == text.split()
