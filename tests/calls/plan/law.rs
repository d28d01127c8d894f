//! A small share of the worlds that `make eval EVAL=plans` lives through.

use super::world::{Tally, live};
use crate::support::rounds;

/// Worlds of one to three patients; every patient lives through all her steps.
const WORLDS: u64 = 1200;

#[test]
fn no_dial_is_ever_outside_what_a_plain_checker_allows() {
    let mut tally = Tally::default();
    for seed in 0..rounds(WORLDS) {
        tally.add(live(seed));
    }
    assert!(
        tally.dials > tally.patients,
        "the worlds did dial: {tally:?}"
    );
    assert!(tally.contacts > 100 && tally.exempt > 20, "{tally:?}");
}

/// The clocks of Casablanca go back for good on 20 September 2026, and a duty that begins at 01:28 has a gap then.
#[test]
fn duty_is_read_again_where_the_clocks_change() {
    live(1_012_765);
}
