"""The core's one facade: frames and events in, events and commands out. Sequential; whoever feeds it owns it.

Contract for a shell, once per 10 ms: `far = pull()` and play it; `receive(event)` for everything that has arrived;
`feed(near, far)` with the frame that was heard while `far` was played (`advance(now)` while the microphone is closed);
then carry out `take()`. It knows no clock: `now` is the number of samples fed.
"""

from __future__ import annotations

from msgspec.structs import replace

from audio import commands as wish
from audio import events as fact
from audio.bargein import cuts_reply
from audio.buffers import PreRoll
from audio.events import Event, TurnOrigin, TurnOutcome
from audio.frames import FRAME, RATE, TURNS_PER_EPOCH, Pcm, Samples, TurnId, ms, silence
from audio.gate import GateReading
from audio.listener import HeardFact, Listener
from audio.output import Outgoing, Output
from audio.regions import Regions
from audio.settings import LoopSettings
from audio.speaker import Speaker
from audio.turn import On, Turn, turn_step
from audio.utterance import Talker, Utterance, request_start
from audio.waiting import Waiting
from audio.wakecheck import WakeCheck

_MEMORY = 20 * RATE
"""Near end kept: longer than any utterance, so that nothing fed late is gone."""

_AT_REST = (Turn.IDLE, Turn.FOLLOW_UP, Turn.ALERTING)
"""Nothing is under way that a wake word could take away."""


