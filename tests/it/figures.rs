//! Figures, counted by hand: on both databases, and as the API shows them.

use aftercall::store::Store;
use aftercall::store::attempt::NewAttempt;
use aftercall::store::figures::Days;
use aftercall_core::attempt::{AnsweredBy, Disposition};
use aftercall_core::figures::{By, Figure, Figures, Load, Rates, Share};
use aftercall_core::finding::Urgency;
use aftercall_core::id::{ConceptId, NodeId, WorkOrderId};
use aftercall_core::phi::Phi;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::work_order::{Act, Outcome, due_step};
use calamine::{Data, Reader as _, Xlsx};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use reqwest::{Method, StatusCode};

use crate::people::{Browser, account};
use crate::record::{ENGINE, at, deadlines, enrolment, finding, finish, new_attempt, turn};
use crate::web::{Server, send};

/// The day on which the calls of [`a_day`] are made, in Shanghai.
const DAY: Date = date(2026, 9, 21);

const RATES: Rates = Rates {
    line_minute: Some(0.1),
    call: Some(0.05),
    nurse_hour: Some(60.0),
    order_minutes: Some(6.0),
    nurse_call_minutes: Some(8.0),
};

struct Patient {
    ward: &'static str,
    born: Date,
}

async fn called(store: &Store, number: &str, patient: &Patient) -> NewAttempt {
    let mut new = enrolment(number);
    new.episode.ward = patient.ward.to_owned();
    new.patient.birth_date = Phi::new(patient.born);
    let saved = store
        .save_patient_with_episode_and_steps(&new, "test", at(0))
        .await
        .expect("saved");
    let due = store.claim_due_steps(at(0), 100, at(60), ENGINE).await;
    let due = due.expect("claimed");
    let step = due.iter().find(|step| step.patient == saved.patient);
    let new = new_attempt(step.expect("day 3 is due"), new.patient.phone.clone());
    store.begin_attempt(&new).await.expect("begun");
    new
}

