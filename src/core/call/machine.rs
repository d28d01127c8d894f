//! What a machine that answered is told: nothing, the hospital's neutral name, or a message after its beep.
//!
//! Call screening hears the neutral name, and whoever it fetches is waited for. A voicemail hears name and call-back
//! number after its beep, where the order says so; without a beep nothing is left. Both are texts without a reason for
//! the call. Whoever speaks meanwhile and says nothing of a machine is a person, and is greeted as one.

use super::hearing::is_part_of;
use super::opening::OVERHEARD;
use super::talk::{Pending, TAIL_MS};
use super::{Call, CallEvent, Stage};
use crate::ear::amd::{Answerer, Sign};
use crate::ear::announcement::Announcement;
use crate::ear::announcement::beside::{Beside, classify_beside};
use crate::heard::{Heard, Transcript};
use crate::id::{NodeId, UtteranceId};
use crate::phi::Phi;
use crate::script::speaking;
use crate::script::{Note, Segment};

/// A beep is waited for so long after the machine was known; and no longer than so long into its silence.
const BEEP_MS: u64 = 25_000;
const BEEP_QUIET_MS: u64 = 6_000;
/// Call screening speaks no more, when it is silent for so long.
const SPOKEN_MS: u64 = 600;
/// Whom it fetches is waited for so long after the name; iOS asks for no longer than its own voicemail waits.
const FETCH_MS: u64 = 30_000;
/// Texts of the message that are not there so long after the beep: it is not left.
const READY_MS: u64 = 1_500;
/// Who speaks when it is time to leave is listened to for so long.
const HEAR_OUT_MS: u64 = 5_000;
/// Times that the name is said to one machine, and that somebody is greeted after one.
const NAMES: u8 = 2;
const PICK_UPS: u8 = 3;

/// The machine that was met, if any.
#[derive(Debug, Default)]
pub(super) struct Machine {
    plan: Plan,
    since_ms: u64,
    /// Where its beep ended.
    beeped_ms: Option<u64>,
    names: u8,
    pick_ups: u8,
    told: Told,
    /// A text of what it is to be told cannot be spoken.
    is_spoilt: bool,
}

/// What it is to be told next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Plan {
    #[default]
    Nothing,
    /// When it has done speaking.
    Name,
    Message,
}

/// What it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    #[default]
    Nothing,
    Name,
    PartOfMessage,
    Message,
}

impl Machine {
    /// For the record.
    pub(super) fn told(&self) -> Option<String> {
        let told = match self.told {
            Told::Nothing => return None,
            Told::Name => "name",
            Told::PartOfMessage => "part_of_message",
            Told::Message => "message",
        };
        Some(told.to_owned())
    }

    /// A text came back without its audio.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }
}

impl Call {
    /// A machine is on the line: waited on, or told something.
    pub(super) fn is_beside_a_machine(&self) -> bool {
        matches!(self.stage, Stage::Machine { .. } | Stage::Telling)
    }

    /// The verdict by now may be a machine: by a tone, or by words of this class. Health words never reach it, and the
    /// plan decides when to try again.
    pub(super) fn treat_machine(&mut self, class: Option<Announcement>) {
        let is_over = matches!(
            self.stage,
            Stage::Dialling
                | Stage::Connecting
                | Stage::Joined
                | Stage::Closing { .. }
                | Stage::Leaving
                | Stage::Ended
        );
        let verdict = self.amd.verdict();
        if verdict.answerer != Answerer::Machine || is_over || self.stage == Stage::Telling {
            return;
        }
        let plan = match (class, self.machine.plan) {
            (Some(Announcement::Assistant), _) => Plan::Name,
            // "Please say it after the tone" is said by call screening too.
            (Some(Announcement::Voicemail), Plan::Name) if !self.leaves_message => Plan::Name,
            (Some(class), _) if self.leaves_message && may_beep(class) => Plan::Message,
            (Some(_), _) => Plan::Nothing,
            (None, _) if self.is_beside_a_machine() => return,
            (None, _) if self.leaves_message && verdict.sign == Sign::Beep => Plan::Message,
            (None, _) => Plan::Nothing,
        };
        let wears_out = self.machine.names >= NAMES || self.machine.pick_ups >= PICK_UPS;
        match plan {
            Plan::Name if !wears_out => self.wait_on(Plan::Name),
            // It speaks on, and fetches somebody or does not.
            Plan::Name if self.machine.names > 0 => {}
            Plan::Message => self.wait_on(Plan::Message),
            Plan::Name | Plan::Nothing => self.leave_machine(),
        }
    }

