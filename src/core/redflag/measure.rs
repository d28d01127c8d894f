//! Numbers against thresholds: which measurement a number is, whether it can be true, and what it means.
//!
//! A number belongs to the label nearest before it (血压, "temperature"), to its unit (度, "degrees"), or else to
//! what the question asks. Values out of the range of the measurement are not believed. Labels and units are the
//! classes `m_*` of the lexicon; bounds are `thresholds.tsv`.

use super::find::Slots;
use super::normal::{Cut, Unit};
use super::numbers::{Number, numbers};
use crate::finding::Polarity;
use crate::reading::Measure;

/// The classes that name a reading, pain and gain apart.
pub const READINGS: [&str; 6] = [
    "m_bp",
    "m_temp",
    "m_glucose",
    "m_spo2",
    "m_pulse",
    "m_weight",
];

/// One row of `thresholds.tsv`: from `from` (inclusive) to `to` (exclusive) it means this.
#[derive(Clone, Debug)]
pub struct Limit {
    pub measure: Measure,
    pub from: f64,
    pub to: f64,
    pub concept: usize,
    pub detail: Option<usize>,
    pub polarity: Polarity,
}

/// Reads a row of `thresholds.tsv`: measure, from, to, concept, polarity, detail; an empty bound is open. `named`
/// finds a concept and its detail.
///
/// # Errors
/// What is wrong with the row.
pub fn limit_of(
    cells: &[&str],
    named: impl Fn(&str, Option<&str>) -> Result<(usize, Option<usize>), String>,
) -> Result<Limit, String> {
    let [name, from, to, concept, polarity] = cells[..5] else {
        return Err("a threshold has measure, from, to, concept and polarity".to_owned());
    };
    let measure = Measure::named(name).ok_or_else(|| format!("unknown measure `{name}`"))?;
    let bound = |text: &str, open: f64| match text {
        "" => Ok(open),
        _ => text
            .parse()
            .map_err(|_| format!("`{text}` is not a number")),
    };
    let polarity = match polarity {
        "present" => Polarity::Present,
        "uncertain" => Polarity::Uncertain,
        "absent" => Polarity::Absent,
        other => return Err(format!("a threshold cannot make `{other}`")),
    };
    let detail = cells.get(5).copied().filter(|detail| !detail.is_empty());
    let (concept, detail) = named(concept, detail)?;
    Ok(Limit {
        measure,
        from: bound(from, f64::MIN)?,
        to: bound(to, f64::MAX)?,
        concept,
        detail,
        polarity,
    })
}

/// A measured value in the reply, with the units that say it, half open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub measure: Measure,
    pub value: f64,
    pub start: usize,
    pub end: usize,
}

/// What a value means for one concept.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    pub concept: usize,
    pub detail: Option<usize>,
    pub polarity: Polarity,
    pub start: usize,
    pub end: usize,
    /// The value as understood, with its measure: `temperature_c 38.5`.
    pub said: String,
}

/// What the question asks to be measured, if anything.
pub struct Asked {
    pub temperature: bool,
    pub pressure: bool,
    pub glucose: bool,
    pub spo2: bool,
    pub pulse: bool,
    pub pain: bool,
    /// The weight, or a gain of it.
    pub weight: bool,
    /// A gain of weight.
    pub gain: bool,
}

/// Every measured value in the reply, in order.
pub fn values(units: &[Unit], slots: &Slots<'_>, asked: &Asked) -> Vec<Value> {
    let mut all = numbers(units);
    all.dedup_by(|next, first| {
        let wrong = takes_back(units, first.end, next.start) || corrected(units, first, next);
        if wrong {
            *first = next.clone();
        }
        wrong
    });
    let gained = weighed_twice(units, slots, &all, asked);
    let mut found = Vec::new();
    let mut at = 0;
    while at < all.len() {
        let (mut measures, used) = measured(units, slots, &all, at, asked);
        measures.extend(gained.filter(|(_, _, number)| number.start == all[at].start));
        for (measure, value, number) in measures {
            found.push(Value {
                measure,
                value,
                start: number.start,
                end: number.end,
            });
        }
        at += used;
    }
    found
}

/// "two out of ten": the scale follows.
fn is_out_of(units: &[Unit], at: usize) -> bool {
    let said = |at: usize| units.get(at).map_or("", |u| u.text.as_str());
    said(at) == "out" && said(at + 1) == "of"
}

fn ends_scale(units: &[Unit], number: &Number) -> bool {
    number.start > 1 && is_out_of(units, number.start - 2)
}

