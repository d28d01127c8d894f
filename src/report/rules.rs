//! The assertion rules in a clinician's words, by the ids that every finding's evidence carries.

/// A rule: its id, and what it does in Chinese and in English. In the order in which they are tried.
pub const RULES: &[(&str, &str, &str)] = &[
    (
        "question",
        "这是在问，不是在说",
        "A question about the sign, not a report of it: nothing is found.",
    ),
    (
        "hypothetical",
        "如果、害怕、听说、医嘱：不算",
        "A condition, a fear, hearsay or a recalled instruction: nothing is found.",
    ),
    (
        "instructions",
        "问的是该留意什么：不算",
        "An answer to what to look out for, told of nobody: nothing is found.",
    ),
    (
        "answer",
        "只是回答里的词：不算",
        "The word belongs to an answer (no trouble at all): nothing is found.",
    ),
    (
        "figure",
        "吓得差点晕倒之类的说法：不算",
        "What the news nearly did to somebody: nothing is found.",
    ),
    (
        "thing_fell",
        "掉的是东西，不是人：不算",
        "A thing fell, and no person: nothing is found.",
    ),
    (
        "caught_in_time",
        "扶住了，没摔：不算",
        "Slipped and caught hold: no fall.",
    ),
    (
        "of_a_reading",
        "说的是没量，不是没吃药：不算",
        "A reading that was not taken, and no medicine: nothing is found.",
    ),
    (
        "by_order",
        "医生让停的：不算自行停药",
        "Stopped or changed by a doctor: not the patient's own doing.",
    ),
    (
        "of_sweat",
        "是汗、水、尿，不是血：不算",
        "Soaked, but with sweat, water or urine: no bleeding.",
    ),
    (
        "of_no_pain",
        "说的不是疼：不算",
        "A bad smell, colour or swelling is no pain: nothing is found.",
    ),
    (
        "double_negation",
        "双重否定：有",
        "Two negations make it present.",
    ),
    (
        "negation",
        "前后有否定词：没有",
        "A negation before or after it, over listed things: absent.",
    ),
    (
        "negation_far",
        "否定词离得太远：不确定",
        "The negation stands too far off an emergent sign: uncertain, never absent.",
    ),
    ("ceased", "已经好了、停了：以前", "It has stopped: past."),
    (
        "better",
        "好多了，但还在：不确定（仍报警）",
        "Better, but not gone: uncertain, so it still alerts.",
    ),
    (
        "experiencer",
        "说的是别人",
        "Another person's, by who is speaking (patient or relative).",
    ),
    (
        "past",
        "住院前、出院前",
        "Before or at the admission: past.",
    ),
    (
        "older",
        "出院后但两天以前：以前（紧急症状和事件除外）",
        "Since discharge, but more than two days ago: past; never for an emergent concept or an event.",
    ),
    (
        "lasting",
        "旧病留下的，没有变化：以前（只用于新发才算的体征）",
        "Left by an old illness and no different since: past; only for signs that count where they are new.",
    ),
    (
        "of_admission",
        "问的是当初为什么住院：以前",
        "An answer to what led to the admission: past.",
    ),
    (
        "dated_behind",
        "后面带着很早的日期：以前",
        "An old date stands behind it: past.",
    ),
    (
        "over_later",
        "后面说已经过去：以前（紧急症状和事件除外）",
        "Said in the next clause to be over: past; never for an emergent concept or an event.",
    ),
    ("hedge", "好像、可能：不确定", "A hedge: uncertain."),
    (
        "frame_yes",
        "按问题理解：回答有",
        "A bare yes to the question: present; to several things at once: uncertain.",
    ),
    (
        "frame_no",
        "按问题理解：回答没有",
        "A bare no to the question: absent.",
    ),
    (
        "frame_agrees",
        "同意“没有吧？”",
        "Agrees with a question that expects no: absent.",
    ),
    (
        "frame_contradicts",
        "否认“没有吧？”",
        "Contradicts a question that expects no: present.",
    ),
    (
        "frame_inverse",
        "问的是正常或服药：没有就是有问题",
        "Asked for the healthy state or for adherence: a bare no means the sign is there.",
    ),
    ("frame_both", "两个都有", "Both of the things asked."),
    (
        "frame_ordinal",
        "第一个没有，第二个有",
        "By order: the first, the second.",
    ),
    (
        "frame_rest",
        "其他都没有",
        "Nothing else: denies what was asked and not named.",
    ),
    ("frame_persists", "还是那样、一直有", "It goes on: present."),
    ("frame_since", "从……开始", "Says since when: present."),
    (
        "frame_open",
        "对开放问题只答“有”",
        "A bare yes to an open question: uncertain.",
    ),
    (
        "frame_left_over",
        "先说不了，后面又说还有一点：有",
        "Denied, and then said to be there still at times: present.",
    ),
    (
        "frame_past",
        "按问题理解：那是以前的事",
        "A bare yes that is dated before the admission: past.",
    ),
    (
        "frame_conflict",
        "又说有又说没有：不确定",
        "Yes and no to one question: uncertain.",
    ),
    (
        "when_now",
        "现在正在发生",
        "The words say that it goes on now; an emergency stops the script.",
    ),
    (
        "when_within_24_h",
        "一天之内",
        "The words place it within a day.",
    ),
    (
        "when_over",
        "已经过去：紧急的降为尽快，不让人打急救电话",
        "The words say that it is over: an emergent sign becomes urgent and sends nobody to the emergency number; never \
         for suicide or self-harm.",
    ),
    (
        "confirmed_when_asked",
        "追问后确认",
        "Confirmed when asked once more: present.",
    ),
    (
        "denied_when_asked",
        "追问后否认",
        "Denied when asked once more: not counted, kept for the audit sample.",
    ),
    (
        "unclear_when_asked",
        "追问后仍不清楚",
        "Still unclear when asked once more: uncertain, and the order says unconfirmed.",
    ),
];
