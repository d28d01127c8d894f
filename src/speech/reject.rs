//! Was that speech? Whisper always says something; these rules tell what to throw away.
//!
//! The thresholds were set on 60 noise clips and 123 spoken ones: all noise refused, six spoken ones lost
//! (single words over a bad line). Babble and televisions, of the tuning half of `aftercall hearing --nobody`, added the
//! mean.

/// What the recogniser measured of one utterance.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub text: &'a str,
    /// Probability of the no-speech token at the start of the transcript, 0–1.
    pub no_speech: f32,
    /// Probability of the least likely text token, 0–1.
    pub least_token: f32,
    /// Mean log-probability of the text tokens.
    pub logprob: f32,
}

/// Above this no-speech probability one very unlikely token is enough.
const NO_SPEECH: f32 = 0.3;
const UNLIKELY_TOKEN: f32 = 0.035;
/// Above this one words must be likely on the whole: those of babble are not, and a call would not believe them.
const LIKELY_NO_SPEECH: f32 = 0.5;
const UNLIKELY: f32 = -1.2;

/// What its training on subtitles makes whisper say to noise.
const BOILERPLATE: [&str; 16] = [
    "字幕",
    "谢谢观看",
    "謝謝觀看",
    "点赞",
    "點贊",
    "订阅",
    "訂閱",
    "转发",
    "打赏",
    "明镜",
    "明鏡",
    "Amara",
    "Thanks for watching",
    "Thank you for watching",
    "Subtitles",
    "subscribe",
];

/// Whether nobody spoke.
pub fn is_not_speech(measured: &Measured<'_>) -> bool {
    let text = measured.text.trim();
    let bracketed = text.starts_with(['(', '（', '[', '［', '【', '♪', '*', '-', '—']);
    let wordless = !text.chars().any(char::is_alphanumeric);
    let boilerplate = BOILERPLATE.iter().any(|phrase| text.contains(phrase));
    let unsure = measured.no_speech > NO_SPEECH && measured.least_token < UNLIKELY_TOKEN;
    let faint = measured.no_speech > LIKELY_NO_SPEECH && measured.logprob < UNLIKELY;
    bracketed || wordless || boilerplate || unsure || faint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_noise(text: &str, no_speech: f32, least_token: f32) -> bool {
        is_not_speech(&Measured {
            text,
            no_speech,
            least_token,
            logprob: -0.9,
        })
    }

    #[test]
    fn unlikely_words_where_nobody_seems_to_speak_are_noise() {
        for (no_speech, logprob, is) in [(0.6, -1.3, true), (0.6, -1.1, false), (0.4, -1.3, false)]
        {
            let measured = Measured {
                text: "and I posted the reply back and forth",
                no_speech,
                least_token: 0.1,
                logprob,
            };
            assert_eq!(is_not_speech(&measured), is, "{no_speech} {logprob}");
        }
    }

    #[test]
    fn brackets_boilerplate_and_unlikely_words_are_noise() {
        for (text, no_speech, least_token) in [
            ("(音乐)", 0.1, 0.9),
            ("（不知）", 0.1, 0.9),
            ("[BLANK_AUDIO]", 0.1, 0.9),
            (" ♪", 0.1, 0.9),
            ("", 0.0, 1.0),
            ("……", 0.0, 1.0),
            ("请不吝点赞订阅", 0.1, 0.9),
            ("Thank you for watching!", 0.1, 0.9),
            ("这些人都在想", 0.7, 0.01),
        ] {
            assert!(is_noise(text, no_speech, least_token), "{text}");
        }
    }

    #[test]
    fn short_answers_are_speech() {
        for (text, no_speech, least_token) in [
            ("没有", 0.2, 0.4),
            ("38度5", 0.35, 0.2),
            ("胸口有点闷", 0.1, 0.02),
            ("yes", 0.6, 0.5),
            ("Thank you.", 0.1, 0.6),
        ] {
            assert!(!is_noise(text, no_speech, least_token), "{text}");
        }
    }
}