/// "eighty, no sorry, ninety-eight": what was said first does not count. Two numbers of a blood pressure are no
/// correction, and a correction says nothing else between the two.
fn corrected(units: &[Unit], first: &Number, next: &Number) -> bool {
    const TAKES_BACK: [&str; 11] = [
        "sorry",
        "no",
        "wait",
        "rather",
        "correction",
        "wrong",
        "错",
        "不",
        "对",
        "not",
        "mean",
    ];
    const BETWEEN: [&str; 12] = [
        "i", "it", "make", "that", "tell", "a", "lie", "was", "is", "哦", "是", "了",
    ];
    let between: Vec<&str> = units[first.end..next.start]
        .iter()
        .map(|u| u.text.as_str())
        .collect();
    let known = |word: &&str| TAKES_BACK.contains(word) || BETWEEN.contains(word);
    between.iter().all(known) && between.iter().any(|w| TAKES_BACK.contains(w))
}

/// What a value means by the thresholds.
pub fn meanings<'a>(limits: &'a [Limit], value: &'a Value) -> impl Iterator<Item = Meaning> + 'a {
    limits
        .iter()
        .filter(|l| l.measure == value.measure && l.from <= value.value && value.value < l.to)
        .map(|limit| Meaning {
            concept: limit.concept,
            detail: limit.detail,
            polarity: limit.polarity,
            start: value.start,
            end: value.end,
            said: format!("{} {}", value.measure, value.value),
        })
}

type Measured<'a> = (Measure, f64, &'a Number);

/// What the number at `at` measures (two things for a blood pressure), and how many numbers that used up.
fn measured<'a>(
    units: &[Unit],
    slots: &Slots<'_>,
    all: &'a [Number],
    at: usize,
    asked: &Asked,
) -> (Vec<Measured<'a>>, usize) {
    let number = &all[at];
    let label = |class: &str| slots.nearest_before(units, class, number.start, 12);
    let attached = units[number.end - 1].after == Cut::None;
    let unit = |class: &str| attached && slots.at(class, number.end);
    if let Some(gain) = gain(units, slots, number, asked) {
        return (vec![gain], 1);
    }
    if let Some(weight) = weight(slots, number) {
        return (vec![weight], 1);
    }
    let counts = attached
        && slots.written_at("m_other_unit", number.end)
        && !unit("m_glucose_unit")
        && !is_out_of(units, number.end);
    if counts || ends_scale(units, number) {
        return (Vec::new(), 1);
    }
    if unit("m_temp_unit") {
        return (temperature(number).into_iter().collect(), 1);
    }
    // 高的, 上面 are of a pressure only where nothing else is asked.
    let other = asked.kind().is_some() && !asked.pressure && label("m_bp").is_none();
    let of_pressure = |class: &str| label(class).filter(|_| !other);
    // The last of those that end together says most: 低压, not 压.
    let labels = [
        (label("m_bp"), Kind::Pressure),
        (of_pressure("m_sys"), Kind::Systolic),
        (of_pressure("m_dia"), Kind::Diastolic),
        (label("m_glucose"), Kind::Glucose),
        (label("m_spo2"), Kind::Spo2),
        (label("m_pulse"), Kind::Pulse),
        (label("m_temp"), Kind::Temperature),
        (label("m_pain"), Kind::Pain),
    ];
    let nearest = labels
        .iter()
        .filter_map(|(end, kind)| end.map(|end| (end, *kind)))
        .max_by_key(|(end, _)| *end);
    let pair = all
        .get(at + 1)
        .filter(|next| joined(units, number.end, next.start));
    let kind = match nearest {
        Some((_, kind)) => Some(kind),
        None if pair.is_some() && plausible(70.0..=260.0, number.value).is_some() => {
            Some(Kind::Pressure)
        }
        None if unit("m_spo2_unit") && asked.spo2 => Some(Kind::Spo2),
        None if unit("m_glucose_unit") => Some(Kind::Glucose),
        None if unit("m_pulse_unit") => Some(Kind::Pulse),
        None => asked.kind(),
    };
    let Some(kind) = kind else {
        return (Vec::new(), 1);
    };
    let one = |measure: Measure, value: Option<f64>| {
        value.map(|v| (measure, v, number)).into_iter().collect()
    };
    let past = past_bound(units, number);
    match kind {
        Kind::Systolic => (
            one(
                Measure::Systolic,
                plausible(40.0..=280.0, number.value + past),
            ),
            1,
        ),
        Kind::Diastolic => (
            one(Measure::Diastolic, plausible(20.0..=180.0, number.value)),
            1,
        ),
        Kind::Pressure => pressure(number, pair.or_else(|| neighbour(units, all, at))),
        Kind::Glucose => (one(Measure::Glucose, glucose(number.value + past)), 1),
        Kind::Spo2 => (
            one(Measure::Spo2, plausible(50.0..=100.0, number.value + past)),
            1,
        ),
        Kind::Pulse => (
            one(Measure::Pulse, plausible(25.0..=250.0, number.value)),
            1,
        ),
        Kind::Temperature => (temperature(number).into_iter().collect(), 1),
        Kind::Pain => (one(Measure::Pain, plausible(0.0..=10.0, number.value)), 1),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Systolic,
    Diastolic,
    Pressure,
    Glucose,
    Spo2,
    Pulse,
    Temperature,
    Pain,
}

impl Asked {
    fn kind(&self) -> Option<Kind> {
        let table = [
            (self.temperature, Kind::Temperature),
            (self.pressure, Kind::Pressure),
            (self.glucose, Kind::Glucose),
            (self.spo2, Kind::Spo2),
            (self.pulse, Kind::Pulse),
            (self.pain, Kind::Pain),
        ];
        table
            .iter()
            .find(|(asked, _)| *asked)
            .map(|(_, kind)| *kind)
    }
}

fn plausible(range: std::ops::RangeInclusive<f64>, value: f64) -> Option<f64> {
    range.contains(&value).then_some(value)
}

/// Degrees Celsius; 三八五 is 38.5, and 93–110 is Fahrenheit.
fn temperature(number: &Number) -> Option<Measured<'_>> {
    let value = number.value;
    let celsius = if (340.0..=430.0).contains(&value) && value.fract() == 0.0 {
        value / 10.0
    } else {
        value
    };
    let celsius = if (93.0..=110.0).contains(&celsius) {
        ((celsius - 32.0) / 1.8 * 10.0).round() / 10.0
    } else {
        celsius
    };
    plausible(34.0..=43.0, celsius).map(|v| (Measure::Temperature, v, number))
}

