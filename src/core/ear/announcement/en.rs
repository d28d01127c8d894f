//! English announcements: by their words, of which a letter may be misheard.

use super::{Announcement, is_machine_by_itself};

const PHRASES: &[(Announcement, &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "leave me a message",
            "leave us a message",
            "leave your message",
            "leave a voice message",
            "leave one after",
            "after the tone",
            "after the beep",
            "at the tone",
            "at the beep",
            "wait for the tone",
            "wait for the beep",
            "voice mail",
            "voicemail",
            "mailbox",
            "sound of the tone",
            "sound of the beep",
            "after the signal",
            "hear the tone",
            "hear the beep",
            "at the signal",
            "brief message",
            "detailed message",
            "leave a short message",
            "answerphone",
            "answer phone",
            "press the pound",
            "press pound",
            "pound key",
            "hash key",
            "star key",
            "finished recording",
            "begin recording",
            "start recording",
            "start speaking after",
            "begin speaking after",
            "messaging service",
            "record your message",
            "record a message",
            "recording your message",
            "take a message for",
            "the messaging",
            "answering service",
            "answering machine",
            "not been set up",
            "not being set up",
            "speak after the",
            "accept any messages",
            "accept any more messages",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "state your name",
            "record your name",
            "reason you're calling",
            "tell me why you are calling",
            "call assistant",
            "virtual assistant",
            "digital assistant",
            "automated assistant",
            "call screening",
            "screening service",
            "this person is available",
            "who is calling and why",
            "while we try to reach",
            "who's calling and why",
            "google assistant",
            "voice assistant",
            "personal assistant service",
            "ai assistant",
            "call screener",
            "screening your call",
            "screening this call",
            "screened before",
            "will be transcribed",
            "being transcribed",
            "is transcribed",
            "and transcribed",
            "see if this person",
            "see if they are available",
            "see if they're available",
            "check if they are available",
            "check if they're available",
            "find out if they",
            "on behalf of the person",
            "answering on behalf",
            "answering for the person",
            "give your name and",
            "automated attendant",
            "see whether they",
            "see whether this person",
            "calls for this number",
            "is being screened",
            "state the reason",
        ],
    ),
    (
        Announcement::InvalidNumber,
        &[
            "does not exist",
            "doesn't exist",
            "vacant number",
            "not a working number",
            "is not valid",
            "not in service",
            "no longer in service",
            "disconnected",
            "check the number",
            "not a valid number",
            "not been recognised",
            "not been recognized",
        ],
    ),
    (
        Announcement::Suspended,
        &[
            "out of service",
            "service is suspended",
            "been suspended",
            "suspended",
            "defaulted",
        ],
    ),
    (
        Announcement::PoweredOff,
        &[
            "powered off",
            "power off",
            "switched off",
            "turned off",
            "has no signal",
        ],
    ),
    (
        Announcement::Unreachable,
        &[
            "cannot be connected",
            "can't be connected",
            "cannot be reached",
            "not reachable",
            "can't be reached",
            "can not be connected",
            "out of the service area",
            "coverage area",
            "did not go through",
            "not be completed",
            "not available at the moment",
            "is unavailable",
        ],
    ),
    (
        Announcement::CallReminder,
        &["short message", "text message to inform"],
    ),
    (
        Announcement::Busy,
        &[
            "is busy",
            "line is busy",
            "on the phone",
            "on another call",
            "is engaged",
        ],
    ),
    (
        Announcement::NoAnswer,
        &[
            "no answer",
            "no reply",
            "not answered",
            "is not answering",
            "nobody is answering",
        ],
    ),
    (
        Announcement::Barred,
        &[
            "incoming calls",
            "not accepting calls",
            "does not accept calls",
            "call restrictions",
            "barred",
        ],
    ),
    (
        Announcement::Forwarding,
        &["being forwarded", "call forwarding", "being transferred"],
    ),
];

const OPENINGS: &[&str] = &[
    "the number you",
    "number you have dialed",
    "number you dialed",
    "the subscriber you",
    "subscriber you dialed",
    "subscriber you have dialed",
    "the person you are calling",
    "the person you are trying to reach",
    "the person you have called",
    "the party you",
    "the customer you",
    "customer you are calling",
    "your call has been",
    "you have been forwarded",
    "the user you",
    "the phone you have",
    "the mobile phone you",
];

