//! What admins do over HTTP: find a patient, stop a ward, close an hour that reaches nobody, look at the trunk.

use aftercall_core::attempt::{AnsweredBy, Disposition};
use aftercall_core::phi::Phi;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::people::{Browser, account};
use crate::record::{at, enrolment, finish, new_attempt};
use crate::web::{Server, body, problem, send};

#[tokio::test]
async fn a_patient_is_found_without_a_name_in_a_url() {
    let server = Server::start().await;
    for number in ["7", "8"] {
        let mut new = enrolment(number);
        new.episode.ward = format!("{number}A");
        let saved = server
            .store
            .save_patient_with_episode_and_steps(&new, "test", at(0))
            .await;
        saved.expect("saved");
    }
    let found = |text: &str| {
        server
            .request(Method::POST, "/patients/find")
            .json(&json!({ "text": text }))
    };
    let count = async |text: &str| {
        let found = body(send(found(text)).await).await;
        found["items"].as_array().expect("a list").len()
    };
    assert_eq!(
        (count("7").await, count("张建").await, count("建国").await),
        (1, 2, 0)
    );
    // A number that is somebody's is looked for in no name; two hospitals may give the same one.
    for (number, hospital, name) in [
        ("9", "first", "7 Ng"),
        ("7", "branch", "何"),
        ("5", "zoo", "何"),
    ] {
        let mut new = enrolment(number);
        new.patient.hospital = hospital.to_owned();
        new.patient.name = Phi::new(name.to_owned());
        let saved = server
            .store
            .save_patient_with_episode_and_steps(&new, "test", at(0));
        saved.await.expect("saved");
    }
    let counts = (count("7").await, count("5").await, count("7 n").await);
    assert_eq!(counts, (2, 1, 1));
    // What a pattern would mean is a letter.
    assert_eq!((count("%").await, count("_").await), (0, 0));
    problem(found("  "), 400, "invalid_body").await;
    account(
        &server.store,
        "li",
        &[Role::Nurse],
        &Wards::only(vec!["8A".to_owned()]),
    )
    .await;
    let nurse = Browser::open(&server, "li").await;
    let own = nurse
        .request(Method::POST, "/patients/find")
        .json(&json!({ "text": "张" }));
    let own = body(send(own).await).await;
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(own["items"][0]["wards"], json!(["8A"]));
}

#[tokio::test]
async fn who_sees_a_ward_stops_that_ward() {
    let server = Server::start().await;
    let saved = server
        .store
        .save_patient_with_episode_and_steps(&enrolment("1"), "test", at(0))
        .await;
    saved.expect("saved");
    account(
        &server.store,
        "gang",
        &[Role::SystemAdmin],
        &Wards::only(vec!["5A".to_owned()]),
    )
    .await;
    let admin = Browser::open(&server, "gang").await;
    let stop = |sent: Value| admin.request(Method::POST, "/pauses").json(&sent);
    problem(stop(json!({ "why": "flood" })), 403, "not_allowed").await;
    problem(
        stop(json!({ "ward": "6B", "why": "flood" })),
        403,
        "not_allowed",
    )
    .await;
    problem(
        stop(json!({ "ward": "5A", "why": " " })),
        400,
        "invalid_body",
    )
    .await;
    let stopped = send(stop(json!({ "ward": "5A", "why": "flood" }))).await;
    assert_eq!(stopped.status(), StatusCode::CREATED);
    let listed = server.get("/pauses").await;
    assert_eq!(listed["wards"], json!(["5A"]));
    assert_eq!(
        (&listed["items"][0]["ward"], &listed["items"][0]["by"]),
        (&json!("5A"), &json!("gang"))
    );
    let end = || {
        admin
            .request(Method::POST, "/pauses/end")
            .json(&json!({ "ward": "5A" }))
    };
    assert_eq!(send(end()).await.status(), StatusCode::NO_CONTENT);
    problem(end(), 404, "not_found").await;
}

