//! What one reply, as it was heard, is worth to the conversation and to the red flags.
//!
//! Shared by the call and by what measures the ear, so that both read the same words.

use crate::heard::Transcript;
use crate::lang::Lang;
use crate::pinyin;
use crate::question::Question;
use crate::redflag::{Assessment, Lexicon, Reply, assess};
use crate::script::{Conversation, Verdict};

/// Shorter stretches of a prompt are an answer in its own words (胸口疼), not its echo: syllables or words.
const SHORTEST_ECHO: usize = 8;

/// A denial is plain in the sound when it is so likely a token, and so much likelier than any yes (nats).
const PLAIN: f32 = -2.0;
const PLAINLY_AHEAD: f32 = 2.0;

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
        found.doubt_by(lexicon, question, otherwise);
    }
    // A yes in the sound alone is asked about as well: nothing emergent is ever chosen by its sound.
    let sounds = transcript.choice.as_ref().map(|chosen| &chosen.words);
    let sounds = sounds.filter(|_| !conversation.reads(&transcript.text));
    for said in [Some(&transcript.text), sounds].into_iter().flatten() {
        if let Some(concept) = conversation.affirms_emergency(said) {
            let is_said = found
                .findings
                .iter()
                .any(|finding| question.asks.contains(&finding.concept));
            if !is_said && !found.has_emergent() {
                found.doubt_as_yes(lexicon, concept, said);
            }
        }
    }
    found
}

/// The words that the conversation reads, with their log-probability: those written down, or the choice that the
/// sound fits, where nothing alarming was heard.
///
/// To a yes or no the words come first, and the sound only where they say nothing. That no emergency question is denied
/// by a sound that could be something else, it must be plain.
pub fn words<'a>(
    conversation: &Conversation,
    transcript: &'a Transcript,
    verdict: &Verdict,
) -> (&'a str, f32) {
    let written = (transcript.text.as_str(), transcript.logprob);
    let Some(chosen) = transcript.choice.as_ref().filter(|_| verdict.is_quiet()) else {
        return written;
    };
    let by_sound = match conversation.asks_yes_or_no() {
        Some(is_emergency) => {
            let is_plain = chosen.logprob >= PLAIN && chosen.ahead >= PLAINLY_AHEAD;
            !conversation.reads(&transcript.text) && (is_plain || !is_emergency)
        }
        None => !denies(&transcript.text, &chosen.words),
    };
    if by_sound {
        // The marks above stand in place of those for written words.
        (chosen.words.as_str(), 0.0)
    } else {
        written
    }
}

/// "Now" is a yes to a red flag, and what a short "no" is heard as.
fn sounds_like_no(text: &str) -> bool {
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
    ["now", "know"]
        .iter()
        .any(|word| bare.eq_ignore_ascii_case(word))
}

/// Whether the words hold a denial outside the choice: 没有好一些 is not 好一些, and only the words can tell.
fn denies(text: &str, choice: &str) -> bool {
    let rest = text.replace(choice, " ").to_lowercase();
    ["没", "不", "not", "n't", "no "]
        .iter()
        .any(|word| rest.contains(word))
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

fn plain_words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
