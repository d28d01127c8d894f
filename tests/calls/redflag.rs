//! The red-flag judgement held to `fixtures/redflag/replies.tsv`, and to what must not change a verdict.

use std::fs;
use std::path::Path;

use aftercall_core::finding::{Polarity, Urgency};
use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::{Assessment, FILES, Lexicon, LexiconError, Reply, assess};

use crate::support::rounds;

struct Row {
    line: usize,
    reply: String,
    question: Question,
    expected: Vec<String>,
}

pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

pub fn files() -> Vec<(String, String)> {
    let folder = root().join("dialogs/redflags");
    let read = |name: &&str| {
        fs::read_to_string(folder.join(name)).expect("the lexicon lies in dialogs/redflags")
    };
    FILES
        .iter()
        .map(|name| ((*name).to_owned(), read(name)))
        .collect()
}

pub fn lexicon() -> Lexicon {
    Lexicon::compile(&files()).expect("the lexicon of the project compiles")
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("fixtures/redflag/replies.tsv"))
        .expect("the fixture is there");
    let kept = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.starts_with('#'));
    kept.map(|(at, line)| row(at + 1, line)).collect()
}

fn row(line: usize, text: &str) -> Row {
    let cells: Vec<&str> = text.split('\t').collect();
    let list = |cell: &str| {
        cell.split(',')
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let kind = match cells[1] {
        "yes_no" => QuestionKind::YesNo,
        "yes_no_negated" => QuestionKind::YesNoNegated,
        "yes_no_inverse" => QuestionKind::YesNoInverse,
        "wh" => QuestionKind::Wh,
        "open" => QuestionKind::Open,
        other => panic!("line {line}: unknown question type {other}"),
    };
    Row {
        line,
        reply: cells[0].to_owned(),
        question: Question {
            lang: if cells[0].is_ascii() {
                Lang::En
            } else {
                Lang::Zh
            },
            text: cells.get(5).copied().unwrap_or_default().to_owned(),
            kind,
            asks: list(cells[2]).into_iter().map(ConceptId).collect(),
            respondent: if cells[3] == "caregiver" {
                Respondent::Caregiver
            } else {
                Respondent::Patient
            },
        },
        expected: if cells[4] == "-" {
            Vec::new()
        } else {
            list(cells[4])
        },
    }
}

fn judge(lexicon: &Lexicon, question: &Question, text: &str) -> Assessment {
    assess(
        lexicon,
        question,
        &Reply {
            text,
            logprob: None,
        },
    )
}

/// Findings as text; routine ones count only where the row expects them.
fn found(assessment: &Assessment, expected: &[String]) -> Vec<String> {
    let all = assessment
        .findings
        .iter()
        .map(|f| (f.urgency, format!("{} {}", f.concept, f.polarity)));
    let mut kept: Vec<String> = all
        .filter(|(urgency, text)| *urgency != Urgency::Routine || expected.contains(text))
        .map(|(_, t)| t)
        .collect();
    kept.sort();
    kept
}

#[test]
fn every_reply_of_the_table_is_judged_as_written() {
    let lexicon = lexicon();
    let rows = rows();
    assert!(rows.len() >= 150, "the table has only {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let mut expected = row.expected.clone();
        expected.sort();
        let got = found(&judge(&lexicon, &row.question, &row.reply), &row.expected);
        if got != expected {
            wrong.push(format!(
                "line {}: {} -> {got:?}, expected {expected:?}",
                row.line, row.reply
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
}

#[test]
fn thanks_and_punctuation_change_no_verdict() {
    let lexicon = lexicon();
    for row in rows() {
        let plain = found(&judge(&lexicon, &row.question, &row.reply), &row.expected);
        let (thanks, stop) = match row.question.lang {
            Lang::Zh => ("，谢谢", "。"),
            Lang::En => (", thank you", "."),
        };
        for changed in [
            format!("{}{thanks}", row.reply),
            format!("{}{stop}", row.reply),
            format!(" {} ", row.reply),
        ] {
            let got = found(&judge(&lexicon, &row.question, &changed), &row.expected);
            assert_eq!(got, plain, "line {}: {changed}", row.line);
        }
    }
}

#[test]
fn the_form_of_the_question_turns_a_bare_answer_round() {
    let lexicon = lexicon();
    let ask = |kind| Question {
        lang: Lang::Zh,
        text: String::new(),
        kind,
        asks: vec![ConceptId("chest_pain".to_owned())],
        respondent: Respondent::Patient,
    };
    let cases = [
        (QuestionKind::YesNo, "没有", Polarity::Absent),
        (QuestionKind::YesNoInverse, "没有", Polarity::Present),
        (QuestionKind::YesNo, "对", Polarity::Present),
        (QuestionKind::YesNoNegated, "对", Polarity::Absent),
    ];
    for (kind, reply, polarity) in cases {
        let assessment = judge(&lexicon, &ask(kind), reply);
        assert_eq!(
            assessment.findings[0].polarity, polarity,
            "{kind:?} {reply}"
        );
    }
}

#[test]
fn traditional_and_simplified_characters_are_judged_alike() {
    let lexicon = lexicon();
    let question = row(0, "x\topen\t\tpatient\t-").question;
    for (traditional, simplified) in [
        ("胸口疼得厲害", "胸口疼得厉害"),
        ("頭暈，沒有發燒", "头晕，没有发烧"),
        ("腳腫了", "脚肿了"),
    ] {
        let (a, b) = (
            judge(&lexicon, &question, traditional),
            judge(&lexicon, &question, simplified),
        );
        assert_eq!(found(&a, &[]), found(&b, &[]), "{traditional}");
        assert!(a.alert);
    }
}

#[test]
fn an_emergent_word_that_was_only_heard_alike_is_to_be_confirmed() {
    use aftercall_core::finding::Confirmation;
    let lexicon = lexicon();
    let question = row(0, "x\topen\t\tpatient\t-").question;
    let heard = judge(&lexicon, &question, "兄口疼");
    assert_eq!(heard.findings[0].confirmation, Confirmation::Due);
    let faint = assess(
        &lexicon,
        &question,
        &Reply {
            text: "胸口疼",
            logprob: Some(-1.4),
        },
    );
    assert_eq!(faint.findings[0].confirmation, Confirmation::Due);
    let clear = assess(
        &lexicon,
        &question,
        &Reply {
            text: "胸口疼",
            logprob: Some(-0.2),
        },
    );
    assert_eq!(clear.findings[0].confirmation, Confirmation::NotNeeded);
}

#[test]
fn no_text_makes_the_engine_panic_and_spans_stay_inside_it() {
    let lexicon = lexicon();
    let words = [
        "没有",
        "胸口",
        "疼",
        "一百八",
        "点",
        "度",
        "，",
        "？",
        "n't",
        "no ",
        "chest ",
        "pain ",
        "😀",
        "\u{301}",
        "沒",
        "-",
        "'s",
        "ﬁ",
        "38.",
    ];
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let rows = rows();
    for round in (0..rounds(3_000)).map(|round| usize::try_from(round).expect("it fits")) {
        let text: String = (0..next() % 24)
            .map(|_| match next() % 3 {
                0 => {
                    char::from_u32(u32::try_from(next() % 0x11_0000).expect("it is below 0x110000"))
                        .unwrap_or('x')
                        .to_string()
                }
                _ => words[usize::try_from(next() % 19).expect("it is below 19")].to_owned(),
            })
            .collect();
        let question = &rows[round % rows.len()].question;
        for finding in judge(&lexicon, question, &text).findings {
            let (start, end) = finding.evidence.span;
            assert!(start <= end && end <= text.chars().count(), "{text:?}");
        }
    }
}

#[test]
fn ten_thousand_characters_are_judged() {
    let lexicon = lexicon();
    let question = row(0, "x\topen\t\tpatient\t-").question;
    let unit = "我胸口有点闷，昨天没有发烧，血压一百三，邻居家装修。no chest pain but dizzy. ";
    let text: String = unit
        .repeat(2)
        .chars()
        .chain("甲乙丙丁戊己庚辛".chars().cycle())
        .take(10_000)
        .collect();
    assert!(judge(&lexicon, &question, &text).alert);
}

#[test]
fn a_finding_far_into_a_long_reply_is_made_where_it_was_said() {
    let lexicon = lexicon();
    let question = row(0, "x\tyes_no\tfever\tpatient\t-").question;
    let talk = "那天天气挺好的我们去公园走了走看见好多人在下棋遛鸟打牌聊天，";
    let text = format!(
        "没有。{}后来我胸口疼得厉害，{}",
        talk.repeat(12),
        talk.repeat(12)
    );
    let judged = judge(&lexicon, &question, &text);
    let pain = judged
        .findings
        .iter()
        .find(|f| f.concept.0 == "chest_pain")
        .expect("it was said");
    let (from, to) = pain.evidence.span;
    let said: String = text.chars().skip(from).take(to - from).collect();
    assert!(said.starts_with("胸口疼"), "{said}");
    let fever = judged.findings.iter().find(|f| f.concept.0 == "fever");
    assert_eq!(fever.expect("it was asked").polarity, Polarity::Absent);
}

#[test]
fn a_broken_line_is_named_with_file_and_line() {
    let mut broken = files();
    broken.retain(|(name, _)| name != "thresholds.tsv");
    let wordings = broken
        .iter_mut()
        .find(|(name, _)| name == "wordings.zh.tsv")
        .expect("it is one of the files");
    wordings.1.push_str("\nno_such_concept\t\t胸闷\n");
    let lines = wordings.1.lines().count();
    let errors = Lexicon::compile(&broken).expect_err("two things are wrong");
    assert!(errors.contains(&LexiconError::Missing {
        file: "thresholds.tsv".to_owned()
    }));
    let named = errors.iter().any(|e| {
        e.to_string()
            .starts_with(&format!("wordings.zh.tsv:{lines}: unknown concept"))
    });
    assert!(named, "{errors:?}");
}

#[test]
fn what_the_patient_measured_is_kept_as_a_reading() {
    let lexicon = lexicon();
    for (question, asks, reply, expected) in [
        (
            "这几天有没有发烧？",
            "fever",
            "三十八度五",
            "temperature_c 38.5",
        ),
        (
            "这几天有没有发烧？",
            "fever",
            "量了，三十七度二，不烧",
            "temperature_c 37.2",
        ),
        (
            "最近血压多少？",
            "bp_severe_high",
            "高压一百三，低压八十五",
            "systolic_mmhg 130, diastolic_mmhg 85",
        ),
        (
            "现在体重多少？",
            "edema_weight_gain",
            "六十五公斤",
            "weight_kg 65",
        ),
        (
            "现在体重多少？",
            "edema_weight_gain",
            "一百三十斤",
            "weight_kg 65",
        ),
        (
            "What do you weigh now?",
            "edema_weight_gain",
            "143 pounds",
            "weight_kg 64.9",
        ),
        (
            "这周体重有没有变化？",
            "edema_weight_gain",
            "六十五公斤，一天涨了三斤",
            "weight_kg 65, gain_kg_day 1.5",
        ),
        ("伤口有多疼？", "severe_pain", "五分吧", "pain_0_10 5"),
        (
            "这几天有没有发烧？",
            "fever",
            "没发烧三十六度八",
            "temperature_c 36.8",
        ),
        // Not the patient's own, not of now, not reached, or not measured.
        ("这几天有没有发烧？", "fever", "没到三十八度", ""),
        ("Any fever?", "fever", "it was never over 101", ""),
        ("这几天有没有发烧？", "fever", "我老伴三十八度五", ""),
        (
            "这几天有没有发烧？",
            "fever",
            "医生说如果三十八度五就去医院",
            "",
        ),
        (
            "这几天有没有发烧？",
            "fever",
            "住院的时候三十八度五，现在没有",
            "",
        ),
        ("这几天有没有发烧？", "fever", "没有，三天前出的院", ""),
    ] {
        let question = Question {
            lang: if question.is_ascii() {
                Lang::En
            } else {
                Lang::Zh
            },
            text: question.to_owned(),
            kind: QuestionKind::Wh,
            asks: vec![ConceptId(asks.to_owned())],
            respondent: Respondent::Patient,
        };
        let typed = Reply {
            text: reply,
            logprob: None,
        };
        let read = assess(&lexicon, &question, &typed).readings;
        let said: Vec<String> = read
            .iter()
            .map(|reading| format!("{} {}", reading.measure, reading.value))
            .collect();
        assert_eq!(said.join(", "), expected, "{reply}");
        for reading in read {
            let inside = reading.span.1 <= reply.chars().count();
            assert!(reading.span.0 < reading.span.1 && inside, "{reply}");
        }
    }
}
