//! Was that speech? Whisper always says something; these rules tell what to throw away.
//!
//! The thresholds were set on 60 noise clips and 123 spoken ones: all noise refused, six spoken ones lost
//! (single words over a bad line).

/// What the recogniser measured of one utterance.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub text: &'a str,
    /// Probability of the no-speech token at the start of the transcript, 0–1.
    pub no_speech: f32,
    /// Probability of the least likely text token, 0–1.
    pub least_token: f32,
}

/// Above this no-speech probability one very unlikely token is enough.
const NO_SPEECH: f32 = 0.3;
const UNLIKELY_TOKEN: f32 = 0.035;

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
    bracketed || wordless || boilerplate || unsure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_noise(text: &str, no_speech: f32, least_token: f32) -> bool {
        is_not_speech(&Measured {
            text,
            no_speech,
            least_token,
        })
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
