//! How a node becomes speech, and how long to wait for the reply.

use std::ops::Range;

use jiff::civil::Date;

use super::act::{Facts, KeySpec, Listen, Pace, RingBack, Segment};
use super::hot;
use super::node::{BargeIn, Kind, Node, Piece, PromptId, Script, Variable};
use super::number::{self, Unit};
use super::spoken;
use crate::heard::Choices;
use crate::id::NodeId;
use crate::lang::Lang;
use crate::phi::Phi;

/// Who hears badly, or asked for slower speech, is given time: pauses of 2.5 s inside a reply, some 3 s to the ear, do not
/// end it.
const PATIENT_SILENCE_MS: u32 = 3_200;
const PATIENT_MAX_MS: u32 = 30_000;

/// The shared prompts that the engine itself speaks; `check` refuses a script without them.
pub mod names {
    use crate::id::ConceptId;

    pub const SORRY: &str = "sorry_again";
    /// Instead of [`SORRY`] where it is noisy round the caller.
    pub const NOISY: &str = "noisy_again";
    pub const TOO_LATE: &str = "too_late";
    pub const STILL_THERE: &str = "still_there";
    pub const MOVE_ON: &str = "move_on";
    pub const REPEAT: &str = "repeat_ok";
    pub const SLOWER: &str = "slower_ok";
    pub const READ_BACK: &str = "read_back";
    pub const READ_BACK_TAIL: &str = "read_back_tail";
    pub const PERSON: &str = "person_ok";
    /// No prompt: the emergency screen as a whole, where its denials are doubted.
    pub const SCREEN: &str = "emergency_screen";
    pub const EMERGENCY_IF: &str = "emergency_if";
    /// The line that says that a robot cannot judge an illness.
    pub const SAFETY: &str = "closing_safety";
    /// Before the hospital's name.
    pub const HELLO: &str = "opening_hello";
    /// Before the number, in the message for a voicemail.
    pub const MESSAGE: &str = "message_call_back";
    /// While somebody on call is being asked to take the call.
    pub const WAIT: &str = "person_wait";
    pub const CONNECTING: &str = "person_connecting";
    /// To whoever answers there.
    pub const OFFER: &str = "person_offer";
    /// While the words of a reply are awaited.
    pub const FILLER: &str = "one_moment";
    /// To whoever rings us: who speaks.
    pub const RING_HELLO: &str = "ring_hello";
    /// Out of hours: the emergency advice, then what follows.
    pub const RING_CLOSED: &str = "ring_closed";
    pub const RING_CALL_BACK: &str = "ring_call_back";
    /// Before the switchboard's number.
    pub const RING_STRANGER: &str = "ring_stranger";
    pub const ALL: [&str; 22] = [
        RING_HELLO,
        RING_CLOSED,
        RING_CALL_BACK,
        RING_STRANGER,
        FILLER,
        HELLO,
        MESSAGE,
        WAIT,
        CONNECTING,
        OFFER,
        SORRY,
        NOISY,
        TOO_LATE,
        STILL_THERE,
        MOVE_ON,
        REPEAT,
        SLOWER,
        READ_BACK,
        READ_BACK_TAIL,
        EMERGENCY_IF,
        PERSON,
        SAFETY,
    ];

    /// The confirming question of an emergent concept.
    pub fn confirm(concept: &ConceptId) -> String {
        format!("confirm_{concept}")
    }
}

/// A constant prompt.
pub fn recorded(script: &Script, name: &str) -> Segment {
    match script.prompts.get(name) {
        Some(prompt) => Segment::Recorded {
            prompt: prompt.id.clone(),
            text: prompt.text.clone(),
        },
        None => Segment::Recorded {
            prompt: PromptId(name.to_owned()),
            text: String::new(),
        },
    }
}

/// What a node says.
pub fn question(script: &Script, facts: &Facts, node: &Node) -> Vec<Segment> {
    let pieces = node.say.iter().map(|piece| match piece {
        Piece::Prompt(name) => recorded(script, name),
        Piece::Variable(variable) => Segment::Spoken(value(*variable, facts)),
    });
    pieces.collect()
}

