//! Which hours reach people: by weekday, hour and age, with intervals; which hours to close, and what that would have
//! done with the past.
//!
//! A cell is one hour of one weekday for one age band. Its rate is beta-binomial: a prior from all cells of its band
//! (method of moments), so that a few calls move it little. A proposal only ever closes an hour, so it cannot leave what
//! the law and the hospital allow, and only where the interval excludes the band's rate of today.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta, ContinuousCDF};

use super::callee::age_on;
use super::hours::at_local;
use crate::statistics::wilson;
use crate::time::Timestamp;

/// People whose days are alike.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
pub enum AgeBand {
    #[serde(rename = "0-17")]
    #[display("0-17")]
    To17,
    #[serde(rename = "18-44")]
    #[display("18-44")]
    To44,
    #[serde(rename = "45-64")]
    #[display("45-64")]
    To64,
    #[serde(rename = "65-79")]
    #[display("65-79")]
    To79,
    #[serde(rename = "80+")]
    #[display("80+")]
    From80,
}

impl AgeBand {
    pub const ALL: [AgeBand; 5] = [
        AgeBand::To17,
        AgeBand::To44,
        AgeBand::To64,
        AgeBand::To79,
        AgeBand::From80,
    ];

    /// The band of somebody born on `birth`.
    pub fn of(birth: Date, today: Date) -> Self {
        match age_on(birth, today) {
            ..18 => AgeBand::To17,
            18..45 => AgeBand::To44,
            45..65 => AgeBand::To64,
            65..80 => AgeBand::To79,
            80.. => AgeBand::From80,
        }
    }
}

/// One hour of one weekday, local to the patient, for one age band. Written `80+.sat.12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourOfWeek {
    pub band: AgeBand,
    pub weekday: Weekday,
    /// 0–23: from this hour on until the next.
    pub hour: i8,
}

impl PartialOrd for HourOfWeek {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HourOfWeek {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |cell: &Self| (cell.band, cell.weekday.to_monday_zero_offset(), cell.hour);
        key(self).cmp(&key(other))
    }
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl std::fmt::Display for HourOfWeek {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let day = DAYS.iter().find(|(_, day)| *day == self.weekday);
        let day = day.map_or("", |(name, _)| name);
        write!(f, "{}.{day}.{:02}", self.band, self.hour)
    }
}

/// Not an hour of the week for an age band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an hour as AGES.DAY.HOUR, such as 80+.sat.12; ages are 0-17, 18-44, 45-64, 65-79 and 80+"
)]
pub struct NoHour;

impl std::str::FromStr for HourOfWeek {
    type Err = NoHour;

    fn from_str(text: &str) -> Result<Self, NoHour> {
        let mut parts = text.split('.');
        let (Some(band), Some(day), Some(hour), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoHour);
        };
        let is_band = |known: &AgeBand| known.to_string() == band;
        let is_day = |(name, _): &&(&str, Weekday)| *name == day;
        let hour: i8 = hour.parse().map_err(|_| NoHour)?;
        Ok(Self {
            band: AgeBand::ALL.into_iter().find(is_band).ok_or(NoHour)?,
            weekday: DAYS.iter().find(is_day).ok_or(NoHour)?.1,
            hour: (0..24).contains(&hour).then_some(hour).ok_or(NoHour)?,
        })
    }
}

/// One call that was dialled: when, to whom, and whether a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    pub at: HourOfWeek,
    pub reached: bool,
    /// Of a step's first call: whether a message announced it that was delivered before. `None`: a later call.
    pub announced: Option<bool>,
}

/// How often people were reached, with the 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    pub tries: u32,
    pub reached: u32,
    pub rate: f64,
    pub low: f64,
    pub high: f64,
}

impl Share {
    fn of(tries: u32, reached: u32) -> Self {
        let (low, high) = wilson(reached.into(), tries.into());
        Self {
            tries,
            reached,
            rate: f64::from(reached) / f64::from(tries.max(1)),
            low,
            high,
        }
    }
}

