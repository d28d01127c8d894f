//! Fields of a message as text: repetitions, components, escapes, and times.

use hl7_parser::Message;
use hl7_parser::datetime::parse_timestamp;
use hl7_parser::message::{Component, Repeat, Segment, Separators};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use super::Said;
use crate::time::Timestamp;

/// One segment of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    segment: &'a Segment<'a>,
    separators: Separators,
}

/// One repetition of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repetition<'a> {
    repeat: &'a Repeat<'a>,
    separators: Separators,
}

/// Every segment of this name.
pub(super) fn segments<'a>(
    message: &'a Message<'a>,
    name: &'a str,
) -> impl Iterator<Item = Fields<'a>> {
    let found = message
        .segments()
        .filter(move |segment| segment.name == name);
    found.map(|segment| Fields {
        segment,
        separators: message.separators,
    })
}

impl<'a> Fields<'a> {
    /// The repetitions of a field that say something.
    pub(super) fn repetitions(self, field: u8) -> impl Iterator<Item = Repetition<'a>> {
        let field = self.segment.field(usize::from(field));
        let repeats = field.into_iter().flat_map(|field| field.repeats());
        repeats
            .filter(|repeat| !repeat.raw_value().is_empty())
            .map(move |repeat| Repetition {
                repeat,
                separators: self.separators,
            })
    }

    /// The first component of the first repetition, empty where it is not sent.
    pub(super) fn text(self, field: u8) -> String {
        let first = self.repetitions(field).next();
        first.map_or_else(String::new, |repetition| repetition.component(1))
    }

    pub(super) fn component(self, field: u8, component: u8) -> String {
        let first = self.repetitions(field).next();
        first.map_or_else(String::new, |repetition| repetition.component(component))
    }

    pub(super) fn said(self, field: u8) -> Said<String> {
        let text = self.text(field);
        match text.as_str() {
            "" => Said::Nothing,
            "\"\"" => Said::Deleted,
            _ => Said::Is(text),
        }
    }

    /// The text, where one is sent that is not the sign of deletion.
    pub(super) fn given(self, field: u8) -> Option<String> {
        match self.said(field) {
            Said::Is(text) => Some(text),
            Said::Nothing | Said::Deleted => None,
        }
    }
}

impl Repetition<'_> {
    /// The first subcomponent of a component, counted from 1.
    pub(super) fn component(&self, component: u8) -> String {
        let first = |component: &Component<'_>| {
            let first = component.subcomponents.first();
            first.map_or_else(String::new, |first| {
                unescaped(first.value, self.separators.escape, self.separators)
            })
        };
        let component = self.repeat.component(usize::from(component));
        component.map_or_else(String::new, first).trim().to_owned()
    }

    pub(super) fn is_deletion(&self) -> bool {
        self.repeat.raw_value() == "\"\""
    }
}

/// `\F\` and its kin (HL7 v2.5.1 §2.7). Line breaks become spaces; what marks print is dropped.
fn unescaped(text: &str, escape: char, separators: Separators) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split(escape);
    plain.push_str(parts.next().unwrap_or_default());
    while let Some(sequence) = parts.next() {
        let Some(after) = parts.next() else {
            // An escape that nothing ends stands for itself.
            plain.push(escape);
            plain.push_str(sequence);
            break;
        };
        match sequence {
            "F" => plain.push(separators.field),
            "S" => plain.push(separators.component),
            "T" => plain.push(separators.subcomponent),
            "R" => plain.push(separators.repetition),
            "E" => plain.push(separators.escape),
            ".br" | "X0A" | "X0D" => plain.push(' '),
            _ => {}
        }
        plain.push_str(after);
    }
    plain
}

/// `YYYYMMDD[HH[MM[SS[.S]]]][+/-ZZZZ]` in the zone where it names none; a date alone is its noon.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let read = parse_timestamp(text, false).ok()?;
    let day = civil(text)?;
    let part = |part: Option<u8>| i8::try_from(part.unwrap_or(0)).ok();
    let hour = read.hour.map_or(Some(12), |hour| i8::try_from(hour).ok())?;
    let time = jiff::civil::Time::new(hour, part(read.minute)?, part(read.second)?, 0).ok()?;
    let local = day.to_datetime(time);
    let Some(offset) = read.offset else {
        return zone.to_timestamp(local).ok();
    };
    // The sign stands on the hours alone: `-0030` is read from the text.
    let sign = if text.contains('-') { -1 } else { 1 };
    let minutes = i32::from(offset.hours.unsigned_abs()) * 60 + i32::from(offset.minutes);
    let offset = Offset::from_seconds(sign * minutes * 60).ok()?;
    offset.to_timestamp(local).ok()
}

/// The date of a time that has a day.
pub(super) fn civil(text: &str) -> Option<Date> {
    let read = parse_timestamp(text, false).ok()?;
    let year = i16::try_from(read.year).ok()?;
    let part = |part: Option<u8>| i8::try_from(part?).ok();
    let day = Date::new(year, part(read.month)?, part(read.day)?).ok()?;
    (1890..=2200).contains(&day.year()).then_some(day)
}

#[cfg(test)]
mod tests {
    use hl7_parser::message::Separators;

    use super::{civil, instant, unescaped};
    use crate::time;

    #[test]
    fn times_have_a_zone_or_take_the_hospitals() {
        let zone = time::zone("Asia/Shanghai").expect("a zone");
        for (text, expected) in [
            ("202611191030", Some("2026-11-19T02:30:00Z")),
            ("20261119103000.123", Some("2026-11-19T02:30:00Z")),
            ("20261119103000+0900", Some("2026-11-19T01:30:00Z")),
            ("20261119103000-0030", Some("2026-11-19T11:00:00Z")),
            ("20261119", Some("2026-11-19T04:00:00Z")),
            ("202611", None),
            ("20261319", None),
            ("2026-11-19", None),
            ("", None),
        ] {
            let read = instant(text, &zone).map(|at| at.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        assert_eq!(civil("18500101"), None);
    }

    #[test]
    fn escapes_are_read_in_chinese_too() {
        for (text, expected) in [
            (r"张\S\三", "张^三"),
            (r"a\F\b\T\c\R\d\E\e", r"a|b&c~d\e"),
            (r"心内\.br\科\H\!\N\", "心内 科!"),
            (r"an open \end", r"an open \end"),
        ] {
            assert_eq!(unescaped(text, '\\', Separators::default()), expected);
        }
    }
}
