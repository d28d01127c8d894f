//! The draw over many calls, and the estimators against published and exactly enumerated numbers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Decided, Drawn, Figures, Sampling, Subject, Tally, Verdict, draw, figures, was_true};
use crate::attempt::{AnsweredBy, CallRecord, Disposition, Ending, Progress};
use crate::finding::{PlacedFinding, Polarity, Suppressed};
use crate::id::AttemptId;
use crate::statistics::wilson;
use crate::work_order::Outcome;

const SAMPLING: Sampling = Sampling {
    share_calls: 0.05,
    share_suppressed: 0.1,
    seed: 7,
};

/// As a call writes it; members that later versions add have defaults.
fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a record of this version")
}

fn call(identified: bool, polarity: Option<Polarity>, suppressed: usize) -> CallRecord {
    let evidence = json!({
        "raw": "", "normalised": "", "span": [0, 0], "term": "", "level": "text", "pinyin": null, "rules": [],
        "lexicon": "", "engine": ""
    });
    let finding = |polarity: Polarity| -> PlacedFinding {
        let finding = json!({
            "concept": "chest_pain", "detail": null, "polarity": polarity, "urgency": "emergent",
            "confirmation": "not_needed", "evidence": evidence
        });
        read(json!({ "finding": finding, "turn": 0, "node": "chest", "from_ms": 0, "to_ms": 0 }))
    };
    let kept: Suppressed =
        read(json!({ "concept": "dyspnea", "why": "masked", "evidence": evidence }));
    CallRecord {
        ending: Ending {
            disposition: Disposition::Completed,
            sip_status: None,
            q850_cause: None,
            early_media: None,
            answered_by: AnsweredBy::Patient,
            met: None,
            rang: true,
            talk_ms: 0,
        },
        progress: Progress {
            identified,
            screened: identified,
            closing_spoken: identified,
        },
        turns: Vec::new(),
        findings: polarity.map(finding).into_iter().collect(),
        suppressed: vec![kept; suppressed],
        line: None,
        notes: Vec::new(),
    }
}

fn attempt(number: u32) -> AttemptId {
    AttemptId(format!("0192d3a0-0000-7000-8000-{number:012}"))
}

#[test]
fn a_call_is_drawn_by_its_share_and_for_ever() {
    let quiet = call(true, None, 1);
    let (mut calls, mut suppressed, mut both) = (0_u32, 0_u32, 0_u32);
    for number in 0..20_000 {
        let judged = draw(&SAMPLING, &attempt(number), &quiet).expect("identified");
        assert_eq!(
            Some(&judged),
            draw(&SAMPLING, &attempt(number), &quiet).as_ref()
        );
        let has = |subject| judged.drawn.iter().any(|drawn| drawn.subject == subject);
        calls += u32::from(has(Subject::Call));
        suppressed += u32::from(has(Subject::Suppressed(0)));
        both += u32::from(judged.drawn.len() == 2);
    }
    // Within four standard deviations of 5 %, 10 % and, being independent, 0.5 % of 20,000.
    assert!((877..=1123).contains(&calls), "{calls}");
    assert!((1831..=2169).contains(&suppressed), "{suppressed}");
    assert!((61..=139).contains(&both), "{both}");
}

