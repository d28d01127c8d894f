//! Human or machine: by what was said, which tone came and how the first words fell, never by timing alone.
//!
//! Asterisk's timing rule hangs up on 21 % of humans (speech.md §3.2); here time only ever says "human". Only words, a
//! beep after a greeting, or a fax make a machine. Until somebody has answered a question every verdict is open, and
//! the robot talks as to a human, of nothing but names. A machine is never told anything else, so a wrong verdict costs
//! a second call and not a secret.

use super::Tone;
use super::announcement::{Announcement, classify_announcement};
use super::tone::ToneVerdict;
use crate::lang::Lang;

/// Who answered, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, derive_more::Display)]
pub enum Answerer {
    /// Go on as with a human (speech.md §3.4).
    #[default]
    #[display("unsure")]
    Unsure,
    #[display("human")]
    Human,
    #[display("machine")]
    Machine,
    /// Nothing at all was heard yet.
    #[display("silence")]
    Silence,
}

/// Why an answerer is held for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, derive_more::Display)]
pub enum Sign {
    /// An announcement's phrase.
    #[display("said")]
    Said(Announcement),
    #[display("beep")]
    Beep,
    #[display("fax_tone")]
    FaxTone,
    /// A few words and then a pause, as people answer.
    #[display("greeting")]
    Greeting,
    /// Words that are no machine's, after a machine's.
    #[display("picked_up")]
    PickedUp,
    /// Nothing spoke for a machine, and time was up: doubt means human.
    #[display("doubt")]
    Doubt,
    /// A question was answered, or a key pressed.
    #[display("answer")]
    Answer,
    #[display("nothing_heard")]
    NothingHeard,
}

/// Who answered, why, and when that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub answerer: Answerer,
    pub sign: Sign,
    /// Milliseconds from the answer.
    pub at_ms: u64,
}

/// First words that last longer than this are no plain greeting.
const GREETING_MS: u64 = 2_200;
/// Quiet after them.
const WAITS_MS: u64 = 600;
/// From the first sound on; by then somebody who has said nothing of a machine is a human.
const DOUBT_MS: u64 = 2_200;
/// Nothing heard for so long is a silent line.
const SILENCE_MS: u64 = 2_500;
/// A greeting that a beep ends has voice for so long; after less it is a key or a kitchen.
const GREETED_MS: u64 = 1_000;
/// After so long with a person a beep is their microwave oven, not a voicemail.
const WATCH_MS: u64 = 30_000;
/// The calling tone of a fax (T.30 §4.3.3), in Hz and milliseconds.
const FAX_CALLS_HZ: f32 = 1_100.0;
const FAX_CALLS_MS: std::ops::RangeInclusive<u64> = 380..=620;

/// Collects the signs from the answer on. Positions are milliseconds from the answer.
#[derive(Clone, Debug, Default)]
pub struct Amd {
    is_proven: bool,
    verdict: Option<Verdict>,
    /// The first voice, or tone.
    first_ms: Option<u64>,
    /// Voice under way, from here.
    from_ms: Option<u64>,
    /// Voice before that, and its end.
    voiced_ms: u64,
    quiet_from_ms: Option<u64>,
    /// The longest stretch of voice.
    longest_ms: u64,
    /// Words so far.
    said: String,
    beep: Option<(u64, u64)>,
}

impl Amd {
    /// Somebody speaks.
    pub fn speech_began(&mut self, at_ms: u64) {
        self.first_ms.get_or_insert(at_ms);
        self.from_ms.get_or_insert(at_ms);
        self.quiet_from_ms = None;
        // Who breaks a silence is taken for whom they turn out to be.
        if self.verdict().answerer == Answerer::Silence {
            self.verdict = None;
        }
    }

    /// They paused.
    pub fn speech_paused(&mut self, from_ms: u64, to_ms: u64) {
        self.speech_began(from_ms);
        let began = self.from_ms.take().unwrap_or(from_ms);
        let voiced_ms = to_ms.saturating_sub(began);
        self.voiced_ms += voiced_ms;
        self.longest_ms = self.longest_ms.max(to_ms.saturating_sub(from_ms));
        self.quiet_from_ms = Some(to_ms);
    }

