//! Who is on duty: shifts over midnight, holidays, who stands in, and when nobody is there.

use aftercall_core::plan::Holidays;
use aftercall_core::rota::{Calendar, Rota, RotaError};
use aftercall_core::time::{self, Timestamp};
use aftercall_core::work_order::Rung;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, civil};

const PEOPLE: &str = r#"
version = 1
person = [
    { name = "anna", at = [{ by = "sms", to = "1" }] },
    { name = "bert", lang = "en", at = [{ by = "sms", to = "2" }] },
    { name = "carl", at = [{ by = "sms", to = "3" }] },
    { name = "dora", at = [{ by = "sms", to = "4" }] },
]
"#;

const SHIFTS: &str = r#"
[[shift]]
ward = "5A"
rung = "ward_nurse"
people = ["anna"]
days = ["mon", "tue", "wed", "thu", "fri"]
from = "08:00"
to = "20:00"
holidays = "off"

[[shift]]
ward = "5A"
rung = "ward_nurse"
people = ["bert"]
days = ["mon", "tue", "wed", "thu", "fri"]
from = "20:00"
to = "08:00"

[[shift]]
rung = "duty_doctor"
people = ["carl"]
days = []
from = "08:00"
to = "20:00"
holidays = "only"

[[shift]]
rung = "switchboard"
people = ["dora"]
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "00:00"

[[replacement]]
person = "anna"
by = "carl"
first = 2026-03-04
last = 2026-03-05
"#;

fn rota() -> Rota {
    Rota::parse(&format!("{PEOPLE}{SHIFTS}")).expect("sound")
}

fn shanghai() -> TimeZone {
    time::zone("Asia/Shanghai").expect("known")
}

fn at(local: &str) -> Timestamp {
    let local: civil::DateTime = local.parse().expect("a local time");
    shanghai().to_timestamp(local).expect("an instant")
}

