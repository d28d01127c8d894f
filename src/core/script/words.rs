//! Words that a prompt must not, or must, contain. Lists for `check`; reviewed like clinical text.

use crate::lang::Lang;

/// Nothing about health may be said before identity.
const HEALTH_ZH: &[&str] = &[
    "疼", "痛", "胸", "喘", "憋", "晕", "血", "药", "伤口", "手术", "病", "症", "发烧", "体温",
    "呼吸", "出院", "住院", "复查", "治疗", "康复", "体重", "血压", "血糖", "恢复", "身体",
];
const HEALTH_EN: &[&str] = &[
    "pain",
    "chest",
    "breath",
    "breathing",
    "blood",
    "bleeding",
    "medicine",
    "medicines",
    "wound",
    "surgery",
    "operation",
    "illness",
    "disease",
    "fever",
    "discharge",
    "discharged",
    "symptom",
    "symptoms",
    "treatment",
    "recovery",
    "health",
    "weight",
    "pressure",
    "ill",
    "sick",
    "patient",
    "leaving",
];
/// Words that give away a ward or a speciality.
const WARD_ZH: &[&str] = &[
    "科", "病区", "病房", "肿瘤", "精神", "心理", "感染", "传染", "生殖", "妇产", "产科", "心脏",
    "胸科", "肝病", "肾病", "皮肤", "性病", "戒毒",
];
const WARD_EN: &[&str] = &[
    "ward",
    "department",
    "clinic",
    "oncology",
    "cancer",
    "psychiatric",
    "psychiatry",
    "cardiology",
    "cardiac",
    "heart",
    "surgery",
    "surgical",
    "fertility",
    "maternity",
    "infectious",
    "dialysis",
    "hospice",
    "rehab",
    "unit",
];
/// Reassurance: a robot cannot know it.
const COMFORT_ZH: &[&str] = &[
    "恢复得很好",
    "恢复得不错",
    "恢复很好",
    "没问题",
    "没有问题",
    "没事的",
    "不用担心",
    "别担心",
    "不必担心",
    "放心",
    "不要紧",
    "一切正常",
    "很正常",
    "很健康",
    "不严重",
    "会好的",
    "没有大碍",
];
const COMFORT_EN: &[&str] = &[
    "you're fine",
    "you are fine",
    "you will be fine",
    "nothing to worry",
    "no need to worry",
    "don't worry",
    "do not worry",
    "no problem",
    "recovering well",
    "doing well",
    "that's normal",
    "that is normal",
    "not serious",
    "all is well",
    "everything is fine",
    "perfectly normal",
    "good news",
];
/// Diagnoses, tumours and drug classes: only for a patient who knows.
const DIAGNOSIS_ZH: &[&str] = &[
    "癌",
    "肿瘤",
    "瘤",
    "化疗",
    "放疗",
    "白血病",
    "心衰",
    "心力衰竭",
    "心梗",
    "心肌梗",
    "冠心病",
    "支架",
    "糖尿病",
    "肝硬化",
    "肝炎",
    "肺炎",
    "慢阻肺",
    "中风",
    "脑梗",
    "尿毒症",
    "抗凝",
    "利尿",
    "降压药",
    "降糖",
    "胰岛素",
    "阿司匹林",
    "他汀",
    "华法林",
    "氯吡格雷",
    "抗血小板",
    "激素",
    "抗生素",
    "靶向",
    "抑郁症",
    "精神分裂",
    "艾滋",
    "梅毒",
];
const DIAGNOSIS_EN: &[&str] = &[
    "cancer",
    "tumour",
    "tumor",
    "chemotherapy",
    "chemo",
    "radiotherapy",
    "leukaemia",
    "leukemia",
    "lymphoma",
    "heart failure",
    "heart attack",
    "infarction",
    "coronary",
    "stent",
    "diabetes",
    "cirrhosis",
    "hepatitis",
    "pneumonia",
    "copd",
    "stroke",
    "dialysis",
    "anticoagulant",
    "blood thinner",
    "diuretic",
    "insulin",
    "aspirin",
    "statin",
    "warfarin",
    "clopidogrel",
    "antiplatelet",
    "antibiotic",
    "steroid",
    "beta blocker",
    "depression",
    "schizophrenia",
    "hiv",
];

/// The first word of a list that stands in the text.
fn first<'a>(text: &str, zh: &[&'a str], en: &[&'a str], lang: Lang) -> Option<&'a str> {
    match lang {
        Lang::Zh => zh.iter().copied().find(|w| text.contains(w)),
        Lang::En => {
            let text = super::reply::plain(text);
            en.iter()
                .copied()
                .find(|w| super::reply::contains_words(&text, w))
        }
    }
}

/// A word about health.
pub fn health(text: &str, lang: Lang) -> Option<&'static str> {
    first(text, HEALTH_ZH, HEALTH_EN, lang)
}

/// A word that names a ward or a speciality.
pub fn ward(text: &str, lang: Lang) -> Option<&'static str> {
    first(text, WARD_ZH, WARD_EN, lang)
}

/// A word of reassurance.
pub fn comfort(text: &str, lang: Lang) -> Option<&'static str> {
    first(text, COMFORT_ZH, COMFORT_EN, lang)
}

/// A diagnosis, a tumour or a class of drugs.
pub fn diagnosis(text: &str, lang: Lang) -> Option<&'static str> {
    first(text, DIAGNOSIS_ZH, DIAGNOSIS_EN, lang)
}

/// Whether the text carries one word of each group.
fn carries(text: &str, groups: &[&[&str]]) -> bool {
    let text = text.to_lowercase();
    groups
        .iter()
        .all(|group| group.iter().any(|w| text.contains(w)))
}

/// "A robot cannot judge an illness", with the emergency number.
pub fn is_safety_line(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => carries(
            text,
            &[&["机器人"], &["不能判断", "无法判断"], &["幺二零", "120"]],
        ),
        Lang::En => carries(
            text,
            &[
                &["robot"],
                &["cannot judge", "can not judge", "not able to judge"],
                &["nine one one", "911"],
            ],
        ),
    }
}

/// Says that the call is automatic and recorded.
pub fn is_notice(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => carries(text, &[&["自动", "机器人", "智能"], &["录音"]]),
        Lang::En => carries(
            text,
            &[
                &["automated", "automatic", "robot", "computer"],
                &["recorded"],
            ],
        ),
    }
}

/// A question that expects "no": "您没有胸痛吧？" cannot be answered clearly.
pub fn is_negative_tag(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => {
            let clause = text
                .split(['，', '。', '！'])
                .next_back()
                .unwrap_or_default();
            let tag = clause.ends_with("吧？") && (clause.contains("没") || clause.contains('不'));
            tag || text.contains("没有吧") || text.contains("不是吗？")
        }
        Lang::En => {
            let text = super::reply::plain(text);
            [
                "you don't",
                "you haven't",
                "you aren't",
                "there isn't",
                "there hasn't",
                "you do not have",
            ]
            .iter()
            .any(|start| text.starts_with(start))
                || ["do you not", "have you not", "is there not"]
                    .iter()
                    .any(|end| text.ends_with(end))
        }
    }
}
