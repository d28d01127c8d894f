//! Reasons in words, Mandarin and English: what `aftercall why` prints and a hospital's lawyer reads.

use jiff::civil::{Date, DateTime, Weekday};

use super::policy::{Layer, Profile, Within};
use super::retry::Band;
use super::{Reason, StepState};
use crate::attempt::Disposition;
use crate::lang::Lang;

/// One sentence without its full stop.
pub(super) fn words(reason: &Reason, lang: Lang) -> String {
    match lang {
        Lang::Zh => chinese(reason),
        Lang::En => english(reason),
    }
}

/// What came of a call.
pub fn outcome_in_words(ended: Disposition, lang: Lang) -> &'static str {
    match lang {
        Lang::Zh => outcome_zh(ended),
        Lang::En => outcome_en(ended),
    }
}

/// How a step stands.
pub fn state_in_words(state: StepState, lang: Lang) -> String {
    match lang {
        Lang::Zh => state_zh(state).into(),
        Lang::En => state.to_string(),
    }
}

fn english(reason: &Reason) -> String {
    match reason {
        Reason::NoConsent => "the record holds no consent to be called".into(),
        Reason::ConsentNotAccepted { layer } => {
            format!("{} does not accept the consent on record", layer_en(layer))
        }
        Reason::ConsentWithdrawn => "the consent to be called was withdrawn".into(),
        Reason::DoNotCall => "the number is on the do-not-call list".into(),
        Reason::Dead => "the record says that the patient has died".into(),
        Reason::ReportedDead => "a death was reported; a human must confirm it".into(),
        Reason::Readmitted => "the patient is in hospital again".into(),
        Reason::ReportedReadmitted => {
            "a new stay in hospital was reported; a human must confirm it".into()
        }
        Reason::DischargeCancelled => "the discharge was cancelled".into(),
        Reason::Deaf => "the patient is deaf: a message or a person, never a voice".into(),
        Reason::NoGuardian { age } => format!(
            "the patient is {age} years old, and the record names no guardian who may be rung instead"
        ),
        Reason::Minor { age } => {
            format!("the patient is {age} years old; the hospital has no robot call at that age")
        }
        Reason::NoPhone => "the record has no telephone number".into(),
        Reason::Extension => {
            "the record has only an extension behind a switchboard, which no robot dials; a person must call".into()
        }
        Reason::InvalidNumber => "the number does not exist; a human must find another".into(),
        Reason::WrongParty => {
            "people said that the number is not the patient's; a human must find another".into()
        }
        Reason::UnknownZone => {
            "the time zone of the telephone is not known, so no hour is known to be lawful".into()
        }
        Reason::NotDue { on } => format!("due on {} local", date_en(*on)),
        Reason::OutsideWindow {
            layer: Layer::Learnt,
            local,
        } => format!(
            "{} at the patient's place is an hour that was closed for patients of this age, because few answer then",
            moment_en(*local)
        ),
        Reason::OutsideWindow { layer, local } => {
            let place = place_en(layer);
            let (layer, local) = (layer_en(layer), moment_en(*local));
            format!("{local} {place} is outside the calling hours of {layer}")
        }
        Reason::NoWindow { layer, local } => {
            let (layer, local) = (layer_en(layer), moment_en(*local));
            format!("{layer} opens no calling hour within two weeks of {local}")
        }
        Reason::HolidayUnknown { layer, on } => format!(
            "the holiday calendar does not say what kind of day {} is, and the calling hours of {} depend on it",
            date_en(*on),
            layer_en(layer)
        ),
        Reason::NobodyOnDuty { local } => format!(
            "{} at the hospital: nobody is on duty until an hour after such a call would end",
            moment_en(*local)
        ),
        Reason::StaleRecord {
            age_hours: Some(age),
            allowed_hours,
        } => format!(
            "life, stay and number were last confirmed {age} hours ago; {allowed_hours} are allowed"
        ),
        Reason::StaleRecord {
            age_hours: None,
            allowed_hours,
        } => format!(
            "life, stay and number were never confirmed; they must be no older than {allowed_hours} hours"
        ),
        Reason::WardUnanswered => {
            "an emergent work order of the ward went past the last rung unanswered; the ward must acknowledge it first"
                .into()
        }
        Reason::Paused => "an admin has paused dialling".into(),
        Reason::Rest { minutes } => format!("the number rang less than {minutes} minutes before"),
        Reason::CapReached {
            layer,
            rang,
            calls,
            within,
        } => format!(
            "the number rang {rang} times {}; {} allows {calls}",
            within_en(*within),
            layer_en(layer)
        ),
        Reason::Again { after, minutes } => {
            format!("{}; again after {minutes} minutes", outcome_en(*after))
        }
        Reason::OtherHours {
            after,
            band: Some(band),
        } => format!("{}; again in the {band}", outcome_en(*after)),
        Reason::OtherHours { after, band: None } => {
            format!("{}; again in the next open hour", outcome_en(*after))
        }
        Reason::AskedFor => "was asked to ring later, at a stated time".into(),
        Reason::Recall => "the line dropped in an emergency; once more at once".into(),
        Reason::LiveOnNumber => "a call to the number is live".into(),
        Reason::LiveAttempt => "an attempt is live".into(),
        Reason::AfterOutage => {
            "an outage held many calls up, and they are spread so that not all ring at once".into()
        }
        Reason::NoScript { script, lang } => {
            format!("no signed script `{script}` in language {lang}")
        }
        Reason::TrunkFailing { failed } => {
            format!("the last {failed} calls failed on the trunk; it is tried again one call at a time")
        }
        Reason::CallerIdsUsed => {
            "every caller id of the trunk was shown as often as its caps allow".into()
        }
        Reason::CallerHour { layer, calls } => format!(
            "every caller id of the trunk was shown {calls} times within the hour; {} allows no more",
            layer_en(layer)
        ),
        Reason::BetterHour { local, now, then } => format!(
            "of a hundred patients of this age {now} answer at this hour, and {then} from {} on; left for then",
            moment_en(*local)
        ),
        Reason::NotDecided => "the rows of the step could not be read".into(),
        Reason::Lapsed { on, because: None } => {
            format!("{} was the first day on which it is too late", date_en(*on))
        }
        Reason::Lapsed {
            on,
            because: Some(why),
        } => format!("no hour is left before {}: {}", date_en(*on), english(why)),
        Reason::Settled { by } => settled_en(*by).into(),
        Reason::AttemptsUsed { rang, allowed } => {
            format!("{rang} of {allowed} attempts were used; a human takes over")
        }
        Reason::BrokeOffTwice => "the conversation broke off twice; a human takes over".into(),
        Reason::Recalled => "an emergency was called back once; a human has the work order".into(),
        Reason::NoRecall => {
            "the line dropped in an emergency and may not be called again in time; a human has the work order".into()
        }
        Reason::AlreadyClosed { state } => format!("the step is {state}"),
        Reason::Superseded => {
            "a later discharge, another pathway or a merged record has a plan of its own".into()
        }
    }
}