#[tokio::test]
async fn an_hour_that_reaches_nobody_is_closed_by_who_signed_in() {
    let server = Server::start().await;
    let shown = server.get("/calling-hours").await;
    let week = |layer: usize, day: usize| shown["layers"][layer]["week"][day].clone();
    assert_eq!(shown["layers"][0]["layer"], "law");
    assert_eq!(
        week(0, 6),
        json!([{ "from": "08:00:00", "to": "21:00:00" }])
    );
    let hours =
        json!([{ "from": "09:00:00", "to": "12:00:00" }, { "from": "14:00:00", "to": "20:00:00" }]);
    assert_eq!(
        (&shown["layers"][1]["layer"], week(1, 0)),
        (&json!("hospital"), hours)
    );

    // Ten weeks: nobody at 14 o'clock of some weekday, everybody at three other hours.
    let begun = Timestamp::now() - SignedDuration::from_hours(24 * 80);
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone");
    let mut number = 0;
    for week in 0..10 {
        let day = zone
            .to_datetime(begun + SignedDuration::from_hours(24 * 7 * week))
            .date();
        for (hour, answered) in [(14, false), (9, true), (10, true), (15, true), (16, true)] {
            for minute in 0..4 {
                number += 1;
                let began = day.at(hour, 10 * minute, 0, 0).to_zoned(zone.clone());
                call(
                    &server,
                    number,
                    began.expect("a time").timestamp(),
                    answered,
                )
                .await;
            }
        }
    }
    let reach = server.get("/calling-hours/reach").await;
    assert_eq!(
        (&reach["all"]["tries"], &reach["all"]["reached"]),
        (&json!(200), &json!(160))
    );
    let proposals = reach["proposals"].as_array().expect("a list");
    assert_eq!(proposals.len(), 1, "{proposals:?}");
    let hour = proposals[0]["id"].as_str().expect("an hour").to_owned();
    assert!(
        hour.starts_with("65-79.") && hour.ends_with(".14"),
        "{hour}"
    );
    assert!(proposals[0]["rate"]["high"].as_f64() < proposals[0]["today"]["rate"].as_f64());

    account(&server.store, "gang", &[Role::SystemAdmin], &Wards::ALL).await;
    let admin = Browser::open(&server, "gang").await;
    let change = |to: &str, hour: &str| {
        let request = admin.request(Method::POST, &format!("/calling-hours/{to}"));
        request.json(&json!({ "hour": hour }))
    };
    problem(change("close", "65-79.mon.25"), 400, "invalid_body").await;
    let other = hour.replace(".14", ".15");
    problem(change("close", &other), 409, "not_proposed").await;
    assert_eq!(
        send(change("close", &hour)).await.status(),
        StatusCode::NO_CONTENT
    );
    let reach = server.get("/calling-hours/reach").await;
    assert_eq!(
        (&reach["closed"][0]["id"], &reach["closed"][0]["by"]),
        (&json!(hour), &json!("gang"))
    );
    assert_eq!(reach["proposals"], json!([]));
    assert_eq!(
        send(change("open", &hour)).await.status(),
        StatusCode::NO_CONTENT
    );
    problem(change("open", &hour), 409, "not_closed_hour").await;

    let trunks = server.get("/trunks").await;
    let trunk = &trunks["items"][0];
    assert_eq!(
        (&trunk["name"], &trunk["loopback"]),
        (&json!("loopback"), &json!(true))
    );
    assert_eq!(
        (&trunk["health"], &trunk["endings"]["no_answer"]),
        (&json!("ok"), &json!(20))
    );
}

/// A call that was made then, and how it ended.
async fn call(server: &Server, number: u32, began: Timestamp, answered: bool) {
    let new = enrolment(&number.to_string());
    let saved = server
        .store
        .save_patient_with_episode_and_steps(&new, "test", at(0))
        .await;
    saved.expect("saved");
    let mut attempt = new_attempt(&new.steps[0], new.patient.phone.clone());
    attempt.step = None;
    attempt.started_at = began;
    server.store.begin_attempt(&attempt).await.expect("begun");
    let disposition = if answered {
        Disposition::Unidentified
    } else {
        Disposition::NoAnswer
    };
    let mut end = finish(&attempt, disposition, Vec::new());
    end.step = None;
    end.raise = None;
    end.record.progress.identified = false;
    end.record.ending.answered_by = if answered {
        AnsweredBy::Human
    } else {
        AnsweredBy::Nobody
    };
    server.store.finish_attempt(&end).await.expect("ended");
}