    /// Words were heard; `is_whole` where their phrase is over. The announcement, if they are one.
    pub fn words(
        &mut self,
        text: &str,
        lang: Lang,
        is_whole: bool,
        at_ms: u64,
    ) -> Option<Announcement> {
        let both = format!("{} {text}", self.said);
        let known = |class: &Announcement| *class != Announcement::Unknown;
        let class = classify_announcement(text, lang)
            .filter(known)
            .or_else(|| classify_announcement(&both, lang));
        if is_whole {
            // What follows a known announcement is judged by itself: somebody may take the call from the machine.
            self.said = if class.as_ref().is_some_and(known) {
                String::new()
            } else {
                both
            };
        }
        let class = class?;
        self.machine(Sign::Said(class), at_ms);
        Some(class)
    }

    /// A tone was heard.
    pub fn tone(&mut self, tone: &Tone, at_ms: u64) {
        let voiced_ms = self.voiced_ms
            + self
                .from_ms
                .map_or(0, |from| tone.from_ms.saturating_sub(from));
        match tone.verdict {
            ToneVerdict::FaxAnswer if voiced_ms < GREETED_MS => self.machine(Sign::FaxTone, at_ms),
            ToneVerdict::Beep if voiced_ms < GREETED_MS => {
                let length = tone.to_ms.saturating_sub(tone.from_ms);
                let is_near = tone.hz.is_some_and(|hz| (hz - FAX_CALLS_HZ).abs() <= 30.0);
                if is_near && FAX_CALLS_MS.contains(&length) {
                    self.machine(Sign::FaxTone, at_ms);
                }
            }
            ToneVerdict::Beep if at_ms <= WATCH_MS => {
                self.beep = Some((tone.from_ms, tone.to_ms));
                self.machine(Sign::Beep, at_ms);
            }
            ToneVerdict::Beep
            | ToneVerdict::FaxAnswer
            | ToneVerdict::Ringback
            | ToneVerdict::Busy
            | ToneVerdict::Congestion
            | ToneVerdict::CallWaiting
            | ToneVerdict::Unobtainable
            | ToneVerdict::Information => {}
        }
    }

    /// Time passes; `awaits` while words are still being recognised.
    pub fn tick(&mut self, awaits: bool, at_ms: u64) {
        if self.verdict.is_some() {
            return;
        }
        let Some(first_ms) = self.first_ms else {
            if at_ms >= SILENCE_MS {
                self.decide(Answerer::Silence, Sign::NothingHeard, at_ms);
            }
            return;
        };
        let waits = self
            .quiet_from_ms
            .is_some_and(|from| at_ms.saturating_sub(from) >= WAITS_MS);
        if waits && !awaits && self.longest_ms <= GREETING_MS {
            self.decide(Answerer::Human, Sign::Greeting, at_ms);
        } else if at_ms.saturating_sub(first_ms) >= DOUBT_MS {
            self.decide(Answerer::Human, Sign::Doubt, at_ms);
        }
    }

    /// An answer fitted our question, or a key was pressed when asked for: nothing else proves a human.
    pub fn answered_a_question(&mut self, at_ms: u64) {
        self.is_proven = true;
        self.decide(Answerer::Human, Sign::Answer, at_ms);
    }

    /// Somebody took the call from a machine; what comes later can still make one.
    pub fn picked_up(&mut self, at_ms: u64) {
        self.said.clear();
        self.decide(Answerer::Human, Sign::PickedUp, at_ms);
    }

    /// The verdict by now.
    pub fn verdict(&self) -> Verdict {
        self.verdict.unwrap_or(Verdict {
            answerer: Answerer::Unsure,
            sign: Sign::Doubt,
            at_ms: 0,
        })
    }

    /// Where the beep lies that asks for a message.
    pub fn beep(&self) -> Option<(u64, u64)> {
        self.beep
    }

    /// The first sign stands, but an unknown announcement may become a known one.
    fn machine(&mut self, sign: Sign, at_ms: u64) {
        let before = self.verdict();
        let is_known = before.answerer == Answerer::Machine
            && before.sign != Sign::Said(Announcement::Unknown);
        if self.is_proven || is_known {
            return;
        }
        let at_ms = match before.answerer {
            Answerer::Machine => before.at_ms,
            Answerer::Unsure | Answerer::Human | Answerer::Silence => at_ms,
        };
        self.decide(Answerer::Machine, sign, at_ms);
    }

