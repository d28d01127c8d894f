//! Readings: what was measured at home and said on the telephone, or sent by a scale, in fixed units.

use serde::{Deserialize, Serialize};

/// What can be measured at home. The unit is part of the name.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
pub enum Measure {
    #[display("weight_kg")]
    #[serde(rename = "weight_kg")]
    Weight,
    #[display("temperature_c")]
    #[serde(rename = "temperature_c")]
    Temperature,
    #[display("systolic_mmhg")]
    #[serde(rename = "systolic_mmhg")]
    Systolic,
    #[display("diastolic_mmhg")]
    #[serde(rename = "diastolic_mmhg")]
    Diastolic,
    #[display("glucose_mmol_l")]
    #[serde(rename = "glucose_mmol_l")]
    Glucose,
    #[display("spo2_percent")]
    #[serde(rename = "spo2_percent")]
    Spo2,
    #[display("pulse_per_min")]
    #[serde(rename = "pulse_per_min")]
    Pulse,
    /// Said of a day: "up two pounds since yesterday".
    #[display("gain_kg_day")]
    #[serde(rename = "gain_kg_day")]
    GainDay,
    #[display("gain_kg_week")]
    #[serde(rename = "gain_kg_week")]
    GainWeek,
    #[display("pain_0_10")]
    #[serde(rename = "pain_0_10")]
    Pain,
}

impl Measure {
    pub const ALL: [Measure; 10] = [
        Measure::Weight,
        Measure::Temperature,
        Measure::Systolic,
        Measure::Diastolic,
        Measure::Glucose,
        Measure::Spo2,
        Measure::Pulse,
        Measure::GainDay,
        Measure::GainWeek,
        Measure::Pain,
    ];

    /// The measure of a name in `thresholds.tsv` and `trends.tsv`.
    pub fn named(name: &str) -> Option<Measure> {
        Measure::ALL.into_iter().find(|m| m.to_string() == name)
    }

    /// The unit in UCUM.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Weight | Measure::GainDay | Measure::GainWeek => "kg",
            Measure::Temperature => "Cel",
            Measure::Systolic | Measure::Diastolic => "mm[Hg]",
            Measure::Glucose => "mmol/L",
            Measure::Spo2 => "%",
            Measure::Pulse => "/min",
            Measure::Pain => "{score}",
        }
    }
}

/// A reading of the patient's that a reply tells, in the unit of its measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub measure: Measure,
    pub value: f64,
    /// Character offsets in the reply as heard, half open.
    pub span: (usize, usize),
}
