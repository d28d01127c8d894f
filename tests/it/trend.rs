//! Trends over whole calls, recorded by the jobs into both databases.

use std::sync::Arc;

use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::store::Store;
use aftercall::store::attempt::{Begun, CallerMost, NewAttempt};
use aftercall::store::observation::{Observation, ObservationKind};
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::{
    AnsweredBy, CallRecord, Disposition, Ending, Progress, Turn, TurnReply,
};
use aftercall_core::finding::{PlacedFinding, Urgency};
use aftercall_core::heard::Transcript;
use aftercall_core::id::{AttemptId, ConceptId, NodeId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::Episode;
use aftercall_core::phi::Phi;
use aftercall_core::plan::Step;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::trend::{Line, trends};
use aftercall_core::work_order::{Cause, WorkOrder};

use crate::postgres::Postgres;
use crate::record::{ENGINE, at, clinic, enrol, master_key};

/// One question and its answer.
struct Said {
    node: &'static str,
    asks: &'static [&'static str],
    prompt: &'static str,
    reply: &'static str,
    meaning: &'static str,
}

const FEVER: Said = Said {
    node: "fever",
    asks: &["fever"],
    prompt: "这几天有没有发烧？",
    reply: "没有",
    meaning: "no",
};
const DIZZY: Said = Said {
    node: "open_question",
    asks: &[],
    prompt: "最后，还有什么不舒服，或者想让护士知道的？",
    reply: "有点头晕",
    meaning: "any",
};
const SAME: Said = Said {
    node: "trend",
    asks: &[],
    prompt: "跟出院的时候比，现在是好一些，差不多，还是差一些？",
    reply: "差不多",
    meaning: "same",
};

/// A patient with a store of its own, rung on one day after the other.
struct Stay {
    store: Store,
    rules: Rules,
    recorder: Recorder,
    lexicon: Arc<Lexicon>,
    episode: Episode,
    steps: Vec<Step>,
}

impl Stay {
    async fn open(url: &str) -> Self {
        let store = Store::open(url, &master_key())
            .await
            .expect("a new database opens");
        let clock = PlanClock::set_to(at(0));
        let rules = Rules::of(&Config::default(), clock, clinic()).expect("lawful");
        let (enrolled, sent) = enrol(&store, "1").await;
        Self {
            recorder: Recorder::new(store.clone(), rules.clone()),
            lexicon: Arc::new(aftercall::redflags::load(None).expect("it compiles")),
            episode: store.episode(&enrolled.episode).await.expect("saved"),
            steps: sent.steps,
            store,
            rules,
        }
    }

    /// Rings on a day of the plan and records what was said, as a call does.
    async fn call(&mut self, day: u16, said: &[Said]) {
        let step = self
            .steps
            .iter()
            .find(|step| step.day == day)
            .expect("planned");
        let started = at((i64::from(day) - 3) * 86_400 + 60);
        let id = AttemptId(format!("call-{day}"));
        let new = NewAttempt {
            inbound: false,
            id: id.clone(),
            step: None,
            episode: Some(step.episode.clone()),
            patient: Some(step.patient.clone()),
            phone: None,
            number: 1,
            engine: ENGINE.to_owned(),
            leased_until: started,
            trunk: "loopback".to_owned(),
            caller: "4001".to_owned(),
            caller_most: CallerMost::default(),
            script: "general".to_owned(),
            script_hash: "hash".to_owned(),
            day,
            lang: Lang::Zh,
            started_at: started,
        };
        let begun = self.store.begin_attempt(&new).await.expect("begun");
        assert_eq!(begun, Begun::Dial);
        let (turns, findings) = self.judged(said);
        for (position, placed) in (0..).zip(findings.clone()) {
            let placed = Box::new(placed);
            self.tell(&id, Told::Found { position, placed }).await;
        }
        let record = CallRecord {
            ending: Ending {
                disposition: Disposition::Completed,
                sip_status: Some(200),
                q850_cause: Some(16),
                early_media: None,
                answered_by: AnsweredBy::Patient,
                met: None,
                rang: true,
                talk_ms: 90_000,
            },
            progress: Progress {
                identified: true,
                screened: true,
                closing_spoken: true,
            },
            turns,
            findings,
            suppressed: Vec::new(),
            line: None,
            notes: Vec::new(),
        };
        self.tell(&id, Told::Ended(Box::new(record))).await;
    }

    async fn tell(&mut self, attempt: &AttemptId, what: Told) {
        let report = Report {
            attempt: attempt.clone(),
            what,
        };
        self.recorder.record(&report).await;
    }

    /// What the engine makes of the answers.
    fn judged(&self, said: &[Said]) -> (Vec<Turn>, Vec<PlacedFinding>) {
        let (mut turns, mut findings) = (Vec::new(), Vec::new());
        for (index, said) in (0..).zip(said) {
            let asks: Vec<ConceptId> = said.asks.iter().map(|id| ConceptId((*id).into())).collect();
            let kind = if asks.is_empty() {
                QuestionKind::Open
            } else {
                QuestionKind::YesNo
            };
            let question = Question {
                lang: Lang::Zh,
                text: said.prompt.to_owned(),
                kind,
                asks: asks.clone(),
                respondent: Respondent::Patient,
            };
            let reply = Reply {
                text: said.reply,
                logprob: Some(-0.2),
            };
            let found = assess(&self.lexicon, &question, &reply);
            let place = |finding| PlacedFinding {
                finding,
                turn: index,
                node: NodeId(said.node.to_owned()),
                from_ms: 1_000,
                to_ms: 2_000,
                denied: None,
            };
            findings.extend(found.findings.into_iter().map(place));
            turns.push(Turn {
                index,
                node: NodeId(said.node.to_owned()),
                prompt: Phi::new(said.prompt.to_owned()),
                kind: Some(kind),
                asks,
                respondent: Respondent::Patient,
                prompt_from_ms: 0,
                prompt_to_ms: 900,
                reply: Some(TurnReply {
                    heard: Phi::new(Transcript {
                        text: said.reply.to_owned(),
                        logprob: -0.2,
                        ..Transcript::default()
                    }),
                    keys: Phi::default(),
                    meaning: said.meaning.to_owned(),
                    from_ms: 1_000,
                    to_ms: 2_000,
                    latency_ms: Some(800),
                    readings: found.readings,
                }),
            });
        }
        (turns, findings)
    }