/// One cell of the heat map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    pub at: HourOfWeek,
    /// Tries, those reached, and the posterior's mean and 95 % interval.
    pub share: Share,
    /// The posterior.
    alpha: f64,
    beta: f64,
}

/// Reach as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    pub all: Share,
    /// Of the first calls of steps alone, for later ones are rung who did not answer before: those that a message had
    /// announced, and those that none had.
    pub announced: Share,
    pub unannounced: Share,
    pub bands: BTreeMap<AgeBand, Share>,
    pub cells: Vec<Cell>,
}

/// Under this rate the admin is warned (`kpis.md`).
pub const ALARM: f64 = 0.6;
/// Cells with fewer tries are shown and never proposed.
const ENOUGH: u32 = 30;
/// Open hours that every weekday keeps.
const KEPT_A_DAY: usize = 3;

/// Counts what was tried.
pub fn reach(tried: &[Tried]) -> Reach {
    let mut counts: BTreeMap<HourOfWeek, (u32, u32)> = BTreeMap::new();
    for one in tried {
        let count = counts.entry(one.at).or_default();
        count.0 += 1;
        count.1 += u32::from(one.reached);
    }
    let sum = |counts: &mut dyn Iterator<Item = &(u32, u32)>| {
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    };
    let first = |announced: bool| {
        let of = tried.iter().filter(|one| one.announced == Some(announced));
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let reached = of.clone().filter(|one| one.reached).count();
        Share::of(count(of.count()), count(reached))
    };
    let (tries, reached) = sum(&mut counts.values());
    let mut bands = BTreeMap::new();
    let mut cells = Vec::new();
    for band in AgeBand::ALL {
        let of_band: Vec<(HourOfWeek, (u32, u32))> = counts
            .iter()
            .filter(|(at, _)| at.band == band)
            .map(|(at, count)| (*at, *count))
            .collect();
        if of_band.is_empty() {
            continue;
        }
        let (tries, reached) = sum(&mut of_band.iter().map(|(_, count)| count));
        bands.insert(band, Share::of(tries, reached));
        let (alpha, beta) = prior(&of_band);
        cells.extend(
            of_band
                .iter()
                .map(|(at, (tries, reached))| Cell::of(*at, (*tries, *reached), (alpha, beta))),
        );
    }
    Reach {
        all: Share::of(tries, reached),
        announced: first(true),
        unannounced: first(false),
        bands,
        cells,
    }
}

/// A beta prior whose mean is the band's rate and whose strength is what the spread between its hours leaves
/// (method of moments), between 5 and 500 calls.
fn prior(cells: &[(HourOfWeek, (u32, u32))]) -> (f64, f64) {
    let tries: f64 = cells.iter().map(|(_, (n, _))| f64::from(*n)).sum();
    let reached: f64 = cells.iter().map(|(_, (_, k))| f64::from(*k)).sum();
    // Never quite 0 or 1: somebody may always answer.
    let mean = (reached + 0.5) / (tries + 1.0);
    let by_chance = mean * (1.0 - mean);
    let spread: f64 = cells
        .iter()
        .map(|(_, (n, k))| {
            let n = f64::from(*n);
            n * (f64::from(*k) / n - mean).powi(2)
        })
        .sum::<f64>()
        / tries;
    let expected = by_chance * f64::from(u32::try_from(cells.len()).unwrap_or(u32::MAX)) / tries;
    let between = spread - expected;
    let strength = if between > 0.0 {
        (by_chance / between - 1.0).clamp(5.0, 500.0)
    } else {
        500.0
    };
    (mean * strength, (1.0 - mean) * strength)
}

