//! Who is dialled now and who later: caller ids by the hour, hours that reach more people; on both databases.

use std::collections::BTreeMap;

use aftercall::config::Config;
use aftercall::jobs::PlanClock;
use aftercall::store::Store;
use aftercall::store::attempt::{Begun, CallerMost};
use aftercall_core::plan::learn::{AgeBand, HourOfWeek, Tried, reach};
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use jiff::civil::Weekday;

use crate::jobs::Ward;
use crate::postgres::Postgres;
use crate::record::{ENGINE, at, enrol, master_key, new_attempt};
use crate::resume::wards;

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Sets the hospital's limit for a caller id's hour.
fn limit(ward: &mut Ward, calls: u32) {
    let mut config = Config::default();
    config.calling.caller_per_hour = calls;
    ward.rules.policy = config.policy().expect("stricter than the law");
}

#[tokio::test]
async fn no_hour_shows_a_caller_id_more_often_than_the_hospital_allows() {
    let postgres = Postgres::start();
    for mut ward in wards(&postgres, "caller_hour", 20).await {
        limit(&mut ward, 3);
        assert_eq!(ward.dial().await, 3);
        let waiting = ward.waiting("caller_ids_used: ").await;
        assert!(waiting.len() > 3, "{}", waiting.len());
        let mut turns: BTreeMap<Timestamp, usize> = BTreeMap::new();
        for step in &waiting {
            assert!(
                step.reason
                    .contains("shown 3 times within the hour; the hospital allows no more"),
                "{}",
                step.reason
            );
            *turns.entry(step.next_at).or_default() += 1;
            assert!(step.next_at.duration_since(ward.now()) > SignedDuration::from_mins(59));
        }
        let later = waiting
            .iter()
            .filter(|step| step.next_at.duration_since(ward.now()) > hours(1));
        assert!(
            later.count() >= waiting.len() - 3,
            "each waits for a turn of its own"
        );
        // Nobody is looked at again before a turn comes, whoever finished meanwhile.
        assert_eq!(ward.dial().await, 0);
        ward.rules.clock = PlanClock::set_to(ward.now() + hours(1) + SignedDuration::from_secs(5));
        assert_eq!(ward.dial().await, 3, "the next hour's");
    }
}

/// Eight engines find room for one caller id at once; three may have it.
#[tokio::test]
async fn engines_that_dial_in_the_same_instant_share_a_caller_ids_hour() {
    let postgres = Postgres::start();
    let url = postgres.database("caller_race").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    for url in [format!("sqlite://{}/race.db", folder.path().display()), url] {
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database opens");
        for number in 0..8 {
            enrol(&store, &number.to_string()).await;
        }
        let claimed = store.claim_due_steps(at(0), 100, at(60), ENGINE).await;
        let dialled = claimed.expect("claimed").into_iter().map(|step| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut new = new_attempt(&step, None);
                new.caller_most = CallerMost {
                    an_hour: Some(3),
                    since: None,
                };
                store.begin_attempt(&new).await.expect("an answer")
            })
        });
        let mut begun = Vec::new();
        for one in dialled.collect::<Vec<_>>() {
            begun.push(one.await.expect("no panic"));
        }
        let count = |what: Begun| begun.iter().filter(|one| **one == what).count();
        assert_eq!(
            (count(Begun::Dial), count(Begun::CallerUsed)),
            (3, 5),
            "{begun:?}"
        );
    }
}

/// On Mondays nobody answers at ten, and everybody at five in the afternoon.
#[tokio::test]
async fn who_answers_later_in_the_day_is_left_for_then_but_not_who_is_at_risk() {
    let postgres = Postgres::start();
    let tried = |band, hour, reached| Tried {
        at: HourOfWeek {
            band,
            weekday: Weekday::Monday,
            hour,
        },
        reached,
        announced: None,
    };
    let past = AgeBand::ALL.into_iter().flat_map(|band| {
        let (early, late) = (tried(band, 10, false), tried(band, 17, true));
        [vec![early; 100], vec![late; 100]].concat()
    });
    let known = reach(&past.collect::<Vec<_>>());
    for mut ward in wards(&postgres, "better_hour", 100).await {
        ward.lines.reach = Some(known.clone());
        let dialled = ward.dial().await;
        for _ in 0..dialled {
            let call = ward.calls.recv().await.expect("a call for each dial");
            let is_elsewhere = call.patient.zone != "Asia/Shanghai";
            assert!(call.episode.high_risk || is_elsewhere, "it is ten o'clock");
        }
        let waiting = ward.waiting("too_soon: of a hundred patients").await;
        assert!(waiting.len() > 10, "{}", waiting.len());
        let five: Timestamp = "2026-11-23T09:00:00Z".parse().expect("an instant");
        for step in &waiting {
            let behind = step.next_at.duration_since(five).as_mins();
            assert!((0..45).contains(&behind), "{}", step.reason);
        }
        ward.rules.clock = PlanClock::set_to(five + SignedDuration::from_mins(45));
        assert!(ward.dial().await >= 10, "their hour has come");
    }
}
