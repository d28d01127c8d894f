//! IEEE 754 half precision, in which weights and scales are kept.

/// The value of a half-precision number.
pub fn to_f32(half: u16) -> f32 {
    let (sign, exponent, fraction) = (
        u32::from(half >> 15) << 31,
        u32::from(half >> 10 & 0x1F),
        u32::from(half & 0x3FF),
    );
    match exponent {
        // Subnormal: fraction times 2^-24, exact in f32.
        0 => f32::from_bits(sign | (fraction as f32 * 2.0_f32.powi(-24)).to_bits()),
        0x1F => f32::from_bits(sign | 0x7F80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The nearest half-precision number, ties to even.
pub fn from_f32(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 0xFF) as i32 - 112;
    let fraction = bits & 0x7F_FFFF;
    if exponent >= 0x1F {
        let is_nan = exponent == 143 && fraction != 0;
        return sign | if is_nan { 0x7E00 } else { 0x7C00 };
    }
    // The bits to keep and how many to drop; a subnormal drops more and shows its leading one.
    let (kept, dropped) = match exponent {
        1.. => ((exponent as u32) << 23 | fraction, 13),
        -10..=0 => (fraction | 0x80_0000, (14 - exponent) as u32),
        _ => return sign,
    };
    let (half, rest, tie) = (
        kept >> dropped,
        kept & ((1 << dropped) - 1),
        1 << (dropped - 1),
    );
    let up = rest > tie || (rest == tie && half & 1 == 1);
    sign | (half + u32::from(up)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        for half in 0..=u16::MAX {
            let value = to_f32(half);
            if !value.is_nan() {
                assert_eq!(from_f32(value), half, "{half:#06x} {value}");
            }
        }
    }

    #[test]
    fn between_two_numbers_the_nearest_and_then_the_even_one_is_taken() {
        for (value, half) in [
            (1.0, 0x3C00),
            (-2.0, 0xC000),
            // 1 + 2^-11 lies half-way between 1 and its neighbour.
            (1.000_488_3, 0x3C00),
            (1.001_464_8, 0x3C02),
            (65_520.0, 0x7C00),
            (65_519.0, 0x7BFF),
            (5.960_464_5e-8, 0x0001),
            (2.0e-8, 0x0000),
            (6.0e-5, 0x03EF),
        ] {
            assert_eq!(from_f32(value), half, "{value}");
        }
    }
}