/// Millimoles a litre; 40 and above can only be mg/dL. With 18 to one, the policy's 70 and 300 mg/dL themselves are on
/// the healthy side of its 3.9 and 16.7 mmol/L ([`super::lexicon`]'s thresholds leave room for the rounding).
fn glucose(value: f64) -> Option<f64> {
    const MG_PER_MMOL: f64 = 18.0;
    let hundredths = |v: f64| (v * 100.0).round() / 100.0;
    let mmol = |v: f64| {
        if v >= 40.0 {
            hundredths(v / MG_PER_MMOL)
        } else {
            v
        }
    };
    plausible(0.5..=800.0, value).map(mmol)
}

/// Systolic and, where a second number follows, diastolic.
fn pressure<'a>(number: &'a Number, second: Option<&'a Number>) -> (Vec<Measured<'a>>, usize) {
    let Some(high) = plausible(40.0..=280.0, number.value) else {
        return (Vec::new(), 1);
    };
    let mut found = vec![(Measure::Systolic, high, number)];
    let low = second.filter(|low| low.value < high && plausible(20.0..=180.0, low.value).is_some());
    found.extend(low.map(|low| (Measure::Diastolic, low.value, low)));
    let used = found.len();
    (found, used)
}

/// "over three hundred", "under ninety": the least by which the value is past the number that is said.
fn past_bound(units: &[Unit], number: &Number) -> f64 {
    let before = |back: usize| {
        let at = number.start.checked_sub(back);
        at.map_or("", |at| units[at].text.as_str())
    };
    let step = if number.value < 40.0 { 0.05 } else { 1.0 };
    match (before(2), before(1)) {
        (_, "over" | "above" | "past") | ("more" | "higher" | "greater", "than") => step,
        (_, "under" | "below") | ("less" | "lower", "than") => -step,
        _ => 0.0,
    }
}

/// Whether the two numbers are said as one reading: 180/110, "one eighty over one ten".
fn joined(units: &[Unit], end: usize, next: usize) -> bool {
    let between: Vec<&str> = units[end..next].iter().map(|u| u.text.as_str()).collect();
    matches!(between[..], ["/"] | ["over"] | ["slash"] | ["比"])
}

/// Whether the units between a denial and a number say that the number was not reached: 没到, 没有超过, "not over".
pub fn is_bound(between: &[Unit]) -> bool {
    let bounds = [
        "到", "达", "超", "过", "高", "于", "有", "够", "over", "above", "reached", "reach", "hit",
        "been", "more", "than", "up", "to",
    ];
    between
        .iter()
        .all(|unit| bounds.contains(&unit.text.as_str()))
}

/// The number right behind, with nothing but a cut between.
fn neighbour<'a>(units: &[Unit], all: &'a [Number], at: usize) -> Option<&'a Number> {
    let next = all.get(at + 1)?;
    let between = &units[all[at].end..next.start];
    let close = between.iter().all(|u| {
        matches!(
            u.text.as_str(),
            "到" | "和" | "的" | "多" | "来" | "几" | "and"
        )
    });
    (close && next.value >= 30.0).then_some(next)
}

