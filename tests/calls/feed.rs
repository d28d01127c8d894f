//! ADT messages: what each tells, why one is refused, and what visits become in any order.

use std::fmt::Write as _;

use aftercall_core::feed::{
    Defaults, Event, Mark, Read, Refusal, Said, Told, Visit, VisitChange, VisitState, read,
    visit_change,
};
use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{ConsentBasis, Episode, EpisodeState, Life};
use aftercall_core::time::Timestamp;

fn fixture(name: &str) -> String {
    let path = format!("{}/../../fixtures/feed/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).expect("a fixture")
}

pub fn defaults() -> Defaults {
    Defaults {
        zone: "Asia/Shanghai".to_owned(),
        country: "CN".to_owned(),
        lang: Lang::Zh,
        consent: ConsentBasis::None,
        topics: Vec::new(),
        classes: vec!["I".to_owned()],
        processing: "P".to_owned(),
    }
}

/// Everything that a message tells, on lines that a nurse of the interface desk could read.
fn words(told: &Told) -> String {
    let person = &told.person;
    let mut said = format!("{:?} at {}\n", told.event, told.at);
    let name = person.name.as_ref().map(|name| name.expose().as_str());
    let birth = person
        .birth_date
        .as_ref()
        .map(|date| date.expose().to_string());
    writeln!(
        said,
        "{} {} {} {:?} {:?} {:?}",
        person.number.expose(),
        name.unwrap_or("-"),
        birth.as_deref().unwrap_or("-"),
        match &person.phone {
            Said::Is(number) => number.expose(),
            Said::Deleted => "deleted",
            Said::Nothing => "-",
        },
        person.lang,
        person.life
    )
    .expect("a string");
    for kin in &person.kin {
        let phone = kin.phone.as_ref().map(|phone| phone.expose());
        let name = kin.name.expose();
        writeln!(said, "kin {name} {:?} {phone:?}", kin.relation).expect("a string");
    }
    if let Some(visit) = &told.visit {
        let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        writeln!(
            said,
            "visit {} counts {} ward {:?} department {:?} from {} to {}",
            visit.encounter,
            visit.counts,
            visit.ward.as_deref().unwrap_or("-"),
            visit.department.as_deref().unwrap_or("-"),
            at(visit.admitted_at),
            at(visit.discharged_at)
        )
        .expect("a string");
    }
    if let Some(prior) = &told.prior {
        writeln!(said, "was {}", prior.expose()).expect("a string");
    }
    if let Some(case) = &told.case {
        writeln!(said, "diagnoses {}", case.diagnoses.join(" ")).expect("a string");
    }
    for fault in &told.faults {
        writeln!(said, "fault {fault}").expect("a string");
    }
    said
}

/// A stay that ended in death is no discharge to follow up, whatever PID-30 leaves out.
#[test]
fn a_discharge_by_death_says_so() {
    let text = |disposition: &str| {
        format!(
            "MSH|^~\\&|HIS|IN|A|B|20261119103000||ADT^A03|1|P|2.5\rEVN|A03|20261119103000\r\
             PID|1||P1^^^H^MR||Zhang^San||19500201\rPV1|1|I|9C{}E1{}{disposition}\r",
            "|".repeat(16),
            "|".repeat(17),
        )
    };
    let life = |disposition: &str, country: &str| {
        let mut defaults = defaults();
        defaults.country = country.to_owned();
        let told = read(&text(disposition), &defaults).told;
        told.expect("a sound message").person.life
    };
    for (disposition, country, dead) in [
        ("20", "US", true),
        ("41^Expired in a medical facility", "US", true),
        ("5", "CN", true),
        ("5", "US", false),
        ("9^死亡", "CN", true),
        ("X^Patient died", "US", true),
        ("1^医嘱离院", "CN", false),
        ("01", "US", false),
        ("", "CN", false),
    ] {
        let expected = dead.then_some(Life::Dead);
        assert_eq!(life(disposition, country), expected, "{disposition}");
    }
}

#[test]
fn each_message_tells_what_it_tells() {
    for (file, expected) in [
        (
            "a03_utf8",
            "Discharged at 2026-11-19T02:30:00Z\n\
             P1001 张三 1950-02-01 \"+8613800138000\" Some(Zh) None\n\
             kin 李梅 Spouse Some(\"+8613900139000\")\n\
             visit E1001 counts true ward \"9C\" department \"CARD\" from 2026-11-10T01:00:00Z to 2026-11-19T02:30:00Z\n\
             diagnoses I50.9\n",
        ),
        (
            "a03_en",
            "Discharged at 2026-11-19T15:30:00Z\n\
             M77 Mary Ann O'Brien 1948-02-03 \"+14155550123\" Some(En) None\n\
             kin Sean O'Brien Child Some(\"+14155550124\")\n\
             kin Erika Mustermann Other Some(\"555\")\n\
             visit V9 counts true ward \"W5\" department \"-\" from 2026-11-10T17:00:00Z to 2026-11-19T15:30:00Z\n",
        ),
        (
            "a08_death",
            "Updated at 2026-11-19T23:59:00Z\nP1001 张三 1950-02-01 \"-\" None Some(Dead)\n",
        ),
        (
            "a40",
            "Merged at 2026-11-20T23:59:00Z\nP1001 张三 - \"-\" None None\nwas P0999\n",
        ),
        (
            "a08_unreadable",
            "Updated at 2026-11-19T23:59:00Z\n\
             P1001 张三 - \"-\" None None\n\
             visit E1001 counts true ward \"9C\" department \"-\" from 2026-11-10T04:00:00Z to -\n\
             fault PID-7: is not a date\n\
             fault PID-15: is a language that is not spoken here\n\
             fault PID-13: is no telephone number that can be dialled\n\
             fault PV1-45: is not a time\n",
        ),
        (
            "a01",
            "Admitted at 2026-11-24T23:59:00Z\n\
             P1001 张三 1950-02-01 \"deleted\" None None\n\
             visit E1002 counts true ward \"3A\" department \"-\" from 2026-11-24T23:50:00Z to -\n",
        ),
    ] {
        let text = fixture(&format!("{file}.hl7"));
        let told = read(&text, &defaults()).told.expect(file);
        assert_eq!(words(&told), expected, "{file}");
        let carriage_returns = read(&text.replace('\n', "\r"), &defaults());
        assert_eq!(carriage_returns.told.expect(file), told, "{file}");
    }
}

#[test]
fn a_refused_message_names_its_field() {
    let mut rows = 0;
    for line in fixture("refused.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (text, expected) = line.split_once('\t').expect("two columns");
        let Read { told, .. } = read(&text.replace(" / ", "\r"), &defaults());
        let said = match told.expect_err(text) {
            Refusal::Rejected(fault) => format!("AR {fault}"),
            Refusal::Failed(fault) => format!("AE {fault}"),
        };
        assert_eq!(said, expected, "{text}");
        rows += 1;
    }
    assert_eq!(rows, 11);
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + hour * 3600).expect("in range")
}