class Conversation:
    """Owner of the turn, of the clock and of everything that is said and heard."""

    def __init__(self, listener: Listener, settings: LoopSettings, epoch: int = 1) -> None:
        self._listener = listener
        self._settings = settings
        self._speaker = Speaker(settings.reply)
        self._near = PreRoll(_MEMORY)
        self.regions = Regions()
        self.state = Turn.IDLE
        self.now = Samples(0)
        self._turn = TurnId(epoch * TURNS_PER_EPOCH)
        self._origin: TurnOrigin = "wake"
        self._utterance: Utterance | None = None
        self._talker: Talker | None = None
        self._open_turn = False
        self._phrases: tuple[str, ...] = ()
        self._due: Samples | None = None
        self._waiting = Waiting()
        self._check = WakeCheck(settings.wake)
        self._out = Outgoing()

    # -- the clock ------------------------------------------------------------------------------------------------
    def pull(self, n: int = FRAME) -> Pcm:
        """The far end's next `n` samples, to be played from `now` on."""
        pcm, started = self._speaker.pull(n, self.now)
        if started is not None:
            self._emit(started)
        if self.state is Turn.SPEAKING and self._speaker.done:
            self._trigger(On.PLAYED_OPEN if self._speaker.follow_up else On.PLAYED)
        return pcm

    def feed(self, near: Pcm, far: Pcm, delay: int = 0) -> None:
        """One frame of each end; `delay` as in `EchoCanceller.process`."""
        heard = self._listener.hear(self.now, near, far, delay)
        self._near.write(heard.pcm)
        self.now = Samples(self.now + len(near))
        for what in heard.facts:
            self._emit(what)
            self._hear(what)
        if (question := self._check.step(self.now, self._near)) is not None:
            self._out.commands.append(question)
        if self._utterance is not None:
            self._listen(heard.reading)
        self._check_due()

    def advance(self, now: Samples) -> None:
        """The clock goes on without a microphone."""
        if now > self.now:
            self._near.write(silence(min(now - self.now, _MEMORY)))
            self.now = now
        if self._utterance is not None:
            self._listen(None)
        self._check_due()

    def deadline(self) -> Samples | None:
        """When the core next does something of its own accord, if nothing is heard or received before."""
        return self._due

    def take(self) -> Output:
        return self._out.take()

    # -- what arrives ---------------------------------------------------------------------------------------------
    def receive(self, event: Event) -> None:
        """Something happened outside: never raises for it, whatever it is."""
        event = replace(event, at=self.now)
        turn = getattr(event, "turn", None)
        if turn is not None and turn != self._turn and not isinstance(event, fact.EngineFailed):
            self._emit(fact.StaleDropped(kind=type(event).__name__, turn=turn))
            return
        self._emit(replace(event, pcm=b"") if isinstance(event, fact.ClauseSynthesized) else event)
        match event:
            case fact.FinalText() if self.state is Turn.THINKING:
                self._final(event)
            case fact.PartialText() if self._utterance is not None:
                self._utterance.decoded(self.now)
            case fact.WakeWordsSet():
                self._check.want(event.words)
            case fact.VolumeSet():
                self._speaker.mixer.set_volume(event.gain_db)
            case fact.WakeJudged() | fact.EngineFailed(engine="wake"):
                self._judged(event)
            case fact.ReplyDecided():
                self._trigger(On.REPLY if event.text.strip() else On.SILENT_REPLY, event)
            case fact.ClauseSynthesized() | fact.SynthesisFinished() | fact.EngineFailed():
                if self.state is Turn.SPEAKING:
                    self._synthesized(event)
            case fact.NoticeDecided() | fact.AlertRaised() | fact.AlertCleared():
                self._waiting.receive(event)
                if isinstance(event, fact.AlertCleared) and not self._waiting.alerts:
                    self._trigger(On.ALERT_OVER)
            case fact.Pressed() | fact.Released():
                self._button(event)
            case fact.SamplesLost():
                self._near.write(silence(min(event.count, _MEMORY)))
                self.now = Samples(self.now + event.count)
            case _:
                self._region(event)
        self._settle()

    def _region(self, event: Event) -> None:
        before = self.regions.hearing
        for consequence in self.regions.receive(event):
            self._emit(consequence)
        if before and not self.regions.hearing:
            if isinstance(event, fact.MicrophoneLost):
                self._speaker.mixer.play("cannot_hear")
            self._trigger(On.MIC_CLOSED)

    def _button(self, event: fact.Pressed | fact.Released) -> None:
        if isinstance(event, fact.Released):
            if self._utterance is not None and self._utterance.held:
                self._utterance_over("release")
        elif not self.regions.hearing:
            self._speaker.mixer.play("cannot_hear")
        elif self.state is not Turn.SPEAKING or self._cuts(event):
            self._trigger(On.PRESS)

    def _judged(self, event: fact.WakeJudged | fact.EngineFailed) -> None:
        """The second opinion on the wake word; a detector that has failed has none, and then the first one's counts."""
        held = self._check.settle(event.turn)
        if isinstance(event, fact.WakeJudged) and not event.confirmed:
            self._trigger(On.REJECTED)
        elif held is not None and self.state is Turn.THINKING:
            self._final(held)

    def _final(self, event: fact.FinalText) -> None:
        if self._check.hold(event):
            return
        # In a follow-up, and while something rings, nobody has called us: speech without words is not for us.
        without = On.NOT_FOR_US if self._origin in ("follow_up", "alert") else On.NO_TEXT
        self._trigger(On.TEXT if event.text.strip() else without, event)

    def _synthesized(self, event: fact.ClauseSynthesized | fact.SynthesisFinished | fact.EngineFailed) -> None:
        if not self._speaker.receive(event):
            self._trigger(On.TIMEOUT)
        elif self._speaker.closed:
            self._due = None  # From here on the reply ends by being played.
        else:
            self._wait(self._settings.reply.timeout_ms)

    # -- what is heard --------------------------------------------------------------------------------------------
    def _hear(self, what: HeardFact) -> None:
        if self._utterance is not None:
            self._utterance.hear(what)
        if isinstance(what, fact.WakeHeard):
            held = self._utterance is not None and self._utterance.held  # Only the button ends what it began.
            if not held and self._check.counts(what) and (self.state in _AT_REST or self._cuts(what)):
                self._trigger(On.WAKE, what)
        elif isinstance(what, fact.SpeechStarted):
            self._trigger(On.VOICE, what)

    def _cuts(self, evidence: fact.WakeHeard | fact.Pressed) -> bool:
        interruptible = self.state is not Turn.SPEAKING or self._speaker.interruptible
        return cuts_reply(evidence, interruptible=interruptible) is not None

    def _listen(self, reading: GateReading | None) -> None:
        assert self._utterance is not None
        commands, end = self._utterance.step(self.now, reading, self._near)
        self._out.commands += commands
        if self._utterance.ready(self.now):
            self._speaker.mixer.play("ready")
        if end is not None:
            self._utterance_over(end)

    def _utterance_over(self, reason: fact.UtteranceEnd) -> None:
        utterance = self._utterance
        assert utterance is not None
        if reason == "no_speech" or not utterance.anything:
            self._end_utterance(reason)
            self._trigger(On.NOTHING_SAID)
            return
        self._out.commands += utterance.finish(self.now, self._near)
        self._end_utterance(reason)
        self._trigger(On.UTTERANCE_DONE)

    def _end_utterance(self, reason: fact.UtteranceEnd) -> None:
        assert self._utterance is not None
        self._emit(self._utterance.ended(reason))
        self._talker, self._utterance = self._utterance.talker, None

    # -- the table ------------------------------------------------------------------------------------------------
    def _trigger(self, on: On, cause: Event | None = None) -> None:
        """Look it up in the table, take the step, carry out its action."""
        step = turn_step(self.state, on)
        if step is None:
            return
        left, self.state = self.state, step.to
        self._due = None
        if left is Turn.ALERTING and step.to is not Turn.ALERTING:
            self._speaker.mixer.ring(False)
        getattr(self, f"_do_{step.action}")(cause)

    def _check_due(self) -> None:
        if self._due is not None and self.now >= self._due:
            self._due = None
            self._trigger(On.WINDOW_OVER if self.state is Turn.FOLLOW_UP else On.TIMEOUT)
        self._settle()

    def _settle(self) -> None:
        """At rest: say what waits, ring what rings."""
        if self.state in (Turn.IDLE, Turn.ALERTING) and self._waiting.notices:
            self._trigger(On.NOTICE)
        if self.state in (Turn.IDLE, Turn.FOLLOW_UP) and self._waiting.alerts:
            self._trigger(On.ALERT)

    # -- actions: opening an utterance ----------------------------------------------------------------------------
    def _do_open_after_word(self, word: fact.WakeHeard) -> None:
        self._open("wake", request_start(word, self._near))
        self._check.begin(self._turn, word)

    def _do_open_held(self, _: fact.Pressed | None) -> None:
        self._open("press", Samples(max(0, self.now - ms(self._settings.recognition.preroll_ms))))

    def _do_open_at_onset(self, voice: fact.SpeechStarted) -> None:
        origin: TurnOrigin = "alert" if self._waiting.alerts else "follow_up"
        since = Samples(max(0, voice.onset - ms(self._settings.recognition.preroll_ms)))
        self._open(origin, since).endpointer.credit(self.now, self.now - voice.onset)

    def _open(self, origin: TurnOrigin, since: Samples) -> Utterance:
        """A new turn begins; one under way is superseded, a reply under way is cut."""
        if self._speaker.speaking:
            self._out.commands.append(wish.CancelSynthesis(turn=self._turn))
            self._emit(self._speaker.cut("press" if origin == "press" else "wake"))
        self._supersede()
        self._begin_turn(origin, since)
        phrases = (*self._phrases, *self._waiting.phrases)
        self._utterance = Utterance(self._turn, since, self.now, self._settings, phrases, origin, self._talker)
        return self._utterance

    def _supersede(self) -> None:
        if self._utterance is not None:
            self._out.commands.append(wish.AbortRecognition(turn=self._turn))
            self._end_utterance("cut")
        if self._open_turn:
            self._out.commands.append(wish.Abandon(turn=self._turn))
            self._end_turn("superseded")

    def _begin_turn(self, origin: TurnOrigin, since: Samples) -> None:
        self._turn = TurnId(self._turn + 1)
        self._origin = origin
        self._check.end()
        self._open_turn = True
        self._emit(fact.TurnStarted(turn=self._turn, by=origin, since=since))

    def _end_turn(self, outcome: TurnOutcome) -> None:
        self._open_turn = False
        self._emit(fact.TurnEnded(turn=self._turn, outcome=outcome))

    # -- actions: thinking ----------------------------------------------------------------------------------------
    def _do_finish(self, _: None) -> None:
        self._speaker.mixer.play("heard")
        self._wait(self._settings.reply.timeout_ms)

    def _do_ask(self, final: fact.FinalText) -> None:
        self._out.commands.append(wish.Answer(turn=final.turn, text=final.text.strip(), confidence=final.confidence))
        self._wait(self._settings.reply.timeout_ms)

    def _do_give_up(self, _: None) -> None:
        if self._utterance is not None:
            self._out.commands.append(wish.AbortRecognition(turn=self._turn))
            self._end_utterance("cut")
        if self._origin in ("wake", "press") and self.regions.hearing:
            self._speaker.mixer.play("cannot_hear")
        self._end_turn("nothing_said")

    def _do_reject(self, _: fact.WakeJudged) -> None:
        """Not the wake word: what was heard is forgotten, and nothing is said about it."""
        self._out.commands.append(wish.AbortRecognition(turn=self._turn))
        if self._utterance is not None:
            self._end_utterance("cut")
        self._end_turn("rejected")

    def _do_end_not_heard(self, _: fact.FinalText) -> None:
        self._end_turn("not_heard")

    def _do_fail(self, _: Event | None) -> None:
        self._speaker.abandon()
        self._speaker.mixer.play("cannot_hear")
        self._out.commands += [wish.CancelSynthesis(turn=self._turn), wish.Abandon(turn=self._turn)]
        self._end_turn("failed")

    # -- actions: speaking ----------------------------------------------------------------------------------------
    def _do_speak_notice(self, _: None) -> None:
        self._supersede()
        self._begin_turn("notice", self.now)
        self._do_say(self._waiting.notices.pop(0))

    def _do_say(self, decided: fact.ReplyDecided | fact.NoticeDecided) -> None:
        self._speaker.say(self._turn, decided)
        self._phrases = decided.phrases
        self._out.commands.append(wish.Synthesize(turn=self._turn, text=decided.text))
        self._wait(self._settings.reply.timeout_ms)

    def _do_end_answered(self, _: Event | None) -> None:
        if self._speaker.speaking:
            self._emit(self._speaker.finish())
        self._end_turn("answered")

    def _do_wait(self, _: None) -> None:
        self._do_end_answered(None)
        self._wait(self._settings.endpoint.follow_up_ms)

    # -- actions: at rest -----------------------------------------------------------------------------------------
    def _do_rest(self, _: None) -> None:
        self._phrases = ()

    def _do_ring(self, _: None) -> None:
        self._speaker.mixer.ring(True)

    def _wait(self, milliseconds: int) -> None:
        self._due = Samples(self.now + ms(milliseconds))

    def _emit(self, event: Event) -> None:
        self._out.emit(event, self.now)
