"""The times of a reply's words: whatever the voice tells of them, and for real in both voices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spoken import spoken
from models.stt_moonshine import MoonshineRecognizer, plain
from models.word_times import Group, Timeline, word_times
from tests.models_speech import VOICES, voice

REPLIES = (
    "The appointment on the 24th of November is cancelled - and it costs $5.",
    "I have a haircut for two at 3:30 p.m. on Thursday, is that right?",
    "There is a table at the front of the room, out of the way of the door.",
    "Dr. Smith can see you at 10:05 in room 204.",
)
_tokens = st.sampled_from(["a", "the", "appointment", "$5", "3:30", "p.m.", "-", "24th", "10", "Dr.", "of", "&", "!"])


@given(st.lists(_tokens, max_size=12), st.lists(st.tuples(st.integers(1, 9), st.integers(1, 500)), max_size=16))
def test_every_word_has_its_time_and_none_overtakes(tokens: list[str], lengths: list[tuple[int, int]]) -> None:
    groups, at = [], 10
    for phonemes, length in lengths:
        groups.append(Group(phonemes, at, at + length))
        at += length + 3
    text = " ".join(tokens)
    found = word_times(text, spoken(text), groups)
    if not groups or not spoken(text):
        assert found == ()
        return
    assert [word.text for word in found] == tokens
    last = 0
    for word in found:
        assert last <= word.start <= word.end <= at
        last = word.end
    assert found[-1].end == groups[-1].end or tokens[-1] in "-!&"


def test_words_that_run_together_share_their_time() -> None:
    groups = (Group(6, 0, 100), Group(4, 120, 200), Group(4, 220, 300))
    found = word_times("table of the room", "table of the room", groups)
    assert [(word.start, word.end) for word in found] == [(0, 100), (120, 152), (152, 200), (220, 300)]


def test_a_timeline_splits_at_gaps_and_ignores_stops() -> None:
    line = Timeline()
    for phoneme, samples in (("^", 50), ("a", 10), ("b", 10), (" ", 5), ("c", 10), (".", 30), ("$", 9)):
        line.add(phoneme, samples)
    line.close(130)
    line.add("d", 20)
    line.close(150)
    assert line.trimmed(40, 100) == (Group(2, 10, 30), Group(1, 35, 45), Group(1, 90, 100))


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_both_voices_time_every_word(name: str) -> None:
    for reply in REPLIES:
        for clause in voice(name).synthesize(reply):
            assert [word.text for word in clause.words] == clause.text.split()
            ends = [word.end for word in clause.words]
            assert ends == sorted(ends)
            assert clause.words[0].start < 0.1 * voice(name).rate
            # The pause after the last word is part of the clause.
            assert 0.7 * len(clause.pcm) < ends[-1] <= len(clause.pcm)


@pytest.mark.models
@pytest.mark.parametrize("name", VOICES)
def test_cut_in_the_gap_the_words_before_it_are_what_is_heard(name: str) -> None:
    import soxr

    recognizer = MoonshineRecognizer()
    recognizer.load()
    text = "The green table by the window is free on Thursday"
    (clause,) = voice(name).synthesize(text)
    words = text.lower().split()
    for count in (3, 6, 8):
        until = (clause.words[count - 1].end + clause.words[count].start) // 2
        pcm = soxr.resample(clause.pcm[:until].astype(np.float32), voice(name).rate, 16_000)
        recognizer.start()
        recognizer.feed(pcm.astype(np.int16))
        heard = plain(recognizer.finish().text).split()
        assert heard[:count] == words[:count]
        assert len(heard) <= count + 1