impl Cell {
    fn of(at: HourOfWeek, (tries, reached): (u32, u32), prior: (f64, f64)) -> Self {
        let alpha = prior.0 + f64::from(reached);
        let beta = prior.1 + f64::from(tries - reached);
        let mut cell = Self {
            at,
            share: Share {
                tries,
                reached,
                rate: alpha / (alpha + beta),
                low: 0.0,
                high: 1.0,
            },
            alpha,
            beta,
        };
        (cell.share.low, cell.share.high) = cell.interval(0.05);
        cell
    }

    /// The central interval that misses the rate with this probability.
    fn interval(&self, misses: f64) -> (f64, f64) {
        match Beta::new(self.alpha, self.beta) {
            Ok(beta) => (
                beta.inverse_cdf(misses / 2.0),
                beta.inverse_cdf(1.0 - misses / 2.0),
            ),
            Err(_) => (0.0, 1.0),
        }
    }

    fn variance(&self) -> f64 {
        let sum = self.alpha + self.beta;
        self.alpha * self.beta / (sum * sum * (sum + 1.0))
    }
}

/// An hour that would better be closed for an age band.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub close: HourOfWeek,
    pub cell: Share,
    /// The band's rate over all hours.
    pub today: Share,
    /// What closing it alone would have done.
    pub effect: Effect,
}

/// What closed hours would have done with the past.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Effect {
    pub tries: u32,
    /// Tries that would have been made at another hour of the same weekday.
    pub moved: u32,
    pub reached: u32,
    /// People expected to be reached, and its 95 % interval.
    pub expected: f64,
    pub low: f64,
    pub high: f64,
}

/// The hours to close, the one that helps most first. Each is judged at 95 % over all cells of its band together
/// (Bonferroni), and every weekday of a band keeps at least three hours.
pub fn proposals(reach: &Reach, closed: &BTreeSet<HourOfWeek>) -> Vec<Proposal> {
    let mut found = Vec::new();
    for (band, today) in &reach.bands {
        let cells: Vec<&Cell> = reach
            .cells
            .iter()
            .filter(|cell| cell.at.band == *band)
            .collect();
        let misses = 0.05 / f64::from(u32::try_from(cells.len()).unwrap_or(u32::MAX));
        for cell in &cells {
            let is_poor = cell.share.tries >= ENOUGH && cell.interval(misses).1 < today.low;
            let others = cells.iter().filter(|other| {
                other.at.weekday == cell.at.weekday
                    && other.at != cell.at
                    && !closed.contains(&other.at)
            });
            if is_poor && !closed.contains(&cell.at) && others.count() >= KEPT_A_DAY {
                let mut then = closed.clone();
                then.insert(cell.at);
                found.push(Proposal {
                    close: cell.at,
                    cell: cell.share,
                    today: *today,
                    effect: simulate(reach, &then),
                });
            }
        }
    }
    found.sort_by(|a, b| {
        b.effect
            .expected
            .total_cmp(&a.effect.expected)
            .then(a.close.cmp(&b.close))
    });
    found
}

/// An hour of the same day that reaches more people than the present one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BetterHour {
    pub begins: Timestamp,
    /// Shares of the calls that are answered.
    pub now: f64,
    pub then: f64,
}

/// The best hour still to come today, for who is called at `now`, where it is better for certain: both hours were tried
/// often, and their 95 % intervals lie apart.
pub fn better_hour(
    reach: &Reach,
    band: AgeBand,
    zone: &TimeZone,
    now: Timestamp,
) -> Option<BetterHour> {
    let local = zone.to_datetime(now);
    let today = |cell: &&Cell| {
        cell.at.band == band
            && cell.at.weekday == local.date().weekday()
            && cell.share.tries >= ENOUGH
    };
    let present = |cell: &&Cell| cell.at.hour == local.hour();
    let present = reach.cells.iter().filter(today).find(present)?;
    let better = reach
        .cells
        .iter()
        .filter(today)
        .filter(|cell| cell.at.hour > local.hour() && cell.share.low > present.share.high);
    let best = better.max_by(|a, b| a.share.rate.total_cmp(&b.share.rate))?;
    let begins = at_local(local.date(), Time::constant(best.at.hour, 0, 0, 0), zone);
    (begins > now).then_some(BetterHour {
        begins,
        now: present.share.rate,
        then: best.share.rate,
    })
}

