//! English words by their stems: coughs, coughed and coughing are one word to a wording.
//!
//! Deliberately timid: one ending is taken off and nothing else, so that two words are never made one by a chain of
//! rules. Irregular forms are listed in `classes.en.tsv` (flag `forms`).

/// Shortest stem that an ending may leave, in letters.
const LEAST: usize = 3;

/// The stem of a word by the regular endings -s, -ed and -ing.
pub fn regular(word: &str) -> String {
    let stem = inflected(word).unwrap_or(word);
    let stem = undoubled(stem, word);
    let silent = stem.strip_suffix('e').filter(|s| s.len() >= LEAST);
    let stem = silent.unwrap_or(stem);
    match stem.strip_suffix('y') {
        Some(dry) if dry.len() >= 2 => format!("{dry}i"),
        Some(_) | None => stem.to_owned(),
    }
}

fn inflected(word: &str) -> Option<&str> {
    let left = |stem: &&str| stem.len() >= LEAST && stem.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    if let Some(stem) = word.strip_suffix("ing") {
        return Some(stem).filter(left);
    }
    if let Some(stem) = word.strip_suffix("ed") {
        return Some(stem).filter(left).filter(|s| !s.ends_with('e'));
    }
    let plural = word.strip_suffix('s').filter(left);
    plural.filter(|s| !s.ends_with(['s', 'u', 'i']))
}

/// stopp(ed) is stop.
fn undoubled<'a>(stem: &'a str, word: &str) -> &'a str {
    let doubles = ["bb", "dd", "gg", "mm", "nn", "pp", "rr", "tt"];
    let doubled = stem.len() < word.len() && doubles.iter().any(|d| stem.ends_with(d));
    if doubled && stem.len() > LEAST {
        &stem[..stem.len() - 1]
    } else {
        stem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_word_share_a_stem_and_others_do_not() {
        let same = [
            ["cough", "coughs", "coughed", "coughing"],
            ["stop", "stops", "stopped", "stopping"],
            ["dribble", "dribbles", "dribbled", "dribbling"],
            ["dry", "dries", "dried", "drying"],
            ["bleed", "bleeds", "bleeding", "bleed"],
            ["swell", "swells", "swelled", "swelling"],
        ];
        for [base, forms @ ..] in same {
            for form in forms {
                assert_eq!(regular(form), regular(base), "{form}");
            }
        }
        for [one, other] in [
            ["toes", "to"],
            ["pus", "pu"],
            ["red", "r"],
            ["numbness", "numb"],
        ] {
            assert_ne!(regular(one), regular(other), "{one}");
        }
    }
}