/// The hospital's neutral name alone.
pub fn neutral_name(script: &Script, facts: &Facts) -> Vec<Segment> {
    let name = value(Variable::Hospital, facts);
    vec![recorded(script, names::HELLO), Segment::Spoken(name)]
}

/// The message for a voicemail: the neutral name, and twice the number to call back.
pub fn message(script: &Script, facts: &Facts) -> Vec<Segment> {
    let number = Segment::Spoken(value(Variable::CallbackNumber, facts));
    let mut speech = neutral_name(script, facts);
    speech.extend([recorded(script, names::MESSAGE), number.clone(), number]);
    speech
}

/// The first words to somebody who rings us: the neutral name, and nothing of an illness.
pub fn ring_back(script: &Script, facts: &Facts, kind: RingBack) -> Vec<Segment> {
    let mut speech = neutral_name(script, facts);
    match kind {
        RingBack::Resume | RingBack::Person => speech.push(recorded(script, names::RING_HELLO)),
        RingBack::Closed => speech.extend([
            recorded(script, names::RING_CLOSED),
            recorded(script, names::RING_CALL_BACK),
        ]),
        RingBack::Stranger => speech.extend([
            recorded(script, names::RING_STRANGER),
            Segment::Spoken(value(Variable::CallbackNumber, facts)),
        ]),
    }
    speech
}

/// Where a node's own question stands in a speech; all of it where it is asked in other words.
pub fn question_in(
    speech: &[Segment],
    script: &Script,
    facts: &Facts,
    node: &Node,
) -> Range<usize> {
    let own = question(script, facts, node);
    let starts = speech.windows(own.len().max(1));
    match starts.into_iter().rposition(|part| part == own) {
        Some(from) => from..from + own.len(),
        None => 0..speech.len(),
    }
}

