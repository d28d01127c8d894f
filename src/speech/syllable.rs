//! A Mandarin syllable as Kokoro's symbols: IPA with the tone as an arrow behind the vowel.
//!
//! The voice was taught with this notation (misaki's, after pinyin-to-ipa): `shang4` is `ʂa↘ŋ`.

/// Initials by pinyin, the longer first.
const INITIALS: [(&str, &str); 21] = [
    ("zh", "ꭧ"),
    ("ch", "ꭧʰ"),
    ("sh", "ʂ"),
    ("b", "p"),
    ("p", "pʰ"),
    ("m", "m"),
    ("f", "f"),
    ("d", "t"),
    ("t", "tʰ"),
    ("n", "n"),
    ("l", "l"),
    ("g", "k"),
    ("k", "kʰ"),
    ("h", "x"),
    ("j", "ʨ"),
    ("q", "ʨʰ"),
    ("x", "ɕ"),
    ("r", "ɻ"),
    ("z", "ʦ"),
    ("c", "ʦʰ"),
    ("s", "s"),
];

/// Finals: what stands before the tone, and what after.
const FINALS: [(&str, &str, &str); 38] = [
    ("a", "a", ""),
    ("ai", "ai", ""),
    ("an", "a", "n"),
    ("ang", "a", "ŋ"),
    ("ao", "au", ""),
    ("e", "ɤ", ""),
    ("ei", "ei", ""),
    ("en", "ə", "n"),
    ("eng", "ə", "ŋ"),
    ("er", "ɚ", ""),
    ("i", "i", ""),
    ("ia", "ja", ""),
    ("ian", "jɛ", "n"),
    ("iang", "ja", "ŋ"),
    ("iao", "jau", ""),
    ("ie", "je", ""),
    ("in", "i", "n"),
    ("ing", "i", "ŋ"),
    ("iong", "jʊ", "ŋ"),
    ("iu", "jou", ""),
    ("o", "wo", ""),
    ("ong", "ʊ", "ŋ"),
    ("ou", "ou", ""),
    ("u", "u", ""),
    ("ua", "wa", ""),
    ("uai", "wai", ""),
    ("uan", "wa", "n"),
    ("uang", "wa", "ŋ"),
    ("ueng", "wə", "ŋ"),
    ("ui", "wei", ""),
    ("un", "wə", "n"),
    ("uo", "wo", ""),
    ("v", "y", ""),
    ("van", "ɥɛ", "n"),
    ("ve", "ɥe", ""),
    ("vn", "y", "n"),
    ("io", "wo", ""),
    ("ɨ", "ɨ", ""),
];

/// The symbols of a syllable with its tone digit (5: none); `None` where it is no Mandarin syllable.
pub fn symbols(syllable: &str) -> Option<String> {
    let (spelt, tone) = syllable.split_at_checked(syllable.len().checked_sub(1)?)?;
    let arrow = match tone {
        "1" => "→",
        "2" => "↗",
        "3" => "↓",
        "4" => "↘",
        "5" => "",
        _ => return None,
    };
    if spelt == "o" {
        return Some(format!("ɔ{arrow}"));
    }
    let (initial, rest) = INITIALS
        .iter()
        .find_map(|(pinyin, ipa)| Some((*ipa, (pinyin, spelt.strip_prefix(pinyin)?))))
        .map_or(("", ("", spelt)), |(ipa, (pinyin, rest))| {
            (ipa, (*pinyin, rest))
        });
    let spelt = final_of(rest.0, rest.1);
    let (_, before, after) = FINALS.iter().find(|(name, ..)| *name == spelt)?;
    Some(format!("{initial}{before}{arrow}{after}"))
}

/// The final as it is sounded: y and w are written for i, u and ü; after j, q and x a u is ü; after z, c, s, zh, ch,
/// sh and r an i is no i.
fn final_of(initial: &str, rest: &str) -> String {
    match initial {
        "j" | "q" | "x" => match rest.strip_prefix('u') {
            Some(tail) => format!("v{tail}"),
            None => rest.to_owned(),
        },
        "z" | "c" | "s" | "zh" | "ch" | "sh" | "r" if rest == "i" => "ɨ".to_owned(),
        "" => match rest {
            "wu" => "u".to_owned(),
            "wei" => "ui".to_owned(),
            "wen" => "un".to_owned(),
            "weng" => "ueng".to_owned(),
            "you" => "iu".to_owned(),
            "yi" | "yin" | "ying" => rest.replacen('y', "", 1),
            _ => match (rest.strip_prefix("yu"), rest.strip_prefix('w')) {
                (Some(tail), _) => format!("v{tail}"),
                (None, Some(tail)) => format!("u{tail}"),
                (None, None) => rest.replacen('y', "i", 1),
            },
        },
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::symbols;

    #[test]
    fn syllables_are_written_as_the_voice_was_taught() {
        for (syllable, wanted) in [
            ("shang4", "ʂa↘ŋ"),
            ("xue4", "ɕɥe↘"),
            ("chu1", "ꭧʰu→"),
            ("nin2", "ni↗n"),
            ("nv3", "ny↓"),
            ("lve4", "lɥe↘"),
            ("yuan4", "ɥɛ↘n"),
            ("yun1", "y→n"),
            ("you3", "jou↓"),
            ("wei4", "wei↘"),
            ("wen1", "wə→n"),
            ("weng1", "wə→ŋ"),
            ("wo3", "wo↓"),
            ("wu3", "u↓"),
            ("yi1", "i→"),
            ("ying1", "i→ŋ"),
            ("yong4", "jʊ↘ŋ"),
            ("ye3", "je↓"),
            ("si4", "sɨ↘"),
            ("shi2", "ʂɨ↗"),
            ("ri4", "ɻɨ↘"),
            ("er4", "ɚ↘"),
            ("bo1", "pwo→"),
            ("o1", "ɔ→"),
            ("jiong3", "ʨjʊ↓ŋ"),
            ("hui2", "xwei↗"),
            ("dun4", "twə↘n"),
            ("de5", "tɤ"),
            ("qu4", "ʨʰy↘"),
        ] {
            assert_eq!(symbols(syllable).as_deref(), Some(wanted), "{syllable}");
        }
        for no in ["", "4", "shang", "blah1", "shang9"] {
            assert_eq!(symbols(no), None, "{no}");
        }
    }
}
