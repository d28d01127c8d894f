//! Measuring the product against labels: what a set is, how it is judged, how it is scored.
//!
//! The judging is the core's, unchanged; nothing here decides about a patient.

pub mod answered;
pub mod elder;
pub mod heard;
pub mod hearing;
pub mod line;
pub mod negex;
pub mod nonspeech;
pub mod openings;
pub mod real;
pub mod sample;
pub mod score;
pub mod set;
pub mod spoken;
pub mod voice;