/// The constant words of a question, as the red-flag judgement wants them.
pub fn question_text(script: &Script, node: &Node) -> String {
    let texts = node.say.iter().filter_map(|piece| match piece {
        Piece::Prompt(name) => Some(script.text(name)),
        Piece::Variable(_) => None,
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// A question asked again: an excuse, the question (or its second wording), and from then on the keys.
pub fn again(
    script: &Script,
    facts: &Facts,
    node: &Node,
    excuse: &str,
    misses: u8,
) -> Vec<Segment> {
    let mut speech = Vec::new();
    match &node.again {
        Some(again) if misses > 0 => speech.push(recorded(script, again)),
        _ => {
            speech.push(recorded(script, excuse));
            speech.extend(question(script, facts, node));
        }
    }
    if let Some(hint) = node.hint.as_ref().filter(|_| excuse != names::REPEAT) {
        speech.push(recorded(script, hint));
    }
    speech
}

/// The words of a stretch of speech.
pub fn text(speech: &[Segment], lang: Lang) -> String {
    let parts: Vec<&str> = speech.iter().map(Segment::text).collect();
    match lang {
        Lang::Zh => parts.concat(),
        Lang::En => parts.join(" "),
    }
}

/// Every text that a call with these facts may have to synthesise, known before it is dialled.
pub fn variables(script: &Script, facts: &Facts) -> Vec<Phi<String>> {
    let all = [
        Variable::Hospital,
        Variable::Patient,
        Variable::CallbackNumber,
        Variable::NextCall,
    ];
    let needed = all
        .into_iter()
        .filter(|variable| *variable != Variable::NextCall || facts.next_call.is_some());
    let names = needed.map(|variable| value(variable, facts));
    let local = script
        .prompts
        .values()
        .filter_map(|prompt| with_local_numbers(&prompt.text, facts));
    names.chain(local).map(Phi::new).collect()
}

/// The speech with the hospital's own emergency number and crisis line, where they differ from those recorded.
pub fn localised(speech: &[Segment], facts: &Facts) -> Vec<Segment> {
    let local = |segment: &Segment| {
        let text = with_local_numbers(segment.text(), facts)?;
        Some(Segment::Spoken(text))
    };
    speech
        .iter()
        .map(|segment| local(segment).unwrap_or_else(|| segment.clone()))
        .collect()
}

/// The text with the local numbers; `None` where it stays as it is.
fn with_local_numbers(text: &str, facts: &Facts) -> Option<String> {
    let (emergency, crisis) = match facts.lang {
        Lang::Zh => ("幺二零", "幺二三五六"),
        Lang::En => ("nine one one", "nine eight eight"),
    };
    let spoken = |number: &Option<String>| {
        let number = number.as_ref()?;
        Some(spoken::telephone(number, facts.lang))
    };
    let mut local = text.to_owned();
    for (usual, number) in [
        (emergency, spoken(&facts.emergency_number)),
        (crisis, spoken(&facts.crisis_line)),
    ] {
        if let Some(number) = number {
            local = local.replace(usual, &number);
        }
    }
    (local != text).then_some(local)
}

fn value(variable: Variable, facts: &Facts) -> String {
    let text = match variable {
        Variable::Hospital => facts.hospital.clone(),
        Variable::Patient => facts.patient.expose().clone(),
        Variable::CallbackNumber => spoken::telephone(&facts.callback_number, facts.lang),
        Variable::NextCall => facts
            .next_call
            .map(|date| spoken::date(date, facts.lang))
            .unwrap_or_default(),
    };
    let stop = match facts.lang {
        Lang::Zh => "。",
        Lang::En => ".",
    };
    format!("{text}{stop}")
}

/// How to wait for a node's reply (speech.md §2.4; longer where the pace is slow).
///
/// `birth` is the birthday on record, which a misheard one is held against.
pub fn listen(script: &Script, node: &Node, pace: Pace, birth: Option<Date>) -> Listen {
    let lang = script.lang;
    let (end_silence_ms, max_ms) = match &node.kind {
        Kind::YesNo { number: None, .. } | Kind::Choice(_) => (500, 15_000),
        Kind::Identity | Kind::Who => (700, 15_000),
        Kind::YesNo { .. } | Kind::Number(_) | Kind::BirthDate => (800, 15_000),
        Kind::Open | Kind::Wait | Kind::Stay { .. } | Kind::Say | Kind::End => (900, 45_000),
    };
    let no_input_ms = match &node.kind {
        Kind::Wait => 30_000,
        Kind::Stay { .. } => 25_000,
        _ => 5_000,
    };
    let keys = match &node.kind {
        Kind::YesNo { number: None, .. } | Kind::Choice(_) | Kind::Identity => Some(1),
        Kind::YesNo { .. } | Kind::Number(_) => Some(5),
        Kind::BirthDate => Some(4),
        Kind::Open | Kind::Who | Kind::Wait | Kind::Stay { .. } | Kind::Say | Kind::End => None,
    };
    let keys = keys.map(|max_digits| KeySpec {
        max_digits,
        terminator: Some('#'),
    });
    scaled(
        Listen {
            node: node.id.clone(),
            end_silence_ms,
            no_input_ms,
            max_ms,
            keys,
            hot_words: hot::words(&node.kind, &question_text(script, node), &node.asks, lang),
            choices: choices(node, &question_text(script, node), lang, birth),
            barge_in: node.barge_in(),
            question: 0..0,
        },
        pace,
    )
}

/// The first wording of each choice, where a scale is offered; short replies to a yes or no, the usual ones and
/// those in the question's own words; and those that give a score.
pub fn choices(node: &Node, question: &str, lang: Lang, birth: Option<Date>) -> Choices {
    match &node.kind {
        Kind::YesNo {
            inverse,
            number: None,
        } => {
            let mut replies = groups(&yes_or_no(*inverse, question, lang));
            if let Some(own) = node.replies.get(&lang) {
                for (group, own) in replies.iter_mut().zip([&own.yes, &own.no]) {
                    group.extend(own.iter().cloned());
                }
            }
            Choices::Replies(replies)
        }
        Kind::Choice(choices) if choices.len() >= 3 => {
            let wordings = choices
                .iter()
                .filter_map(|choice| choice.words(lang).first().cloned());
            Choices::Scale(wordings.collect())
        }
        Kind::Number(spec) if spec.unit == Unit::Score => {
            let of_pain = !node.asks.is_empty();
            Choices::Replies(number::usual_scores(spec, of_pain, lang))
        }
        Kind::Identity => Choices::Replies(groups(&short_replies(lang).claims)),
        Kind::BirthDate => birth.map_or(Choices::None, |date| Choices::Birthday(Phi::new(date))),
        _ => Choices::None,
    }
}

/// Usual short replies, a group for each meaning.
struct ShortReplies {
    /// To "are you the patient": yes, no.
    claims: [&'static [&'static str]; 2],
    /// To "is that right": yes, no.
    right: [&'static [&'static str]; 2],
}

fn short_replies(lang: Lang) -> ShortReplies {
    match lang {
        Lang::Zh => ShortReplies {
            claims: [
                &["是我", "我是", "我就是", "对，是我", "对，是我本人"],
                &["不是", "我不是", "打错了", "他不在"],
            ],
            right: [&["对", "对的", "是的"], &["不对", "不是"]],
        },
        Lang::En => ShortReplies {
            claims: [
                &[
                    "Yes",
                    "Speaking",
                    "This is he",
                    "This is she",
                    "This is me",
                    "Yes, it's me",
                ],
                &["No", "Wrong number", "He's not here", "She's not here"],
            ],
            right: [&["Yes", "That's right", "Correct"], &["No", "That's wrong"]],
        },
    }
}

/// What is said shortly to a yes or no: yes, no.
fn yes_or_no(inverse: bool, question: &str, lang: Lang) -> [&'static [&'static str]; 2] {
    match lang {
        Lang::Zh if question.contains("知不知道") => [&["知道", "我知道"], &["不知道"]],
        Lang::Zh if inverse => [
            &[
                "是的",
                "是",
                "是啊",
                "对",
                "对的",
                "对对对",
                "嗯，是的",
                "嗯，对",
            ],
            &["不是", "不是的", "不对", "没有"],
        ],
        Lang::Zh => [
            &[
                "有",
                "有的",
                "有一点",
                "有点",
                "有啊",
                "有过",
                "有有有",
                "嗯，有",
            ],
            &[
                "没有",
                "没",
                "没有啊",
                "没有的",
                "没有呢",
                "没有过",
                "都没有",
                "从来没有",
                "嗯，没有",
            ],
        ],
        Lang::En => [
            &[
                "Yes",
                "Yeah",
                "Yep",
                "Oh, yes",
                "Yes, I have",
                "Yes, I am",
                "I have",
                "Yes, a bit",
                "Yes, of course",
            ],
            &[
                "No",
                "No, no",
                "Nope",
                "Never",
                "No, never",
                "No, I haven't",
                "I haven't",
                "Not at all",
                "Nothing like that",
            ],
        ],
    }
}

