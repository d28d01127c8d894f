//! Traces as a collector receives them: OTLP over real HTTP.

use std::sync::{Arc, Mutex};

use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::spans::Spans;
use aftercall::store::Store;
use aftercall_core::attempt::Disposition;
use aftercall_core::finding::{Confirmation, Urgency};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::record::{at, calling, clinic, finding, finish, master_key, turn};

type Bodies = Arc<Mutex<Vec<Bytes>>>;

async fn keep(State(bodies): State<Bodies>, body: Bytes) {
    bodies.lock().expect("no panic").push(body);
}

async fn collector() -> (String, Bodies) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let bodies = Bodies::default();
    let router = Router::new()
        .route("/v1/traces", post(keep))
        .with_state(Arc::clone(&bodies));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, bodies)
}

/// What a span says of itself, `name=value` each.
fn attributes(span: &Span) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?} is not sent"),
    };
    let all = span.attributes.iter().map(|pair| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        format!("{}={}", pair.key, text(value.expect("a value")))
    });
    all.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_in_spans_without_a_word_of_it() {
    let (url, bodies) = collector().await;
    let spans = Spans::open(&url, "one").expect("an address");
    let store = Store::open("sqlite::memory:", &master_key())
        .await
        .expect("a new database");
    let (new, enrolment) = calling(&store, "1").await;
    let clock = PlanClock::set_to(at(60));
    let rules = Rules::of(&Config::default(), clock, clinic()).expect("the defaults are lawful");
    let mut recorder = Recorder::new(store.clone(), rules).traced_by(spans.clone());
    let mut placed = finding("chest_pain", Urgency::Emergent);
    placed.finding.confirmation = Confirmation::Confirmed;
    let record = finish(&new, Disposition::Completed, vec![placed.clone()]).record;
    for what in [
        Told::Ringing,
        Told::Answered,
        Told::Turn(Box::new(turn(0))),
        Told::Found {
            position: 0,
            placed: Box::new(placed),
        },
        Told::Turn(Box::new(turn(1))),
        Told::Ended(Box::new(record)),
    ] {
        let report = Report {
            attempt: new.id.clone(),
            what,
        };
        assert!(recorder.record(&report).await);
    }
    let closed = tokio::task::spawn_blocking(move || spans.close());
    closed.await.expect("no panic");

    let bodies = bodies.lock().expect("no panic").clone();
    let requests = bodies
        .iter()
        .map(|body| ExportTraceServiceRequest::decode(body.clone()).expect("OTLP"));
    let resources: Vec<_> = requests
        .flat_map(|request| request.resource_spans)
        .collect();
    let told: Vec<Span> = resources
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect();
    let call = told.iter().find(|span| span.name == "call").expect("one");
    assert_eq!(
        attributes(call),
        [
            format!("attempt.id={}", new.id),
            "disposition=completed".to_owned()
        ]
    );
    assert!(call.parent_span_id.is_empty() && call.start_time_unix_nano > 0);
    let below = |name: &str| {
        let named = told.iter().filter(|span| span.name == name);
        let below = named.inspect(|span| {
            assert_eq!(
                (&span.trace_id, &span.parent_span_id),
                (&call.trace_id, &call.span_id)
            );
        });
        below.map(attributes).collect::<Vec<_>>()
    };
    assert_eq!(below("turn"), [["turn.index=0"], ["turn.index=1"]]);
    let orders = below("order");
    assert!(!orders.is_empty());
    for order in &orders {
        assert!(
            order[0].starts_with("order.id=") && order.len() == 2,
            "{order:?}"
        );
        assert_eq!(order[1], "order.urgency=emergent");
    }
    // Nothing of the patient, or of what was asked, said and found.
    let turn = turn(0);
    for secret in [
        enrolment.patient.name.expose().as_str(),
        "8613800",
        "chest",
        turn.node.0.as_str(),
    ] {
        for body in &bodies {
            let found = body
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} went out");
        }
    }
}

#[tokio::test]
async fn without_a_collector_nothing_is_kept_or_sent() {
    let spans = Spans::open("", "one").expect("none");
    assert!(
        spans
            .call(&aftercall_core::id::AttemptId("a".to_owned()), at(0))
            .is_none()
    );
    spans.close();
}