fn chinese(reason: &Reason) -> String {
    match reason {
        Reason::NoConsent => "档案中没有同意接受电话随访的记录".into(),
        Reason::ConsentNotAccepted { layer } => {
            format!("{}不认可档案中的这种同意方式", layer_zh(layer))
        }
        Reason::ConsentWithdrawn => "对电话随访的同意已经撤回".into(),
        Reason::DoNotCall => "号码在勿拨名单上".into(),
        Reason::Dead => "档案记载患者已经去世".into(),
        Reason::ReportedDead => "有人报告患者去世，须由人工核实".into(),
        Reason::Readmitted => "患者又在住院".into(),
        Reason::ReportedReadmitted => "有人报告患者再次住院，须由人工核实".into(),
        Reason::DischargeCancelled => "出院已被取消".into(),
        Reason::Deaf => "患者听不见：只发消息或由人联系，不打机器人电话".into(),
        Reason::NoGuardian { age } => {
            format!("患者{age}岁，档案中没有可以代为接听的监护人")
        }
        Reason::Minor { age } => format!("患者{age}岁，本院对这个年龄不打机器人电话"),
        Reason::NoPhone => "档案中没有电话号码".into(),
        Reason::Extension => "档案中只有总机后的分机号，机器人不拨分机，须由人工拨打".into(),
        Reason::InvalidNumber => "号码不存在，须由人工另找号码".into(),
        Reason::WrongParty => "接电话的人说号码不是患者的，须由人工另找号码".into(),
        Reason::UnknownZone => "电话所在时区不明，无法确定哪个时刻合法".into(),
        Reason::NotDue { on } => format!("当地日期{}才到期", date_zh(*on)),
        Reason::OutsideWindow {
            layer: Layer::Learnt,
            local,
        } => format!(
            "患者当地时间{}所在的钟点已对这个年龄段关闭，因为很少有人接听",
            moment_zh(*local)
        ),
        Reason::OutsideWindow { layer, local } => format!(
            "{}时间{}不在{}规定的拨打时段内",
            place_zh(layer),
            moment_zh(*local),
            layer_zh(layer)
        ),
        Reason::NoWindow { layer, local } => format!(
            "{}起两周之内，{}没有开放任何拨打时段",
            moment_zh(*local),
            layer_zh(layer)
        ),
        Reason::HolidayUnknown { layer, on } => format!(
            "节假日表没有说明{}是什么日子，而{}的拨打时段要看它",
            date_zh(*on),
            layer_zh(layer)
        ),
        Reason::NobodyOnDuty { local } => format!(
            "医院时间{}：到通话结束一小时后为止没有值班人员",
            moment_zh(*local)
        ),
        Reason::StaleRecord {
            age_hours: Some(age),
            allowed_hours,
        } => format!(
            "患者的生存、住院和号码信息最后一次核实在{age}小时之前，最多允许{allowed_hours}小时"
        ),
        Reason::StaleRecord {
            age_hours: None,
            allowed_hours,
        } => format!("患者的生存、住院和号码信息从未核实；须在{allowed_hours}小时之内核实过"),
        Reason::WardUnanswered => {
            "本病区有一张紧急工单升到最后一级仍无人确认，须先由病区确认".into()
        }
        Reason::Paused => "管理员已暂停拨打".into(),
        Reason::Rest { minutes } => format!("这个号码在{minutes}分钟之内响过铃"),
        Reason::CapReached {
            layer,
            rang,
            calls,
            within,
        } => format!(
            "这个号码{}已经响铃{rang}次，{}最多允许{calls}次",
            within_zh(*within),
            layer_zh(layer)
        ),
        Reason::Again { after, minutes } => {
            format!("{}，{minutes}分钟之后再打", outcome_zh(*after))
        }
        Reason::OtherHours {
            after,
            band: Some(band),
        } => format!("{}，改在{}再打", outcome_zh(*after), band_zh(*band)),
        Reason::OtherHours { after, band: None } => {
            format!("{}，到下一个开放时段再打", outcome_zh(*after))
        }
        Reason::AskedFor => "对方请我们在约定的时间再打".into(),
        Reason::Recall => "紧急情况下线路中断，马上再打一次".into(),
        Reason::LiveOnNumber => "这个号码正在通话".into(),
        Reason::LiveAttempt => "这一步正在拨打".into(),
        Reason::AfterOutage => "故障期间积压了许多电话，现在错开拨打，不一起响铃".into(),
        Reason::NoScript { script, lang } => {
            format!("没有已签署的话术 {script}（语言 {lang}）")
        }
        Reason::TrunkFailing { failed } => {
            format!("线路上最近{failed}次呼叫都失败，先一次一个地试")
        }
        Reason::CallerIdsUsed => "线路的每个主叫号码都已达到显示次数上限".into(),
        Reason::CallerHour { layer, calls } => format!(
            "线路的每个主叫号码一小时内都已显示{calls}次，{}不允许更多",
            layer_zh(layer)
        ),
        Reason::BetterHour { local, now, then } => format!(
            "这个年龄的患者此时每百人有{now}人接听，{}起有{then}人，留到那时再打",
            moment_zh(*local)
        ),
        Reason::NotDecided => "这一步的数据读不出来".into(),
        Reason::Lapsed { on, because: None } => {
            format!("到{}已经太晚，不再有用", date_zh(*on))
        }
        Reason::Lapsed {
            on,
            because: Some(why),
        } => format!("{}之前没有可打的时间：{}", date_zh(*on), chinese(why)),
        Reason::Settled { by } => settled_zh(*by).into(),
        Reason::AttemptsUsed { rang, allowed } => {
            format!("允许的{allowed}次已用{rang}次，改由人工联系")
        }
        Reason::BrokeOffTwice => "通话两次中途断开，改由人工联系".into(),
        Reason::Recalled => "紧急情况已回拨一次，工单在人工手中".into(),
        Reason::NoRecall => "紧急情况下线路中断，规定时间内不能再打，工单在人工手中".into(),
        Reason::AlreadyClosed { state } => format!("这一步的状态是{}", state_zh(*state)),
        Reason::Superseded => "之后的出院、另一条路径或合并后的病历另有计划".into(),
    }
}

