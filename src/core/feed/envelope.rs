//! The header of a message (MSH), and the acknowledgement that its sender gets (HL7 v2.5.1 §2.9.2, §2.15).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Fault, code};

/// The longest control id that is kept (HL7 v2.7 allows 199).
const LONGEST_ID: usize = 199;

/// What of a header is needed to answer, even where the rest cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// MSH-1 and MSH-2.
    pub separators: String,
    /// MSH-3 and MSH-4 as sent: with the control id they name the message.
    pub application: String,
    pub facility: String,
    /// MSH-7.
    pub sent_at: String,
    /// MSH-9: `ADT` and `A03`.
    pub kind: String,
    pub trigger: String,
    /// MSH-10.
    pub control_id: String,
    /// MSH-11.
    pub processing: String,
    /// MSH-12.
    pub version: String,
}

impl Head {
    /// Reads the header; `None` where there is none, or none that an answer could name.
    pub fn of(text: &str) -> Option<Head> {
        let line = text.split(['\r', '\n']).next()?;
        let separator = line.strip_prefix("MSH")?.chars().next()?;
        if !separator.is_ascii_punctuation() {
            return None;
        }
        let fields: Vec<&str> = line.split(separator).collect();
        // The first separator is itself MSH-1.
        let field = |number: usize| fields.get(number - 1).copied().unwrap_or_default().trim();
        let encoding = field(2);
        let is_encoding =
            matches!(encoding.len(), 4 | 5) && encoding.chars().all(|c| c.is_ascii_punctuation());
        if !is_encoding {
            return None;
        }
        let component = encoding.chars().next()?;
        let part = |number: usize, place: usize| {
            let part = field(number).split(component).nth(place);
            part.unwrap_or_default().to_owned()
        };
        let control_id = field(10).to_owned();
        if control_id.is_empty() || control_id.chars().count() > LONGEST_ID {
            return None;
        }
        Some(Head {
            separators: format!("{separator}{encoding}"),
            application: field(3).to_owned(),
            facility: field(4).to_owned(),
            sent_at: part(7, 0),
            kind: part(9, 0),
            trigger: part(9, 1),
            control_id,
            processing: part(11, 0),
            version: part(12, 0),
        })
    }
}

/// The character set that a message says it is written in (MSH-18, HL7 table 0211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// It says nothing.
    Unsaid,
    Utf8,
    Gb18030,
    /// ISO 8859-1, or ASCII.
    Latin1,
    /// One that is not read here.
    Unknown,
}

/// Reads MSH-18 of a message.
pub fn charset(text: &str) -> Charset {
    let line = text.split(['\r', '\n']).next().unwrap_or_default();
    let separator = line.chars().nth(3).unwrap_or('|');
    let named = line.split(separator).nth(17).unwrap_or_default();
    let named = named.split('~').next().unwrap_or_default();
    let plain: String = named
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match plain.as_str() {
        "" => Charset::Unsaid,
        "UNICODE" | "UNICODEUTF8" | "UTF8" => Charset::Utf8,
        "ASCII" | "88591" | "ISO88591" => Charset::Latin1,
        chinese
            if ["GB18030", "GBK", "GB2312"]
                .iter()
                .any(|gb| chinese.starts_with(gb)) =>
        {
            Charset::Gb18030
        }
        _ => Charset::Unknown,
    }
}

/// MSA-1 in original mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ack {
    /// Taken, and kept.
    #[serde(rename = "AA")]
    Accept,
    /// Taken, and could not be applied: a person here looks at it.
    #[serde(rename = "AE")]
    Error,
    /// None of ours.
    #[serde(rename = "AR")]
    Reject,
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ack::Accept => "AA",
            Ack::Error => "AE",
            Ack::Reject => "AR",
        })
    }
}

