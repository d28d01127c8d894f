//! The page itself: headings in Chinese and English, every text escaped by the template.

use aftercall_core::finding::Urgency;
use aftercall_core::redflag::{Concept, ENGINE};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::rules::RULES;
use super::sheet::{Row, Sheet};
use crate::eval::score::{NOT_A_CLINICIANS, Score, Share};

const STYLE: &str = include_str!("style.css");

/// The sheets, read once.
struct Sheets {
    concepts: Sheet,
    details: Sheet,
    wordings: [Sheet; 2],
    classes: [Sheet; 2],
    cues: [Sheet; 2],
    maskers: Sheet,
    thresholds: Sheet,
    packs: Sheet,
    mapping: Sheet,
    collisions: Sheet,
}

pub fn page(report: &Report<'_>) -> Markup {
    let both = |name: &str| ["zh", "en"].map(|lang| report.sheet(&format!("{name}.{lang}.tsv")));
    let sheets = Sheets {
        concepts: report.sheet("concepts.tsv"),
        details: report.sheet("details.tsv"),
        wordings: both("wordings"),
        classes: both("classes"),
        cues: both("cues"),
        maskers: report.sheet("maskers.tsv"),
        thresholds: report.sheet("thresholds.tsv"),
        packs: report.sheet("packs.tsv"),
        mapping: report.sheet("mapping.tsv"),
        collisions: report.sheet("collisions.tsv"),
    };
    html! {
        (DOCTYPE)
        html lang="zh" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "红旗症状词典 · Red-flag lexicon" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report))
                (scores(report))
                (index(report))
                h2 { "各概念 · Concepts" }
                p.small {
                    "{chest} 是附录中的一类词；~ 表示同一分句内可隔几个字（~3：最多三个）；按字、按读音都会匹配。 "
                    "{chest} is a class of words in the appendix; ~ is a gap within one clause (~3: at most three). Wordings are "
                    "matched by their characters or words, and in Chinese by their sound as well."
                }
                @for concept in report.lexicon.concepts() { (section(report, &sheets, concept)) }
                (rules(&sheets))
                (table("病种包 · Packs by condition", "packs", &sheets.packs))
                (table("与临床分级表的对应 · Mapping from the clinical tiers, and what it loses", "mapping", &sheets.mapping))
                (appendix(&sheets))
                (signature(report))
            }
        }
    }
}

fn head(report: &Report<'_>) -> Markup {
    html! {
        h1 { "红旗症状词典与评分 · Red-flag lexicon and scores" }
        p {
            "规则引擎 engine " span.id { (ENGINE) } "；词典哈希 lexicon SHA-256 " span.id { (report.lexicon.hash()) } "。"
            " 同样的话、同样的哈希，永远得到同样的判断。 The same words under the same hash give the same verdict for ever."
        }
        @for warning in warnings(report) { p.warning { (warning) } }
        p {
            "不用任何语言模型：只有下面的词和规则。每条都可修改，修改后哈希改变，须重新签字。 "
            "No language model: only the words and rules below. Change any of them and the hash changes; it is then to be signed again."
        }
    }
}

/// Whose labels the figures rest on, as often as sets differ in it.
fn warnings(report: &Report<'_>) -> Vec<String> {
    let mut said: Vec<String> = report
        .sets
        .iter()
        .map(|(name, score)| format!("{name}: {}", score.labels))
        .collect();
    if report
        .sets
        .iter()
        .all(|(_, score)| score.labels == NOT_A_CLINICIANS)
    {
        said = vec![format!(
            "以下所有分数所依据的标注都不是临床医生做的。 {NOT_A_CLINICIANS}"
        )];
    }
    said
}

fn scores(report: &Report<'_>) -> Markup {
    let row = |name: &str, score: &Score| {
        html! {
            tr {
                td { (name) }
                td.number { (score.items) }
                td.number { (share(score.sensitivity)) }
                td.number { (share(score.emergent)) }
                td.number { (share(score.specificity)) }
                td.number { (share(score.ppv)) }
                td.number { (format!("{:.3}", score.f1_strict)) }
            }
        }
    };
    html! {
        h2 { "总分 · Scores" }
        p.small {
            "括号内为 95 % Wilson 区间。灵敏度：应报警而报警；紧急：紧急概念本身被识别；特异度：不应报警而未报警。 "
            "In brackets the 95 % Wilson interval. Sensitivity: of replies that need an alert, those that raised one. Emergent: of "
            "emergent concepts, those found themselves. Specificity: of replies that need none, those that stayed quiet."
        }
        table {
            tr {
                th { "集 Set" } th { "条数 Items" } th { "灵敏度 Sensitivity" } th { "紧急 Emergent" }
                th { "特异度 Specificity" } th { "阳性预测值 PPV" } th { "F1 (present)" }
            }
            @for (name, score) in report.sets { (row(name, score)) }
            @if report.sets.is_empty() { tr { td colspan="7" { "没有评分集 No set was given: --set NAME=FILE" } } }
        }
    }
}