    fn decide(&mut self, answerer: Answerer, sign: Sign, at_ms: u64) {
        self.verdict = Some(Verdict {
            answerer,
            sign,
            at_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beep(from_ms: u64, to_ms: u64, hz: f32) -> Tone {
        Tone {
            verdict: ToneVerdict::Beep,
            hz: Some(hz),
            from_ms,
            to_ms,
        }
    }

    fn is(amd: &Amd) -> (Answerer, Sign) {
        (amd.verdict().answerer, amd.verdict().sign)
    }

    #[test]
    fn a_word_and_a_pause_is_a_human_once_the_word_is_known() {
        let mut amd = Amd::default();
        amd.tick(false, 400);
        assert_eq!(amd.verdict().answerer, Answerer::Unsure);
        amd.speech_began(500);
        amd.speech_paused(500, 1_000);
        amd.tick(true, 1_700);
        assert_eq!(amd.verdict().answerer, Answerer::Unsure);
        amd.words("喂", Lang::Zh, true, 1_720);
        amd.tick(false, 1_720);
        assert_eq!(is(&amd), (Answerer::Human, Sign::Greeting));
        assert_eq!(amd.verdict().at_ms, 1_720);
    }

    #[test]
    fn doubt_means_human_until_words_say_otherwise() {
        let mut amd = Amd::default();
        amd.speech_began(300);
        amd.tick(true, 2_600);
        assert_eq!(is(&amd), (Answerer::Human, Sign::Doubt));
        amd.words("我现在没空", Lang::Zh, false, 3_000);
        assert_eq!(amd.verdict().answerer, Answerer::Human);
        amd.words("请在提示音后留言", Lang::Zh, true, 4_000);
        let said = Sign::Said(Announcement::Voicemail);
        assert_eq!(is(&amd), (Answerer::Machine, said));
        assert_eq!(amd.verdict().at_ms, 4_000);
    }

    #[test]
    fn an_announcement_may_come_in_two_pieces() {
        let mut amd = Amd::default();
        assert_eq!(
            amd.words("The number you", Lang::En, true, 900),
            Some(Announcement::Unknown)
        );
        amd.words("have dialed is not in service", Lang::En, true, 2_900);
        let said = Sign::Said(Announcement::InvalidNumber);
        assert_eq!(is(&amd), (Answerer::Machine, said));
        assert_eq!(amd.verdict().at_ms, 900);
    }

    #[test]
    fn silence_is_nobody_until_somebody_speaks() {
        let mut amd = Amd::default();
        amd.tick(false, 2_500);
        assert_eq!(is(&amd), (Answerer::Silence, Sign::NothingHeard));
        amd.speech_began(3_000);
        assert_eq!(amd.verdict().answerer, Answerer::Unsure);
        amd.speech_paused(3_000, 3_400);
        amd.tick(false, 4_000);
        assert_eq!(is(&amd), (Answerer::Human, Sign::Greeting));
    }

    #[test]
    fn a_beep_is_a_machine_s_only_after_a_greeting() {
        let mut kitchen = Amd::default();
        kitchen.speech_paused(500, 900);
        kitchen.tone(&beep(2_000, 2_300, 1_000.0), 2_900);
        assert_eq!(kitchen.verdict().answerer, Answerer::Unsure);
        let mut voicemail = Amd::default();
        voicemail.speech_paused(500, 3_900);
        voicemail.tone(&beep(5_000, 5_300, 620.0), 5_900);
        assert_eq!(is(&voicemail), (Answerer::Machine, Sign::Beep));
        assert_eq!(voicemail.beep(), Some((5_000, 5_300)));
    }

    #[test]
    fn a_fax_calls_or_answers() {
        let mut amd = Amd::default();
        amd.tone(&beep(500, 1_000, 1_102.0), 1_560);
        assert_eq!(is(&amd), (Answerer::Machine, Sign::FaxTone));
    }

    #[test]
    fn only_an_answer_proves_a_human() {
        let mut amd = Amd::default();
        amd.words("您拨打的电话已关机", Lang::Zh, true, 2_000);
        assert_eq!(amd.verdict().answerer, Answerer::Machine);
        amd.answered_a_question(9_000);
        amd.words("您拨打的电话已关机", Lang::Zh, true, 12_000);
        assert_eq!(is(&amd), (Answerer::Human, Sign::Answer));
    }
}
