//! The model of a script: nodes, what they say, what they understand, where they lead.

use std::collections::BTreeMap;
use std::fmt;

use derive_more::Display;
use serde::{Deserialize, Serialize};

use super::number::Unit;
use crate::id::{ConceptId, NodeId, PackId};
use crate::lang::Lang;
use crate::question::QuestionKind;
use crate::signature::Signature;

/// A prompt's name with its folder: `common/screen_chest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct PromptId(pub String);

impl PromptId {
    /// Where its recording in a language lies below `dialogs/`: `common/zh/opening_hello`.
    pub fn recording(&self, lang: Lang) -> String {
        match self.0.split_once('/') {
            Some((folder, name)) => format!("{folder}/{lang}/{name}"),
            None => format!("{lang}/{}", self.0),
        }
    }
}

/// A line of a file, for the author.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Why a script was refused. Every one points at a line the author can fix; `rule` is a stable code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{at}: {problem} [{rule}]")]
pub struct ScriptError {
    pub at: Place,
    pub rule: Rule,
    pub problem: String,
}

/// What a script must keep to. The codes are stable: fixtures and editors name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// TOML that does not parse, an unknown key, a wrong version or value.
    #[display("syntax")]
    Syntax,
    #[display("duplicate")]
    Duplicate,
    #[display("unknown_node")]
    UnknownNode,
    #[display("unknown_prompt")]
    UnknownPrompt,
    #[display("unknown_variable")]
    UnknownVariable,
    #[display("unknown_concept")]
    UnknownConcept,
    #[display("unknown_pack")]
    UnknownPack,
    #[display("unknown_reply")]
    UnknownReply,
    #[display("missing_text")]
    MissingText,
    #[display("wrong_language")]
    WrongLanguage,
    #[display("breath")]
    Breath,
    #[display("no_silence")]
    NoSilence,
    #[display("no_match_missing")]
    NoMatchMissing,
    #[display("no_command")]
    NoCommand,
    #[display("dead_node")]
    DeadNode,
    #[display("endless")]
    Endless,
    #[display("health_before_identity")]
    HealthBeforeIdentity,
    #[display("not_neutral")]
    NotNeutral,
    #[display("screen_missing")]
    ScreenMissing,
    #[display("screen_late")]
    ScreenLate,
    #[display("one_symptom")]
    OneSymptom,
    #[display("closing_missing")]
    ClosingMissing,
    #[display("safety_line")]
    SafetyLine,
    #[display("reassurance")]
    Reassurance,
    #[display("diagnosis_word")]
    DiagnosisWord,
    #[display("too_long")]
    TooLong,
    #[display("too_many_questions")]
    TooManyQuestions,
    #[display("negative_tag")]
    NegativeTag,
    #[display("opening_notice")]
    OpeningNotice,
    /// An emergent concept without its confirming question.
    #[display("no_confirmation")]
    NoConfirmation,
}

impl Rule {
    pub const ALL: [Rule; 30] = [
        Rule::Syntax,
        Rule::Duplicate,
        Rule::UnknownNode,
        Rule::UnknownPrompt,
        Rule::UnknownVariable,
        Rule::UnknownConcept,
        Rule::UnknownPack,
        Rule::UnknownReply,
        Rule::MissingText,
        Rule::WrongLanguage,
        Rule::Breath,
        Rule::NoSilence,
        Rule::NoMatchMissing,
        Rule::NoCommand,
        Rule::DeadNode,
        Rule::Endless,
        Rule::HealthBeforeIdentity,
        Rule::NotNeutral,
        Rule::ScreenMissing,
        Rule::ScreenLate,
        Rule::OneSymptom,
        Rule::ClosingMissing,
        Rule::SafetyLine,
        Rule::Reassurance,
        Rule::DiagnosisWord,
        Rule::TooLong,
        Rule::TooManyQuestions,
        Rule::NegativeTag,
        Rule::OpeningNotice,
        Rule::NoConfirmation,
    ];
}

/// A script in one language, ready to be proved and run.
#[derive(Clone, Debug)]
pub struct Script {
    pub id: String,
    /// The author's counter; a published revision never changes.
    pub revision: u32,
    pub lang: Lang,
    pub title: String,
    pub author: String,
    pub sources: Vec<String>,
    /// Days after discharge that it has variants for.
    pub days: Vec<u16>,
    /// What makes red flags more urgent in its patients (`dialogs/redflags/packs.tsv`), beside the general pack.
    pub packs: Vec<PackId>,
    /// Where the packs are named.
    pub packs_at: Place,
    /// SHA-256 over the canonical content of its folder and the shared one, in hexadecimal.
    pub hash: String,
    /// That content: what is signed, and kept when the revision is published.
    pub content: String,
    pub signature: Option<Signature>,
    /// Where the script file begins.
    pub at: Place,
    pub nodes: Vec<Node>,
    pub start: usize,
    /// Where global commands lead.
    pub commands: BTreeMap<Jump, usize>,
    /// Every text of the language, by its short name.
    pub prompts: BTreeMap<String, Prompt>,
}

