//! Scripts: the shipped ones, their replies, the rules that refuse broken ones, and the demo's telephones as text.

mod broken;
mod cast;
pub mod files;
mod heard;
mod hot;
mod replies;
mod signed;
mod walk;
