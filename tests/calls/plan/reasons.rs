//! Every reason there is, in both languages, as a hospital's lawyer reads it: `fixtures/plan/reasons.txt`.

use aftercall_core::attempt::Disposition;
use aftercall_core::lang::Lang;
use aftercall_core::plan::{Band, Layer, Profile, Reason, StepState, Within};
use jiff::civil::date;

/// One of each kind, and of each that reads differently.
fn samples() -> Vec<Reason> {
    let saturday = date(2026, 11, 28);
    let local = saturday.at(21, 10, 0, 0);
    let in_window = |layer| Reason::OutsideWindow { layer, local };
    let capped = |layer, within| Reason::CapReached {
        layer,
        rang: 3,
        calls: 3,
        within,
    };
    let law = |profile| Layer::Law(profile);
    let mut all = vec![
        Reason::NoConsent,
        Reason::ConsentNotAccepted {
            layer: Layer::Hospital,
        },
        Reason::ConsentWithdrawn,
        Reason::DoNotCall,
        Reason::Dead,
        Reason::ReportedDead,
        Reason::Readmitted,
        Reason::ReportedReadmitted,
        Reason::DischargeCancelled,
        Reason::Deaf,
        Reason::NoGuardian { age: 9 },
        Reason::Minor { age: 15 },
        Reason::NoPhone,
        Reason::Extension,
        Reason::InvalidNumber,
        Reason::WrongParty,
        Reason::UnknownZone,
        Reason::NotDue { on: saturday },
        in_window(law(Profile::Cn)),
        in_window(law(Profile::Us)),
        in_window(law(Profile::Neutral)),
        in_window(Layer::Hospital),
        in_window(Layer::Department("oncology".into())),
        in_window(Layer::Trunk("carrier".into())),
        in_window(Layer::Learnt),
        in_window(Layer::Patient),
        Reason::NoWindow {
            layer: Layer::Patient,
            local,
        },
        Reason::HolidayUnknown {
            layer: Layer::Hospital,
            on: saturday,
        },
        Reason::NobodyOnDuty { local },
        Reason::StaleRecord {
            age_hours: Some(31),
            allowed_hours: 24,
        },
        Reason::StaleRecord {
            age_hours: None,
            allowed_hours: 24,
        },
        Reason::WardUnanswered,
        Reason::Paused,
        Reason::Rest { minutes: 10 },
        capped(law(Profile::Cn), Within::Day),
        capped(law(Profile::Us), Within::Hours(168)),
        capped(Layer::Hospital, Within::Hours(24)),
        Reason::OtherHours {
            after: Disposition::NoAnswer,
            band: None,
        },
        Reason::AskedFor,
        Reason::Recall,
        Reason::LiveOnNumber,
        Reason::LiveAttempt,
        Reason::AfterOutage,
        Reason::NoScript {
            script: "cardiac".into(),
            lang: Lang::En,
        },
        Reason::TrunkFailing { failed: 5 },
        Reason::CallerIdsUsed,
        Reason::CallerHour {
            layer: law(Profile::Cn),
            calls: 60,
        },
        Reason::CallerHour {
            layer: Layer::Hospital,
            calls: 20,
        },
        Reason::BetterHour {
            local,
            now: 31,
            then: 62,
        },
        Reason::NotDecided,
        Reason::Lapsed {
            on: saturday,
            because: None,
        },
        Reason::Lapsed {
            on: saturday,
            because: Some(Box::new(Reason::CallerIdsUsed)),
        },
        Reason::AttemptsUsed {
            rang: 4,
            allowed: 4,
        },
        Reason::BrokeOffTwice,
        Reason::Recalled,
        Reason::NoRecall,
        Reason::Superseded,
    ];
    let bands = [Band::Morning, Band::Afternoon, Band::Evening];
    all.extend(bands.map(|band| Reason::OtherHours {
        after: Disposition::NoAnswer,
        band: Some(band),
    }));
    all.extend(Disposition::ALL.map(|after| Reason::Again { after, minutes: 12 }));
    all.extend(Disposition::ALL.map(|by| Reason::Settled { by }));
    let closed = [
        StepState::Planned,
        StepState::Calling,
        StepState::Done,
        StepState::Unreached,
        StepState::Blocked,
        StepState::Lapsed,
    ];
    all.extend(closed.map(|state| Reason::AlreadyClosed { state }));
    all
}

/// Its place among the kinds: a new kind does not compile until it has one here, and a sample above.
fn kind(reason: &Reason) -> usize {
    match reason {
        Reason::NoConsent => 0,
        Reason::ConsentNotAccepted { .. } => 1,
        Reason::ConsentWithdrawn => 2,
        Reason::DoNotCall => 3,
        Reason::Dead => 4,
        Reason::ReportedDead => 5,
        Reason::Readmitted => 6,
        Reason::ReportedReadmitted => 7,
        Reason::DischargeCancelled => 8,
        Reason::Deaf => 9,
        Reason::NoGuardian { .. } => 10,
        Reason::Minor { .. } => 11,
        Reason::NoPhone => 12,
        Reason::InvalidNumber => 13,
        Reason::WrongParty => 14,
        Reason::UnknownZone => 15,
        Reason::NotDue { .. } => 16,
        Reason::OutsideWindow { .. } => 17,
        Reason::NoWindow { .. } => 18,
        Reason::HolidayUnknown { .. } => 19,
        Reason::NobodyOnDuty { .. } => 20,
        Reason::StaleRecord { .. } => 21,
        Reason::WardUnanswered => 22,
        Reason::Paused => 23,
        Reason::Rest { .. } => 24,
        Reason::CapReached { .. } => 25,
        Reason::Again { .. } => 26,
        Reason::OtherHours { .. } => 27,
        Reason::AskedFor => 28,
        Reason::Recall => 29,
        Reason::LiveOnNumber => 30,
        Reason::LiveAttempt => 31,
        Reason::NoScript { .. } => 32,
        Reason::TrunkFailing { .. } => 33,
        Reason::CallerIdsUsed => 34,
        Reason::NotDecided => 35,
        Reason::Lapsed { .. } => 36,
        Reason::Settled { .. } => 37,
        Reason::AttemptsUsed { .. } => 38,
        Reason::BrokeOffTwice => 39,
        Reason::Recalled => 40,
        Reason::NoRecall => 41,
        Reason::AfterOutage => 42,
        Reason::AlreadyClosed { .. } => 43,
        Reason::CallerHour { .. } => 44,
        Reason::BetterHour { .. } => 45,
        Reason::Extension => 46,
        Reason::Superseded => KINDS - 1,
    }
}

const KINDS: usize = 48;

#[test]
fn every_reason_reads_as_the_snapshot_has_it() {
    let samples = samples();
    for number in 0..KINDS {
        let has = samples.iter().any(|reason| kind(reason) == number);
        assert!(has, "kind {number} has no sample");
    }
    let line = |reason: &Reason| {
        let (code, en, zh) = (
            reason.code(),
            reason.words(Lang::En),
            reason.words(Lang::Zh),
        );
        format!("{code}\n    {en}.\n    {zh}。\n")
    };
    let found: String = samples.iter().map(line).collect();
    let kept = include_str!("../../../fixtures/plan/reasons.txt");
    assert!(found == kept, "the reasons read differently now:\n{found}");
}

#[test]
fn a_reason_survives_its_row() {
    for reason in samples() {
        let row = serde_json::to_string(&reason).expect("plain data");
        let read: Reason = serde_json::from_str(&row).expect("what was written is read");
        assert_eq!(read, reason, "{row}");
    }
}
