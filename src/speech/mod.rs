//! Ears and voice: audio files to telephone samples, whisper on its own threads, prompts and a stand-in voice.
//!
//! Knows nothing of SIP, scripts or rows: samples in, words out; text in, samples out. Everything here is
//! mono 16-bit at [`audio::RATE_HZ`].

pub mod audio;
pub mod callbacks;
pub mod command;
pub mod ears;
pub mod espeak;
pub mod kokoro;
pub mod lag;
pub mod loudness;
pub mod model;
pub mod models;
pub mod openai;
pub mod prompts;
pub mod reading;
pub mod rendered;
pub mod voice;
pub mod whisper;

mod child;
mod forced;
mod ggml_file;
mod guard;
mod hot;
mod numerals;
mod reject;
pub mod remote;
mod resample;
mod syllable;