/// A constant text.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub id: PromptId,
    pub text: String,
    pub at: Place,
}

/// What can take the conversation out of its path at any moment.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Jump {
    #[display("person")]
    Person,
    #[display("opt_out")]
    OptOut,
    /// Said plainly.
    #[display("death")]
    Death,
    /// 他走了 may only mean that he left.
    #[display("maybe_death")]
    MaybeDeath,
    #[display("readmitted")]
    Readmitted,
    #[display("maybe_readmitted")]
    MaybeReadmitted,
    #[display("not_now")]
    NotNow,
    /// Not now, and the time was said with it.
    #[display("call_back")]
    CallBack,
    #[display("wrong_party")]
    WrongParty,
    #[display("emergency")]
    Emergency,
    /// Thoughts of suicide: a flow of its own.
    #[display("crisis")]
    Crisis,
    /// Nobody answers any more.
    #[display("lost")]
    Lost,
}

impl Jump {
    pub const ALL: [Jump; 12] = [
        Jump::Person,
        Jump::OptOut,
        Jump::Death,
        Jump::MaybeDeath,
        Jump::Readmitted,
        Jump::MaybeReadmitted,
        Jump::NotNow,
        Jump::CallBack,
        Jump::WrongParty,
        Jump::Emergency,
        Jump::Crisis,
        Jump::Lost,
    ];

    /// Only before identity: an identified patient is not the wrong person, and 走了 means that somebody left.
    pub fn before_identity_only(self) -> bool {
        matches!(
            self,
            Jump::MaybeDeath | Jump::MaybeReadmitted | Jump::WrongParty
        )
    }

    /// The person on the line spoke of it first, so its prompts may, even before identity.
    pub fn raised_by_caller(self) -> bool {
        matches!(
            self,
            Jump::Death
                | Jump::MaybeDeath
                | Jump::Readmitted
                | Jump::MaybeReadmitted
                | Jump::Emergency
                | Jump::Crisis
        )
    }
}

/// One node: a statement, a question or the end.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: NodeId,
    pub at: Place,
    /// The days it belongs to; empty for all. On other days the conversation passes through to `next`.
    pub days: Vec<u16>,
    /// Every guard must hold, or the conversation passes through to `next`.
    pub when: Vec<Guard>,
    pub say: Vec<Piece>,
    pub kind: Kind,
    pub asks: Vec<ConceptId>,
    /// A yes or no in the question's own words (没晕倒过), as many reply; beside 有 and 没有.
    pub replies: BTreeMap<Lang, OwnWords>,
    /// Belongs to the emergency screen.
    pub emergency: bool,
    /// Asked only after an answer out of the usual: not counted among the usual questions.
    pub follow_up: bool,
    pub effect: Option<Effect>,
    /// Said before the question when it is asked again.
    pub again: Option<String>,
    /// The keys that answer it, said when it is asked again.
    pub hint: Option<String>,
    /// What may cut its question short, where the script says so; see [`Node::barge_in`].
    pub barge_in: Option<BargeIn>,
    pub next: Option<Target>,
    pub on: BTreeMap<String, Target>,
    pub silence: Option<Target>,
    pub no_match: Option<Target>,
}

/// Short replies that repeat what was asked, for the ear to tell apart by their sound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnWords {
    pub yes: Vec<String>,
    pub no: Vec<String>,
}

/// What may cut a question short. Statements, and what is said to end a call, are always heard out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BargeIn {
    /// Keys pressed meanwhile are kept for the question.
    None,
    #[default]
    Keys,
    /// Speech, and keys.
    Speech,
}

impl Node {
    /// What may cut the question short: the script's word, or by default nothing where identity is asked for (the
    /// notice of recording stands before it), keys alone where a denial weighs most, and else speech too.
    pub fn barge_in(&self) -> BargeIn {
        let usual = match self.kind {
            Kind::Identity => BargeIn::None,
            Kind::YesNo { .. } | Kind::Choice(_) | Kind::Number(_) | Kind::Open
                if !self.emergency =>
            {
                BargeIn::Speech
            }
            Kind::YesNo { .. }
            | Kind::Choice(_)
            | Kind::Number(_)
            | Kind::Open
            | Kind::Who
            | Kind::BirthDate
            | Kind::Wait
            | Kind::Stay { .. }
            | Kind::Say
            | Kind::End => BargeIn::Keys,
        };
        self.barge_in.unwrap_or(usual)
    }
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Say,
    /// Hangs up.
    End,
    /// `number`: a figure answers it too, as "yes" does.
    YesNo {
        inverse: bool,
        number: Option<NumberSpec>,
    },
    Choice(Vec<Choice>),
    Number(NumberSpec),
    Open,
    /// Is it the patient, somebody else, nobody?
    Identity,
    /// Name and relation of somebody else.
    Who,
    BirthDate,
    /// Somebody is called to the telephone.
    Wait,
    /// The robot stays on the line, and asks again and again whether anybody is there.
    Stay {
        times: u8,
    },
}

impl Kind {
    /// Whether the node waits for a reply.
    pub fn asks(&self) -> bool {
        !matches!(self, Kind::Say | Kind::End)
    }

