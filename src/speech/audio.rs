//! Audio files to telephone samples: mono, 16 bits, 8 kHz.
//!
//! WAV (PCM, A-law, µ-law, IMA ADPCM), FLAC, MP3 and Ogg Vorbis are read by symphonia. Opus, GSM and AMR are
//! not: the error says what to convert to.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::speech::loudness::Unfit;
use crate::speech::resample::resample;

/// Samples a second of everything on a telephone line (G.711).
pub const RATE_HZ: u32 = 8000;

/// Longer files are refused: they are a mistake, and would fill the memory.
const MAX_SECONDS: usize = 2 * 3600;

/// Why a file gave no samples: always the file's fault, with the cure.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    #[error("{file}: cannot be opened")]
    Open {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "{file}: not an audio file we can read ({why}); give WAV (PCM, A-law, µ-law), FLAC, MP3 or Ogg Vorbis, \
         for example: ffmpeg -i IN -ar 8000 -ac 1 out.flac"
    )]
    Format { file: String, why: String },
    #[error(
        "{file}: holds {codec}, which we cannot read; convert it: ffmpeg -i IN -ar 8000 -ac 1 out.flac"
    )]
    Codec { file: String, codec: String },
    #[error(
        "{file}: no sound in it, or broken off at the start ({why}); record or export it again"
    )]
    Empty { file: String, why: String },
    #[error("{file}: {why}")]
    Unfit { file: String, why: Unfit },
    #[error("{file}: longer than {} hours; cut it into shorter files", MAX_SECONDS / 3600)]
    TooLong { file: String },
    #[error(
        "{file}: a sample rate of {rate_hz} Hz cannot be converted ({why}); convert it to 8000 Hz"
    )]
    Rate {
        file: String,
        rate_hz: u32,
        why: String,
    },
}

/// Decodes a file.
///
/// # Errors
/// See [`AudioError`]; each names the file.
pub fn decode_file(path: &Path) -> Result<Vec<i16>, AudioError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| AudioError::Open {
        file: name.clone(),
        source,
    })?;
    decode(Box::new(file), &name)
}

/// Decodes a file already in memory; `name` appears in errors and its ending helps to guess the format.
///
/// # Errors
/// See [`AudioError`].
pub fn decode_bytes(bytes: Vec<u8>, name: &str) -> Result<Vec<i16>, AudioError> {
    decode(Box::new(Cursor::new(bytes)), name)
}

/// Seconds of telephone audio.
pub fn seconds(samples: &[i16]) -> f64 {
    samples.len() as f64 / f64::from(RATE_HZ)
}

fn decode(source: Box<dyn MediaSource>, name: &str) -> Result<Vec<i16>, AudioError> {
    let mut stream = MediaSourceStream::new(source, Default::default());
    if let Some(codec) = known_but_unreadable(&mut stream) {
        return Err(AudioError::Codec {
            file: name.to_owned(),
            codec: codec.to_owned(),
        });
    }
    let mut hint = Hint::new();
    if let Some(ending) = PathBuf::from(name)
        .extension()
        .and_then(|ending| ending.to_str())
    {
        hint.with_extension(ending);
    }
    let format = symphonia::default::get_probe()
        .probe(
            &hint,
            stream,
            FormatOptions::default(),
            MetadataOptions::default(),
        )
        .map_err(|error| AudioError::Format {
            file: name.to_owned(),
            why: error.to_string(),
        })?;
    let (mono, rate_hz) = decode_track(format, name)?;
    let telephone = resample(&mono, rate_hz, RATE_HZ).map_err(|why| AudioError::Rate {
        file: name.to_owned(),
        rate_hz,
        why,
    })?;
    Ok(telephone.iter().map(|&sample| to_i16(sample)).collect())
}

