//! What one reply, as it was heard, is worth to the conversation and to the red flags.
//!
//! Shared by the call and by what measures the ear, so that both read the same words.

use crate::finding::{Finding, Polarity};
use crate::heard::Transcript;
use crate::lang::Lang;
use crate::pinyin;
use crate::question::Question;
use crate::redflag::{Assessment, Lexicon, Reply, assess};
use crate::script::{Conversation, Verdict};

/// Shorter stretches of a prompt are an answer in its own words (胸口疼), not its echo: syllables or words.
const SHORTEST_ECHO: usize = 8;

/// A denial is plain in the sound when it is so likely as a whole, and so much likelier than any yes (nats).
const PLAIN: f32 = -7.0;
const PLAINLY_AHEAD: f32 = 3.0;

/// Words so likely at least (mean of the tokens), and a sound so much likelier than the opposite (nats), say the same thing
/// together where the words resemble a usual reply.
const FAINT: f32 = -1.3;
const AHEAD: f32 = 2.5;

/// A misheard reply still resembles a usual one when so much of each syllable differs at most, on average, and is clearly
/// nearer to it than to its opposite by most of a syllable (the 没 of a denial).
const MOST_BENT: f32 = 0.3;
const CLEARLY_NEARER: f32 = 0.75;

/// Judges a reply to the question being asked. Where the words hold no emergency, one is still asked about when
/// another hearing of the same sound holds it, or when the script reads a yes that the red flags do not know.
pub fn judge(
    lexicon: &Lexicon,
    conversation: &Conversation,
    question: &Question,
    transcript: &Transcript,
) -> Assessment {
    let reply = Reply {
        text: &transcript.text,
        logprob: Some(transcript.logprob),
    };
    let mut found = assess(lexicon, question, &reply);
    if question.lang == Lang::En && sounds_like_no(&transcript.text) {
        found.ask_first();
    }
    for otherwise in &transcript.alternates {
        if found.has_emergent() {
            return found;
        }
        // The same words again are no other hearing.
        if *otherwise != transcript.text {
            found.doubt_by(lexicon, question, otherwise);
        }
    }
    // What is taken for the answer by its sound says what is there, as words would.
    if let Some(chosen) = &transcript.choice
        && !contradicts(conversation, transcript)
    {
        found.add_by_sound(lexicon, question, &chosen.words);
    }
    // A yes in the sound alone is asked about as well, and one that the sound denies: nothing emergent is ever chosen
    // by its sound. What the sound affirms is not denied.
    let sounds = transcript.choice.as_ref().map(|chosen| &chosen.words);
    if contradicts(conversation, transcript) {
        found.ask_first();
        found
            .findings
            .retain(|finding| finding.polarity != Polarity::Absent);
    }
    for said in [Some(&transcript.text), sounds].into_iter().flatten() {
        let is_sound = sounds == Some(said);
        let is_said = |finding: &Finding| {
            question.asks.contains(&finding.concept)
                && !(is_sound && finding.polarity == Polarity::Absent)
        };
        if let Some(concept) = conversation.affirms_emergency(said)
            && !found.findings.iter().any(is_said)
            && !found.has_emergent()
        {
            found.doubt_as_yes(lexicon, concept, said);
        }
    }
    found
}

/// The words that the conversation reads, with their log-probability: those written down, or the choice that the
/// sound fits, where nothing alarming was heard.
///
/// To a yes or no the sound speaks where the words say nothing; where they say something else, nothing is believed. That
/// no emergency question is denied by a sound that could be something else, it must be plain, or heard twice.
pub fn words<'a>(
    conversation: &Conversation,
    transcript: &'a Transcript,
    verdict: &Verdict,
) -> (&'a str, f32) {
    let written = (transcript.text.as_str(), transcript.logprob);
    if !verdict.is_quiet() {
        return written;
    }
    // The marks above stand in place of those for written words.
    let chosen = transcript.choice.as_ref();
    let sounds = chosen.map(|chosen| (chosen.words.as_str(), 0.0));
    if contradicts(conversation, transcript) {
        return ("", f32::NEG_INFINITY);
    }
    let Some(is_emergency) = conversation.asks_yes_or_no() else {
        // 不疼，零分 denies what the words deny.
        let is_denied = |said: &(&str, f32)| {
            !holds_denial(said.0) && holds_denial(&transcript.text.replace(said.0, " "))
        };
        return sounds.filter(|said| !is_denied(said)).unwrap_or(written);
    };
    let is_plain =
        chosen.is_some_and(|chosen| chosen.logprob >= PLAIN && chosen.ahead >= PLAINLY_AHEAD);
    let reads_nothing = conversation.reads(&transcript.text).is_none();
    let is_near = transcript.logprob >= FAINT && chosen.is_some_and(|chosen| chosen.ahead >= AHEAD);
    match sounds {
        Some(sounds) if is_plain || reads_nothing && !is_emergency => sounds,
        // They do not contradict each other: both say the same.
        Some((usual, _))
            if !reads_nothing && is_near && resembles(conversation, &transcript.text, usual) =>
        {
            (&transcript.text, 0.0)
        }
        _ => heard_twice(conversation, transcript).map_or(written, |said| (said, 0.0)),
    }
}