fn index(report: &Report<'_>) -> Markup {
    let steps = [
        Urgency::Emergent,
        Urgency::Urgent,
        Urgency::SameDay,
        Urgency::Routine,
    ];
    html! {
        h2 { "目录 · Index by urgency" }
        @for step in steps {
            @let of: Vec<&Concept> = report.lexicon.concepts().iter().filter(|c| c.urgency == step).collect();
            @if !of.is_empty() {
                p {
                    (urgency(step)) " "
                    @for concept in of { a href={ "#" (concept.id) } { (concept.zh) } " " span.small { (concept.en) } "; " }
                }
            }
        }
    }
}

fn urgency(step: Urgency) -> Markup {
    let text = match step {
        Urgency::Emergent => "紧急 emergent",
        Urgency::Urgent => "急 urgent",
        Urgency::SameDay => "当日 same day",
        Urgency::Routine => "常规 routine",
    };
    html! { span class={ "urgency " (step) } { (text) } }
}

fn section(report: &Report<'_>, sheets: &Sheets, concept: &Concept) -> Markup {
    let id = concept.id.0.as_str();
    let own = sheets.concepts.rows().find(|row| row.of("id") == id);
    let definition = own.map_or("", |row| row.of("definition"));
    let milder: Vec<&str> = own.map_or_else(Vec::new, |row| row.parts("milder").collect());
    let event = if concept.event {
        "出院后任何时候发生都算 a thing that happened: counts any time since discharge"
    } else if concept.urgency == Urgency::Emergent {
        "出院后任何时候都算 emergent: counts any time since discharge"
    } else {
        "现在或约两天内 now or within about two days"
    };
    let of_concept = |row: &Row<'_>| row.of("concept") == id || row.of("parent") == id;
    let masks = |row: &Row<'_>| row.parts("concepts").any(|masked| masked == id);
    let in_pack = |row: &Row<'_>| {
        let needs = row
            .of("when")
            .split(|c: char| !(c.is_alphanumeric() || c == '_'));
        needs.into_iter().any(|need| need == id)
    };
    html! {
        section.concept id=(id) {
            h3 { (concept.zh) " · " (concept.en) " " (urgency(concept.urgency)) }
            p { span.id { (id) } " · " (event) " · 同类 family " span.id { (concept.family) } }
            dl {
                dt { "定义 Definition" } dd { (definition) }
                @if !milder.is_empty() { dt { "包含较轻的 Contains the milder" } dd { (milder.join(", ")) } }
                (details(sheets, id))
                @for (sheet, lang) in sheets.wordings.iter().zip(["说法（中文）Wordings, Chinese", "说法（英文）Wordings, English"]) {
                    @let rows: Vec<Row<'_>> = sheet.rows().filter(of_concept).collect();
                    @if !rows.is_empty() {
                        dt { (lang) }
                        @for row in rows { dd.words { @if !row.of("detail").is_empty() { b { (row.of("detail")) ": " } } (words(row.parts("wordings"))) } }
                    }
                }
                @let limits: Vec<Row<'_>> = sheets.thresholds.rows().filter(of_concept).collect();
                @if !limits.is_empty() {
                    dt { "阈值 Thresholds" }
                    @for row in limits { dd { (limit(row)) } }
                }
                @let masked: Vec<Row<'_>> = sheets.maskers.rows().filter(masks).collect();
                @if !masked.is_empty() {
                    dt { "不算的词 Maskers: contain a wording and mean something else" }
                    @for row in masked { dd.words { (words(row.parts("wordings"))) } }
                }
                @let raised: Vec<Row<'_>> = sheets.packs.rows().filter(in_pack).collect();
                @if !raised.is_empty() {
                    dt { "病种包 Packs" }
                    @for row in raised { dd { span.id { (row.of("pack")) "/" (row.of("rule")) } " " (row.of("when")) " → " (row.of("urgency")) } }
                }
                @let mapped: Vec<Row<'_>> = sheets.mapping.rows().filter(of_concept).collect();
                @if !mapped.is_empty() {
                    dt { "临床分级 Clinical tiers" }
                    @for row in mapped { dd { (row.cells().join(" · ")) } }
                }
            }
            (concept_scores(report, id))
        }
    }
}

/// Our own concepts below this one.
fn details(sheets: &Sheets, id: &str) -> Markup {
    let below: Vec<Row<'_>> = sheets
        .details
        .rows()
        .filter(|row| row.of("parent") == id)
        .collect();
    html! {
        @if !below.is_empty() {
            dt { "细分 Details" }
            @for row in below {
                dd {
                    span.id { (row.of("id")) } " " (row.of("zh")) " · " (row.of("en")) " ["
                    (row.of("urgency")) "] " (row.of("definition"))
                    @if !row.of("why_lower").is_empty() { " — " (row.of("why_lower")) }
                }
            }
        }
    }
}

