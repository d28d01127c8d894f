//! From the segments of an ADT message to what it tells (HL7 v2.5.1 §3.3, §3.4).
//!
//! A field that cannot be understood is named and never guessed: a wrong birthday or number reaches another person.

use hl7_parser::Message;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::fields::{Fields, Repetition, civil, instant, segments};
use super::{Defaults, Event, Fault, Head, Kin, Person, Read, Refusal, Said, Told, Visit, code};
use crate::import::phone_number;
use crate::lang::Lang;
use crate::patient::{Life, Relation};
use crate::phi::Phi;
use crate::phone::PhoneNumber;
use crate::plan::Case;
use crate::time;

/// Reads a message of which the character set has been taken off.
pub fn read(text: &str, defaults: &Defaults) -> Read {
    let head = Head::of(text);
    let told = match &head {
        Some(head) => told(text, head, defaults),
        None => Err(rejected(
            "MSH",
            10,
            code::MISSING,
            "is no header with a control id",
        )),
    };
    Read { head, told }
}

fn rejected(segment: &'static str, field: u8, code: u16, fault: &str) -> Refusal {
    Refusal::Rejected(Fault::new(segment, field, code, fault))
}

fn failed(segment: &'static str, field: u8, code: u16, fault: &str) -> Refusal {
    Refusal::Failed(Fault::new(segment, field, code, fault))
}

fn told(text: &str, head: &Head, defaults: &Defaults) -> Result<Box<Told>, Refusal> {
    let event = event(head)?;
    if head.processing != defaults.processing {
        let fault = "is not the processing id of the messages that are meant";
        return Err(rejected("MSH", 11, code::PROCESSING_ID, fault));
    }
    let zone = time::zone(&defaults.zone).unwrap_or(TimeZone::UTC);
    let plain = normal(text);
    let message = Message::parse(&plain)
        .ok()
        .filter(|message| message.raw_value().len() == plain.len());
    let Some(message) = message else {
        return Err(rejected(
            "MSH",
            0,
            code::SEQUENCE,
            "opens a message that cannot be cut into segments",
        ));
    };
    let evn = segments(&message, "EVN").next();
    let recorded = evn.and_then(|evn| evn.given(2));
    let (place, said) = match &recorded {
        Some(recorded) => (("EVN", 2), recorded.as_str()),
        None => (("MSH", 7), head.sent_at.as_str()),
    };
    let Some(at) = instant(said, &zone) else {
        return Err(failed(place.0, place.1, code::DATA_TYPE, "is not a time"));
    };
    let Some(pid) = segments(&message, "PID").next() else {
        return Err(failed("PID", 0, code::SEQUENCE, "is missing"));
    };
    let mut faults = Vec::new();
    let today = at.to_zoned(zone.clone()).date();
    let mut person = person(&message, pid, (defaults, today), &mut faults)?;
    let pv1 = segments(&message, "PV1").next();
    if pv1.is_some_and(|pv1| is_death(&pv1.text(36), &pv1.component(36, 2), &defaults.country)) {
        person.life = Some(Life::Dead);
    }
    let visit = pv1.map(|pv1| visit(pv1, pid, (defaults, &zone), &mut faults));
    let prior = match event {
        Event::Merged => Some(prior(&message)?),
        _ => None,
    };
    Ok(Box::new(Told {
        event,
        at,
        person,
        visit: visit.filter(|visit| !visit.encounter.is_empty()),
        prior,
        case: case(&message),
        faults,
    }))
}

fn event(head: &Head) -> Result<Event, Refusal> {
    if head.kind != "ADT" {
        return Err(rejected("MSH", 9, code::MESSAGE_TYPE, "is no ADT message"));
    }
    Ok(match head.trigger.as_str() {
        "A01" => Event::Admitted,
        "A03" => Event::Discharged,
        "A08" | "A31" => Event::Updated,
        "A11" => Event::AdmissionCancelled,
        "A13" => Event::DischargeCancelled,
        "A40" => Event::Merged,
        _ => {
            return Err(rejected(
                "MSH",
                9,
                code::EVENT,
                "is an event that is not applied",
            ));
        }
    })
}

/// Segments on lines of their own, each with a field, and without the truncation character of v2.7.
fn normal(text: &str) -> String {
    let separator = text.chars().nth(3).unwrap_or('|');
    let mut plain = String::with_capacity(text.len());
    let lines = text.split(['\r', '\n']).map(str::trim_end);
    for line in lines.filter(|line| !line.is_empty()) {
        if !plain.is_empty() {
            plain.push('\r');
        }
        let fifth = line.get(4..).and_then(|rest| rest.find(separator)) == Some(5);
        match (line.get(..8), line.get(9..)) {
            (Some(start), Some(rest)) if fifth && line.starts_with("MSH") => {
                plain.push_str(start);
                plain.push_str(rest);
            }
            _ => plain.push_str(line),
        }
        if line.len() == 3 {
            plain.push(separator);
        }
    }
    plain
}