/// Whether Mandarin words that a recogniser was unsure of sound much like a usual reply that means what `usual` does, and
/// less like any that means the opposite: 没有缘头过 like 没有晕倒过.
fn resembles(conversation: &Conversation, heard: &str, usual: &str) -> bool {
    let heard = pinyin::toneless(heard);
    let nearest = |replies: &Vec<String>| {
        let strains = replies.iter().map(|reply| {
            let reply = pinyin::toneless(reply);
            pinyin::strain(&heard, &reply).max(pinyin::strain(&reply, &heard))
        });
        strains.fold(f32::INFINITY, f32::min)
    };
    let means = |replies: &&Vec<String>| replies.iter().any(|reply| reply == usual);
    let groups = conversation.usual_replies();
    let (same, others): (Vec<_>, Vec<_>) = groups.iter().partition(means);
    let least = |groups: &[&Vec<String>]| {
        let strains = groups.iter().map(|group| nearest(group));
        strains.fold(f32::INFINITY, f32::min)
    };
    let (same, other) = (least(&same), least(&others));
    same <= MOST_BENT * heard.len() as f32 && same + CLEARLY_NEARER <= other
}

/// A reply that two hearings of the same sound read as "all is well", and neither another one nor the sound as the
/// opposite. Nothing that a person should know is believed this way: it is asked again.
fn heard_twice<'a>(conversation: &Conversation, transcript: &'a Transcript) -> Option<&'a str> {
    let others = transcript.alternates.iter();
    let hearings = others.chain([&transcript.text]);
    let read = hearings.filter_map(|said| Some((said, conversation.reads(said)?)));
    let answers: Vec<(&String, String)> = read.collect();
    let [(said, answer), again @ ..] = &answers[..] else {
        return None;
    };
    let sound = transcript.choice.as_ref();
    let sound = sound.and_then(|chosen| conversation.reads(&chosen.words));
    let is_opposed = sound.is_some_and(|sound| sound != *answer);
    let agree = !again.is_empty() && again.iter().all(|(_, other)| other == answer);
    (agree && !is_opposed && conversation.is_well(answer)).then_some(said.as_str())
}

/// Whether the words answer a yes or no, or a question for a number, one way, and the sound another; or they say that
/// all is well, and another hearing of the same sound does not.
fn contradicts(conversation: &Conversation, transcript: &Transcript) -> bool {
    let Some(reads) = conversation.reads(&transcript.text) else {
        return false;
    };
    let differs = |said: &String| conversation.reads(said).is_some_and(|other| other != reads);
    let is_told_by_sound = conversation.asks_yes_or_no().is_some() || conversation.asks_number();
    let sound = transcript.choice.as_ref().filter(|_| is_told_by_sound);
    sound.is_some_and(|sound| differs(&sound.words))
        || conversation.is_well(&reads) && transcript.alternates.iter().any(differs)
}

/// "Now" and "now, now" are a yes to a red flag, and what a short "no" is heard as.
fn sounds_like_no(text: &str) -> bool {
    let mut words = plain_words(text).into_iter().peekable();
    let is_now = |word: &str| {
        ["now", "know"]
            .iter()
            .any(|now| word.eq_ignore_ascii_case(now))
    };
    words.peek().is_some() && words.all(is_now)
}

/// Whether words deny something: 没有好一些 is not 好一些, and only the words can tell.
fn holds_denial(text: &str) -> bool {
    let text = text.to_lowercase();
    ["没", "不", "not", "n't", "no "]
        .iter()
        .any(|word| text.contains(word))
}

/// Whether the words are the robot's own, come back over the line: at least eight syllables and seven tenths of the
/// prompt, with one wrong in five at most. Less of it may be an answer in its words.
pub fn is_echo(prompt: &str, heard: &str, lang: Lang) -> bool {
    let near = |prompt: &[&str], heard: &[&str]| {
        heard.len() >= SHORTEST_ECHO
            && heard.len() * 10 >= prompt.len() * 7
            && pinyin::nearest(prompt, heard, heard.len() / 5).is_some()
    };
    match lang {
        Lang::Zh => near(&pinyin::toneless(prompt), &pinyin::toneless(heard)),
        Lang::En => {
            let (prompt, heard) = (prompt.to_lowercase(), heard.to_lowercase());
            near(&plain_words(&prompt), &plain_words(&heard))
        }
    }
}

/// Whether at least three syllables or words are a stretch of what was just said, with one wrong in five at most.
pub fn is_part_of(said: &str, heard: &str, lang: Lang) -> bool {
    let is_in = |said: &[&str], heard: &[&str]| {
        heard.len() >= 3 && pinyin::nearest(said, heard, heard.len() / 5).is_some()
    };
    match lang {
        Lang::Zh => is_in(&pinyin::toneless(said), &pinyin::toneless(heard)),
        Lang::En => {
            let (said, heard) = (said.to_lowercase(), heard.to_lowercase());
            is_in(&plain_words(&said), &plain_words(&heard))
        }
    }
}

fn plain_words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_may_be_a_misheard_no() {
        for (text, is) in [
            ("Now", true),
            ("now, now.", true),
            ("Not now", false),
            ("", false),
        ] {
            assert_eq!(sounds_like_no(text), is, "{text}");
        }
    }

    #[test]
    fn only_a_long_stretch_of_the_prompt_is_its_echo() {
        let prompt = "出院以后，有没有胸口疼，或者胸口发闷？";
        for (heard, is) in [
            ("出院以后有没有胸口疼或者胸口发闷", true),
            ("以后有没有凶口疼或者胸口发门", true),
            ("胸口疼", false),
            ("有，胸口发闷", false),
            ("有胸口疼，或者胸口发闷", false),
            ("出院以后就没有哪里不舒服过", false),
        ] {
            assert_eq!(is_echo(prompt, heard, Lang::Zh), is, "{heard}");
        }
        let prompt = "Since you went home, have you had any chest pain or tightness?";
        let echo = "you went home have you had any chest pain";
        assert!(is_echo(prompt, echo, Lang::En));
        assert!(!is_echo(
            prompt,
            "I have had chest pain since Monday",
            Lang::En
        ));
    }
}
