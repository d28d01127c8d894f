//! What must not change a verdict, and what must turn it round, over every labelled reply of our own.
//!
//! Changes of wording that say nothing (thanks, fillers, marks, script) keep every finding; a negation put before a
//! plain symptom and another form of the question turn it. Exceptions are rules with their reasons, and counted.

use std::collections::BTreeSet;
use std::fs;

use aftercall_core::finding::{Polarity, Urgency};
use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::rows::{self, Row};
use aftercall_core::redflag::{Assessment, Lexicon, Reply, assess};

use crate::script::files::{root, text_files};

/// Of a thousand rows, so many may change where nothing should.
const SLACK_PER_MILLE: usize = 10;

pub fn lexicon() -> Lexicon {
    let files = text_files(&root().join("dialogs/redflags"), "tsv");
    Lexicon::compile(&files).expect("the shipped lexicon compiles")
}

pub fn own(lexicon: &Lexicon) -> Vec<Row> {
    let read = |lang: Lang| {
        let name = format!("fixtures/redflag/rows.{lang}.tsv");
        let text = fs::read_to_string(root().join(&name)).expect("our rows are in the project");
        rows::read(&name, lang, &text, lexicon.concepts()).unwrap_or_else(|errors| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            panic!("{}", lines.join("\n"))
        })
    };
    [read(Lang::Zh), read(Lang::En)].concat()
}

/// The alert and what is there or doubtful beyond routine: what a nurse would see.
fn seen(lexicon: &Lexicon, question: &Question, text: &str) -> (bool, BTreeSet<String>) {
    let judged: Assessment = assess(
        lexicon,
        question,
        &Reply {
            text,
            logprob: None,
        },
    );
    let told = judged.findings.iter().filter(|f| {
        f.urgency != Urgency::Routine
            && matches!(f.polarity, Polarity::Present | Polarity::Uncertain)
    });
    let named = told.map(|f| f.concept.0.clone()).collect();
    (judged.alert, named)
}

/// Holds one change against every row it applies to; `None` leaves a row out, for the reason its rule gives.
fn holds(name: &str, change: impl Fn(&Row) -> Option<String>) {
    let lexicon = lexicon();
    let rows = own(&lexicon);
    let mut changed = Vec::new();
    let mut tried = 0;
    for row in &rows {
        let Some(text) = change(row).filter(|text| *text != row.reply) else {
            continue;
        };
        tried += 1;
        let (plain, other) = (
            seen(&lexicon, &row.question, &row.reply),
            seen(&lexicon, &row.question, &text),
        );
        if plain != other {
            changed.push(format!(
                "{}: {} -> {text}: {plain:?} -> {other:?}",
                row.id, row.reply
            ));
        }
    }
    println!(
        "{name}: {} of {tried} rows changed\n{}",
        changed.len(),
        changed.join("\n")
    );
    assert!(tried >= 200, "{name}: only {tried} rows");
    assert!(
        changed.len() * 1_000 <= tried * SLACK_PER_MILLE,
        "{name}: {} of {tried} rows changed\n{}",
        changed.len(),
        changed.join("\n")
    );
}

fn ends_asking(row: &Row) -> bool {
    row.reply.trim_end().ends_with(['?', '？'])
}

#[test]
fn thanks_behind_a_reply_change_nothing() {
    // Behind a question the thanks would be read as part of it.
    holds("thanks", |row| {
        let thanks = match row.question.lang {
            Lang::Zh => "，谢谢你啊",
            Lang::En => ", thank you",
        };
        (!ends_asking(row)).then(|| format!("{}{thanks}", row.reply.trim_end_matches(['。', '.'])))
    });
}

#[test]
fn fillers_before_a_reply_change_nothing() {
    // 嗯 before a bare answer is a yes of its own only where nothing follows: 嗯，没有 is a no.
    holds("fillers", |row| {
        let filler = match row.question.lang {
            Lang::Zh => "呃，那个，",
            Lang::En => "um, ",
        };
        Some(format!("{filler}{}", row.reply))
    });
}

#[test]
fn a_full_stop_and_spaces_change_nothing() {
    holds("stop", |row| {
        let stop = match row.question.lang {
            Lang::Zh => "。",
            Lang::En => ".",
        };
        let open = row.reply.ends_with(|c: char| c.is_alphanumeric());
        open.then(|| format!(" {}{stop} ", row.reply))
    });
}

#[test]
fn commas_for_full_stops_change_nothing() {
    // Whisper marks pauses as it likes. A clause that begins with a word of person or time leans on the one before
    // it when only a comma parts them, and so do lists: rows with more than one stop are left out.
    holds("commas", |row| {
        let stops = row.reply.matches(['。', '！']).count();
        (row.question.lang == Lang::Zh && stops <= 1).then(|| row.reply.replace('！', "。") + "。")
    });
}

#[test]
fn spaces_between_chinese_characters_change_nothing() {
    holds("spaces", |row| {
        let mixed = row.reply.chars().any(|c| c.is_ascii_alphanumeric());
        let zh = row.question.lang == Lang::Zh && !mixed;
        zh.then(|| row.reply.chars().flat_map(|c| [c, ' ']).collect())
    });
}

#[test]
fn upper_case_changes_nothing() {
    holds("case", |row| {
        (row.question.lang == Lang::En).then(|| row.reply.to_uppercase())
    });
}