#[test]
fn another_seed_draws_other_calls() {
    let quiet = call(true, None, 0);
    let drawn = |seed| -> Vec<u32> {
        let sampling = Sampling { seed, ..SAMPLING };
        let is_drawn = |number: &u32| {
            draw(&sampling, &attempt(*number), &quiet)
                .is_some_and(|judged| !judged.drawn.is_empty())
        };
        (0..2_000).filter(is_drawn).collect()
    };
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn only_calls_that_spoke_of_health_are_drawn_and_alerted_ones_only_for_what_they_suppressed() {
    let all = Sampling {
        share_calls: 1.0,
        share_suppressed: 1.0,
        seed: 1,
    };
    let none = Sampling {
        share_calls: 0.0,
        share_suppressed: 0.0,
        seed: 1,
    };
    let subjects = |sampling, record: &CallRecord| {
        draw(sampling, &attempt(1), record).map(|judged| {
            (
                judged.alerted,
                judged
                    .drawn
                    .iter()
                    .map(|drawn| drawn.subject)
                    .collect::<Vec<_>>(),
            )
        })
    };
    let (whole, first, second) = (
        Subject::Call,
        Subject::Suppressed(0),
        Subject::Suppressed(1),
    );
    assert_eq!(subjects(&all, &call(false, None, 0)), None);
    assert_eq!(
        subjects(&all, &call(true, None, 0)),
        Some((false, vec![whole]))
    );
    assert_eq!(
        subjects(&all, &call(true, Some(Polarity::Absent), 2)),
        Some((false, vec![whole, first, second]))
    );
    assert_eq!(
        subjects(&all, &call(true, Some(Polarity::Uncertain), 1)),
        Some((true, vec![first]))
    );
    assert_eq!(
        subjects(&all, &call(false, Some(Polarity::Present), 0)),
        Some((true, vec![]))
    );
    assert_eq!(subjects(&none, &call(true, None, 3)), Some((false, vec![])));
    let judged = draw(&all, &attempt(1), &call(true, None, 0)).expect("identified");
    assert_eq!(
        judged.drawn,
        [Drawn {
            subject: whole,
            share: 1.0
        }]
    );
}

#[test]
fn an_order_that_nobody_could_verify_says_nothing_of_the_alert() {
    let rows = [
        (Outcome::True, Some(true)),
        (Outcome::AlreadyKnown, Some(true)),
        (Outcome::SentToEmergency, Some(true)),
        (Outcome::False, Some(false)),
        (Outcome::Unreachable, None),
        (Outcome::Readmitted, None),
    ];
    for (outcome, expected) in rows {
        assert_eq!(was_true(outcome), expected, "{outcome:?}");
    }
}

fn decided(share: f64, verdict: Verdict, items: u32) -> Decided {
    Decided {
        share,
        verdict,
        items,
    }
}

fn tally(alerted: (u32, u32, u32), quiet: u32, calls: Vec<Decided>) -> Tally {
    Tally {
        alerted_calls: alerted.0,
        alerted_true: alerted.1,
        alerted_false: alerted.2,
        quiet_calls: quiet,
        calls,
        suppressed: Vec::new(),
    }
}

/// Hepatic scintigraphy (Drum and Christacopoulos, 1972), the example of Begg and Greenes (1983): 429 positive, 231
/// of them verified as ill and 32 as well; 221 negative, 27 and 54. Sensitivity corrected for what was not verified: 0.836.
#[test]
fn sensitivity_is_that_of_begg_and_greenes() {
    let calls = vec![
        decided(0.37, Verdict::Missed, 27),
        decided(0.37, Verdict::Right, 50),
        decided(0.37, Verdict::Wrong, 4),
    ];
    let found = figures(&tally((429, 231, 32), 221, calls));
    let sensitivity = found.sensitivity.expect("both strata are verified");
    assert!((sensitivity.value - 0.836).abs() < 5e-4, "{sensitivity:?}");
    // Their interval lies on the logit; without the part for drawing the patients (our calls are all there are) the
    // variance of the logit is (1 - p) / (p n1) + (1 - q) / (q n0) = 0.0259: 0.789 to 0.875.
    assert!((sensitivity.low - 0.789).abs() < 0.005, "{sensitivity:?}");
    assert!((sensitivity.high - 0.875).abs() < 0.005, "{sensitivity:?}");
    let ppv = found.ppv.expect("verified");
    assert_eq!((ppv.low, ppv.high), wilson(231.0, 263.0));
    assert!((found.missed.expect("verified").value - 1.0 / 3.0).abs() < 1e-12);
}

/// A stratum drawn at 1 % counts ten times one drawn at 10 %.
#[test]
fn verdicts_weigh_by_the_inverse_of_their_share() {
    let calls = vec![
        decided(0.01, Verdict::Missed, 1),
        decided(0.01, Verdict::Right, 9),
        decided(0.1, Verdict::Right, 100),
    ];
    let missed = figures(&tally((0, 0, 0), 2_000, calls))
        .missed
        .expect("verified");
    assert!((missed.value - 100.0 / 2_000.0).abs() < 1e-12, "{missed:?}");
    // Effective verdicts: 2000² / (10 · 100² + 100 · 10²) = 36.4 of 110.
    let (low, high) = wilson(0.05 * 400.0 / 11.0, 400.0 / 11.0);
    assert!(
        (missed.low - low).abs() < 1e-12 && (missed.high - high).abs() < 1e-12,
        "{missed:?}"
    );
}

#[test]
fn figures_that_nothing_supports_are_not_given() {
    let nothing = Figures {
        sensitivity: None,
        ppv: None,
        missed: None,
        suppressed_missed: None,
    };
    assert_eq!(figures(&Tally::default()), nothing);
    assert_eq!(figures(&tally((9, 0, 0), 90, vec![])), nothing);
    let only_ppv = figures(&tally((9, 3, 1), 90, vec![]));
    assert!(only_ppv.ppv.is_some() && only_ppv.sensitivity.is_none());
    let only_missed = figures(&tally((9, 0, 0), 90, vec![decided(0.1, Verdict::Right, 9)]));
    assert!(only_missed.missed.is_some() && only_missed.sensitivity.is_none());
    // Nothing true was found and nothing missed: 0 of 0.
    let neither = figures(&tally((9, 0, 9), 90, vec![decided(0.1, Verdict::Right, 9)]));
    assert_eq!(neither.sensitivity, None);
    let mut tally = tally((0, 0, 0), 0, vec![]);
    tally.suppressed = vec![
        decided(0.1, Verdict::Missed, 1),
        decided(0.1, Verdict::Right, 19),
    ];
    let kept = figures(&tally).suppressed_missed.expect("verified");
    assert_eq!((kept.low, kept.high), wilson(1.0, 20.0));
}

#[test]
fn nothing_missed_still_leaves_doubt_and_nothing_found_still_leaves_hope() {
    let all_right = figures(&tally(
        (60, 48, 12),
        940,
        vec![decided(0.05, Verdict::Right, 47)],
    ));
    let sensitivity = all_right.sensitivity.expect("verified");
    assert!(
        sensitivity.value >= 1.0 && sensitivity.high >= 1.0,
        "{sensitivity:?}"
    );
    assert!(
        (0.2..0.5).contains(&sensitivity.low),
        "47 verdicts cannot rule out a miss: {sensitivity:?}"
    );
    let none_found = figures(&tally(
        (20, 0, 20),
        980,
        vec![
            decided(0.05, Verdict::Missed, 4),
            decided(0.05, Verdict::Right, 45),
        ],
    ));
    let sensitivity = none_found.sensitivity.expect("verified");
    assert!(
        sensitivity.value <= 0.0 && sensitivity.low <= 0.0 && sensitivity.high > 0.0,
        "{sensitivity:?}"
    );
    let all_alerted = figures(&tally((20, 15, 5), 0, vec![]))
        .sensitivity
        .expect("no call was quiet");
    assert!(
        all_alerted.value >= 1.0 && all_alerted.low >= 1.0,
        "{all_alerted:?}"
    );
}

/// Exact coverage: every possible outcome of both samples, weighed by its probability.
#[test]
fn the_interval_of_sensitivity_covers_the_truth_95_times_in_100() {
    for (alerted, ppv, quiet, missed, sample) in [
        (60_u32, 0.7, 2_000_u32, 0.01, 200_u32),
        (40, 0.5, 1_000, 0.05, 100),
        (200, 0.8, 5_000, 0.004, 500),
    ] {
        let truth = {
            let (found, lost) = (f64::from(alerted) * ppv, f64::from(quiet) * missed);
            found / (found + lost)
        };
        let mut covered = 0.0;
        for found in 0..=alerted {
            for lost in 0..=sample {
                let chance = binomial(alerted, ppv, found) * binomial(sample, missed, lost);
                if chance < 1e-9 {
                    continue;
                }
                let calls = vec![
                    decided(0.1, Verdict::Missed, lost),
                    decided(0.1, Verdict::Right, sample - lost),
                ];
                let estimate =
                    figures(&tally((alerted, found, alerted - found), quiet, calls)).sensitivity;
                let inside = estimate
                    .is_some_and(|estimate| estimate.low <= truth && truth <= estimate.high);
                covered += if inside { chance } else { 0.0 };
            }
        }
        assert!(
            (0.93..=0.99).contains(&covered),
            "{alerted} {ppv} {quiet} {missed} {sample}: {covered:.4}"
        );
    }
}

fn binomial(trials: u32, share: f64, successes: u32) -> f64 {
    let ways: f64 = (0..successes)
        .map(|k| (f64::from(trials - k) / f64::from(k + 1)).ln())
        .sum();
    let (k, n) = (f64::from(successes), f64::from(trials));
    (ways + k * share.ln() + (n - k) * (1.0 - share).ln()).exp()
}
