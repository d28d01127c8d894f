//! The pages as a browser gets them, and the stream that keeps them fresh.

use std::time::Duration;

use aftercall_core::finding::Urgency;
use aftercall_core::work_order::Cause;
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::record::{at, calling, finding, raise};
use crate::web::{Server, problem, send};

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

#[tokio::test]
async fn a_browser_gets_the_pages_at_any_path_that_is_not_the_apis() {
    let server = Server::start().await;
    for path in ["/", "/worklist", "/worklist/018f-any", "/qa"] {
        let page = send(server.bare(Method::GET, path).header("accept", HTML)).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        let header = |name: &str| page.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert!(policy.contains("script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("http"), "nothing from elsewhere: {policy}");
        let page = page.text().await.expect("text");
        assert!(page.starts_with("<!doctype html>"), "{page}");
    }
    for path in ["/api", "/api/v1/nowhere", "/api/nowhere"] {
        let asked = server.bare(Method::GET, path).header("accept", HTML);
        problem(asked, 404, "no_route").await;
    }
    let posted = server
        .bare(Method::POST, "/worklist")
        .header("accept", HTML);
    problem(posted, 404, "no_route").await;
    for path in ["/assets/none.js", "/../Cargo.toml", "/.gitkeep"] {
        let asked = server.bare(Method::GET, path).header("accept", "*/*");
        problem(asked, 404, "no_route").await;
    }
}

/// The lines that a stream tells, one a call.
struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    async fn open(server: &Server, last: &str) -> Self {
        let asked = server.request(Method::GET, "/events");
        let response = send(asked.header("last-event-id", last)).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            text: String::new(),
        }
    }

    /// The next event: its id, if it has one, and its data.
    async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| {
                        line.strip_prefix(name).map(|value| value.trim().to_owned())
                    })
                };
                let data = field("data:").expect("every event has data");
                let told = (field("id:"), serde_json::from_str(&data).expect("JSON"));
                self.text = rest.to_owned();
                return told;
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.response.chunk());
            let more = more.await.expect("the stream beats").expect("read");
            let more = more.expect("the stream goes on");
            self.text
                .push_str(std::str::from_utf8(&more).expect("text"));
        }
    }

    /// The next event of this kind.
    async fn until(&mut self, event: &str) -> (Option<String>, Value) {
        loop {
            let told = self.next().await;
            if told.1["event"] == event {
                return told;
            }
        }
    }
}

#[tokio::test]
async fn what_changes_is_told_once_and_again_to_who_missed_it() {
    let server = Server::start().await;
    problem(
        server.bare(Method::GET, "/api/v1/events"),
        401,
        "unauthorised",
    )
    .await;
    let mut stream = Stream::open(&server, "").await;
    let (id, clock) = stream.next().await;
    assert_eq!((id, &clock["event"]), (None, &Value::from("clock")));
    assert!(clock["now"].is_string(), "the page keeps the engine's time");

    let (new, _) = calling(&server.store, "1").await;
    let (_, call) = stream.until("call.dialling").await;
    assert_eq!(call["subject"], new.id.0.as_str());
    let cause = |concept: &str| Cause::Finding {
        finding: Box::new(finding(concept, Urgency::Emergent)),
        attempt: Some(new.id.clone()),
    };
    let raised = raise(&new, vec![cause("chest_pain")]);
    let raised = server.store.raise_or_join_work_order(&raised, at(2)).await;
    let order = raised.expect("saved").expect("raised").id;
    let (first, told) = stream.until("work_order.raised").await;
    assert_eq!(told["subject"], order.0.as_str());
    assert_eq!(
        told.as_object().expect("an object").len(),
        2,
        "ids only: {told}"
    );
    drop(stream);

    let take = format!("/work-orders/{order}/acknowledge");
    let taken = send(server.request(Method::POST, &take)).await;
    assert_eq!(taken.status(), StatusCode::OK);
    let mut stream = Stream::open(&server, &first.expect("an event has an id")).await;
    stream.until("clock").await;
    let (id, missed) = stream.next().await;
    assert_eq!(missed["event"], "work_order.acknowledged");
    assert!(id.is_some());
}

#[tokio::test]
async fn the_site_names_hospital_zone_and_concepts() {
    let server = Server::start().await;
    let site = server.get("/site").await;
    assert_eq!(site["zone"], "Asia/Shanghai");
    let concepts = site["concepts"].as_array().expect("a list");
    let named = |id: &str| concepts.iter().find(|concept| concept["id"] == id);
    let chest = named("chest_pain").expect("a concept");
    assert_eq!(chest["en"], "chest pain, pressure or tightness");
    assert!(named("high_fever").is_some(), "details have names too");
    for concept in concepts {
        for lang in ["zh", "en"] {
            assert!(
                !concept[lang].as_str().expect("text").is_empty(),
                "{concept}"
            );
        }
    }
}