/// Kilograms in the unit of weight behind a number.
fn kilograms(slots: &Slots<'_>, number: &Number) -> Option<f64> {
    let scale = [
        ("m_jin", 0.5),
        ("m_kg", 1.0),
        ("m_lb", 0.453_592),
        ("m_stone", 6.350_293),
    ];
    let found = scale.iter().find(|(class, _)| slots.at(class, number.end));
    found.map(|(_, scale)| number.value * scale)
}

/// What an adult weighs, in kilograms: a number with a unit of weight that nobody can have gained or lost.
fn weight<'a>(slots: &Slots<'_>, number: &'a Number) -> Option<Measured<'a>> {
    let kg = plausible(30.0..=250.0, kilograms(slots, number)?)?;
    // A tenth of a kilogram is what a scale shows.
    Some((Measure::Weight, (kg * 10.0).round() / 10.0, number))
}

/// A gain of weight in kilograms, where a gain is said of a number with a unit of weight.
fn gain<'a>(
    units: &[Unit],
    slots: &Slots<'_>,
    number: &'a Number,
    asked: &Asked,
) -> Option<Measured<'a>> {
    let kg = kilograms(slots, number)?;
    // "How much have you gained?" "Six pounds.": the question names the gain, unless the reply names a loss.
    let lost = units[..number.start].iter().any(|u| {
        matches!(
            u.text.as_str(),
            "lost" | "down" | "off" | "less" | "掉" | "瘦"
        )
    });
    if slots
        .nearest_before(units, "m_gain", number.start, 8)
        .is_none()
        && (lost || !asked.gain)
    {
        return None;
    }
    let from = sentence_start(units, number.start);
    let day = slots.within("m_day", from, units.len());
    let measure = if day && !slots.within("m_week", from, units.len()) {
        Measure::GainDay
    } else {
        Measure::GainWeek
    };
    plausible(0.1..=30.0, kg).map(|kg| (measure, kg, number))
}

/// Whether the speaker takes a number back for the next one: 三点七，不对，七点三.
fn takes_back(units: &[Unit], end: usize, next: usize) -> bool {
    let between: String = units[end..next].iter().map(|u| u.text.as_str()).collect();
    let short = between.chars().count() <= 8;
    short
        && ["不对", "说错", "看错", "记错", "哦不", "错了"]
            .iter()
            .any(|said| between.contains(said))
}

/// Two weights of different days, where weight is asked (昨天一百三十二，今天一百三十五): what was gained. Without a
/// unit a hundred and more are jin.
fn weighed_twice<'a>(
    units: &[Unit],
    slots: &Slots<'_>,
    all: &'a [Number],
    asked: &Asked,
) -> Option<Measured<'a>> {
    let weights: Vec<&Number> = all
        .iter()
        .filter(|n| (30.0..300.0).contains(&n.value) && !slots.written_at("m_other_unit", n.end))
        .collect();
    let [first, second] = weights[..] else {
        return None;
    };
    // "eighty-two, it was seventy-nine last week", 六十五公斤，昨天才六十三: the one before comes second.
    let between = &units[first.end..second.start];
    let was = |u: &Unit| matches!(u.text.as_str(), "was" | "were" | "from");
    let day = |w: &[Unit]| w[1].text == "天" && matches!(w[0].text.as_str(), "昨" | "前");
    let (before, after) = if between.iter().any(was) || between.windows(2).any(day) {
        (second, first)
    } else {
        (first, second)
    };
    let said = |class: &str| slots.within(class, first.end, units.len());
    let scale = match before.value {
        _ if said("m_kg") => 1.0,
        _ if said("m_jin") => 0.5,
        _ if said("m_lb") => 0.453_592,
        v if v >= 100.0 => 0.5,
        _ => 1.0,
    };
    let gain = (after.value - before.value) * scale;
    let day = slots.within("m_day", 0, units.len()) && !slots.within("m_week", 0, units.len());
    let measure = if day {
        Measure::GainDay
    } else {
        Measure::GainWeek
    };
    // 昨天一百二十二斤，今天一百二十五斤 needs no question.
    let weighed = units[first.start].is_han()
        && kilograms(slots, first).is_some()
        && kilograms(slots, second).is_some();
    (asked.weight || weighed).then_some((measure, plausible(0.1..=20.0, gain)?, after))
}

fn sentence_start(units: &[Unit], at: usize) -> usize {
    (0..at)
        .rev()
        .find(|i| matches!(units[*i].after, Cut::Strong | Cut::Ask))
        .map_or(0, |i| i + 1)
}
