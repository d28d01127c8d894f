//! The life of a work order: what each state allows, the ladder over months in which nobody answers, late looks, and
//! walks at random.

use std::collections::BTreeSet;

use aftercall_core::finding::Urgency;
use aftercall_core::plan::Holidays;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{
    Act, Cause, Deadlines, Escalation, Event, Ladder, LadderError, Outcome, Refusal, Rung, Step,
    Wait, What, WorkOrder, WorkOrderState, due_step, join,
};
use jiff::SignedDuration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::time::Duration;

use crate::work_order::{deadlines, friday, order};

use WorkOrderState::{Acknowledged, Closed, Open};

const MINUTE: i64 = 60;

fn after(seconds: i64) -> Timestamp {
    friday() + SignedDuration::from_secs(seconds)
}

fn emergent() -> WorkOrder {
    order(&["chest_pain emergent".to_owned()])
}

fn same_day() -> WorkOrder {
    order(&["incomplete".to_owned()])
}

fn act(order: &mut WorkOrder, act: &Act, seconds: i64) -> Result<Event, Refusal> {
    order.act(act, "anna", "", &deadlines(), after(seconds))
}

fn climb(order: &mut WorkOrder, at: Timestamp) -> Escalation {
    let step = due_step(order, &deadlines(), at).expect("due");
    order.climb(&step, at);
    step
}

#[test]
fn each_state_allows_what_the_table_says() {
    let closing = |outcome| Act::Close { outcome };
    let to = || Act::HandOver { to: "bert".into() };
    let table = [
        (
            Open,
            Act::Acknowledge,
            Ok((What::Acknowledged, Acknowledged)),
        ),
        (Open, to(), Ok((What::HandedOver, Open))),
        (Open, Act::Speak, Ok((What::Spoken, Open))),
        (Open, closing(Outcome::True), Err(Refusal::NotAcknowledged)),
        (Open, Act::Reopen, Err(Refusal::NotClosed)),
        (
            Acknowledged,
            Act::Acknowledge,
            Err(Refusal::AlreadyAcknowledged),
        ),
        (Acknowledged, to(), Ok((What::HandedOver, Open))),
        (Acknowledged, Act::Speak, Ok((What::Spoken, Acknowledged))),
        (
            Acknowledged,
            closing(Outcome::True),
            Ok((What::Closed, Closed)),
        ),
        (Acknowledged, Act::Reopen, Err(Refusal::NotClosed)),
        (Closed, Act::Acknowledge, Err(Refusal::Closed)),
        (Closed, to(), Err(Refusal::Closed)),
        (Closed, Act::Speak, Err(Refusal::Closed)),
        (Closed, closing(Outcome::False), Err(Refusal::Closed)),
        (Closed, Act::Reopen, Ok((What::Reopened, Open))),
    ];
    for (state, asked, expected) in table {
        let mut order = same_day();
        if state != Open {
            act(&mut order, &Act::Acknowledge, 1).expect("it was open");
        }
        if state == Closed {
            act(&mut order, &closing(Outcome::False), 2).expect("nothing was promised");
        }
        let before = order.clone();
        let event = act(&mut order, &asked, 3);
        let found = event.as_ref().map(|event| (event.what, event.to));
        assert_eq!(
            found.map_err(|refusal| *refusal),
            expected,
            "{state} {asked:?}"
        );
        match event {
            Ok(event) => {
                assert_eq!((event.from, event.to), (Some(state), order.state));
                assert_eq!((event.who.as_str(), event.at), ("anna", after(3)));
            }
            Err(_) => assert_eq!(order, before, "a refusal changes nothing"),
        }
    }
}

#[test]
fn handed_over_is_the_named_persons_and_the_ladder_begins_again() {
    let mut order = emergent();
    climb(&mut order, after(5 * MINUTE));
    act(&mut order, &Act::Acknowledge, 6 * MINUTE).expect("open");
    assert_eq!(order.owner.as_deref(), Some("anna"));
    let to = Act::HandOver { to: "bert".into() };
    let event = act(&mut order, &to, 7 * MINUTE).expect("not closed");
    assert_eq!(event.owner.as_deref(), Some("bert"));
    assert_eq!((order.level, order.acknowledged_by.clone()), (0, None));
    assert_eq!(order.due_at, after(12 * MINUTE));
    assert_eq!(
        climb(&mut order, after(12 * MINUTE)).tell,
        Rung::ChargeNurse
    );
}