fn check<T>(ask: impl FnOnce(Calendar<'_>) -> T) -> T {
    let (zone, holidays) = (shanghai(), Holidays::parse(Holidays::CN).expect("shipped"));
    ask(Calendar {
        zone: &zone,
        holidays: Some(&holidays),
    })
}

fn on_duty(ward: &str, rung: Rung, local: &str) -> Vec<String> {
    check(|calendar| {
        let rota = rota();
        let people = rota.on_duty(ward, rung, at(local), calendar);
        people.iter().map(|person| person.name.clone()).collect()
    })
}

#[test]
fn who_is_on_duty_goes_by_ward_weekday_hour_holiday_and_replacement() {
    use Rung::{DutyDoctor, Switchboard, WardNurse};
    for (ward, rung, local, who) in [
        ("5A", WardNurse, "2026-03-03T07:59", "bert"),
        ("5A", WardNurse, "2026-03-03T08:00", "anna"),
        ("5A", WardNurse, "2026-03-03T20:00", "bert"),
        // The night of Friday ends on Saturday; the one of Sunday has nobody.
        ("5A", WardNurse, "2026-03-07T07:59", "bert"),
        ("5A", WardNurse, "2026-03-07T08:00", ""),
        ("5A", WardNurse, "2026-03-09T07:00", ""),
        ("5B", WardNurse, "2026-03-03T10:00", ""),
        ("5B", Switchboard, "2026-03-08T03:00", "dora"),
        // Stood in for by day, and by the doctor's own right on no day but holidays.
        ("5A", WardNurse, "2026-03-04T10:00", "carl"),
        ("5A", WardNurse, "2026-03-06T10:00", "anna"),
        ("5A", DutyDoctor, "2026-03-04T10:00", ""),
        // The Spring Festival; the Saturday after it is worked as a Monday, but for who knows no holidays.
        ("5A", WardNurse, "2026-02-17T10:00", ""),
        ("5A", DutyDoctor, "2026-02-17T10:00", "carl"),
        ("5A", WardNurse, "2026-02-17T21:00", "bert"),
        ("5A", WardNurse, "2026-02-28T10:00", "anna"),
        ("5A", WardNurse, "2026-02-28T21:00", ""),
    ] {
        assert_eq!(
            on_duty(ward, rung, local).join(" "),
            who,
            "{ward} {rung} {local}"
        );
    }
}

#[test]
fn an_empty_rung_is_passed_upwards_and_at_last_downwards() {
    let told = |rota: &Rota, rung, local: &str| {
        check(|calendar| {
            let (rung, people) = rota.tell("5A", rung, at(local), calendar)?;
            Some(format!("{rung} {}", people[0].name))
        })
    };
    let full = rota();
    let sunday = "2026-03-08T10:00";
    assert_eq!(
        told(&full, Rung::WardNurse, sunday).expect("somebody"),
        "switchboard dora"
    );
    let tuesday = "2026-03-03T10:00";
    let bare = SHIFTS.split("[[shift]]").nth(1).expect("the first");
    let bare = Rota::parse(&format!("{PEOPLE}[[shift]]{bare}")).expect("sound");
    assert_eq!(
        told(&bare, Rung::Switchboard, tuesday).expect("somebody"),
        "ward_nurse anna"
    );
    assert_eq!(told(&bare, Rung::Switchboard, sunday), None);
}

#[test]
fn a_ward_is_staffed_only_while_somebody_but_the_switchboard_is_there() {
    check(|calendar| {
        let rota = rota();
        let staffed = |from: &str, to: &str| rota.is_staffed("5A", at(from), at(to), calendar);
        assert!(
            staffed("2026-03-03T07:00", "2026-03-04T09:00"),
            "shift upon shift"
        );
        assert!(!staffed("2026-03-07T07:00", "2026-03-07T08:10"));
        let hour = SignedDuration::from_mins(70);
        let next = |from: &str| rota.next_staffed("5A", at(from), hour, calendar);
        assert_eq!(next("2026-03-07T07:00"), Some(at("2026-03-09T08:00")));
        assert_eq!(next("2026-03-03T12:34"), Some(at("2026-03-03T12:34")));
        let gaps = rota.gaps(
            "5A",
            at("2026-03-06T12:00"),
            at("2026-03-09T12:00"),
            calendar,
        );
        assert_eq!(gaps, [(at("2026-03-07T08:00"), at("2026-03-09T08:00"))]);
        // Ward 5B has a doctor on holidays, and nobody else.
        assert!(rota.knows("5B"));
        assert_eq!(
            rota.next_staffed("5B", at("2026-03-06T12:00"), hour, calendar),
            Some(at("2026-04-04T08:00"))
        );
    });
}

#[test]
fn a_broken_rota_says_where() {
    let refused = |text: &str| Rota::parse(&format!("{PEOPLE}{text}")).expect_err("refused");
    let shift = |people: &str, days: &str| {
        format!(
            "[[shift]]\nrung = \"ward_nurse\"\npeople = [{people}]\ndays = [{days}]\nfrom = \"08:00\"\nto = \"20:00\"\n"
        )
    };
    assert_eq!(
        refused(&shift("\"eve\"", "\"mon\"")).to_string(),
        "shift 1: there is no person eve"
    );
    assert_eq!(
        refused(&shift("", "\"mon\"")),
        RotaError::Empty(1, "people")
    );
    assert_eq!(refused(&shift("\"anna\"", "")), RotaError::Empty(1, "days"));
    let replaced = "[[replacement]]\nperson = \"anna\"\nby = \"bert\"\nfirst = 2026-03-05\nlast = 2026-03-04\n";
    let what = "replacement";
    assert_eq!(refused(replaced), RotaError::Backwards { what, at: 1 });
    let twice = "[[person]]\nname = \"anna\"\nat = [{ by = \"sms\", to = \"9\" }]\n";
    assert!(matches!(refused(twice), RotaError::Syntax(_)));
    assert!(matches!(refused("colour = 3\n"), RotaError::Syntax(_)));
    let mute = "version = 1\n[[person]]\nname = \"anna\"\n";
    assert_eq!(Rota::parse(mute), Err(RotaError::NoAddress("anna".into())));
    assert_eq!(Rota::parse("version = 2"), Err(RotaError::Version(2)));
}