#[tokio::test]
async fn an_admin_sets_the_hours_of_a_week_within_the_law() {
    let server = Server::start().await;
    let zone = jiff::tz::TimeZone::get("Asia/Shanghai").expect("a zone");
    let today = zone.to_datetime(Timestamp::now());
    let mut new = enrolment("7");
    new.steps.truncate(1);
    new.steps[0].due_on = today.date();
    new.steps[0].lapses_on = today.date() + jiff::Span::new().days(3);
    let saved = server
        .store
        .save_patient_with_episode_and_steps(&new, "test", at(0));
    saved.await.expect("saved");
    account(&server.store, "gang", &[Role::SystemAdmin], &Wards::ALL).await;
    account(&server.store, "li", &[Role::Nurse], &Wards::ALL).await;
    let admin = Browser::open(&server, "gang").await;
    let put = |body: Value| admin.request(Method::PUT, "/calling-hours").json(&body);
    let week = |from: &str, to: &str| json!(vec![json!([{ "from": from, "to": to }]); 7]);
    let evening = week("17:00:00", "20:30:00");

    let early = put(json!({ "week": week("07:30:00", "12:00:00") }));
    let refused = problem(early, 400, "invalid_body").await;
    assert_eq!(refused["field"], "week");
    let words = refused["detail"].as_str().expect("words");
    assert!(
        words.contains("outside the hours the law allows"),
        "{words}"
    );
    problem(
        put(json!({ "week": [[], [], [], [], [], [], []] })),
        400,
        "invalid_body",
    )
    .await;
    problem(put(json!({ "week": [[]] })), 400, "invalid_body").await;
    let nowhere = json!({ "department": "nowhere", "week": evening });
    assert_eq!(
        problem(put(nowhere), 400, "invalid_body").await["field"],
        "department"
    );
    let nurse = Browser::open(&server, "li").await;
    let hers = nurse
        .request(Method::PUT, "/calling-hours")
        .json(&json!({ "week": evening }));
    problem(hers, 403, "not_allowed").await;
    assert_eq!(
        server.get("/calling-hours").await["layers"][1]["set"],
        Value::Null
    );

    let done = send(put(json!({ "week": evening }))).await;
    assert_eq!(done.status(), StatusCode::NO_CONTENT);
    let department = new.episode.department.as_str();
    // An hour that is not now.
    let (from, to) = match today.hour() {
        18 | 19 => ("17:00:00", "18:00:00"),
        _ => ("18:30:00", "19:30:00"),
    };
    let of_department = json!({ "department": department, "week": week(from, to) });
    assert_eq!(
        send(put(of_department)).await.status(),
        StatusCode::NO_CONTENT
    );
    let shown = server.get("/calling-hours").await;
    let layer = |place: usize| {
        let layer = &shown["layers"][place];
        (
            layer["name"].clone(),
            layer["week"][6].clone(),
            layer["set"]["by"].clone(),
        )
    };
    let evening_of = |from: &str, to: &str| json!([{ "from": from, "to": to }]);
    assert_eq!(
        layer(1),
        (json!(""), evening_of("17:00:00", "20:30:00"), json!("gang"))
    );
    assert_eq!(
        layer(2),
        (json!(department), evening_of(from, to), json!("gang"))
    );
    // What the dial loop asks too.
    let why = server
        .get(&format!("/patients/{}/why?lang=en", new.patient.id.0))
        .await;
    let next = &why["steps"][0]["now"];
    assert_eq!(
        (&next["answer"], &next["code"]),
        (&json!("wait"), &json!("outside_window"))
    );
    let until: Timestamp = next["until"]
        .as_str()
        .expect("an instant")
        .parse()
        .expect("RFC 3339");
    assert_eq!(zone.to_datetime(until).time().to_string(), from);

    let reset = |query: &str| admin.request(Method::DELETE, &format!("/calling-hours{query}"));
    let of_department = format!("?department={department}");
    for query in ["", &of_department] {
        assert_eq!(send(reset(query)).await.status(), StatusCode::NO_CONTENT);
        problem(reset(query), 409, "hours_not_set").await;
    }
    let shown = server.get("/calling-hours").await;
    assert_eq!(shown["layers"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        shown["layers"][1]["week"][0].as_array().map(Vec::len),
        Some(2)
    );
    account(&server.store, "wang", &[Role::Auditor], &Wards::ALL).await;
    let auditor = Browser::open(&server, "wang").await;
    let rows = auditor.request(Method::GET, "/audit/log?what=calling_hours.set");
    let rows = body(send(rows).await).await;
    assert_eq!(rows["items"].as_array().map(Vec::len), Some(2), "{rows}");
}