#[test]
fn a_promised_call_escalates_until_a_person_has_spoken_even_when_acknowledged() {
    let mut order = emergent();
    assert_eq!(order.promised_by, Some(after(15 * MINUTE)));
    act(&mut order, &Act::Acknowledge, MINUTE).expect("open");
    assert_eq!(order.due_at, after(15 * MINUTE));
    assert_eq!(due_step(&order, &deadlines(), after(14 * MINUTE)), None);
    let mut told = Vec::new();
    for minutes in [15, 20, 25, 30, 35] {
        let step = climb(&mut order, after(minutes * MINUTE));
        assert_eq!(
            (step.what, order.state),
            (What::PromiseBroken, Acknowledged)
        );
        told.push(step.tell);
    }
    let [_, rest @ ..] = Rung::ALL;
    assert_eq!(told[..3], rest);
    assert_eq!(told[3..], [Rung::Switchboard, Rung::Switchboard]);
    assert!(order.exhausted, "health is red");
    let closing = |outcome| Act::Close { outcome };
    let refused = act(&mut order, &closing(Outcome::False), 36 * MINUTE);
    assert_eq!(refused, Err(Refusal::NotSpoken));
    let mut gone = order.clone();
    assert!(act(&mut gone, &closing(Outcome::Unreachable), 36 * MINUTE).is_ok());
    act(&mut order, &Act::Speak, 37 * MINUTE).expect("not closed");
    assert!(!order.exhausted);
    assert_eq!(
        order.due_at,
        after(61 * MINUTE),
        "it comes back where it is not closed"
    );
    act(&mut order, &closing(Outcome::True), 38 * MINUTE).expect("spoken with");
    assert_eq!(due_step(&order, &deadlines(), after(86_400)), None);
}

#[test]
fn taking_an_order_late_does_not_stop_a_broken_promise() {
    let mut order = emergent();
    for minutes in [5, 10, 15] {
        climb(&mut order, after(minutes * MINUTE));
    }
    act(&mut order, &Act::Acknowledge, 16 * MINUTE).expect("open");
    let step = climb(&mut order, after(20 * MINUTE));
    assert_eq!(
        (step.what, step.tell),
        (What::PromiseBroken, Rung::Switchboard)
    );
}

#[test]
fn acknowledged_and_not_closed_comes_back_to_its_owner() {
    let mut order = same_day();
    act(&mut order, &Act::Acknowledge, 0).expect("open");
    assert_eq!(order.due_at, after(12 * 3600));
    let step = climb(&mut order, after(12 * 3600));
    assert_eq!((step.what, step.tell), (What::CameBack, Rung::WardNurse));
    assert_eq!((order.state, order.level), (Open, 0));
    assert_eq!(order.owner.as_deref(), Some("anna"));
    assert_eq!(order.due_at, after(16 * 3600));
    assert_eq!(climb(&mut order, after(16 * 3600)).tell, Rung::ChargeNurse);
}

#[test]
fn what_is_promised_anew_is_kept_anew() {
    let mut order = emergent();
    act(&mut order, &Act::Acknowledge, MINUTE).expect("open");
    act(&mut order, &Act::Speak, 2 * MINUTE).expect("open");
    assert_eq!(order.promise(), None);
    join(
        &mut order,
        vec![Cause::AskedForPerson],
        false,
        &deadlines(),
        after(3600),
    );
    assert_eq!((order.state, order.spoken_at), (Open, None));
    assert_eq!(order.promise(), Some(after(3 * 3600)));
}

