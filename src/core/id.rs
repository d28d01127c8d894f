//! Identifiers: one newtype a thing, made by the shell (UUIDv7) and opaque here.

use derive_more::Display;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct PatientId(pub String);

/// One stay in hospital (an encounter): owns plan, steps and work orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct EpisodeId(pub String);

/// One planned follow-up of an episode: day 3, 7, 14 or 30.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct StepId(pub String);

/// One INVITE and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct AttemptId(pub String);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct WorkOrderId(pub String);

/// A red-flag concept: one of the 55 normative ids of `dialogs/redflags/concepts.tsv`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct ConceptId(pub String);

/// A pack of `dialogs/redflags/packs.tsv`: what a condition makes more urgent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct PackId(pub String);

/// A node of a script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(transparent)]
pub struct NodeId(pub String);

/// A speech stretch of one call, counted from 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Display,
)]
#[serde(transparent)]
pub struct UtteranceId(pub u32);
