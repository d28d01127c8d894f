//! A seeded sample of a set, and the order in which one rater sees it: the same on every machine, for ever.

use sha2::{Digest, Sha256};

use super::score::Item;

/// Draws so many items. Raters with the same seed and count get the same items, each in an order of their own.
pub fn draw(mut items: Vec<Item>, seed: u64, count: usize, rater: &str) -> Vec<Item> {
    items.sort_by_cached_key(|item| key(&["draw", &seed.to_string(), &item.id]));
    items.truncate(count);
    items.sort_by_cached_key(|item| key(&["order", &seed.to_string(), rater, &item.id]));
    items
}

fn key(parts: &[&str]) -> Vec<u8> {
    Sha256::digest(parts.join("\0")).to_vec()
}
