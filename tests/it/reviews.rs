//! Calls that go on, QA's list of calls and its reviews: the list on both databases; the rest over real HTTP.

use aftercall::store::Store;
use aftercall::store::call_list::{CallFilter, ReviewState};
use aftercall::store::page::PageRequest;
use aftercall_core::attempt::Disposition;
use aftercall_core::finding::Urgency;
use aftercall_core::id::{AttemptId, ConceptId};
use aftercall_core::phi::Phi;
use aftercall_core::review::form::{Form, read};
use aftercall_core::review::{Is, Mark, Review};
use aftercall_core::staff::{Role, Wards};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::people::{Browser, account};
use crate::record::{at, calling, finding, finish, turn};
use crate::web::{Server, body, problem, send};

/// The forms that lie in `dialogs/`.
pub fn forms() -> Vec<Form> {
    read(
        "dialogs/review.toml",
        include_str!("../../dialogs/review.toml"),
    )
    .expect("the forms that we deliver are sound")
}

/// A call that has ended so.
async fn call(store: &Store, number: &str, disposition: Disposition, concept: &str) -> AttemptId {
    let (new, _) = calling(store, number).await;
    let found = vec![finding(concept, Urgency::Emergent)];
    let end = finish(&new, disposition, found);
    store.finish_attempt(&end).await.expect("it ends");
    new.id
}

async fn listed(store: &Store, filter: CallFilter, by: &str, wards: &Wards) -> Vec<AttemptId> {
    let page = store
        .call_list(&filter, by, wards, &PageRequest::default())
        .await
        .expect("listed");
    page.items
        .into_iter()
        .map(|line| line.row.attempt.id)
        .collect()
}

pub async fn a_list_of_calls_is_narrowed_by_what_is_asked(store: Store) {
    let pain = call(&store, "1", Disposition::Completed, "chest_pain").await;
    let fever = call(&store, "2", Disposition::Partial, "fever").await;
    let review = Review::default();
    for (attempt, who) in [(&pain, "li"), (&pain, "wang"), (&fever, "li")] {
        store
            .save_review(attempt, who, &review, at(500))
            .await
            .expect("saved");
    }
    let one = |change: fn(&mut CallFilter)| {
        let mut filter = CallFilter::default();
        change(&mut filter);
        filter
    };
    let (both, first, second) = (
        vec![fever.clone(), pain.clone()],
        vec![pain.clone()],
        vec![fever.clone()],
    );
    for (filter, by, expected) in [
        (one(|_| ()), "li", &both),
        (
            one(|f| f.patient = Some(Phi::new("2".into()))),
            "li",
            &second,
        ),
        (
            one(|f| f.patient = Some(Phi::new("张建国".into()))),
            "li",
            &both,
        ),
        (
            one(|f| f.disposition = Some(Disposition::Completed)),
            "li",
            &first,
        ),
        (one(|f| f.script = Some("surgery".into())), "li", &vec![]),
        (one(|f| f.ward = Some("5A".into())), "li", &both),
        (one(|f| f.ward = Some("9C".into())), "li", &vec![]),
        (
            one(|f| f.concept = Some(ConceptId("fever".into()))),
            "li",
            &second,
        ),
        (one(|f| f.answered = true), "li", &vec![]),
        (one(|f| f.since = Some(at(2))), "li", &vec![]),
        (one(|f| f.until = Some(at(1))), "li", &vec![]),
        (one(|f| f.until = Some(at(2))), "li", &both),
        (one(|f| f.reviews = Some(ReviewState::None)), "li", &vec![]),
        (one(|f| f.reviews = Some(ReviewState::Twice)), "li", &first),
        (
            one(|f| f.reviews = Some(ReviewState::Second)),
            "wang",
            &second,
        ),
        (
            one(|f| f.reviews = Some(ReviewState::Second)),
            "li",
            &vec![],
        ),
        (one(|f| f.reviews = Some(ReviewState::Mine)), "wang", &first),
    ] {
        let said = format!("{filter:?} by {by}");
        let mut found = listed(&store, filter, by, &Wards::ALL).await;
        // Both began at the same second: their order is that of their ids.
        found.sort_by(|a, b| b.cmp(a));
        let mut expected = expected.clone();
        expected.sort_by(|a, b| b.cmp(a));
        assert_eq!(found, expected, "{said}");
    }
    let elsewhere = Wards::only(vec!["9C".to_owned()]);
    assert_eq!(
        listed(&store, CallFilter::default(), "li", &elsewhere).await,
        []
    );
    let page = PageRequest {
        limit: 1,
        after: None,
    };
    let page = store
        .call_list(&CallFilter::default(), "wang", &Wards::ALL, &page)
        .await
        .expect("listed");
    let rest = PageRequest {
        limit: 1,
        after: page.next,
    };
    let rest = store
        .call_list(&CallFilter::default(), "wang", &Wards::ALL, &rest)
        .await
        .expect("listed");
    let lines: Vec<_> = page.items.iter().chain(&rest.items).collect();
    assert_eq!((lines.len(), rest.next), (2, None));
    for line in lines {
        let is_pain = line.row.attempt.id == pain;
        let found: Vec<_> = line
            .found
            .iter()
            .map(|concept| concept.0.as_str())
            .collect();
        assert_eq!(found, [if is_pain { "chest_pain" } else { "fever" }]);
        assert_eq!(
            (line.reviews, line.mine),
            if is_pain { (2, true) } else { (1, false) }
        );
        assert_eq!(line.ward.as_deref(), Some("5A"));
    }
}

