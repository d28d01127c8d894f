//! `aftercall why`.

use std::fmt::Write as _;
use std::process::ExitCode;

use aftercall_core::id::PatientId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Consent, ConsentBasis};
use aftercall_core::plan::{NextStep, outcome_in_words, state_in_words};
use aftercall_core::time::Timestamp;
use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::migrate::Place;
use crate::config::Config;
use crate::jobs::why::{Decided, Followed, Why, of_patient};
use crate::store::decision::Answer;
use crate::trunk::config::Trunk;
use crate::web::WhyView;

/// Print why a patient was or was not rung, decision by decision, and when the next try comes.
///
/// The rules are those of the configuration and of its trunk. Times are local to the patient's telephone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall why RH10033\n  aftercall why RH10033 --lang zh\n  aftercall why RH10033 --json"
)]
pub struct Args {
    /// The hospital's number of the patient, or the id that the API shows.
    patient: String,
    /// Language of the words: en or zh.
    #[arg(long, value_parser = lang, default_value = "en")]
    lang: Lang,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn lang(text: &str) -> Result<Lang, String> {
    let known = Lang::ALL.into_iter().find(|lang| lang.to_string() == text);
    known.ok_or_else(|| "write en or zh".to_owned())
}

/// Reads and prints.
///
/// # Errors
/// A patient that is not known, a broken configuration, a database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.place.config.as_deref())?;
    let trunk = Trunk::load(&config.trunk.file)?;
    let policy = config.policy()?.on_trunk(&trunk.name, trunk.hours.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        let by_number = store
            .patient_by_number(&config.hospital.id, &args.patient)
            .await?;
        let id = by_number.unwrap_or_else(|| PatientId(args.patient.clone()));
        let now = Timestamp::now();
        let why = of_patient(&store, &policy, &id, now).await.context(
            "no such patient: write the hospital's number, or the id that the API shows",
        )?;
        if args.json {
            println!(
                "{}",
                serde_json::to_string_pretty(&WhyView::of(&why, args.lang))?
            );
        } else {
            print!("{}", text(&why, args.lang, now));
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The whole answer in words.
pub fn text(why: &Why, lang: Lang, now: Timestamp) -> String {
    let mut out = String::new();
    let words = Words {
        lang,
        zone: &why.zone,
    };
    words.line(&mut out, 0, &words.consent(&why.consent));
    for pause in &why.pauses {
        words.line(
            &mut out,
            0,
            &words.pause(pause.scope.strip_prefix("ward/"), pause.at),
        );
    }
    for stay in &why.stays {
        let episode = &stay.episode;
        words.line(
            &mut out,
            0,
            &words.stay(&episode.encounter, &episode.ward, episode.discharged_at),
        );
        for followed in &stay.steps {
            words.line(&mut out, 1, &words.step(followed));
            for decided in &followed.decisions {
                let at = words.moment(decided.decision.at);
                words.line(&mut out, 2, &format!("{at}  {}", words.decision(decided)));
            }
            if let Some(next) = &followed.now {
                let at = words.moment(now);
                words.line(&mut out, 2, &format!("{at}  {}", words.next(next)));
            }
        }
    }
    out
}

struct Words<'a> {
    lang: Lang,
    zone: &'a TimeZone,
}

impl Words<'_> {
    fn line(&self, out: &mut String, indent: usize, text: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{:indent$}{text}", "", indent = indent * 2);
    }

    fn moment(&self, at: Timestamp) -> String {
        self.zone
            .to_datetime(at)
            .strftime("%Y-%m-%d %H:%M")
            .to_string()
    }

    /// On what ground a robot may call, and which text was agreed to.
    fn consent(&self, consent: &Consent) -> String {
        let (zh, en) = match consent.basis {
            ConsentBasis::None => ("无", "none"),
            ConsentBasis::Written => ("书面", "written"),
            ConsentBasis::Verbal => ("口头", "verbal"),
            ConsentBasis::Withdrawn => ("已撤回", "withdrawn"),
        };
        let is_given = matches!(consent.basis, ConsentBasis::Written | ConsentBasis::Verbal);
        let on = consent.given_on.map(|on| on.to_string());
        match (self.lang, &consent.text_version, on) {
            (Lang::En, _, _) if !is_given => format!("Consent: {en}."),
            (Lang::Zh, _, _) if !is_given => format!("同意：{zh}。"),
            (Lang::En, None, _) => {
                format!("Consent: {en}; which text was agreed to is not on record.")
            }
            (Lang::Zh, None, _) => format!("同意：{zh}；未记录同意的是哪一版文本。"),
            (Lang::En, Some(text), None) => format!("Consent: {en}, to text {text}."),
            (Lang::Zh, Some(text), None) => format!("同意：{zh}，文本版本{text}。"),
            (Lang::En, Some(text), Some(on)) => {
                format!("Consent: {en}, to text {text}, on {on}.")
            }
            (Lang::Zh, Some(text), Some(on)) => format!("同意：{zh}，文本版本{text}，{on}。"),
        }
    }

    fn pause(&self, ward: Option<&str>, at: Timestamp) -> String {
        let at = self.moment(at);
        match (self.lang, ward) {
            (Lang::En, None) => format!("Dialling is paused since {at}."),
            (Lang::En, Some(ward)) => format!("Dialling for ward {ward} is paused since {at}."),
            (Lang::Zh, None) => format!("{at}起暂停拨打。"),
            (Lang::Zh, Some(ward)) => format!("{at}起暂停拨打病区{ward}的患者。"),
        }
    }

    fn stay(&self, encounter: &str, ward: &str, discharged: Timestamp) -> String {
        let at = self.moment(discharged);
        match self.lang {
            Lang::En => format!("Stay {encounter}, ward {ward}, discharged {at}"),
            Lang::Zh => format!("住院号{encounter}，病区{ward}，{at}出院"),
        }
    }

    fn step(&self, followed: &Followed) -> String {
        let (day, due) = (followed.step.day, followed.step.due_on);
        let state = state_in_words(followed.step.state, self.lang);
        match self.lang {
            Lang::En => format!("Day {day}, due {due}: {state}"),
            Lang::Zh => format!("第{day}天，应于{due}：{state}"),
        }
    }

    fn decision(&self, decided: &Decided) -> String {
        let Decided {
            decision,
            ended,
            inbound,
        } = decided;
        let why = decision.reason.as_ref().map(|why| why.words(self.lang));
        let why = why.unwrap_or_default();
        match (decision.answer, self.lang) {
            (Answer::Dial, Lang::En) => {
                let who = if *inbound { "they rang us" } else { "rung" };
                let outcome = ended.map(|ended| outcome_in_words(ended, Lang::En));
                format!("{who}: {}", outcome.unwrap_or("the call is live"))
            }
            (Answer::Dial, Lang::Zh) => {
                let who = if *inbound {
                    "对方来电"
                } else {
                    "已拨打"
                };
                let outcome = ended.map(|ended| outcome_in_words(ended, Lang::Zh));
                format!("{who}：{}", outcome.unwrap_or("正在通话"))
            }
            (Answer::Wait, Lang::En) => format!("not rung: {why}{}", self.again(decision.until)),
            (Answer::Wait, Lang::Zh) => format!("未拨打：{why}{}", self.again(decision.until)),
            (Answer::Finish, Lang::En) => format!("not rung any more: {why}"),
            (Answer::Finish, Lang::Zh) => format!("不再拨打：{why}"),
        }
    }

    fn again(&self, until: Option<Timestamp>) -> String {
        match (until, self.lang) {
            (None, _) => String::new(),
            (Some(at), Lang::En) => format!("; looked at again {}", self.moment(at)),
            (Some(at), Lang::Zh) => format!("；{}再看", self.moment(at)),
        }
    }

    fn next(&self, next: &NextStep) -> String {
        match (next, self.lang) {
            (NextStep::DialNow(_), Lang::En) => {
                "now: may be rung as soon as a line is free".to_owned()
            }
            (NextStep::DialNow(_), Lang::Zh) => "现在：可以拨打，等空闲线路".to_owned(),
            (NextStep::Wait { until, why }, Lang::En) => {
                format!(
                    "now: {}; next try {}",
                    why.words(Lang::En),
                    self.moment(*until)
                )
            }
            (NextStep::Wait { until, why }, Lang::Zh) => {
                format!(
                    "现在：{}；下一次在{}",
                    why.words(Lang::Zh),
                    self.moment(*until)
                )
            }
            (NextStep::Finished(_, why), Lang::En) => {
                format!("now: {}; no further try", why.words(Lang::En))
            }
            (NextStep::Finished(_, why), Lang::Zh) => {
                format!("现在：{}；不再拨打", why.words(Lang::Zh))
            }
        }
    }
}
