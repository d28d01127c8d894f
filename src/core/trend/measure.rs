//! Lines of numbers: weight, temperature, pain and what else is measured, said on the telephone or sent.

use std::collections::BTreeMap;

use super::rules::Change;
use super::{
    Direction, History, Judged, Line, Outside, PastCall, Point, Rules, Trend, Value, judged,
};
use crate::id::NodeId;
use crate::reading::Measure;

/// A day in milliseconds.
const DAY_MS: f64 = 86_400_000.0;

/// A line for every measure that was read at least once.
pub(super) fn lines(rules: &Rules, history: &History) -> Vec<Trend> {
    let lines = Measure::ALL.into_iter().filter_map(|measure| {
        let changes: Vec<&Change> = rules
            .changes
            .iter()
            .filter(|change| change.measure == measure)
            .collect();
        let falling_is_worse = changes
            .first()
            .map_or(measure == Measure::Spo2, |c| c.worse < 0.0);
        let read = points(history, measure, falling_is_worse);
        let (_, last) = *read.last()?;
        let judged = judge(&changes, &read);
        let by = changes.iter().find(|change| change.rule == judged.rule);
        let known = by.or(changes.first());
        let urgency = by
            .filter(|change| {
                change
                    .order_from
                    .is_none_or(|from| change.reaches(last, from))
            })
            .map(|change| change.urgency);
        Some(Trend {
            line: Line::Measure { measure },
            points: read.into_iter().map(|(point, _)| point).collect(),
            direction: judged.direction,
            rule: judged.rule,
            urgency,
            concept: known.map(|change| change.concept.clone()),
        })
    });
    lines.collect()
}

/// The readings of a measure, the oldest first: the worst of each call, and each that was sent.
fn points(history: &History, measure: Measure, falling_is_worse: bool) -> Vec<(Point, f64)> {
    let point = |day, at, value| {
        let point = Point {
            day,
            at,
            value: Value::Reading(value),
        };
        (point, value)
    };
    let called = history.calls.iter().filter_map(|call| {
        let said = said(call, measure);
        let worst = if falling_is_worse {
            said.into_iter().min_by(f64::total_cmp)
        } else {
            said.into_iter().max_by(f64::total_cmp)
        };
        Some(point(call.day, call.at, worst?))
    });
    let sent = history
        .outside
        .iter()
        .filter(|sent| sent.measure == measure);
    let sent = sent.map(|Outside { day, at, value, .. }| point(*day, *at, *value));
    let mut all: Vec<(Point, f64)> = called.chain(sent).collect();
    all.sort_by(|(a, x), (b, y)| a.at.cmp(&b.at).then(x.total_cmp(y)));
    all
}

/// What a call told of a measure. A number given again to the same question corrects the one before.
fn said(call: &PastCall, measure: Measure) -> Vec<f64> {
    let mut by_node: BTreeMap<&NodeId, Vec<f64>> = BTreeMap::new();
    for turn in &call.turns {
        let readings = turn.reply.iter().flat_map(|reply| &reply.readings);
        let read = readings.filter(|reading| reading.measure == measure);
        let values: Vec<f64> = read.map(|reading| reading.value).collect();
        if !values.is_empty() {
            by_node.insert(&turn.node, values);
        }
    }
    by_node.into_values().flatten().collect()
}

fn judge(changes: &[&Change], read: &[(Point, f64)]) -> Judged {
    let Some(((now, value), earlier)) = read.split_last() else {
        return judged(Direction::Unknown, "measure.none");
    };
    let Some((_, before)) = earlier.last() else {
        return judged(Direction::Unknown, "measure.first");
    };
    let Some(first) = changes.first() else {
        return judged(Direction::Unknown, "measure.no_rule");
    };
    for change in changes {
        let compared = match change.within_days {
            Some(_) => earlier,
            None => &earlier[earlier.len() - 1..],
        };
        let mut worse = compared.iter();
        if worse.any(|(then, past)| change.is_worse(*value, *past, days_between(then, now))) {
            return judged(Direction::Worse, &change.rule);
        }
    }
    // As much as the widest rule, but more slowly than it says: nobody can tell.
    let widest = changes.iter().map(|change| change.worse.abs());
    let widest = widest.max_by(f64::total_cmp).unwrap_or(f64::MAX);
    let healthy = |value| first.from.is_some_and(|from| !first.reaches(value, from));
    let crept = |past| reached(first.worsening(*value, past), widest);
    let back = first.worsening(*before, *value);
    let eased = first.better.is_some_and(|better| reached(back, better));
    match (healthy(*before), healthy(*value)) {
        (true, true) => judged(Direction::Same, "measure.healthy"),
        (false, true) if eased => judged(Direction::Better, "measure.better"),
        _ if earlier.iter().any(|(_, past)| crept(*past)) => {
            judged(Direction::Unknown, "measure.slow")
        }
        _ if eased && first.from.is_none() => judged(Direction::Better, "measure.better"),
        // Less, and not yet healthy; or less where that is no recovery (a weight).
        _ if reached(back, first.better.unwrap_or(first.worse.abs())) => {
            judged(Direction::Unknown, "measure.less")
        }
        _ => judged(Direction::Same, "measure.same"),
    }
}

impl Change {
    /// By how much `now` is worse than `then`.
    fn worsening(&self, now: f64, then: f64) -> f64 {
        (now - then) * self.worse.signum()
    }

    /// Whether a value is as bad as `from`.
    fn reaches(&self, value: f64, from: f64) -> bool {
        reached((value - from) * self.worse.signum(), 0.0)
    }

    /// Whether the change is as large as the rule says, and over a long gap as fast.
    fn is_worse(&self, now: f64, then: f64, days: f64) -> bool {
        let change = self.worsening(now, then);
        let least = self.worse.abs();
        let fast = |window: f64| reached(change * window / days.max(window), least);
        self.from.is_none_or(|from| self.reaches(now, from))
            && reached(change, least)
            && self.within_days.is_none_or(fast)
    }
}

/// At least so much, but for what a sum of decimals loses.
fn reached(change: f64, least: f64) -> bool {
    change >= least - 1e-6
}

/// Whole days between two readings, one at least: a scale is stepped on at another hour each morning.
fn days_between(then: &Point, now: &Point) -> f64 {
    let ms = now.at.as_millisecond() - then.at.as_millisecond();
    (ms as f64 / DAY_MS).round().max(1.0)
}