#[test]
fn without_an_emergency_a_promise_counts_from_the_hours_in_which_somebody_works() {
    let terms = deadlines();
    let by = |at: &str| {
        let at: Timestamp = at.parse().expect("an instant");
        let by = terms.promised_by(&[Cause::AskedForPerson], at);
        by.expect("promised").to_string()
    };
    // 2026-03-06 is a Friday; Shanghai is eight hours ahead.
    assert_eq!(by("2026-03-06T02:00:00Z"), "2026-03-06T04:00:00Z");
    assert_eq!(
        by("2026-03-05T20:00:00Z"),
        "2026-03-06T02:00:00Z",
        "from eight o'clock"
    );
    assert_eq!(
        by("2026-03-06T12:00:00Z"),
        "2026-03-09T02:00:00Z",
        "from Monday on"
    );
    assert_eq!(
        terms.promised_by(&[Cause::Incomplete, Cause::OptedOut], friday()),
        None
    );
}

#[test]
fn waits_go_by_hours_and_holidays() {
    let mut terms = deadlines();
    let due = |terms: &Deadlines, urgency, at: &str| {
        let at: Timestamp = at.parse().expect("an instant");
        terms.due_at(urgency, at).to_string()
    };
    let friday_night = "2026-03-06T14:00:00Z";
    assert_eq!(
        due(&terms, Urgency::Emergent, friday_night),
        "2026-03-06T14:05:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::Urgent, "2026-03-06T02:00:00Z"),
        "2026-03-06T02:30:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::Urgent, friday_night),
        "2026-03-06T16:00:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::SameDay, friday_night),
        "2026-03-06T18:00:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::Routine, friday_night),
        "2026-03-09T09:00:00Z"
    );
    terms.holidays = Some(Holidays::parse(Holidays::CN).expect("the shipped file"));
    // The Spring Festival of 2026 ends on Monday the 23rd; Saturday the 28th is worked instead.
    let before = "2026-02-14T02:00:00Z";
    assert_eq!(
        due(&terms, Urgency::Routine, before),
        "2026-02-24T09:00:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::Routine, "2026-02-27T02:00:00Z"),
        "2026-02-28T09:00:00Z"
    );
    assert_eq!(
        due(&terms, Urgency::Urgent, "2026-02-20T02:00:00Z"),
        "2026-02-20T04:00:00Z"
    );
}

#[test]
fn a_step_told_three_times_takes_three_levels() {
    let wait = Wait::After {
        in_hours: Duration::from_secs(60),
        out_of_hours: Duration::from_secs(60),
    };
    let step = |tell, times| Step {
        tell,
        by: Vec::new(),
        times,
        wait,
    };
    let hour = Duration::from_secs(3600);
    let made = |steps| Ladder::new(steps, hour);
    let ladder = made(vec![step(Rung::WardNurse, 3), step(Rung::DutyDoctor, 2)]);
    let ladder = ladder.expect("sound");
    let told = (0..7).map(|level| ladder.step(level).tell);
    let doctors = told.filter(|rung| *rung == Rung::DutyDoctor).count();
    assert_eq!((doctors, ladder.last_level()), (4, 3));
    assert_eq!(made(vec![]), Err(LadderError::Empty));
    assert_eq!(
        made(vec![step(Rung::WardNurse, 0)]),
        Err(LadderError::Never(1))
    );
    let no_wait = Wait::After {
        in_hours: hour,
        out_of_hours: Duration::ZERO,
    };
    let hasty = Step {
        wait: no_wait,
        ..step(Rung::WardNurse, 1)
    };
    assert_eq!(made(vec![hasty]), Err(LadderError::NoWait(1)));
}

#[test]
fn for_ninety_days_nobody_acknowledges_and_every_order_is_still_calling() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..20 {
        let mut order = emergent();
        let raised = random.next_u32() % 86_400;
        let start = after(raised.into());
        order.raised_at = start;
        order.due_at = start + SignedDuration::from_mins(5);
        order.promised_by = Some(start + SignedDuration::from_mins(15));
        let end = start + SignedDuration::from_hours(24 * 90);
        let mut told = BTreeSet::new();
        let mut climbs = 0_i64;
        let mut now = start;
        while now < end {
            now = order.due_at;
            assert_eq!(
                now,
                start + SignedDuration::from_mins(5 * (climbs + 1)),
                "on time"
            );
            told.insert(climb(&mut order, now).tell);
            climbs += 1;
        }
        assert_eq!(climbs, 90 * 24 * 12);
        assert_eq!(told.into_iter().collect::<Vec<_>>(), Rung::ALL[1..]);
        assert!(order.exhausted && order.state == Open);
        assert!(
            order.due_at <= now + SignedDuration::from_mins(5),
            "and calls again"
        );
    }
}