/// The answer to a message: `hospital` is MSH-4, `id` its own control id, `at` MSH-7. It quotes the sender's header and no
/// other field.
pub fn acknowledge(
    head: Option<&Head>,
    ack: Ack,
    fault: Option<&Fault>,
    (hospital, id, at): (&str, &str, &str),
) -> String {
    let separators = head.map_or("|^~\\&", |head| head.separators.as_str());
    let mut chars = separators.chars();
    let (field, component) = (chars.next().unwrap_or('|'), chars.next().unwrap_or('^'));
    let text = |of: fn(&Head) -> &str, other: &str| {
        head.map_or_else(|| other.to_owned(), |head| of(head).to_owned())
    };
    let trigger = text(|head| &head.trigger, "");
    let kind = if trigger.is_empty() {
        "ACK".to_owned()
    } else {
        format!("ACK{component}{trigger}")
    };
    let msh = [
        format!("MSH{separators}"),
        "AFTERCALL".to_owned(),
        hospital.to_owned(),
        text(|head| &head.application, ""),
        text(|head| &head.facility, ""),
        at.to_owned(),
        String::new(),
        kind,
        id.to_owned(),
        text(|head| &head.processing, "P"),
        text(|head| &head.version, "2.5"),
    ];
    let control_id = text(|head| &head.control_id, "");
    let said = fault.map_or_else(String::new, ToString::to_string);
    let join = |fields: &[String]| fields.join(&field.to_string());
    let msa = join(&["MSA".to_owned(), ack.to_string(), control_id, said.clone()]);
    let mut lines = vec![join(&msh), msa];
    if let Some(fault) = fault {
        let place = match fault.field {
            0 => fault.segment.clone(),
            number => {
                [fault.segment.as_str(), "1", &number.to_string()].join(&component.to_string())
            }
        };
        let code =
            [&fault.code.to_string(), words(fault.code), "HL70357"].join(&component.to_string());
        let err = ["ERR", "", &place, &code, "E", "", "", "", &said].map(str::to_owned);
        lines.push(join(&err));
    }
    lines.push(String::new());
    lines.join("\r")
}

fn words(of: u16) -> &'static str {
    match of {
        code::SEQUENCE => "Segment sequence error",
        code::MISSING => "Required field missing",
        code::DATA_TYPE => "Data type error",
        code::NOT_IN_TABLE => "Table value not found",
        code::MESSAGE_TYPE => "Unsupported message type",
        code::EVENT => "Unsupported event code",
        code::PROCESSING_ID => "Unsupported processing id",
        code::KEY => "Unknown key identifier",
        code::DUPLICATE => "Duplicate key identifier",
        _ => "Application internal error",
    }
}

#[cfg(test)]
mod tests {
    use super::{Ack, Charset, Head, acknowledge, charset};
    use crate::feed::Fault;

    const MSH: &str = "MSH|^~\\&|HIS|WARD|AC|H|202611231000||ADT^A03^ADT_A03|C1|P|2.5|||||CHN|UNICODE UTF-8\rPID|";

    #[test]
    fn an_answer_names_the_message_and_the_field_and_no_value() {
        let head = Head::of(MSH).expect("a header");
        let ours = ("main", "A1", "20261123100001+0800");
        assert_eq!(
            acknowledge(Some(&head), Ack::Accept, None, ours),
            "MSH|^~\\&|AFTERCALL|main|HIS|WARD|20261123100001+0800||ACK^A03|A1|P|2.5\rMSA|AA|C1|\r"
        );
        let fault = Fault::new("PID", 7, 102, "is not a date");
        let said = acknowledge(Some(&head), Ack::Error, Some(&fault), ours);
        assert!(said.ends_with(
            "\rMSA|AE|C1|PID-7: is not a date\rERR||PID^1^7|102^Data type error^HL70357|E||||PID-7: is not a date\r"
        ));
        let nobody = acknowledge(None, Ack::Reject, None, ours);
        assert!(nobody.contains("\rMSA|AR||"), "{nobody}");
    }

    #[test]
    fn a_header_is_one_or_it_is_none() {
        for text in [
            "",
            "MSH",
            "MSH|",
            "MSH|^~\\&|a|b|c|d|e||ADT^A03||P|2.5",
            "PID|1",
            "MSHA^~\\&A",
            "MSH|张三^~|a|b|c|d|e||ADT^A03|C1|P|2.5",
        ] {
            assert_eq!(Head::of(text), None, "{text}");
        }
        let truncating = Head::of(&MSH.replace("&|HIS", "&#|HIS")).expect("v2.7");
        assert_eq!(truncating.application, "HIS");
    }

    #[test]
    fn the_character_set_is_what_the_header_says() {
        for (named, expected) in [
            ("UNICODE UTF-8", Charset::Utf8),
            ("GB 18030-2000", Charset::Gb18030),
            ("GBK~", Charset::Gb18030),
            ("8859/1", Charset::Latin1),
            ("", Charset::Unsaid),
            ("ISO IR87", Charset::Unknown),
        ] {
            assert_eq!(
                charset(&MSH.replace("UNICODE UTF-8", named)),
                expected,
                "{named}"
            );
        }
    }
}
