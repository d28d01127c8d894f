//! What goes into a [`Conversation`](super::Conversation) and what comes out of it: plain values.

use std::ops::Range;

use jiff::civil::Date;

use super::earlier::Earlier;
use super::node::{BargeIn, PromptId};
use crate::finding::Confirmation;
use crate::heard::Choices;
use crate::id::{ConceptId, NodeId};
use crate::lang::Lang;
use crate::patient::{Contact, Hearing};
use crate::phi::Phi;
use crate::question::{QuestionKind, Respondent};

/// What the robot may know and say on this call.
#[derive(Clone, Debug)]
pub struct Facts {
    pub lang: Lang,
    /// Days after discharge: picks the variant of the script.
    pub day: u16,
    /// The approved neutral name of the hospital: no ward, no speciality (see `check::is_neutral_name`).
    pub hospital: String,
    pub patient: Phi<String>,
    /// Only its month and day are asked for. `None` where there is no record: any month and day clearly said will do.
    pub birth: Option<Phi<Date>>,
    pub contacts: Vec<Contact>,
    pub knows_diagnosis: bool,
    pub hearing: Hearing,
    /// The dialect of the record, where it is not Mandarin or standard English.
    pub dialect: Option<String>,
    /// Spoken instead of 120 (Mandarin) or 911 (English).
    pub emergency_number: Option<String>,
    /// Spoken instead of 12356 (Mandarin) or 988 (English), the lines for thoughts of suicide.
    pub crisis_line: Option<String>,
    /// The hospital's number, spoken in the closing.
    pub callback_number: String,
    pub next_call: Option<Date>,
    pub today: Date,
    /// What was answered today before a call of the same step broke off.
    pub earlier: Option<Earlier>,
}

/// What somebody who rings us is told. Who it is is known by nothing but the number yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingBack {
    /// Whose call is due or was missed: identified, and then the call as it would have been.
    Resume,
    /// Nothing is due: identified, and then connected with a person.
    Person,
    /// Nobody is there at this hour: what to do in an emergency, and that somebody will call back.
    Closed,
    /// A number that is no patient's: the name, and the hospital's number.
    Stranger,
}

/// What the call tells the conversation.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Words, with the red-flag verdict on them under the question being asked.
    Said {
        text: &'a str,
        logprob: f32,
        verdict: Verdict,
    },
    /// Keys pressed, without the terminator.
    Keys(&'a str),
    /// Nothing was said within the wait.
    Silence,
    /// Sound without usable words.
    Unclear,
    /// The recogniser came too late or failed.
    TooLate,
    /// Everything of the last `Say` was played.
    PromptDone,
    /// The person cut the question short when so much of it was still to come, in milliseconds. The reply follows.
    Interrupted { unheard_ms: u32, by_key: bool },
}

/// What the red-flag judgement asks the conversation to do about a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Certain: advise now.
    pub emergent: Option<ConceptId>,
    /// Doubtful: ask one confirming question.
    pub confirm: Option<ConceptId>,
    /// The doubtful one is over, as the words say: no emergency even when it is confirmed.
    pub over: bool,
    /// Whether what the question asks for is there, where the reply says so plainly.
    pub there: Option<bool>,
}

impl Verdict {
    /// Nothing to act on: the reply may be read as an answer only.
    pub fn is_quiet(&self) -> bool {
        self.emergent.is_none() && self.confirm.is_none()
    }
}

/// What the call is to do, in order. `Say` is played to its end before the next act.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Say(Vec<Segment>),
    Listen(Listen),
    Note(Note),
    HangUp,
}

/// One stretch of the robot's speech.
#[derive(Clone, Debug, PartialEq)]
pub enum Segment {
    /// A constant prompt: its recording is `dialogs/<folder>/prompts/<lang>/<name>.flac`.
    Recorded { prompt: PromptId, text: String },
    /// Names, dates, numbers and read-backs: synthesised.
    Spoken(String),
}

impl Segment {
    /// The words, recorded or not.
    pub fn text(&self) -> &str {
        match self {
            Segment::Recorded { text, .. } | Segment::Spoken(text) => text,
        }
    }
}

/// How to wait for the reply (speech.md §2.4).
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    pub node: NodeId,
    /// Silence that ends the reply, in milliseconds.
    pub end_silence_ms: u32,
    /// Silence after the prompt that counts as no answer, in milliseconds.
    pub no_input_ms: u32,
    /// The longest reply, in milliseconds.
    pub max_ms: u32,
    pub keys: Option<KeySpec>,
    /// Words to expect, for the recogniser.
    pub hot_words: Vec<String>,
    pub choices: Choices,
    /// What may cut short the question that stands before.
    pub barge_in: BargeIn,
    /// The question itself among the segments of that speech: what stands before it is heard out.
    pub question: Range<usize>,
}

/// Which keys answer the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// The reply is complete with so many digits.
    pub max_digits: u8,
    /// Ends a shorter one.
    pub terminator: Option<char>,
}

/// How fast the prompts are to be played: the caller may ask for slower speech at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    #[default]
    Normal,
    Slow,
}

/// How loud the prompts are to be played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volume {
    #[default]
    Normal,
    Raised,
}

/// What the record keeps.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A prompt begins; `kind` is absent for a statement that wants no reply.
    TurnOpened {
        node: NodeId,
        prompt: String,
        kind: Option<QuestionKind>,
        asks: Vec<ConceptId>,
    },
    /// What the reply meant: `yes`, `no`, a choice, a number, `unclear`, `silence`, a command.
    TurnClosed {
        meaning: String,
    },
    /// The question of the open turn was cut short when so much of it was still to come, in milliseconds.
    Interrupted {
        unheard_ms: u32,
    },
    Identified {
        respondent: Respondent,
    },
    /// What was answered on an earlier call of the day is not asked again.
    WentOn,
    IdentityFailed,
    /// Every emergency question is answered or handed to a human.
    Screened,
    /// A question was asked twice without a clear answer: a human asks again.
    NotAssessed {
        node: NodeId,
    },
    Confirmation {
        concept: ConceptId,
        outcome: Confirmation,
    },
    EmergencyAdviceGiven {
        concept: ConceptId,
    },
    AskedForPerson,
    /// The words about the time, as heard.
    CallBackAt {
        words: String,
    },
    OptedOut,
    ReportedDeath,
    ReportedReadmission,
    WrongParty,
    /// The conversation is over; `HangUp` follows.
    Finished,
}