fn layer_en(layer: &Layer) -> String {
    match layer {
        Layer::Law(Profile::Cn) => "the law (China)".into(),
        Layer::Law(Profile::Us) => "the law (United States)".into(),
        Layer::Law(Profile::Neutral) => "the rule for places whose law is not known".into(),
        Layer::Hospital => "the hospital".into(),
        Layer::Department(name) => format!("the department `{name}`"),
        Layer::Trunk(name) => format!("the trunk `{name}`"),
        Layer::Learnt => "the hours closed for patients of this age".into(),
        Layer::Patient => "the patient's own wish".into(),
    }
}

fn layer_zh(layer: &Layer) -> String {
    match layer {
        Layer::Law(Profile::Cn) => "中国法规".into(),
        Layer::Law(Profile::Us) => "美国法规".into(),
        Layer::Law(Profile::Neutral) => "法规不明地区的规则".into(),
        Layer::Hospital => "医院".into(),
        Layer::Department(name) => format!("科室“{name}”"),
        Layer::Trunk(name) => format!("线路“{name}”"),
        Layer::Learnt => "对这个年龄段关闭的钟点".into(),
        Layer::Patient => "患者本人意愿".into(),
    }
}

fn place_en(layer: &Layer) -> &'static str {
    match layer {
        Layer::Trunk(_) => "at the hospital",
        Layer::Law(_) | Layer::Hospital | Layer::Department(_) | Layer::Learnt | Layer::Patient => {
            "at the patient's place"
        }
    }
}