fn limit(row: Row<'_>) -> String {
    let range = match (row.of("from"), row.of("to")) {
        (from, "") => format!("≥ {from}"),
        ("", to) => format!("< {to}"),
        (from, to) => format!("{from} ≤ x < {to}"),
    };
    let detail = match row.of("detail") {
        "" => String::new(),
        detail => format!(" ({detail})"),
    };
    format!(
        "{} {range} → {}{detail}",
        row.of("measure"),
        row.of("polarity")
    )
}

fn concept_scores(report: &Report<'_>, id: &str) -> Markup {
    let rows: Vec<_> = report
        .sets
        .iter()
        .filter_map(|(name, score)| {
            let one = score.concepts.iter().find(|one| one.concept.0 == id)?;
            Some((name, one))
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            table {
                tr { th { "集 Set" } th { "灵敏度 Sensitivity" } th { "阳性预测值 PPV" } th { "特异度 Specificity" } }
                @for (name, one) in rows {
                    tr {
                        td { (name) }
                        td.number { (share(one.sensitivity)) }
                        td.number { (share(one.ppv)) }
                        td.number { (share(one.specificity)) }
                    }
                }
            }
        }
    }
}

/// `98.4 % (95.1–99.6) 187/190`.
fn share(share: Share) -> String {
    match share.share {
        Some(value) => format!(
            "{:.1} % ({:.1}–{:.1}) {}/{}",
            100.0 * value,
            100.0 * share.low,
            100.0 * share.high,
            share.hits,
            share.of
        ),
        None => "—".to_owned(),
    }
}

/// Wordings side by side; `{class}` leads to the words it stands for.
fn words<'a>(wordings: impl Iterator<Item = &'a str>) -> Markup {
    html! { @for wording in wordings { span { (slots(wording)) } } }
}

fn slots(wording: &str) -> Markup {
    let parts: Vec<(&str, Option<&str>)> = wording
        .split('}')
        .map(|part| {
            part.split_once('{')
                .map_or((part, None), |(before, class)| (before, Some(class)))
        })
        .collect();
    html! {
        @for (before, class) in parts {
            (before)
            @if let Some(class) = class { a href={ "#class-" (class) } { "{" (class) "}" } }
        }
    }
}

fn rules(sheets: &Sheets) -> Markup {
    html! {
        h2 { "判断规则 · Rules" }
        p.small { "按此顺序尝试；每个结果都写明用了哪些规则。 Tried in this order; every finding says which ones made it." }
        table {
            tr { th { "规则 Rule" } th { "中文" } th { "English" } }
            @for (id, zh, en) in RULES { tr { td.id { (id) } td { (zh) } td { (en) } } }
        }
        @for (sheet, lang) in sheets.cues.iter().zip(["中文 Chinese", "英文 English"]) {
            h3 { "线索词 Cue words, " (lang) }
            p.small { (sheet.about) }
            dl { @for row in sheet.rows() { dt.id { (row.of("cue")) } dd.words { (words(row.parts("wordings"))) } } }
        }
    }
}

/// A sheet as it is; nothing where the lexicon has none.
fn table(heading: &str, anchor: &str, sheet: &Sheet) -> Markup {
    html! {
        @if !sheet.is_empty() {
            h2 id=(anchor) { (heading) }
            p.small { (sheet.about) }
            table {
                tr { @for column in sheet.columns() { th { (column) } } }
                @for row in sheet.rows() { tr { @for cell in row.cells() { td { (cell) } } } }
            }
        }
    }
}

fn appendix(sheets: &Sheets) -> Markup {
    html! {
        h2 { "附录 · Appendix" }
        @for (sheet, lang) in sheets.classes.iter().zip(["中文 Chinese", "英文 English"]) {
            h3 { "同类词 Classes, " (lang) }
            p.small { (sheet.about) }
            dl {
                @for row in sheet.rows() {
                    dt.id id={ "class-" (row.of("name")) } { "{" (row.of("name")) "}" }
                    dd.words { (words(row.parts("members"))) }
                }
            }
        }
        h3 { "对所有概念都不算的词 Maskers of every concept" }
        p.small { (sheets.maskers.about) }
        @for row in sheets.maskers.rows().filter(|row| row.of("concepts") == "*") { p.words { (words(row.parts("wordings"))) } }
        h3 { "同音词 Words that only sound like a wording" }
        p.small { (sheets.collisions.about) }
        p.words { @for row in sheets.collisions.rows() { (words(row.parts("words"))) } }
    }
}

fn signature(report: &Report<'_>) -> Markup {
    html! {
        h2 { "签字 · Signature" }
        p {
            "我已审阅上述概念、说法、规则、阈值、紧急程度与分数，同意按此词典（哈希 " span.id { (report.lexicon.hash()) }
            "）使用。 I have read the concepts, wordings, rules, thresholds, urgencies and scores above and agree to the use of the "
            "lexicon with this hash."
        }
        @for warning in warnings(report) { p.warning { (warning) } }
        table.signature {
            tr { th { "姓名 Name" } th { "职称 Title" } th { "意见 Remarks" } th { "签字 Signature" } th { "日期 Date" } }
            @for _ in 0..2 { tr { td {} td {} td {} td {} td {} } }
        }
    }
}