    /// As files spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Say => "say",
            Kind::End => "end",
            Kind::YesNo { inverse: false, .. } => "yes_no",
            Kind::YesNo { inverse: true, .. } => "yes_no_inverse",
            Kind::Choice(_) => "choice",
            Kind::Number(_) => "number",
            Kind::Open => "open",
            Kind::Identity => "identity",
            Kind::Who => "who",
            Kind::BirthDate => "birth_date",
            Kind::Wait => "wait",
            Kind::Stay { .. } => "stay",
        }
    }

    /// The form of the question, for the red-flag frame.
    pub fn question(&self) -> QuestionKind {
        match self {
            Kind::YesNo { inverse: false, .. } => QuestionKind::YesNo,
            Kind::YesNo { inverse: true, .. } => QuestionKind::YesNoInverse,
            Kind::Choice(_) | Kind::Number(_) | Kind::BirthDate => QuestionKind::Wh,
            Kind::Say
            | Kind::End
            | Kind::Open
            | Kind::Identity
            | Kind::Who
            | Kind::Wait
            | Kind::Stay { .. } => QuestionKind::Open,
        }
    }

    /// The replies `on` may name; choices add their ids.
    pub fn replies(&self) -> Vec<&str> {
        match self {
            Kind::Say | Kind::End => vec![],
            Kind::YesNo { number: None, .. } => vec!["yes", "no"],
            Kind::YesNo {
                number: Some(_), ..
            } => vec!["yes", "no", "number"],
            Kind::Choice(choices) => choices.iter().map(|c| c.id.as_str()).collect(),
            Kind::Number(_) => vec!["number", "none"],
            Kind::Open | Kind::Wait | Kind::Stay { .. } => vec!["any"],
            Kind::Identity => vec!["self", "other", "listed", "absent", "wait"],
            Kind::Who => vec!["listed", "unlisted", "unnamed"],
            Kind::BirthDate => vec!["match"],
        }
    }
}

/// One of a few answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub id: String,
    pub key: char,
    pub zh: Vec<String>,
    pub en: Vec<String>,
}

impl Choice {
    /// The wordings in one language.
    pub fn words(&self, lang: Lang) -> &[String] {
        match lang {
            Lang::Zh => &self.zh,
            Lang::En => &self.en,
        }
    }
}

/// A number to be understood: its unit and the range that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberSpec {
    pub unit: Unit,
    pub min: f64,
    pub max: f64,
    /// Repeat it and ask whether it is right.
    pub read_back: bool,
}

/// A stretch of what a node says.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Prompt(String),
    Variable(Variable),
}

/// A value that is spoken between the prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
pub enum Variable {
    #[display("hospital")]
    Hospital,
    #[display("patient")]
    Patient,
    #[display("callback_number")]
    CallbackNumber,
    /// Needs the guard `next_call`.
    #[display("next_call")]
    NextCall,
}

impl Variable {
    /// Reads the name between the braces.
    pub fn parse(name: &str) -> Option<Variable> {
        match name {
            "hospital" => Some(Variable::Hospital),
            "patient" => Some(Variable::Patient),
            "callback_number" => Some(Variable::CallbackNumber),
            "next_call" => Some(Variable::NextCall),
            _ => None,
        }
    }
}

/// A condition on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    Identified,
    /// The patient answers, not a relative.
    Patient,
    Caregiver,
    /// The record says that the patient knows the diagnosis.
    KnowsDiagnosis,
    /// A further call is planned.
    NextCall,
    /// Every emergency question was asked and the usual end was reached.
    Screened,
}

/// What entering a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Identified,
    IdentityFailed,
    EmergencyAdvice,
    /// Thoughts of suicide: a person is asked to call, and the robot does not hang up.
    Crisis,
    AskedForPerson,
    CallBack,
    OptedOut,
    ReportedDeath,
    ReportedReadmission,
    WrongParty,
    /// The questions are done; the closing begins.
    Closing,
}

/// Where an answer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Node(usize),
    /// `@human`: say that a nurse will ask again, note `NotAssessed`, go on with `next`.
    Human,
    /// `@skip`: go on with `next` without a word.
    Skip,
    /// `@resume`: back to the question that was interrupted.
    Resume,
}

impl Script {
    /// The node that a name stands for.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.id.0 == id)
    }

    /// The text of a prompt by its short name; empty when there is none (`check` refuses such a script).
    pub fn text(&self, name: &str) -> &str {
        self.prompts.get(name).map_or("", |p| p.text.as_str())
    }

    /// Whether the node belongs to the variant of the day.
    pub fn on_day(&self, node: usize, day: u16) -> bool {
        let days = &self.nodes[node].days;
        days.is_empty() || days.contains(&day)
    }

    /// The day whose variant serves a call made `day` days after discharge: the last one not later.
    pub fn variant(&self, day: u16) -> u16 {
        let earlier = self.days.iter().copied().filter(|d| *d <= day).max();
        earlier.or(self.days.first().copied()).unwrap_or(day)
    }
}