pub async fn a_review_stays_as_it_was_compared(store: Store) {
    let attempt = call(&store, "1", Disposition::Completed, "chest_pain").await;
    let mark = |is| Review {
        marks: vec![Mark::Finding { position: 0, is }],
        note: Phi::new("听了两遍".to_owned()),
        ..Review::default()
    };
    let save = async |who: &str, is: Is, seconds: i64| {
        store
            .save_review(&attempt, who, &mark(is), at(seconds))
            .await
    };
    save("li", Is::Wrong, 1).await.expect("the first");
    save("li", Is::Right, 2)
        .await
        .expect("nobody has compared it");
    save("wang", Is::Wrong, 3).await.expect("the second");
    let late = save("li", Is::Wrong, 4).await.expect_err("it was compared");
    assert!(late.to_string().contains("compared"), "{late}");
    let rows = store.reviews(&attempt).await.expect("read");
    let given: Vec<_> = rows
        .iter()
        .map(|row| (row.reviewer.as_str(), row.at, row.review.clone()))
        .collect();
    assert_eq!(
        given,
        [
            ("li", at(2), mark(Is::Right)),
            ("wang", at(3), mark(Is::Wrong))
        ]
    );
    assert_eq!(store.all_reviews().await.expect("read"), rows);
}

/// A review that finds everything in order but says this of the call's one finding.
fn review(is: &str) -> Value {
    let form = &forms()[0];
    let scores: serde_json::Map<String, Value> = form
        .criteria
        .iter()
        .map(|one| (one.id.clone(), one.options[0].id.clone().into()))
        .collect();
    json!({
        "form": form.id, "revision": form.revision, "scores": scores, "note": "",
        "marks": [{ "of": "finding", "position": 0, "is": is }]
    })
}

#[tokio::test]
async fn a_second_reviewer_sees_nothing_of_the_first_before_both_are_compared() {
    let server = Server::start().await;
    let attempt = call(&server.store, "1", Disposition::Completed, "chest_pain").await;
    for name in ["li.na", "wang.min"] {
        account(&server.store, name, &[Role::Qa], &Wards::ALL).await;
    }
    account(&server.store, "sun", &[Role::Nurse], &Wards::ALL).await;
    let (first, second) = (
        Browser::open(&server, "li.na").await,
        Browser::open(&server, "wang.min").await,
    );
    let path = format!("/calls/{attempt}/review");
    let all = format!("/calls/{attempt}/reviews");
    let given = send(first.request(Method::PUT, &path).json(&review("wrong"))).await;
    assert_eq!(given.status(), StatusCode::OK);
    let seen = body(send(second.request(Method::GET, &all)).await).await;
    assert_eq!(
        (&seen["mine"], &seen["others"], &seen["count"]),
        (&Value::Null, &json!([]), &json!(1))
    );
    let due = json!({ "reviews": "second" });
    let list = body(send(second.request(Method::POST, "/calls/search").json(&due)).await).await;
    assert_eq!(list["items"][0]["attempt"]["id"], attempt.0);
    let given = send(second.request(Method::PUT, &path).json(&review("right"))).await;
    let seen = body(given).await;
    assert_eq!(seen["others"][0]["reviewer"], "li.na");
    assert_eq!(seen["others"][0]["marks"][0]["is"], "wrong");
    let late = first.request(Method::PUT, &path).json(&review("right"));
    problem(late, 409, "already_compared").await;

    let agreement = body(send(first.request(Method::GET, "/review/agreement")).await).await;
    let lines = agreement[0]["lines"].as_array().expect("lines");
    let line = |about: &str| {
        lines
            .iter()
            .find(|line| line["about"] == about)
            .expect("a line")
    };
    assert_eq!(
        (&line("findings")["items"], &line("findings")["share"]),
        (&json!(1), &json!(0.0))
    );
    assert_eq!(line("criterion")["share"], json!(1.0));

    let nurse = Browser::open(&server, "sun").await;
    problem(nurse.request(Method::GET, &all), 403, "not_allowed").await;
}