/// Characters that are everyday in symptoms, in both scripts; each pair is one to one.
const TRADITIONAL: [(char, char); 44] = [
    ('没', '沒'),
    ('头', '頭'),
    ('晕', '暈'),
    ('肿', '腫'),
    ('胀', '脹'),
    ('伤', '傷'),
    ('药', '藥'),
    ('气', '氣'),
    ('压', '壓'),
    ('烧', '燒'),
    ('发', '發'),
    ('热', '熱'),
    ('痒', '癢'),
    ('脚', '腳'),
    ('手', '手'),
    ('说', '說'),
    ('话', '話'),
    ('两', '兩'),
    ('会', '會'),
    ('过', '過'),
    ('这', '這'),
    ('还', '還'),
    ('时', '時'),
    ('里', '裡'),
    ('边', '邊'),
    ('点', '點'),
    ('厉', '厲'),
    ('喘', '喘'),
    ('跳', '跳'),
    ('体', '體'),
    ('温', '溫'),
    ('关', '關'),
    ('医', '醫'),
    ('觉', '覺'),
    ('么', '麼'),
    ('儿', '兒'),
    ('妈', '媽'),
    ('个', '個'),
    ('从', '從'),
    ('来', '來'),
    ('让', '讓'),
    ('应', '應'),
    ('该', '該'),
    ('东', '東'),
];

#[test]
fn traditional_characters_change_nothing() {
    holds("traditional", |row| {
        let traditional = |c: char| {
            let pair = TRADITIONAL.iter().find(|(simple, _)| *simple == c);
            pair.map_or(c, |(_, traditional)| *traditional)
        };
        (row.question.lang == Lang::Zh).then(|| row.reply.chars().map(traditional).collect())
    });
}

/// Names of concepts that take a plain negation, as anybody would say them.
const PLAIN: [(&str, &str, &str); 20] = [
    ("chest_pain", "胸口疼", "chest pain"),
    ("dyspnea", "喘不上气", "shortness of breath"),
    ("hemoptysis", "咳血", "coughing up blood"),
    ("syncope", "晕倒", "fainting"),
    ("seizure", "抽搐", "seizures"),
    ("hematemesis_melena", "吐血", "vomiting blood"),
    ("palpitations", "心慌", "palpitations"),
    ("fever", "发烧", "fever"),
    ("rigors", "打寒战", "shaking chills"),
    ("bleeding", "流血", "bleeding"),
    ("rectal_bleeding", "便血", "blood in my stool"),
    ("hematuria", "尿血", "blood in my urine"),
    ("edema_weight_gain", "水肿", "swelling in my ankles"),
    ("dizziness", "头晕", "dizziness"),
    ("abdominal_pain", "肚子疼", "stomach pain"),
    ("vomiting_unable_to_keep_meds", "呕吐", "vomiting"),
    ("jaundice", "黄疸", "jaundice"),
    ("rash", "皮疹", "rash"),
    ("wound_infection", "伤口流脓", "pus from the wound"),
    ("dysphagia_choking", "呛咳", "choking"),
];

fn open(lang: Lang) -> Question {
    Question {
        lang,
        text: String::new(),
        kind: QuestionKind::Open,
        asks: Vec::new(),
        respondent: Respondent::Patient,
    }
}

#[test]
fn a_negation_before_a_symptom_turns_it_round() {
    let lexicon = lexicon();
    let mut wrong = Vec::new();
    for (concept, zh, en) in PLAIN {
        let cases = [
            (Lang::Zh, format!("我有{zh}"), true),
            (Lang::Zh, format!("我没有{zh}"), false),
            (Lang::Zh, format!("没有{zh}"), false),
            (Lang::Zh, format!("没有发现{zh}"), false),
            (Lang::En, format!("I have {en}"), true),
            (Lang::En, format!("I have no {en}"), false),
            (Lang::En, format!("I don't have any {en}"), false),
            (Lang::En, format!("no {en}"), false),
        ];
        for (lang, text, there) in cases {
            let (_, told) = seen(&lexicon, &open(lang), &text);
            if told.contains(concept) != there {
                wrong.push(format!("{text}: {told:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn another_form_of_the_question_turns_a_bare_answer_round() {
    let lexicon = lexicon();
    let mut wrong = Vec::new();
    for (concept, _, _) in PLAIN {
        let concepts = lexicon.concepts().iter();
        let id = concepts
            .map(|c| &c.id)
            .find(|id| id.0 == concept)
            .expect("a concept of the lexicon");
        let cases = [
            (Lang::Zh, QuestionKind::YesNo, "没有", false),
            (Lang::Zh, QuestionKind::YesNoInverse, "没有", true),
            (Lang::Zh, QuestionKind::YesNo, "对", true),
            (Lang::Zh, QuestionKind::YesNoNegated, "对", false),
            (Lang::Zh, QuestionKind::YesNoNegated, "有", true),
            (Lang::En, QuestionKind::YesNo, "no", false),
            (Lang::En, QuestionKind::YesNoInverse, "no", true),
            (Lang::En, QuestionKind::YesNo, "yes", true),
            (Lang::En, QuestionKind::YesNoInverse, "yes", false),
        ];
        for (lang, kind, reply, there) in cases {
            let question = Question {
                kind,
                asks: vec![id.clone()],
                ..open(lang)
            };
            let (_, told) = seen(&lexicon, &question, reply);
            if told.contains(concept) != there {
                wrong.push(format!("{kind:?} {concept} {reply}: {told:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