    /// The end of a beep that asks for a message, or for a name.
    pub(super) fn beeped(&mut self, to_ms: u64) {
        self.machine.beeped_ms = Some(to_ms);
    }

    fn leave_machine(&mut self) {
        self.player.clear();
        self.acts.clear();
        self.stage = Stage::Closing {
            until_ms: self.at_ms(),
        };
    }

    /// Falls silent for it.
    fn wait_on(&mut self, plan: Plan) {
        let at_ms = self.at_ms();
        if !self.is_beside_a_machine() {
            let listens = self.overhears();
            self.player.clear();
            self.acts.clear();
            self.keys.clear();
            self.barge = None;
            self.close_turn("machine".to_owned());
            if !listens {
                self.forget_pending();
                self.ear.listen(OVERHEARD, at_ms);
            }
            self.stage = Stage::Machine {
                until_ms: at_ms + BEEP_MS,
            };
        }
        if self.machine.plan != plan {
            self.machine.plan = plan;
            self.machine.since_ms = at_ms;
            self.machine.is_spoilt = false;
            self.player.clear();
            // Asked for now, so that it is there when the machine has done speaking.
            let speech = self.for_machine(plan);
            self.say(speech);
        }
    }

    fn for_machine(&self, plan: Plan) -> Vec<Segment> {
        match plan {
            Plan::Nothing => Vec::new(),
            Plan::Name => self.conversation.neutral_name(),
            Plan::Message => self.conversation.message(),
        }
    }

    /// Every slot beside a machine.
    pub(super) fn watch_machine(&mut self, until_ms: u64) {
        let at_ms = self.at_ms();
        let Machine {
            plan,
            since_ms,
            beeped_ms,
            is_spoilt,
            ..
        } = self.machine;
        let is_quiet = |ms: u64| at_ms >= since_ms + ms && self.ear.quiet_ms() >= ms;
        let is_ready = !self.player.awaits() && !is_spoilt;
        let is_due = match plan {
            Plan::Nothing => false,
            Plan::Name => is_quiet(SPOKEN_MS),
            Plan::Message => beeped_ms.is_some(),
        };
        if is_due && is_ready {
            return self.tell_machine(plan);
        }
        let is_over = match (plan, beeped_ms) {
            (Plan::Nothing | Plan::Name, _) => false,
            (Plan::Message, Some(beeped_ms)) => at_ms >= beeped_ms + READY_MS,
            (Plan::Message, None) => is_quiet(BEEP_QUIET_MS),
        };
        // Whoever has begun to speak is heard out.
        let waits_for = |pending: &Pending| pending.heard.is_none();
        let is_spoken_to =
            self.ear.voiced_ms().is_some() || self.pending.as_ref().is_some_and(waits_for);
        let patience_ms = if is_spoken_to { HEAR_OUT_MS } else { 0 };
        if at_ms >= until_ms + patience_ms || is_over || is_spoilt {
            self.leave_machine();
        }
    }

    fn tell_machine(&mut self, plan: Plan) {
        let (node, told) = match plan {
            Plan::Nothing => return,
            Plan::Name => ("neutral_name", Told::Nothing),
            Plan::Message => ("voicemail_message", Told::PartOfMessage),
        };
        self.machine.told = self.machine.told.max(told);
        self.machine.names += u8::from(plan == Plan::Name);
        self.machine.beeped_ms = None;
        self.stage = Stage::Telling;
        let speech = self.for_machine(plan);
        self.note(Note::TurnOpened {
            node: NodeId(node.to_owned()),
            prompt: speaking::text(&speech, self.lang),
            kind: None,
            asks: Vec::new(),
        });
    }