/// A person may say either half of these; both together, and nothing of a person's, is a machine.
const HALVES: &[(Announcement, &[&str], &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "leave a message",
            "please leave",
            "leave your name",
            "leave your details",
            "leave your number",
            "missed your call",
            "leave me your",
            "drop me a message",
        ],
        &[
            "you've reached",
            "you have reached",
            "this is the voice",
            "not available",
            "can't come to the phone",
            "can't take your call",
            "cannot take your call",
            "unable to take your call",
            "can't answer",
            "missed your call",
            "not at my desk",
            "away from my",
            "not at home",
            "not in at the moment",
            "return your call",
            "get back to you",
            "call you back",
            "call you as soon",
            "come to the phone",
            "out of the office",
            "please leave",
            "unable to answer",
            "unable to come",
            "cannot answer",
            "cannot come to the phone",
            "couldn't take your call",
            "away from the phone",
            "nobody is available",
            "no one is available",
            "not able to take",
            "not able to answer",
            "can't get to",
            "can't pick up",
            "cannot pick up",
            "sorry i can't",
            "nobody can",
            "no one can",
            "is closed",
            "on the other line",
            "in a meeting",
            "sorry i missed",
            "sorry we missed",
            "get back to you",
            "we'll call you back",
            "i'll call you back",
            "ring you back",
            "return your message",
            "currently closed",
            "are closed",
            "office hours",
            "opening hours",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "say your name",
            "tell me your name",
            "your name and",
            "reason for calling",
            "why you're calling",
            "why you are calling",
            "purpose of your call",
            "reason for your call",
            "purpose of this call",
        ],
        &[
            "if this person",
            "whether this person",
            "this person can",
            "see if",
            "see whether",
            "put you through",
            "the person you're calling",
            "the person you are calling",
            "copy of this conversation",
            "can read what you say",
            "after the tone",
            "try to connect you",
            "for the owner",
        ],
    ),
];

/// Said by a person who takes a message, or asks what the robot is.
const PERSONS: &[&str] = &[
    "would you like",
    "do you want",
    "can i take",
    "can i help",
    "may i help",
    "shall i",
    "want me to",
    "are you a",
    "is this a",
    "are you an",
    "is this an",
    "how can i",
    "how may i",
    "can you leave",
    "who's this",
    "to the mailbox",
];

/// Whether a phrase of this class is said; before the answer only the network speaks.
pub(super) fn classify_early(text: &str) -> Option<Announcement> {
    let words = Words::new(text);
    let said =
        |&&(_, phrases): &&(Announcement, &[&str])| phrases.iter().any(|phrase| words.say(phrase));
    PHRASES.iter().find(said).map(|(class, _)| *class)
}

pub(super) fn classify(text: &str) -> Option<Announcement> {
    let words = Words::new(text);
    let is_person = PERSONS.iter().any(|phrase| words.say(phrase));
    let opens = OPENINGS.iter().any(|phrase| words.say(phrase));
    let class = PHRASES
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| words.say(phrase)));
    match class {
        Some((class, _)) if opens || (is_machine_by_itself(*class) && !is_person) => {
            return Some(*class);
        }
        Some(_) | None => {}
    }
    let halves = HALVES.iter().find(|(_, one, other)| {
        one.iter().any(|first| {
            words.say(first)
                && other
                    .iter()
                    .any(|second| second != first && words.say(second))
        })
    });
    match halves {
        Some((class, ..)) if !is_person => Some(*class),
        Some(_) | None if opens => Some(Announcement::Unknown),
        Some(_) | None => None,
    }
}

/// Letters of a phrase from which on some may be misheard, and how many of them: one in so many.
const LONG: usize = 11;
const LETTERS_A_FAULT: usize = 7;

/// English words, lower case.
pub(super) struct Words(pub(super) Vec<String>);

impl Words {
    pub(super) fn new(text: &str) -> Words {
        let words = text
            .split(|c: char| !(c.is_alphanumeric() || c == '\''))
            .filter(|word| !word.is_empty());
        Words(words.map(str::to_lowercase).collect())
    }

    /// Whether the words of a phrase follow each other; of a long phrase a few letters may be others.
    pub(super) fn say(&self, phrase: &str) -> bool {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        let joined = wanted.concat();
        let faults = match joined.len() {
            len if len >= LONG => len / LETTERS_A_FAULT,
            _ => 0,
        };
        self.0.windows(wanted.len()).any(|window| {
            let alike = window.iter().zip(&wanted).filter(|(a, b)| a == b).count();
            alike == wanted.len()
                || (faults > 0
                    && alike * 2 >= wanted.len()
                    && strsim::levenshtein(&window.concat(), &joined) <= faults)
        })
    }
}