fn groups(groups: &[&[&str]]) -> Vec<Vec<String>> {
    let owned = |group: &&[&str]| group.iter().map(|words| (*words).to_owned()).collect();
    groups.iter().map(owned).collect()
}

/// How to wait for a yes or no about something just said. A number read back may be confirmed by the sound of a
/// short reply (`by_sound`); what may be an emergency never is.
pub fn listen_yes_no(id: &NodeId, lang: Lang, pace: Pace, by_sound: bool) -> Listen {
    let keys = Some(KeySpec {
        max_digits: 1,
        terminator: Some('#'),
    });
    let kind = Kind::YesNo {
        inverse: true,
        number: None,
    };
    scaled(
        Listen {
            node: id.clone(),
            end_silence_ms: 500,
            no_input_ms: 5_000,
            max_ms: 15_000,
            keys,
            hot_words: hot::words(&kind, "", &[], lang),
            choices: if by_sound {
                Choices::Replies(groups(&short_replies(lang).right))
            } else {
                Choices::None
            },
            barge_in: BargeIn::Keys,
            question: 0..0,
        },
        pace,
    )
}

fn scaled(mut listen: Listen, pace: Pace) -> Listen {
    if pace == Pace::Slow {
        listen.end_silence_ms = listen.end_silence_ms.max(PATIENT_SILENCE_MS);
        listen.max_ms = listen.max_ms.max(PATIENT_MAX_MS);
        listen.no_input_ms = listen.no_input_ms.max(8_000);
    }
    listen
}