#[test]
fn a_late_look_climbs_rung_by_rung_and_leaves_out_nobody() {
    let mut order = emergent();
    let late = after(3 * 3600);
    let mut told = Vec::new();
    while let Some(step) = due_step(&order, &deadlines(), late) {
        order.climb(&step, late);
        told.push(step.tell);
    }
    assert_eq!(told, Rung::ALL[1..], "each once, at once");
    assert_eq!(
        order.due_at,
        after(3 * 3600 + 5 * MINUTE),
        "and then in time"
    );
    let mut order = emergent();
    let look = |order: &mut WorkOrder, seconds| climb(order, after(seconds)).tell;
    assert_eq!(look(&mut order, 5 * MINUTE + 50), Rung::ChargeNurse);
    assert_eq!(
        order.due_at,
        after(10 * MINUTE),
        "a late look moves nothing"
    );
}

/// Whatever people do and whenever somebody looks: an order that is not closed is always told again, nobody is left
/// out, and the rows say what happened.
#[test]
fn walks_at_random_never_go_silent() {
    let mut random = ChaCha8Rng::seed_from_u64(42);
    let terms = deadlines();
    for _ in 0..2_000 {
        let mut order = if random.next_u32() % 2 == 0 {
            emergent()
        } else {
            same_day()
        };
        let mut now = friday();
        let mut rows = vec![order.raised()];
        for _ in 0..40 {
            now += SignedDuration::from_secs((random.next_u32() % 7_200).into());
            let before = order.clone();
            match random.next_u32() % 8 {
                0 => rows.extend(order.act(&Act::Acknowledge, "anna", "", &terms, now).ok()),
                1 => {
                    let to = Act::HandOver { to: "bert".into() };
                    rows.extend(order.act(&to, "anna", "", &terms, now).ok());
                }
                2 => rows.extend(order.act(&Act::Speak, "anna", "", &terms, now).ok()),
                3 => {
                    let outcome = Outcome::True;
                    let closed = order.act(&Act::Close { outcome }, "anna", "", &terms, now);
                    if closed.is_ok() {
                        assert!(before.state == Acknowledged && before.promise().is_none());
                    }
                    rows.extend(closed.ok());
                }
                4 => rows.extend(order.act(&Act::Reopen, "anna", "", &terms, now).ok()),
                // A closed order is not joined: the store raises another.
                5 if order.state != Closed => {
                    let how = join(&mut order, vec![Cause::AskedForPerson], false, &terms, now);
                    rows.extend(order.joined(&before, how, now));
                }
                _ => {}
            }
            while let Some(step) = due_step(&order, &terms, now) {
                let level = order.level;
                rows.push(order.climb(&step, now));
                assert!(
                    order.level == level + 1 || (step.what == What::CameBack && order.level == 0),
                    "rung by rung"
                );
            }
            if order.state != Closed {
                assert!(order.due_at > now, "looked at");
                let longest = now + SignedDuration::from_hours(24 * 4);
                assert!(order.due_at <= longest, "told again in time");
                assert!(due_step(&order, &terms, order.due_at).is_some());
                let broken = order.is_promise_broken(now);
                let soon = now + SignedDuration::from_hours(4);
                assert!(
                    !broken || order.due_at <= soon,
                    "a broken word is not put off"
                );
            }
        }
        let chain = rows.windows(2).all(|pair| pair[1].from == Some(pair[0].to));
        assert!(
            chain,
            "each row begins where the one before ended: {rows:#?}"
        );
        assert_eq!(rows.last().map(|row| row.to), Some(order.state));
    }
}