fn person(
    message: &Message<'_>,
    pid: Fields<'_>,
    (defaults, today): (&Defaults, Date),
    faults: &mut Vec<Fault>,
) -> Result<Person, Refusal> {
    let Some(number) = identifier(pid, 3) else {
        return Err(failed("PID", 3, code::MISSING, "is empty"));
    };
    let birth_date = match pid.given(7) {
        None => None,
        Some(text) => {
            let read = civil(&text);
            if read.is_none() {
                faults.push(Fault::new("PID", 7, code::DATA_TYPE, "is not a date"));
            }
            read.map(Phi::new)
        }
    };
    let lang = match pid.given(15) {
        None => None,
        Some(text) => {
            let read = language(&text);
            if read.is_none() {
                let fault = "is a language that is not spoken here";
                faults.push(Fault::new("PID", 15, code::NOT_IN_TABLE, fault));
            }
            read
        }
    };
    let is_dead = pid.given(29).is_some() || pid.given(30).is_some_and(|said| said == "Y");
    let lives = pid.given(30).is_some_and(|said| said == "N");
    let life = match (is_dead, lives) {
        (true, _) => Some(Life::Dead),
        (false, true) => Some(Life::Alive),
        (false, false) => None,
    };
    let kin = segments(message, "NK1").filter_map(|nk1| kin(nk1, &defaults.country, today));
    let mut all = segments(message, "NK1");
    let kin_deleted = all.any(|nk1| matches!(nk1.said(2), Said::Deleted));
    Ok(Person {
        number: Phi::new(number),
        name: name(pid, 5).map(Phi::new),
        birth_date,
        phone: phone(pid, &defaults.country, faults),
        lang,
        life,
        kin: kin.collect(),
        kin_deleted,
    })
}

/// The identifier of type `MR` (medical record), of type `PI`, or else the first.
fn identifier(segment: Fields<'_>, field: u8) -> Option<String> {
    let of_type = |wanted: &str| {
        let mut all = segment.repetitions(field);
        all.find(|id| id.component(5) == wanted && !id.component(1).is_empty())
    };
    let first = || {
        segment
            .repetitions(field)
            .find(|id| !id.component(1).is_empty())
    };
    let found = of_type("MR").or_else(|| of_type("PI")).or_else(first)?;
    let id = found.component(1);
    (id != "\"\"").then_some(id)
}

/// The name in characters where there are several (XPN-8 `I`): `张三`, `John Smith`.
fn name(segment: Fields<'_>, field: u8) -> Option<String> {
    let ideographic = |name: &Repetition<'_>| name.component(8) == "I";
    let found = segment
        .repetitions(field)
        .find(ideographic)
        .or_else(|| segment.repetitions(field).next())?;
    let parts = [found.component(1), found.component(2), found.component(3)];
    let [family, given, middle] = &parts;
    let is_chinese = parts
        .concat()
        .chars()
        .any(|c| ('\u{3400}'..='\u{9fff}').contains(&c) || c >= '\u{20000}');
    let full = if is_chinese {
        parts.concat()
    } else {
        let order = [given, middle, family];
        let said: Vec<&str> = order
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        said.join(" ")
    };
    (!full.is_empty() && full != "\"\"").then_some(full)
}

/// The first mobile of PID-13 and PID-14, or else the first number that can be dialled.
fn phone(pid: Fields<'_>, country: &str, faults: &mut Vec<Fault>) -> Said<PhoneNumber> {
    let all = || pid.repetitions(13).chain(pid.repetitions(14));
    if all().any(|number| number.is_deletion()) {
        return Said::Deleted;
    }
    let mut is_given = false;
    let mut first = None;
    for number in all() {
        let Some(text) = dialled(&number) else {
            continue;
        };
        is_given = true;
        let Ok(read) = phone_number(&text, country) else {
            continue;
        };
        if number.component(3) == "CP" {
            return Said::Is(read);
        }
        first = first.or(Some(read));
    }
    if is_given && first.is_none() {
        let fault = "is no telephone number that can be dialled";
        faults.push(Fault::new("PID", 13, code::DATA_TYPE, fault));
    }
    first.map_or(Said::Nothing, Said::Is)
}

/// XTN as one text; `None` for an address of another kind and for an empty one.
fn dialled(number: &Repetition<'_>) -> Option<String> {
    let kind = number.component(3);
    if number.component(2) == "NET"
        || matches!(kind.as_str(), "Internet" | "X.400" | "FX" | "BP" | "MD")
    {
        return None;
    }
    let whole = [number.component(1), number.component(12)];
    let whole = whole.into_iter().find(|text| !text.is_empty());
    let text = whole.unwrap_or_else(|| {
        let (country, extension) = (number.component(5), number.component(8));
        let plus = if country.is_empty() { "" } else { "+" };
        let extension = match extension.as_str() {
            "" => String::new(),
            digits => format!("x{digits}"),
        };
        let local = number.component(6) + &number.component(7);
        format!(
            "{plus}{}{local}{extension}",
            country.trim_start_matches('+')
        )
    });
    (!text.is_empty()).then_some(text)
}