fn place_zh(layer: &Layer) -> &'static str {
    match layer {
        Layer::Trunk(_) => "医院",
        Layer::Law(_) | Layer::Hospital | Layer::Department(_) | Layer::Learnt | Layer::Patient => {
            "患者当地"
        }
    }
}

fn within_en(within: Within) -> String {
    match within {
        Within::Day => "today".into(),
        Within::Hours(168) => "in seven days".into(),
        Within::Hours(hours) => format!("in {hours} hours"),
    }
}

fn within_zh(within: Within) -> String {
    match within {
        Within::Day => "今天".into(),
        Within::Hours(168) => "七天之内".into(),
        Within::Hours(hours) => format!("{hours}小时之内"),
    }
}

fn date_en(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

fn date_zh(date: Date) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

fn moment_en(local: DateTime) -> String {
    local.strftime("%A %-d %B %Y, %H:%M").to_string()
}

fn moment_zh(local: DateTime) -> String {
    let weekday = match local.date().weekday() {
        Weekday::Monday => "一",
        Weekday::Tuesday => "二",
        Weekday::Wednesday => "三",
        Weekday::Thursday => "四",
        Weekday::Friday => "五",
        Weekday::Saturday => "六",
        Weekday::Sunday => "日",
    };
    let (date, hour, minute) = (date_zh(local.date()), local.hour(), local.minute());
    format!("{date}（星期{weekday}）{hour:02}:{minute:02}")
}

fn band_zh(band: Band) -> &'static str {
    match band {
        Band::Morning => "上午",
        Band::Afternoon => "下午",
        Band::Evening => "晚上",
    }
}