    /// All was said to it.
    pub(super) fn has_told_machine(&mut self) {
        if !self.player.is_idle() {
            return;
        }
        let plan = std::mem::take(&mut self.machine.plan);
        let at_ms = self.at_ms();
        let beeped = self.machine.beeped_ms.take().is_some();
        self.close_turn("machine".to_owned());
        let (told, stage) = match plan {
            Plan::Message => {
                let until_ms = at_ms + TAIL_MS;
                (Told::Message, Stage::Machine { until_ms })
            }
            Plan::Name | Plan::Nothing => {
                let until_ms = at_ms + FETCH_MS;
                (Told::Name, Stage::Machine { until_ms })
            }
        };
        self.machine.told = self.machine.told.max(told);
        self.stage = stage;
        // It listens from its beep on.
        if plan == Plan::Name && beeped && self.machine.names < NAMES {
            self.wait_on(Plan::Name);
        }
    }

    /// Words beside a machine that are not an announcement's: somebody has come to the telephone, or the machine goes
    /// on in words of its own.
    pub(super) fn heard_beside_a_machine(&mut self, utterance: UtteranceId, heard: Heard) {
        let is_peek = self.opening.forget_peek(utterance);
        self.overheard.retain(|id| *id != utterance);
        if let Some(Pending { heard: place, .. }) = self
            .pending
            .as_mut()
            .filter(|pending| pending.utterance.id == utterance)
        {
            *place = Some(heard.clone());
        }
        let Heard::Words(transcript) = heard else {
            return;
        };
        let is_own = self.is_own_words(&transcript);
        let is_person = !is_own && !is_peek && self.is_a_person(&transcript);
        self.event(CallEvent::HeardWords(Phi::new(transcript)));
        if is_person {
            self.picked_up();
        }
    }

    /// A piece of what the machine is told, come back over the line.
    fn is_own_words(&self, transcript: &Transcript) -> bool {
        let prompt = self.open_turn.as_ref().map(|turn| &turn.prompt);
        prompt.is_some_and(|prompt| is_part_of(prompt.expose(), &transcript.text, self.lang))
    }

    /// Doubt means human; only the rest of a greeting that is not over is still the machine's, unless it begins as
    /// people answer a telephone.
    fn is_a_person(&self, transcript: &Transcript) -> bool {
        let greets_on = match self.machine.plan {
            Plan::Nothing => false,
            Plan::Name => true,
            Plan::Message => self.stage != Stage::Telling,
        };
        match classify_beside(&transcript.text, self.lang) {
            Beside::Greeting => true,
            Beside::Holding => false,
            Beside::Other => !greets_on,
        }
    }

    /// Somebody took the call from the machine.
    fn picked_up(&mut self) {
        self.machine.plan = Plan::Nothing;
        self.machine.beeped_ms = None;
        self.machine.pick_ups += 1;
        if self.machine.pick_ups > PICK_UPS {
            return self.leave_machine();
        }
        self.human = true;
        self.player.clear();
        self.close_turn("picked_up".to_owned());
        self.amd.picked_up(self.at_ms());
        self.opening_changed();
        let acts = self.conversation.greet_anew();
        self.take_acts(acts);
    }
}

/// Whether a voicemail may follow what was announced after the answer.
fn may_beep(class: Announcement) -> bool {
    match class {
        Announcement::Voicemail
        | Announcement::NoAnswer
        | Announcement::Busy
        | Announcement::PoweredOff
        | Announcement::Unreachable
        | Announcement::CallReminder
        | Announcement::Forwarding
        | Announcement::Unknown => true,
        Announcement::Assistant
        | Announcement::InvalidNumber
        | Announcement::Suspended
        | Announcement::Barred
        | Announcement::CallerBlocked
        | Announcement::Fax => false,
    }
}
