//! Recorded speech for tests: the clips of the demo's patients and the prompts of the scripts.

use std::fs::File;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads a FLAC file of 8 kHz, mono, by its path from the root.
pub fn load(path: &str) -> Vec<i16> {
    let file = File::open(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let track = format
        .default_track(TrackType::Audio)
        .expect("a FLAC file has a track");
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio());
    let params = params.expect("a FLAC track is audio");
    assert_eq!(params.sample_rate, Some(8_000), "{path}");
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .expect("FLAC is compiled in");
    let mut samples: Vec<i16> = Vec::new();
    while let Some(packet) = format
        .next_packet()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
    {
        let audio = decoder
            .decode(&packet)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut part: Vec<i16> = Vec::new();
        audio.copy_to_vec_interleaved(&mut part);
        samples.extend(part);
    }
    samples
}

/// The FLAC files of a folder, by their paths from the root, in order.
pub fn in_folder(folder: &str) -> Vec<String> {
    let entries =
        std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".flac"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    names
}