fn state_zh(state: StepState) -> &'static str {
    match state {
        StepState::Planned => "已计划",
        StepState::Calling => "正在拨打",
        StepState::Done => "已完成",
        StepState::Unreached => "未能联系上",
        StepState::Blocked => "不得拨打",
        StepState::Lapsed => "已过期",
    }
}

fn settled_en(by: Disposition) -> &'static str {
    match by {
        Disposition::Completed => "the call was completed",
        Disposition::AskedForPerson => "asked for a person; a human has the work order",
        Disposition::TakenOver => "a nurse took the call over and talked to the end",
        Disposition::OptedOut => "refused further calls on the telephone",
        Disposition::ReportedDeath => "a death was reported; a human must confirm it",
        Disposition::ReportedReadmission => {
            "a new stay in hospital was reported; a human must confirm it"
        }
        other => outcome_en(other),
    }
}

fn settled_zh(by: Disposition) -> &'static str {
    match by {
        Disposition::Completed => "通话已完成",
        Disposition::AskedForPerson => "对方要求人工，工单在人工手中",
        Disposition::TakenOver => "护士接管通话并谈到结束",
        Disposition::OptedOut => "对方在电话里拒绝再接这样的电话",
        Disposition::ReportedDeath => "有人在电话里报告患者去世，须由人工核实",
        Disposition::ReportedReadmission => "有人在电话里报告患者再次住院，须由人工核实",
        other => outcome_zh(other),
    }
}

fn outcome_en(after: Disposition) -> &'static str {
    match after {
        Disposition::Completed => "the call was completed",
        Disposition::Partial => "the conversation broke off",
        Disposition::CutInEmergency => "the line dropped in an emergency",
        Disposition::Unidentified => "the person was not identified",
        Disposition::WrongParty => "somebody else answered",
        Disposition::NotNow => "it was not convenient",
        Disposition::AskedForPerson => "a person was asked for",
        Disposition::TakenOver => "a nurse took the call over",
        Disposition::OptedOut => "further calls were refused",
        Disposition::ReportedDeath => "a death was reported",
        Disposition::ReportedReadmission => "a new stay in hospital was reported",
        Disposition::Machine => "a machine answered",
        Disposition::NoAnswer => "nobody answered",
        Disposition::Busy => "the line was busy",
        Disposition::Declined => "the call was declined",
        Disposition::InvalidNumber => "the number does not exist",
        Disposition::Unreachable => "the telephone was off or out of reach",
        Disposition::TrunkFailure => "the trunk failed",
        Disposition::Interrupted => "the attempt was interrupted by a stop of the engine",
    }
}

fn outcome_zh(after: Disposition) -> &'static str {
    match after {
        Disposition::Completed => "通话已完成",
        Disposition::Partial => "通话中途断开",
        Disposition::CutInEmergency => "紧急情况下线路中断",
        Disposition::Unidentified => "没能核对身份",
        Disposition::WrongParty => "接电话的是别人",
        Disposition::NotNow => "当时不方便",
        Disposition::AskedForPerson => "对方要求人工",
        Disposition::TakenOver => "护士接管了通话",
        Disposition::OptedOut => "对方拒绝再接",
        Disposition::ReportedDeath => "有人报告患者去世",
        Disposition::ReportedReadmission => "有人报告患者再次住院",
        Disposition::Machine => "接听的是机器",
        Disposition::NoAnswer => "无人接听",
        Disposition::Busy => "占线",
        Disposition::Declined => "对方挂断未接",
        Disposition::InvalidNumber => "号码不存在",
        Disposition::Unreachable => "对方关机或不在服务区",
        Disposition::TrunkFailure => "线路故障",
        Disposition::Interrupted => "因系统停止而中断",
    }
}
