//! Hot words: the answers that the question invites, made a little likelier while whisper writes.
//!
//! Measured strength (more makes noise into answers): half a logit on a word's first token, 3 on the tokens that
//! continue a word already begun.

use std::collections::BTreeMap;
use std::ffi::c_int;

use aftercall_core::lang::Lang;
use whisper_rs::WhisperContext;

/// Added to the logit of a token that begins a hot word.
const BEGINS: f32 = 0.5;
/// Added to the logit of a token that goes on with one, once a whole character of it stands.
const CONTINUES: f32 = 3.0;
/// Room for one word's tokens: whisper-rs is unsound when there are more.
const MOST_TOKENS: usize = 256;
/// Longer words than this, in bytes (a token is at least one), are left out.
const LONGEST_WORD: usize = 60;

/// The words of one question as a tree of whisper's tokens.
#[derive(Debug)]
pub(super) struct HotWords {
    /// The first is the root.
    nodes: Vec<Node>,
    depth: usize,
}

#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<c_int, usize>,
    /// The path to here holds a whole character. Before that a token is only some bytes of many characters.
    readable: bool,
}

impl HotWords {
    /// Cuts the words into tokens; `None` when there is nothing to favour.
    pub(super) fn new(words: &[String], lang: Lang, context: &WhisperContext) -> Option<HotWords> {
        let written = words
            .iter()
            .filter(|word| word.len() <= LONGEST_WORD)
            .map(|word| written(word, lang));
        let cut = written.filter_map(|word| {
            let tokens = context.tokenize(&word, MOST_TOKENS).ok()?;
            let bytes = |&token: &c_int| context.token_to_bytes(token).map(<[u8]>::to_vec);
            let bytes: Result<Vec<Vec<u8>>, _> = tokens.iter().map(bytes).collect();
            Some(tokens.into_iter().zip(bytes.ok()?).collect::<Vec<_>>())
        });
        HotWords::of(cut)
    }

    /// From words as tokens with their bytes.
    fn of(words: impl Iterator<Item = Vec<(c_int, Vec<u8>)>>) -> Option<HotWords> {
        let mut hot = HotWords {
            nodes: vec![Node::default()],
            depth: 0,
        };
        for word in words {
            hot.depth = hot.depth.max(word.len());
            let (mut node, mut path) = (0, Vec::new());
            for (token, bytes) in word {
                path.extend(bytes);
                let fresh = hot.nodes.len();
                node = *hot.nodes[node].next.entry(token).or_insert(fresh);
                if node == fresh {
                    let readable = begins_readable(&path);
                    hot.nodes.push(Node {
                        next: BTreeMap::new(),
                        readable,
                    });
                }
            }
        }
        (hot.depth > 0).then_some(hot)
    }

    /// What to add to which logits after these text tokens; a token stands once.
    pub(super) fn favoured(&self, written: &[c_int]) -> BTreeMap<c_int, f32> {
        let mut favoured = BTreeMap::new();
        for begin in written.len().saturating_sub(self.depth)..=written.len() {
            let end = written[begin..]
                .iter()
                .try_fold(0, |node, token| self.nodes[node].next.get(token).copied());
            let Some(node) = end.map(|node| &self.nodes[node]) else {
                continue;
            };
            let more = if node.readable { CONTINUES } else { BEGINS };
            for &token in node.next.keys() {
                let most = favoured.entry(token).or_insert(more);
                *most = most.max(more);
            }
        }
        favoured
    }
}

/// How whisper writes a word: English after a space.
fn written(word: &str, lang: Lang) -> String {
    match lang {
        Lang::Zh => word.to_owned(),
        Lang::En => format!(" {word}"),
    }
}

/// Whether the bytes begin with a whole character other than a space.
fn begins_readable(bytes: &[u8]) -> bool {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    };
    !valid.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(tokens: &[(c_int, &[u8])]) -> Vec<(c_int, Vec<u8>)> {
        tokens
            .iter()
            .map(|(token, bytes)| (*token, bytes.to_vec()))
            .collect()
    }

    #[test]
    fn the_first_token_is_favoured_a_little_and_the_next_much() {
        let same = word(&[(1, "差".as_bytes()), (2, "不多".as_bytes())]);
        let worse = word(&[(1, "差".as_bytes()), (3, "一些".as_bytes())]);
        let hot = HotWords::of([same, worse].into_iter()).expect("two words");
        assert_eq!(hot.favoured(&[]), BTreeMap::from([(1, BEGINS)]));
        let after = BTreeMap::from([(1, BEGINS), (2, CONTINUES), (3, CONTINUES)]);
        assert_eq!(hot.favoured(&[7, 1]), after);
        assert_eq!(hot.favoured(&[1, 7]), BTreeMap::from([(1, BEGINS)]));
    }

    #[test]
    fn half_a_character_promises_nothing() {
        let [one, two, three] = "疼".as_bytes() else {
            panic!("three bytes");
        };
        let hot = HotWords::of([word(&[(1, &[*one, *two]), (2, &[*three])])].into_iter());
        let favoured = hot.expect("a word").favoured(&[1]);
        assert_eq!(favoured, BTreeMap::from([(1, BEGINS), (2, BEGINS)]));
    }

    #[test]
    fn no_words_favour_nothing() {
        assert!(HotWords::of([].into_iter()).is_none());
    }
}