/// Recognises by their first bytes the formats that telephones write and symphonia cannot read.
fn known_but_unreadable(stream: &mut MediaSourceStream<'_>) -> Option<&'static str> {
    use std::io::{Read, Seek, SeekFrom};
    let mut head = [0_u8; 64];
    let read = stream.read(&mut head).unwrap_or(0);
    let rewound = stream.seek(SeekFrom::Start(0)).is_ok();
    let head = &head[..read];
    let wav_tag = || {
        head.get(20..22)
            .map(|tag| u16::from_le_bytes([tag[0], tag[1]]))
    };
    match head {
        _ if !rewound => None,
        [b'#', b'!', b'A', b'M', b'R', ..] => Some("AMR speech"),
        [b'R', b'I', b'F', b'F', ..] if wav_tag() == Some(49) => Some("GSM speech"),
        [b'O', b'g', b'g', b'S', ..] if head.windows(8).any(|part| part == b"OpusHead") => {
            Some("Opus")
        }
        [0x02, rest @ ..] if rest.starts_with(b"#!SILK") => Some("SILK speech (WeChat)"),
        _ => None,
    }
}

/// All frames of the first audio track, its channels averaged, and its rate.
fn decode_track(
    mut format: Box<dyn FormatReader + '_>,
    name: &str,
) -> Result<(Vec<f32>, u32), AudioError> {
    let empty = |why: String| AudioError::Empty {
        file: name.to_owned(),
        why,
    };
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| empty("no audio track".to_owned()))?;
    let track_id = track.id;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio());
    let params = params.ok_or_else(|| empty("no audio parameters".to_owned()))?;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default())
        .map_err(|error| AudioError::Codec {
            file: name.to_owned(),
            codec: format!("a codec we do not know ({error})"),
        })?;
    let (mut mono, mut rate_hz, mut interleaved, mut trouble) =
        (Vec::new(), 0, Vec::<f32>::new(), String::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // What was read before the break is still worth hearing.
            Err(error) => {
                trouble = error.to_string();
                break;
            }
        };
        if packet.track_id != track_id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(decoded) => {
                rate_hz = decoded.spec().rate();
                let channels = decoded.spec().channels().count().max(1);
                interleaved.resize(decoded.samples_interleaved(), 0.0);
                decoded.copy_to_slice_interleaved(&mut interleaved);
                mono.extend(
                    interleaved
                        .chunks_exact(channels)
                        .map(|frame| frame.iter().sum::<f32>() / channels as f32),
                );
            }
            Err(SymphoniaError::DecodeError(why)) => trouble = why.to_owned(),
            Err(error) => {
                trouble = error.to_string();
                break;
            }
        }
        if mono.len() > MAX_SECONDS * rate_hz.max(1) as usize {
            return Err(AudioError::TooLong {
                file: name.to_owned(),
            });
        }
    }
    if mono.is_empty() {
        return Err(empty(if trouble.is_empty() {
            "no samples".to_owned()
        } else {
            trouble
        }));
    }
    Ok((mono, rate_hz))
}

/// Full scale is ±1.0; what is louder is clipped.
pub fn to_i16(sample: f32) -> i16 {
    (sample * 32768.0).round().clamp(-32768.0, 32767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAV header for `tag` at 8 kHz before `data`.
    fn wav(tag: u16, bits: u16, data: &[u8]) -> Vec<u8> {
        let (size, block) = (data.len() as u32, bits / 8);
        let mut file = b"RIFF".to_vec();
        let format = if tag == 1 { 16_u32 } else { 18 };
        file.extend((20 + format + size).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(format.to_le_bytes());
        file.extend(tag.to_le_bytes());
        file.extend(1_u16.to_le_bytes());
        file.extend(8000_u32.to_le_bytes());
        file.extend((8000 * u32::from(block)).to_le_bytes());
        file.extend(block.to_le_bytes());
        file.extend(bits.to_le_bytes());
        if tag != 1 {
            file.extend([0, 0]);
        }
        file.extend(b"data");
        file.extend(size.to_le_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn pcm_at_the_telephone_rate_is_kept_to_the_bit() {
        let data: Vec<u8> = (0..800_i16).flat_map(|i| (i * 37).to_le_bytes()).collect();
        let samples = decode_bytes(wav(1, 16, &data), "x.wav").expect("a whole PCM file");
        assert_eq!(samples, (0..800_i16).map(|i| i * 37).collect::<Vec<_>>());
    }

    #[test]
    fn a_law_and_mu_law_are_read() {
        let a_law = decode_bytes(wav(6, 8, &[0xD5, 0x55, 0x80, 0x00]), "a.wav").expect("A-law");
        assert_eq!(a_law, [8, -8, 5504, -5504]);
        let mu_law = decode_bytes(wav(7, 8, &[0xFF, 0x80, 0x00]), "u.wav").expect("µ-law");
        assert_eq!(mu_law, [0, 32124, -32124]);
    }

    #[test]
    fn what_cannot_be_read_names_file_and_cure() {
        for (bytes, named) in [
            (wav(49, 8, &[0; 65]), "GSM"),
            (b"#!AMR\n\x3c\x00\x00\x00".to_vec(), "AMR"),
            (
                b"this is a letter, not a sound at all, whatever its name may say to us".to_vec(),
                "not an audio file",
            ),
        ] {
            let error = decode_bytes(bytes, "daughter.wav")
                .expect_err("unreadable")
                .to_string();
            assert!(
                error.starts_with("daughter.wav: ")
                    && error.contains(named)
                    && error.contains("ffmpeg"),
                "{error}"
            );
        }
        let empty = decode_bytes(wav(1, 16, &[]), "empty.wav")
            .expect_err("no samples")
            .to_string();
        assert!(empty.contains("empty.wav"), "{empty}");
    }
}
