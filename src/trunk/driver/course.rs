//! The course of a call: it is woken, what it wants done is done, and it is buried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::call::{CallEvent, Input, Output};
use aftercall_core::id::{AttemptId, UtteranceId};
use aftercall_core::rtp::StreamStats;
use tracing::{debug, info};

use super::live::send;
use super::speaker::{Spoken, ToSpeak};
use super::{Media, Told};
use crate::speech::ears::{Job, Priority};

impl Media {
    /// Words and audio that came back from the ears and the voice.
    pub(super) fn hear(&mut self) {
        let now = self.now();
        while let Ok((token, heard)) = self.heard.try_recv() {
            let (number, utterance) = ((token >> 32) as usize, UtteranceId(token as u32));
            if let Some(live) = self.calls.get_mut(&number) {
                live.jobs.remove(&utterance);
                live.call
                    .handle_input(Input::Heard { utterance, heard }, now);
                self.drain(number);
            }
        }
        while let Ok(Spoken { number, id, audio }) = self.spoken.try_recv() {
            if let Some(live) = self.calls.get_mut(&number) {
                live.call.handle_input(Input::Spoken { id, audio }, now);
                self.drain(number);
            }
        }
    }

    pub(super) fn wake_calls(&mut self) {
        let now = self.now();
        if let Some(due) = self.alarms.next().filter(|due| *due <= now) {
            let late = now.since(due);
            self.pulse.wake_late_seconds.observe(late.as_secs_f64());
        }
        for number in self.alarms.due(now) {
            self.wake_ringing(number, now);
            if let Some(live) = self.calls.get_mut(&number) {
                live.wake_handshakes(now);
                live.call.handle_timeout(now);
            }
            self.drain(number);
        }
        for number in std::mem::take(&mut self.finished) {
            self.bury(number);
        }
    }

    fn bury(&mut self, number: usize) {
        self.alarms.set(number, None);
        self.tell_trace(number, false);
        let Some(mut live) = self.calls.remove(&number) else {
            return;
        };
        for socket in [&mut live.socket, &mut live.rtcp] {
            if let Err(error) = self.poll.registry().deregister(socket) {
                debug!(%error, "RTP socket");
            }
        }
        self.close_lines(&mut live);
        self.endpoint.remove(live.call.call_id());
        self.by_call_id.remove(live.call.call_id());
        self.resting.push((live.port, StdInstant::now()));
    }

    /// What has gone over the line by now; `anyhow`: also where no message has come since it was told last.
    fn tell_trace(&mut self, number: usize, anyhow: bool) {
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        if anyhow || live.trace.len() > live.told {
            live.told = live.trace.len();
            let (attempt, kept) = (live.attempt.clone(), live.trace.kept());
            self.tell(attempt, Told::Trace(Box::new(kept)));
        }
    }

    /// The last turn: answers to our farewells may have come.
    pub(super) fn tell_traces(&mut self) {
        let numbers: Vec<usize> = self.calls.keys().copied().collect();
        for number in numbers {
            self.tell_trace(number, false);
        }
    }

    /// Does what a call wants done, and sets its alarm.
    pub(super) fn drain(&mut self, number: usize) {
        self.do_outputs(number);
        let now = self.now();
        let Some(live) = self.calls.get(&number) else {
            return;
        };
        if live.call.is_finished() {
            self.finished.push(number);
        }
        self.alarms.set(number, live.next_wake(now));
    }

    fn do_outputs(&mut self, number: usize) {
        let now = self.now();
        while let Some(live) = self.calls.get_mut(&number) {
            let Some(output) = live.call.poll_output() else {
                return;
            };
            match output {
                Output::Sip { bytes, to } => {
                    live.trace.sip(live.by_sip(true, to), &bytes, now);
                    self.carrier.send(&bytes, to);
                }
                Output::RestTarget { target, pause } => {
                    self.standing.rest(target, pause, now);
                }
                Output::Rtp { to, packet } => {
                    live.trace.rtp(live.by_rtp(true, to), &packet, now);
                    send(&live.socket, &packet, to);
                }
                Output::Secure {
                    line,
                    to,
                    reports_to,
                    dtls,
                } => {
                    let identity = self.reach.identity.as_deref();
                    live.secure(identity, line, ((to, reports_to), dtls), now);
                }
                Output::Rtcp { to, packet } => send(&live.rtcp, &packet, to),
                Output::OpenLine { line } => self.open_line(number, line),
                Output::CloseLine { line } => self.close_line(number, line),
                Output::LineRtp { line, to, packet } => live.send_line(line, &packet, to, now),
                Output::LineRtcp { line, to, packet } => live.send_line_report(line, &packet, to),
                Output::Transcribe {
                    utterance,
                    samples,
                    lang,
                    hot_words,
                    choices,
                } => {
                    let cancelled = Arc::new(AtomicBool::new(false));
                    let job = self.ears.submit(Job {
                        token: (number as u64) << 32 | u64::from(utterance.0),
                        samples,
                        lang,
                        priority: Priority::Speculative,
                        hot_words,
                        choices,
                        cancelled: Arc::clone(&cancelled),
                        reply: self.words.clone(),
                    });
                    live.jobs.insert(utterance, (job, cancelled));
                }
                Output::Promote { utterance } => {
                    if let Some((job, _)) = live.jobs.get(&utterance) {
                        self.ears.promote(*job);
                    }
                }
                Output::Forget { utterance } => {
                    if let Some((_, cancelled)) = live.jobs.remove(&utterance) {
                        cancelled.store(true, Ordering::Relaxed);
                    }
                }
                Output::Speak { id, lang, text } => {
                    let asked = ToSpeak {
                        number,
                        id,
                        lang,
                        text,
                    };
                    if let Err(lost) = self.speaker.send(asked) {
                        live.call.handle_input(
                            Input::Spoken {
                                id: lost.0.id,
                                audio: None,
                            },
                            now,
                        );
                    }
                }
                Output::Frame { left, right } => {
                    live.frames += 1;
                    if let Some(tape) = &live.tape {
                        tape.append(left, right);
                    }
                }
                Output::Monitor { slot, both, callee } => live.overheard(slot, &both, &callee),
                Output::Event(event) => {
                    let attempt = live.attempt.clone();
                    match &event {
                        CallEvent::HeardWords(heard) => {
                            live.heard_in = Duration::from_millis(heard.expose().took_ms.into());
                        }
                        CallEvent::Found { position, placed } => {
                            live.found(*position, placed, now);
                        }
                        _ => {}
                    }
                    let holders = self.pulse.holders();
                    if let CallEvent::TakenOver { by } = &event {
                        live.held_by(Some(by), &holders);
                    } else if matches!(event, CallEvent::HandedBack) {
                        live.held_by(None, &holders);
                    }
                    let is_end = matches!(event, CallEvent::Ended(_));
                    if is_end {
                        log_media(&attempt, live.call.media());
                        live.tape = None;
                        live.let_listeners_go();
                    }
                    if is_end || matches!(event, CallEvent::Answered) {
                        self.tell_trace(number, true);
                    }
                    self.tell(attempt, Told::Event(event));
                }
            }
        }
    }
}

/// How the audio went, for who looks after the line.
fn log_media(attempt: &AttemptId, media: Option<StreamStats>) {
    if let Some(StreamStats {
        sent,
        received,
        lost,
        late,
        jitter_ms,
        far,
        ..
    }) = media
    {
        let round_trip_ms = far.round_trip.map(|time| time.as_millis());
        info!(attempt.id = %attempt, sent, received, lost, late, jitter_ms, far.lost, far.jitter_ms, round_trip_ms, "audio");
    }
}
