//! The mel filters of a whisper file, as librosa makes them: Slaney's scale and norm.
//!
//! Computed in f64 and in this order of operations, so that the bytes are those of every other converter.

const SAMPLE_RATE: f64 = 16_000.0;
const FFT: usize = 400;
/// Frequencies of the spectrum.
pub const BINS: usize = FFT / 2 + 1;

/// One row of [`BINS`] weights a band.
pub fn filters(bands: usize) -> Vec<f32> {
    let top = to_mel(SAMPLE_RATE / 2.0);
    let step = top / (bands + 1) as f64;
    let edges: Vec<f64> = (0..bands + 2)
        .map(|i| to_hz(if i == bands + 1 { top } else { i as f64 * step }))
        .collect();
    let bin_hz = SAMPLE_RATE / 2.0 / (BINS - 1) as f64;
    let mut weights = Vec::with_capacity(bands * BINS);
    for edge in edges.windows(3) {
        let (low, mid, high) = (edge[0], edge[1], edge[2]);
        let norm = 2.0 / (high - low);
        for bin in 0..BINS {
            let hz = bin as f64 * bin_hz;
            let rising = -(low - hz) / (mid - low);
            let falling = (high - hz) / (high - mid);
            let lower = if rising < falling { rising } else { falling };
            // Not `max`: the very first weight is a negative zero, and stays one.
            let weight = if lower < 0.0 { 0.0 } else { lower };
            weights.push((weight * norm) as f32);
        }
    }
    weights
}

fn to_mel(hz: f64) -> f64 {
    if hz < 1000.0 {
        hz * 3.0 / 200.0
    } else {
        15.0 + (hz / 1000.0).ln() * 27.0 / 6.4_f64.ln()
    }
}

fn to_hz(mel: f64) -> f64 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::models::hex;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_80_filters_of_whisper_base_are_the_known_bytes() {
        let bytes: Vec<u8> = filters(80)
            .iter()
            .flat_map(|weight| weight.to_le_bytes())
            .collect();
        assert_eq!(bytes.len(), 64_320);
        assert_eq!(
            hex(&Sha256::digest(&bytes)),
            "2150c30cbbeb6029f52002ffa666c1c72d83dbf53f463cb8462052055806e891"
        );
    }
}