struct Ended {
    disposition: Disposition,
    by: AnsweredBy,
    identified: bool,
    found: Option<(&'static str, Urgency)>,
    scores: &'static [(&'static str, &'static str)],
}

async fn end(store: &Store, new: &NewAttempt, ended: &Ended) -> Option<WorkOrderId> {
    let found = ended
        .found
        .map(|(concept, urgency)| finding(concept, urgency));
    let mut finish = finish(new, ended.disposition, found.into_iter().collect());
    finish.record.ending.answered_by = ended.by;
    finish.record.progress.identified = ended.identified;
    if ended.by == AnsweredBy::Nobody {
        finish.record.ending.talk_ms = 0;
    }
    for (index, (node, score)) in (2..).zip(ended.scores) {
        let mut asked = turn(index);
        asked.node = NodeId((*node).to_owned());
        if let Some(reply) = &mut asked.reply {
            reply.meaning = (*score).to_owned();
        }
        finish.record.turns.push(asked);
    }
    let done = store.finish_attempt(&finish).await.expect("ended");
    done.raised.map(|raised| raised.id)
}

async fn act(store: &Store, order: &WorkOrderId, act: Act, seconds: i64) {
    store
        .act_on_work_order(order, &act, "nurse", "", &deadlines(), at(seconds))
        .await
        .expect("allowed");
}

/// Seven patients are due. One is completed with an emergency (true), one completed and well, one is not there, one is
/// another person, one breaks off with something urgent (false, and late), one is a machine, and one is not called.
async fn a_day(store: &Store) {
    const OLD: Patient = Patient {
        ward: "5A",
        born: date(1951, 3, 7),
    };
    const OLDER: Patient = Patient {
        ward: "6B",
        born: date(1940, 1, 2),
    };
    let plain = Ended {
        disposition: Disposition::Completed,
        by: AnsweredBy::Patient,
        identified: true,
        found: None,
        scores: &[],
    };
    let calls = [
        (
            &OLD,
            Ended {
                found: Some(("chest_pain", Urgency::Emergent)),
                scores: &[("recommend", "9")],
                ..plain
            },
        ),
        (
            &OLD,
            Ended {
                scores: &[("satisfaction", "8"), ("recommend", "9")],
                ..plain
            },
        ),
        (
            &OLD,
            Ended {
                disposition: Disposition::NoAnswer,
                by: AnsweredBy::Nobody,
                identified: false,
                ..plain
            },
        ),
        (
            &OLD,
            Ended {
                disposition: Disposition::WrongParty,
                by: AnsweredBy::Human,
                identified: false,
                ..plain
            },
        ),
        (
            &OLDER,
            Ended {
                disposition: Disposition::Partial,
                by: AnsweredBy::Proxy,
                found: Some(("fever", Urgency::Urgent)),
                scores: &[
                    ("satisfaction", "5"),
                    ("recommend", "4"),
                    ("satisfaction", "6"),
                ],
                ..plain
            },
        ),
        (
            &OLDER,
            Ended {
                disposition: Disposition::Machine,
                by: AnsweredBy::Machine,
                identified: false,
                ..plain
            },
        ),
    ];
    let mut orders = Vec::new();
    for (number, (patient, ended)) in calls.iter().enumerate() {
        let new = called(store, &number.to_string(), patient).await;
        orders.extend(end(store, &new, ended).await);
    }
    store
        .save_patient_with_episode_and_steps(&enrolment("9"), "test", at(0))
        .await
        .expect("saved");
    let [chest, fever] = orders.as_slice() else {
        panic!("two orders: {orders:?}");
    };
    // Raised at 120.
    act(store, chest, Act::Acknowledge, 180).await;
    act(store, chest, Act::Speak, 300).await;
    act(
        store,
        chest,
        Act::Close {
            outcome: Outcome::True,
        },
        720,
    )
    .await;
    let order = store.work_order(fever).await.expect("there");
    let late = order.due_at;
    let climb = due_step(&order, &deadlines(), late).expect("nobody took it");
    assert!(
        store
            .escalate_work_order(&order, &climb, late)
            .await
            .expect("climbs")
    );
    let taken = (late - at(0)).get_seconds() + 60;
    act(store, fever, Act::Acknowledge, taken).await;
    act(store, fever, Act::Speak, taken + 30).await;
    act(
        store,
        fever,
        Act::Close {
            outcome: Outcome::False,
        },
        taken + 60,
    )
    .await;
}

fn days(first: Date, last: Date) -> Days {
    let zone = TimeZone::get("Asia/Shanghai").expect("a zone");
    Days { first, last, zone }
}

fn share(part: u64, of: u64) -> Share {
    Share { part, of }
}

pub async fn figures_are_counted_as_by_hand(store: Store) {
    a_day(&store).await;
    let period = days(date(2026, 9, 20), DAY);
    let facts = store.facts(&period, &Wards::ALL).await.expect("read");
    let load = Load {
        nurse_shifts: 1,
        warn_above: 1.5,
    };
    let all = Figures::of(&facts, &RATES, Some(load));
    // Six of seven were dialled; who answered in person are four of six; three are who they should be, two of them to the end.
    assert_eq!(all.coverage, share(6, 7));
    assert_eq!((all.reach, all.reach_touch), (share(4, 6), share(4, 6)));
    assert_eq!(all.right_party, share(3, 4));
    assert_eq!(
        (all.completion, all.screen_completion),
        (share(2, 3), share(2, 3))
    );
    // Two calls alert, two are completed.
    assert_eq!(all.alert_rate, share(2, 2));
    let tiers: Vec<Share> = all.alert_by_tier.values().copied().collect();
    assert_eq!(tiers, [share(1, 2), share(1, 2), share(0, 2)]);
    assert_eq!(all.ppv, share(1, 2));
    let of = |concept: &str| all.ppv_by_concept[&ConceptId(concept.to_owned())];
    assert_eq!((of("chest_pain"), of("fever")), (share(1, 1), share(0, 1)));
    // The first was taken after 60 s and closed after 600.
    assert_eq!((all.orders, all.late), (2, share(1, 2)));
    assert_eq!(
        (all.acknowledge.p50_s, all.close.p50_s),
        (Some(60.0), Some(600.0))
    );
    assert!(
        all.acknowledge.p90_s.is_some_and(|p90| p90 > 600.0),
        "{:?}",
        all.acknowledge
    );
    // 8 and, of 5 and 6, the later; 9, 9 and 4.
    assert_eq!(
        (all.satisfaction.answers, all.satisfaction.mean),
        (2, Some(7.0))
    );
    let hundredths = |value: Option<f64>| value.map(|value| (100.0 * value).round());
    assert_eq!((all.nps_answers, hundredths(all.nps)), (3, Some(3333.0)));
    // Five times 1.5 min of talk at 0.1, six calls at 0.05, two orders of 6 min at 60 an hour: 13.05 for two.
    assert_eq!(hundredths(all.cost_per_completed), Some(653.0));
    // Two calls of 8 min less two orders of 6.
    assert_eq!(hundredths(all.nurse_hours_saved), Some(7.0));
    assert_eq!(
        (all.orders_per_shift, all.too_many_orders),
        (Some(2.0), true)
    );
    assert!(!Figure::Reach.value(&all).alarm && Figure::ScreenCompletion.value(&all).alarm);

    let wards = Figures::by(&facts, By::Ward, &Rates::default(), |_| None);
    let reach = |ward: &str| wards[ward].reach;
    assert_eq!((reach("5A"), reach("6B")), (share(3, 4), share(1, 2)));
    assert_eq!(wards["5A"].cost_per_completed, None, "no rate is set");
    let ages = Figures::by(&facts, By::AgeBand, &Rates::default(), |_| None);
    assert_eq!(
        (ages["65-79"].coverage, ages["80+"].coverage),
        (share(4, 5), share(2, 2))
    );
    let dialects = Figures::by(&facts, By::Dialect, &Rates::default(), |_| None);
    assert_eq!(dialects["sichuan"].reach, share(4, 6));
    // Two calls with patients and one with a relative, each with an alert's order; nobody said who they were in three.
    let parties = Figures::by(&facts, By::Party, &Rates::default(), |_| None);
    let reach = |party: &str| parties[party].reach;
    assert_eq!(
        (reach("patient"), reach("proxy"), reach("")),
        (share(2, 2), share(1, 1), share(1, 3))
    );
    let by_day = Figures::by(&facts, By::Day, &Rates::default(), |_| None);
    // Due on the 20th, dialled on the 21st.
    assert_eq!(by_day["2026-09-20"].coverage, share(6, 7));
    assert_eq!(by_day["2026-09-21"].reach, share(4, 6));

    // Every call came to the node `chest` twice, and said yes.
    let nodes = store
        .node_figures("cardiac", &period, &Wards::ALL)
        .await
        .expect("read");
    let chest = nodes
        .iter()
        .find(|node| node.node.0 == "chest")
        .expect("asked");
    assert_eq!((chest.reached, chest.asked), (6, 12));
    // Who broke off did so at the last score that was asked.
    assert_eq!(
        (chest.hung_up, chest.not_understood, chest.silent),
        (0, 0, 0)
    );
    let last = nodes
        .iter()
        .find(|node| node.node.0 == "satisfaction")
        .expect("asked");
    assert_eq!((last.reached, last.asked, last.hung_up), (2, 3, 1));
    assert_eq!(
        chest.seconds,
        Some(0.0),
        "the tests' turns begin at one time"
    );

    let own = Wards::only(vec!["6B".to_owned()]);
    let seen = store.facts(&period, &own).await.expect("read");
    assert_eq!(
        (seen.calls.len(), seen.due.len(), seen.orders.len()),
        (2, 2, 1)
    );
    let later = days(date(2026, 9, 22), date(2026, 9, 23));
    let none = store.facts(&later, &Wards::ALL).await.expect("read");
    let none = Figures::of(&none, &RATES, None);
    assert_eq!((none.reach.value(), none.cost_per_completed), (None, None));
}

#[tokio::test]
async fn figures_are_shown_drilled_into_and_taken_along() {
    let server = Server::start().await;
    a_day(&server.store).await;
    let asked = "first=2026-09-20&last=2026-09-21";
    let shown = server
        .get(&format!("/figures?{asked}&by=ward&lang=zh"))
        .await;
    let value = |figures: &serde_json::Value, id: &str| {
        let values = figures["values"].as_array().expect("a list");
        let found = values.iter().find(|value| value["id"] == id);
        found.expect("in the catalogue").clone()
    };
    let reach = value(&shown["all"], "reach");
    assert_eq!((&reach["part"], &reach["of"]), (&4.into(), &6.into()));
    assert_eq!(shown["wards"], serde_json::json!(["5A", "6B"]));
    assert_eq!(shown["catalogue"][0]["name"], "覆盖率");
    // Two wards, two days, three shifts of one nurse each: 2 of 12.
    let orders = value(&shown["all"], "orders_per_shift")["value"].as_f64();
    assert!(
        orders.is_some_and(|orders| (orders - 2.0 / 12.0).abs() < 1e-9),
        "{orders:?}"
    );
    let narrowed = server.get(&format!("/figures?{asked}&ages=80%2B")).await;
    assert_eq!(value(&narrowed["all"], "reach")["of"], 2);

    let calls = server
        .get(&format!("/figures/calls?{asked}&only=not_reached"))
        .await;
    assert_eq!(calls["total"], 2);
    let whole = calls.to_string();
    assert!(
        !whole.contains("张建国") && !whole.contains("13800"),
        "{whole}"
    );

    let sheet = send(server.request(Method::GET, &format!("/figures/sheet?{asked}&by=ward"))).await;
    assert_eq!(sheet.status(), StatusCode::OK);
    let bytes = sheet.bytes().await.expect("a body");
    let mut book = Xlsx::new(std::io::Cursor::new(bytes)).expect("a workbook");
    let page = book.worksheet_range("Figure").expect("the figures");
    let row = page
        .rows()
        .find(|row| row[0] == Data::String("Reach, by attempt".to_owned()));
    let row = row.expect("reach has a row");
    assert_eq!((&row[2], &row[3]), (&Data::Float(4.0), &Data::Float(6.0)));
    assert_eq!(
        book.worksheet_range("Group").expect("the wards").height(),
        3
    );

    // An author sees counts and no calls; a nurse sees neither.
    account(&server.store, "wen", &[Role::Author], &Wards::ALL).await;
    account(&server.store, "li", &[Role::Nurse], &Wards::ALL).await;
    let (author, nurse) = (
        Browser::open(&server, "wen").await,
        Browser::open(&server, "li").await,
    );
    assert_eq!(author.status(Method::GET, "/figures").await, 200);
    assert_eq!(author.status(Method::GET, "/figures/calls").await, 403);
    assert_eq!(nurse.status(Method::GET, "/figures").await, 403);
    let backwards = server.request(Method::GET, "/figures?first=2026-09-22&last=2026-09-21");
    crate::web::problem(backwards, 400, "invalid_body").await;
}