#[tokio::test]
async fn a_review_that_is_wrong_names_the_place() {
    let server = Server::start().await;
    let attempt = call(&server.store, "1", Disposition::Completed, "chest_pain").await;
    let with = |member: &str, value: Value| {
        let mut body = review("right");
        body[member] = value;
        body
    };
    for (body, field) in [
        (with("form", json!("none")), "form"),
        (with("revision", json!(99)), "revision"),
        (with("scores", json!({})), "scores.identity"),
        (
            with(
                "marks",
                json!([{ "of": "finding", "position": 7, "is": "right" }]),
            ),
            "marks[0]",
        ),
        (
            with(
                "marks",
                json!([{ "of": "missed", "turn": 1, "from": 0, "to": 99, "concept": "fever" }]),
            ),
            "marks[0]",
        ),
        (
            with(
                "marks",
                json!([{ "of": "missed", "turn": 1, "from": 0, "to": 2, "concept": "luck" }]),
            ),
            "marks",
        ),
    ] {
        let asked = server.request(Method::PUT, &format!("/calls/{attempt}/review"));
        let said = problem(asked.json(&body), 400, "invalid_body").await;
        assert_eq!(said["field"], field, "{said}");
    }
    let nobody = server.request(Method::PUT, "/calls/018f/review");
    problem(nobody.json(&review("right")), 404, "not_found").await;
    problem(
        server.request(Method::GET, "/calls/018f/reviews"),
        404,
        "not_found",
    )
    .await;
}

#[tokio::test]
async fn what_reviewers_correct_alike_is_exported_without_names() {
    let server = Server::start().await;
    let attempt = call(&server.store, "1", Disposition::Completed, "chest_pain").await;
    let save = async |who: &str, is: Is| {
        let review = Review {
            marks: vec![Mark::Finding { position: 0, is }],
            ..Review::default()
        };
        server
            .store
            .save_review(&attempt, who, &review, at(9))
            .await
            .expect("saved");
    };
    let exported = async || {
        let response = send(server.request(Method::GET, "/review/rows?lang=zh")).await;
        assert_eq!(
            response.headers()["content-type"],
            "text/tab-separated-values; charset=utf-8"
        );
        let text = response.text().await.expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    save("li", Is::Right).await;
    assert_eq!(exported().await.len(), 2, "nothing is corrected");
    save("li", Is::Wrong).await;
    let lines = exported().await;
    assert_eq!(lines.len(), 3);
    assert!(lines[2].starts_with("field-"), "{}", lines[2]);
    assert!(
        lines[2].ends_with("昨天晚上胸口有点闷\t-\tno"),
        "{}",
        lines[2]
    );
    save("wang", Is::Right).await;
    let lines = exported().await;
    assert_eq!(
        (lines.len(), lines[0].as_str()),
        (2, "# left out, because two reviewers differ: 1")
    );
    let english = send(server.request(Method::GET, "/review/rows?lang=en")).await;
    assert_eq!(english.text().await.expect("text").lines().count(), 2);
    assert_eq!(server.audited("review.export").await, 4);
}

#[tokio::test]
async fn an_auditor_finds_who_listened() {
    let server = Server::start().await;
    for (who, what) in [
        ("li", "recording.listen"),
        ("wang", "recording.listen"),
        ("li", "call.read"),
    ] {
        let written = server.store.audit(who, what, "018f-a", "", at(5)).await;
        written.expect("written");
    }
    account(&server.store, "zheng", &[Role::Auditor], &Wards::ALL).await;
    let auditor = Browser::open(&server, "zheng").await;
    let whom = async |query: &str| {
        let asked = auditor.request(Method::GET, &format!("/audit/log?{query}"));
        let list = body(send(asked).await).await;
        let items = list["items"].as_array().expect("items");
        let who = items
            .iter()
            .map(|item| item["who"].as_str().expect("a name").to_owned());
        who.collect::<Vec<_>>()
    };
    assert_eq!(whom("what=recording.listen").await, ["li", "wang"]);
    assert_eq!(
        whom("what=recording.listen&newest=true").await,
        ["wang", "li"]
    );
    assert_eq!(
        whom("what=recording.listen&newest=true&limit=1").await,
        ["wang"]
    );
    assert_eq!(whom("subject=018f-a&who=li").await, ["li", "li"]);
}

#[tokio::test]
async fn a_call_that_goes_on_is_shown_with_its_last_words() {
    let server = Server::start().await;
    let (new, _) = calling(&server.store, "1").await;
    server
        .store
        .append_turn(&new.id, &turn(0))
        .await
        .expect("saved");
    for _ in 0..2 {
        let live = server.get("/live").await;
        assert_eq!(live.as_array().map(Vec::len), Some(1), "{live}");
        assert_eq!(live[0]["attempt"]["id"], new.id.0);
        assert_eq!(
            (&live[0]["asked"], &live[0]["said"], &live[0]["ward"]),
            (
                &json!("您胸口疼吗？"),
                &json!("昨天晚上胸口有点闷"),
                &json!("5A")
            )
        );
    }
    assert_eq!(server.audited("call.read").await, 1, "one look, one line");
    let elsewhere = Wards::only(vec!["9C".to_owned()]);
    account(&server.store, "sun", &[Role::Nurse], &elsewhere).await;
    let nurse = Browser::open(&server, "sun").await;
    let seen = body(send(nurse.request(Method::GET, "/live")).await).await;
    assert_eq!(seen, json!([]));
    let end = finish(&new, Disposition::Completed, vec![]);
    server.store.finish_attempt(&end).await.expect("it ends");
    assert_eq!(server.get("/live").await, json!([]));
}