/// ISO 639 and what Chinese systems write.
fn language(text: &str) -> Option<Lang> {
    Some(match text.to_lowercase().as_str() {
        "zh" | "zho" | "chi" | "cmn" | "zh-cn" | "中文" | "汉语" | "普通话" | "chinese" => {
            Lang::Zh
        }
        "en" | "eng" | "en-us" | "en-gb" | "英语" | "英文" | "english" => Lang::En,
        _ => return None,
    })
}

/// PV1-36 where the stay has ended in death: HL7 table 0112, the front page of Chinese records (离院方式 5), and words.
fn is_death(code: &str, words: &str, country: &str) -> bool {
    let said = |text: &str| {
        let text = text.to_lowercase();
        ["死亡", "expired", "died", "deceased"]
            .iter()
            .any(|word| text.contains(word))
    };
    matches!(code, "20" | "40" | "41" | "42")
        || (code == "5" && country == "CN")
        || said(code)
        || said(words)
}

fn kin(nk1: Fields<'_>, country: &str, today: Date) -> Option<Kin> {
    let numbers: Vec<String> = nk1
        .repetitions(5)
        .filter_map(|number| dialled(&number))
        .collect();
    let phone = numbers
        .iter()
        .find_map(|text| phone_number(text, country).ok());
    let relation = [nk1.text(3), nk1.component(3, 2), nk1.text(7)];
    Some(Kin {
        name: Phi::new(name(nk1, 2)?),
        relation: relation
            .iter()
            .find_map(|said| relation_of(said))
            .unwrap_or(Relation::Other),
        phone,
        has_ended: nk1
            .given(9)
            .and_then(|text| civil(&text))
            .is_some_and(|ended| ended <= today),
    })
}

/// HL7 table 0063, GB/T 4761 by its first digit, and words.
fn relation_of(said: &str) -> Option<Relation> {
    let by_code = match said.to_uppercase().as_str() {
        "SPO" | "DOM" | "HUSBAND" | "WIFE" | "配偶" | "妻" | "夫" | "妻子" | "丈夫" => {
            Some(Relation::Spouse)
        }
        "CHD" | "SCH" | "ASC" | "NCH" | "SON" | "DAU" | "子" | "女" | "子女" | "儿子" | "女儿" => {
            Some(Relation::Child)
        }
        "PAR" | "MTH" | "FTH" | "父" | "母" | "父亲" | "母亲" | "父母" => {
            Some(Relation::Parent)
        }
        "SIB" | "BRO" | "SIS" | "兄弟姐妹" => Some(Relation::Sibling),
        "GRD" | "CGV" | "监护人" => Some(Relation::Guardian),
        _ => None,
    };
    let digits = said.len() <= 2 && said.chars().all(|c| c.is_ascii_digit());
    by_code.or_else(|| match said.chars().next().filter(|_| digits)? {
        '1' => Some(Relation::Spouse),
        '2' | '3' => Some(Relation::Child),
        '5' => Some(Relation::Parent),
        '7' => Some(Relation::Sibling),
        _ => None,
    })
}

fn visit(
    pv1: Fields<'_>,
    pid: Fields<'_>,
    (defaults, zone): (&Defaults, &TimeZone),
    faults: &mut Vec<Fault>,
) -> Visit {
    let class = pv1.text(2);
    let mut at = |field: u8| {
        let text = pv1.given(field)?;
        let read = instant(&text, zone);
        if read.is_none() {
            faults.push(Fault::new("PV1", field, code::DATA_TYPE, "is not a time"));
        }
        read
    };
    Visit {
        admitted_at: at(44),
        discharged_at: at(45),
        encounter: pv1.given(19).or_else(|| pid.given(18)).unwrap_or_default(),
        counts: class.is_empty() || defaults.classes.contains(&class),
        ward: pv1.given(3),
        department: pv1.given(10),
    }
}

/// DG1-3 of every diagnosis but those of ICD-9.
fn case(message: &Message<'_>) -> Option<Case> {
    let codes = segments(message, "DG1")
        .filter(|dg1| !dg1.component(3, 3).to_uppercase().starts_with("I9"))
        .filter_map(|dg1| dg1.given(3));
    let diagnoses: Vec<String> = codes.collect();
    (!diagnoses.is_empty()).then_some(Case {
        diagnoses,
        risk: None,
    })
}

fn prior(message: &Message<'_>) -> Result<Phi<String>, Refusal> {
    let Some(mrg) = segments(message, "MRG").next() else {
        return Err(failed("MRG", 0, code::SEQUENCE, "is missing"));
    };
    let prior = identifier(mrg, 1);
    let prior = prior.ok_or_else(|| failed("MRG", 1, code::MISSING, "is empty"))?;
    Ok(Phi::new(prior))
}