    async fn order(&self) -> Option<WorkOrder> {
        let filter = WorkOrderFilter::default();
        let page = self
            .store
            .work_orders(&filter, &PageRequest::default())
            .await;
        page.expect("a list").items.pop()
    }

    /// The lines of the order's trend causes, and every line of the stay.
    async fn lines(&self) -> (Vec<Line>, Vec<String>) {
        let causes = self.order().await.map_or(Vec::new(), |order| order.causes);
        let worse = causes.into_iter().filter_map(|cause| match cause {
            Cause::Trend { trend, .. } => Some(trend.line),
            _ => None,
        });
        let history = self.store.history(&self.episode, None).await.expect("read");
        let all = trends(&self.rules.clinic.trends, &history);
        (
            worse.collect(),
            all.iter().map(ToString::to_string).collect(),
        )
    }
}

/// A same-day concept on day 7 that was denied on day 3 is urgent; a well day 3 raised nothing.
async fn what_is_worse_on_day_seven_is_urgent(url: String) {
    let mut stay = Stay::open(&url).await;
    stay.call(3, &[SAME, FEVER]).await;
    assert_eq!(stay.order().await, None, "a well patient");
    let hot = Said {
        reply: "有，三十八度二",
        meaning: "38.2",
        ..FEVER
    };
    stay.call(7, &[SAME, hot]).await;
    let order = stay.order().await.expect("a fever is somebody's work");
    assert_eq!(order.urgency, Urgency::Urgent);
    let (worse, all) = stay.lines().await;
    assert_eq!(worse.len(), 1, "{worse:?}");
    assert_eq!(worse[0].to_string(), "fever");
    assert_eq!(
        all,
        [
            "fever: absent (day 3), present (day 7): worse by concept.appeared",
            "temperature_c: 38.2 (day 7): unknown by measure.first",
            "overall: same (day 3), same (day 7): same by overall.same",
        ]
    );
}

/// The scale at home says what the patient does not: an order of its own, once.
async fn a_weight_sent_between_two_calls_raises_an_order_once(url: String) {
    let mut stay = Stay::open(&url).await;
    stay.call(3, &[SAME, FEVER]).await;
    for (day, value) in [(0, 64.0), (2, 66.5)] {
        let observation = Observation {
            id: format!("scale-{day}"),
            patient: stay.episode.patient.clone(),
            kind: ObservationKind::Weight,
            value,
            second_value: None,
            unit: "kg".to_owned(),
            taken_at: at(day * 86_400 + 3_600),
            source: "scale".to_owned(),
        };
        let saved = stay.store.save_observation(&observation, at(0)).await;
        assert!(saved.expect("saved"));
    }
    stay.call(7, &[SAME, FEVER]).await;
    let order = stay.order().await.expect("the weight is somebody's work");
    assert_eq!(order.urgency, Urgency::SameDay);
    assert_eq!(stay.lines().await.0[0].to_string(), "weight_kg");
    let known = order.causes.len();
    stay.call(14, &[SAME, FEVER]).await;
    let order = stay.order().await.expect("still open");
    assert_eq!(order.causes.len(), known, "told once");
}

/// The same calls leave the same JSON, whichever database keeps them.
async fn what_is_stored(url: &str) -> String {
    let mut stay = Stay::open(url).await;
    stay.call(3, &[SAME, FEVER, DIZZY]).await;
    let worse = Said {
        reply: "头晕比上次厉害，量了三十七度四",
        ..DIZZY
    };
    stay.call(7, &[SAME, FEVER, worse]).await;
    let mut read = Vec::new();
    for day in [3, 7] {
        let id = AttemptId(format!("call-{day}"));
        let turns = stay.store.turns(&id).await.expect("read");
        let findings = stay.store.findings(&id).await.expect("read");
        assert!(!findings.is_empty(), "something to compare");
        read.push(serde_json::to_string(&(turns, findings)).expect("JSON"));
    }
    let history = stay.store.history(&stay.episode, None).await.expect("read");
    let lines = trends(&stay.rules.clinic.trends, &history);
    read.push(serde_json::to_string(&lines).expect("JSON"));
    let order = stay.order().await.expect("dizziness is somebody's work");
    assert_eq!(order.urgency, Urgency::Urgent, "it got worse");
    read.push(serde_json::to_string(&order.causes).expect("JSON"));
    read.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trends_and_findings_are_the_same_on_both_databases() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
    let server = Postgres::start();
    what_is_worse_on_day_seven_is_urgent(file("worse")).await;
    what_is_worse_on_day_seven_is_urgent(server.database("worse").await).await;
    a_weight_sent_between_two_calls_raises_an_order_once(file("weight")).await;
    a_weight_sent_between_two_calls_raises_an_order_once(server.database("weight").await).await;
    let sqlite = what_is_stored(&file("same")).await;
    let postgres = what_is_stored(&server.database("same").await).await;
    assert_eq!(sqlite, postgres, "byte for byte");
}