fn stay(encounter: &str, discharged: i64, state: EpisodeState) -> Episode {
    Episode {
        id: EpisodeId(encounter.to_lowercase()),
        patient: PatientId("p".into()),
        encounter: encounter.into(),
        pathway: "cardiac".into(),
        department: String::new(),
        ward: String::new(),
        discharged_at: at(discharged),
        state,
        high_risk: false,
    }
}

fn visit(encounter: &str, admitted: Option<i64>, discharged: Option<i64>) -> Visit {
    Visit {
        encounter: encounter.into(),
        counts: true,
        ward: None,
        department: None,
        admitted_at: admitted.map(at),
        discharged_at: discharged.map(at),
    }
}

fn mark(encounter: &str, told: i64, state: VisitState) -> Mark {
    Mark {
        encounter: encounter.into(),
        told_at: at(told),
        state,
        admitted_at: (state == VisitState::Admitted).then_some(at(told)),
    }
}

#[test]
fn what_comes_late_opens_nothing() {
    use EpisodeState::{Cancelled, Discharged, Readmitted};
    let discharge = |again, readmitted| VisitChange::Discharge { again, readmitted };
    let home = [stay("E1", 10, Discharged)];
    let cancelled = [stay("E1", 10, Cancelled)];
    let back = [stay("E1", 10, Readmitted)];
    // What it is; event, visit and hour; what was told before; what is known; what becomes of it.
    let none: &[Episode] = &[];
    let rows = [
        (
            "a first discharge",
            Event::Discharged,
            visit("E1", None, Some(10)),
            10,
            vec![],
            none,
            discharge(false, false),
        ),
        (
            "its cancellation",
            Event::DischargeCancelled,
            visit("E1", None, None),
            12,
            vec![mark("E1", 10, VisitState::Discharged)],
            &home[..],
            VisitChange::Cancel(EpisodeId("e1".into())),
        ),
        (
            "the same discharge told late",
            Event::Discharged,
            visit("E1", None, Some(10)),
            10,
            vec![mark("E1", 12, VisitState::DischargeCancelled)],
            &cancelled[..],
            VisitChange::Stale,
        ),
        (
            "a new one",
            Event::Discharged,
            visit("E1", None, Some(20)),
            20,
            vec![mark("E1", 12, VisitState::DischargeCancelled)],
            &cancelled[..],
            discharge(true, false),
        ),
        (
            "one that a person cancelled",
            Event::Discharged,
            visit("E1", None, Some(10)),
            11,
            vec![],
            &cancelled[..],
            VisitChange::Nothing,
        ),
        (
            "an update of a cancelled stay",
            Event::Updated,
            visit("E1", None, Some(10)),
            13,
            vec![mark("E1", 12, VisitState::DischargeCancelled)],
            &cancelled[..],
            VisitChange::Nothing,
        ),
        (
            "a cancellation before the discharge",
            Event::DischargeCancelled,
            visit("E1", None, None),
            12,
            vec![],
            none,
            VisitChange::Nothing,
        ),
        (
            "back in hospital",
            Event::Admitted,
            visit("E2", Some(30), None),
            30,
            vec![],
            &home[..],
            VisitChange::Readmit(EpisodeId("e1".into())),
        ),
        (
            "an admission before that discharge, told late",
            Event::Admitted,
            visit("E0", Some(1), None),
            31,
            vec![],
            &home[..],
            VisitChange::Nothing,
        ),
        (
            "an update of a stay that was never told",
            Event::Updated,
            visit("E2", Some(30), None),
            31,
            vec![],
            &home[..],
            VisitChange::Readmit(EpisodeId("e1".into())),
        ),
        (
            "not admitted after all",
            Event::AdmissionCancelled,
            visit("E2", Some(30), None),
            32,
            vec![mark("E2", 30, VisitState::Admitted)],
            &back[..],
            VisitChange::AtHome(EpisodeId("e1".into())),
        ),
        (
            "an admission told after its cancellation",
            Event::Admitted,
            visit("E2", Some(30), None),
            30,
            vec![mark("E2", 32, VisitState::AdmissionCancelled)],
            &home[..],
            VisitChange::Stale,
        ),
        (
            "another admission still holds",
            Event::AdmissionCancelled,
            visit("E2", Some(30), None),
            32,
            vec![
                mark("E2", 30, VisitState::Admitted),
                mark("E3", 31, VisitState::Admitted),
            ],
            &back[..],
            VisitChange::Nothing,
        ),
        (
            "a discharge told after the next admission",
            Event::Discharged,
            visit("E1", None, Some(10)),
            10,
            vec![mark("E2", 30, VisitState::Admitted)],
            none,
            discharge(false, true),
        ),
    ];
    for (name, event, visit, told, marks, stays, expected) in rows {
        let (change, _) = visit_change(event, &visit, at(told), &marks, stays);
        assert_eq!(change, expected, "{name}");
    }
    let marks = vec![mark("E1", 12, VisitState::DischargeCancelled)];
    let (change, kept) = visit_change(
        Event::Discharged,
        &visit("E1", None, Some(12)),
        at(12),
        &marks,
        &cancelled,
    );
    assert!(matches!(change, VisitChange::Unclear(_)) && kept.is_none());
}
