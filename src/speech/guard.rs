//! Against runaway repetition, which a cut audio context invites (whisper repeats until it is stopped).
//!
//! Asked after each token: has the tail become the same block over and over? Then the segment ends there, and
//! only one copy of the block is kept.

/// Longest block looked for, in tokens: about 20 characters of Mandarin.
const LONGEST_BLOCK: usize = 40;

/// How often a block of `tokens` may stand in a row before it counts as runaway. A patient may well say
/// 没有没有; nobody says a whole clause twice without a breath.
fn copies_allowed(tokens: usize) -> usize {
    match tokens {
        1 => 5,
        2 | 3 => 3,
        _ => 2,
    }
}

/// The block the tail repeats and how often, when that is too often.
fn runaway(tokens: &[i32]) -> Option<(usize, usize)> {
    (1..=LONGEST_BLOCK.min(tokens.len() / 2)).find_map(|block| {
        let last = &tokens[tokens.len() - block..];
        let copies = tokens
            .rchunks_exact(block)
            .take_while(|chunk| *chunk == last)
            .count();
        (copies >= copies_allowed(block)).then_some((block, copies))
    })
}

/// Whether decoding must stop now.
pub fn runs_away(tokens: &[i32]) -> bool {
    runaway(tokens).is_some()
}

/// How many tokens are left when a repeated tail is folded into one copy.
pub fn folded_len(tokens: &[i32]) -> usize {
    runaway(tokens).map_or(tokens.len(), |(block, copies)| {
        tokens.len() - block * (copies - 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_said_too_often_is_folded_into_one() {
        for (tokens, left) in [
            (&[1, 2, 3][..], 3),
            // One token may stand four times (一一一一), the fifth stops it.
            (&[9, 9, 9, 9], 4),
            (&[7, 9, 9, 9, 9, 9], 2),
            // Two or three tokens twice (没有，没有).
            (&[4, 5, 4, 5], 4),
            (&[1, 4, 5, 4, 5, 4, 5], 3),
            (&[4, 5, 6, 4, 5, 6], 6),
            (&[4, 5, 6, 4, 5, 6, 4, 5, 6], 3),
            // Four tokens once.
            (&[1, 4, 5, 6, 7, 4, 5, 6, 7], 5),
            (&[1, 4, 5, 6, 7, 4, 5, 6, 8], 9),
            (&[], 0),
        ] {
            assert_eq!(folded_len(tokens), left, "{tokens:?}");
            assert_eq!(runs_away(tokens), left < tokens.len(), "{tokens:?}");
        }
    }
}