/// What closing these hours would have done: each try in a closed hour is spread over the open hours of its weekday and
/// band as their own tries are. A try that has no such hour stays where it was.
pub fn simulate(reach: &Reach, closed: &BTreeSet<HourOfWeek>) -> Effect {
    let mut effect = Effect {
        tries: reach.all.tries,
        moved: 0,
        reached: reach.all.reached,
        expected: f64::from(reach.all.reached),
        low: 0.0,
        high: 0.0,
    };
    let mut variance = 0.0;
    for cell in reach.cells.iter().filter(|cell| closed.contains(&cell.at)) {
        let open: Vec<&Cell> = reach
            .cells
            .iter()
            .filter(|other| {
                other.at.band == cell.at.band
                    && other.at.weekday == cell.at.weekday
                    && !closed.contains(&other.at)
            })
            .collect();
        let weight: f64 = open.iter().map(|other| f64::from(other.share.tries)).sum();
        if weight <= 0.0 {
            continue;
        }
        let tries = f64::from(cell.share.tries);
        let share = |other: &&Cell| f64::from(other.share.tries) / weight;
        let rate: f64 = open
            .iter()
            .map(|other| share(other) * other.share.rate)
            .sum();
        let unsure: f64 = open
            .iter()
            .map(|other| share(other).powi(2) * other.variance())
            .sum();
        effect.moved += cell.share.tries;
        effect.expected += tries * rate - f64::from(cell.share.reached);
        variance += tries * rate * (1.0 - rate) + tries * tries * unsure;
    }
    let half = 1.96 * variance.sqrt();
    effect.low = (effect.expected - half).max(0.0);
    effect.high = (effect.expected + half).min(f64::from(effect.tries));
    effect
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    fn cell(text: &str) -> HourOfWeek {
        text.parse().expect("an hour of the week")
    }

    /// Calls of so many weeks, ten an hour, reached by a rate that the hour has.
    fn past(seed: u64, weeks: u32, rate: impl Fn(HourOfWeek) -> f64) -> Vec<Tried> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut tried = Vec::new();
        for band in [AgeBand::To64, AgeBand::From80] {
            for (_, weekday) in DAYS {
                for hour in [9, 10, 11, 14, 15, 16, 17, 18, 19] {
                    let at = HourOfWeek {
                        band,
                        weekday,
                        hour,
                    };
                    tried.extend((0..weeks * 10).map(|_| Tried {
                        at,
                        reached: (random.next_u32() as f64) < rate(at) * f64::from(u32::MAX),
                        announced: None,
                    }));
                }
            }
        }
        tried
    }

    #[test]
    fn an_hour_is_written_as_it_is_read() {
        for text in ["80+.sat.12", "0-17.mon.09", "65-79.sun.23"] {
            assert_eq!(cell(text).to_string(), text);
        }
        for text in [
            "",
            "80+.sat",
            "80+.sat.24",
            "80.sat.9",
            "80+.sam.9",
            "80+.sat.9.1",
        ] {
            assert_eq!(text.parse::<HourOfWeek>(), Err(NoHour), "{text}");
        }
    }

    #[test]
    fn an_interval_holds_the_rate_nineteen_times_of_twenty() {
        let rate = |at: HourOfWeek| 0.4 + 0.02 * f64::from(at.hour - 9);
        let (mut held, mut all) = (0, 0);
        for seed in 0..20 {
            for cell in reach(&past(seed, 6, rate)).cells {
                all += 1;
                held += u32::from((cell.share.low..=cell.share.high).contains(&rate(cell.at)));
            }
        }
        let share = f64::from(held) / f64::from(all);
        assert!((0.93..0.985).contains(&share), "{share} of {all}");
    }

    #[test]
    fn where_all_hours_are_alike_nothing_is_proposed() {
        let mut proposed = 0;
        for seed in 0..40 {
            let reach = reach(&past(seed, 8, |_| 0.55));
            proposed += proposals(&reach, &BTreeSet::new()).len();
        }
        assert!(
            proposed <= 4,
            "{proposed} proposals in 40 hospitals whose hours are alike"
        );
    }

    #[test]
    fn an_hour_that_reaches_few_is_proposed_for_those_whom_it_does_not_reach() {
        let poor = [cell("45-64.mon.10"), cell("45-64.tue.10")];
        let rate = |at: HourOfWeek| if poor.contains(&at) { 0.25 } else { 0.6 };
        let reach = reach(&past(1, 8, rate));
        let proposals = proposals(&reach, &BTreeSet::new());
        let found: BTreeSet<HourOfWeek> = proposals.iter().map(|one| one.close).collect();
        assert_eq!(found, poor.into_iter().collect());
        let effect = simulate(&reach, &found);
        assert_eq!(effect.moved, 160);
        // 160 calls at 0.6 instead of 0.25.
        let gained = effect.expected - f64::from(effect.reached);
        assert!((35.0..75.0).contains(&gained), "{effect:?}");
        assert!(effect.low < effect.expected && effect.expected < effect.high);
    }

    #[test]
    fn a_weekday_keeps_its_last_hours() {
        let tried: Vec<Tried> = past(2, 8, |at| if at.hour < 18 { 0.1 } else { 0.9 });
        let reach = reach(&tried);
        let hours = [9, 10, 11, 14, 15, 16];
        let closed = hours.map(|hour| HourOfWeek {
            hour,
            ..cell("80+.mon.9")
        });
        let closed: BTreeSet<HourOfWeek> = closed.into_iter().collect();
        let more = proposals(&reach, &closed);
        assert!(
            more.iter().all(
                |one| one.close.weekday != Weekday::Monday || one.close.band != AgeBand::From80
            )
        );
        assert!(more.iter().any(|one| one.close.weekday == Weekday::Tuesday));
    }

    #[test]
    fn nothing_tried_is_no_reach_and_no_proposal() {
        let reach = reach(&[]);
        assert_eq!((reach.all.tries, reach.cells.len()), (0, 0));
        assert!(proposals(&reach, &BTreeSet::new()).is_empty());
        assert_eq!(
            simulate(&reach, &BTreeSet::from([cell("80+.sat.12")])).moved,
            0
        );
    }

    #[test]
    fn an_hour_still_to_come_is_better_only_where_the_figures_say_so_for_certain() {
        // At nine and ten 20 %, at 17 hours 80 %, else 50 %.
        let rate = |at: HourOfWeek| match at.hour {
            9 | 10 => 0.2,
            17 => 0.8,
            _ => 0.5,
        };
        let known = reach(&past(3, 20, rate));
        let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
        let at = |text: &str| -> Timestamp { text.parse().expect("an instant") };
        let found = |text: &str| better_hour(&known, AgeBand::From80, &zone, at(text));
        // Monday 09:30.
        let better = found("2026-11-23T01:30:00Z").expect("the evening is better");
        assert_eq!(better.begins, at("2026-11-23T09:00:00Z"));
        assert!(better.now < 0.3 && better.then > 0.7, "{better:?}");
        // 17:00 itself, and after it.
        assert_eq!(found("2026-11-23T09:00:00Z"), None);
        assert_eq!(found("2026-11-23T10:00:00Z"), None);
        // A few calls are no proof.
        let few = reach(&past(3, 1, rate));
        let early = at("2026-11-23T01:30:00Z");
        assert_eq!(better_hour(&few, AgeBand::From80, &zone, early), None);
        assert_eq!(better_hour(&known, AgeBand::To17, &zone, early), None);
    }
}
