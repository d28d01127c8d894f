//! Bytes of a text file to characters, and the name of the encoding that was found.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

/// The text and its encoding's name. What the encoding does not know becomes U+FFFD, whose row is refused.
pub fn decode(bytes: &[u8]) -> (String, String) {
    let (encoding, bom) = match Encoding::for_bom(bytes) {
        Some((encoding, _)) => (encoding, " with BOM"),
        None => (guess(bytes), ""),
    };
    let (text, _) = encoding.decode_with_bom_removal(bytes);
    (text.into_owned(), format!("{}{bom}", encoding.name()))
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    if let Some(wide) = wide(bytes) {
        return wide;
    }
    if is_utf8_but_for_some_lines(bytes) {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    // The hint only tips the scales; GB18030 holds GBK and GB 2312.
    match detector.guess(Some(b"cn"), Utf8Detection::Deny) {
        found if found == GBK => GB18030,
        found => found,
    }
}

/// UTF-16 without its mark: the commas, digits and line ends of a list leave every other byte empty.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = &bytes[..bytes.len().min(4096)];
    let empty = |first: usize| {
        start
            .iter()
            .skip(first)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    match (empty(0), empty(1)) {
        (0, low) if low > start.len() / 16 => Some(UTF_16LE),
        (high, 0) if high > start.len() / 16 => Some(UTF_16BE),
        _ => None,
    }
}

/// One row that went through another program does not make the others unreadable.
fn is_utf8_but_for_some_lines(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_u32, 0_u32);
    for line in bytes.split(|byte| *byte == b'\n') {
        match std::str::from_utf8(line) {
            Ok(text) => good += u32::from(!text.is_ascii()),
            Err(_) => bad += 1,
        }
    }
    good >= bad
}

#[cfg(test)]
mod tests {
    use encoding_rs::GB18030;

    use super::decode;

    const LIST: &str = "病案号,姓名\nP1,张三\nP2,欧阳𠮷\n";

    #[test]
    fn each_usual_encoding_is_found_and_named() {
        let wide =
            |bytes: fn(u16) -> [u8; 2]| LIST.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
        for (bytes, name) in [
            (LIST.as_bytes().to_vec(), "UTF-8"),
            (
                marked(b"\xef\xbb\xbf", LIST.as_bytes().to_vec()),
                "UTF-8 with BOM",
            ),
            (GB18030.encode(LIST).0.into_owned(), "gb18030"),
            (wide(u16::to_le_bytes), "UTF-16LE"),
            (
                marked(b"\xff\xfe", wide(u16::to_le_bytes)),
                "UTF-16LE with BOM",
            ),
            (
                marked(b"\xfe\xff", wide(u16::to_be_bytes)),
                "UTF-16BE with BOM",
            ),
        ] {
            assert_eq!(decode(&bytes), (LIST.to_owned(), name.to_owned()));
        }
        assert_eq!(decode(b"a,b\n1,2\n").1, "UTF-8");
    }

    #[test]
    fn one_foreign_row_does_not_change_the_encoding_of_the_list() {
        let mut bytes = LIST.as_bytes().to_vec();
        bytes.extend_from_slice(b"P3,\xb0\xa1\n");
        let (text, name) = decode(&bytes);
        assert_eq!(name, "UTF-8");
        assert_eq!(
            text.lines()
                .filter(|line| line.contains('\u{fffd}'))
                .count(),
            1
        );
    }
}
