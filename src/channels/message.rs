//! What a person reads: that there is an order, how urgent, and where to take it. Nothing of the patient.

use aftercall_core::finding::Urgency;
use aftercall_core::lang::Lang;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, WorkOrder};
use jiff::tz::TimeZone;

/// What a message about an order is made of.
#[derive(Debug)]
pub struct Notice<'a> {
    pub order: &'a WorkOrder,
    /// `work_order.raised`, `work_order.promise_broken`, …
    pub event: &'a str,
    /// The hospital's name.
    pub hospital: &'a str,
    pub zone: &'a TimeZone,
    /// Where the order can be taken, with `{id}`; empty where nobody set it.
    pub link: &'a str,
    /// Ward and findings may be named.
    pub safe: bool,
}

/// The line above a message, and the message.
pub fn text(notice: &Notice<'_>, lang: Lang) -> (String, String) {
    let order = notice.order;
    let local = |at: Timestamp| {
        let local = notice.zone.to_datetime(at);
        local.strftime("%m-%d %H:%M").to_string()
    };
    let hospital = notice.hospital;
    let urgency = urgency(order.urgency, lang);
    let raised = local(order.raised_at);
    let (subject, mut text) = match lang {
        Lang::Zh => (
            format!("{hospital}随访工单：{urgency}"),
            format!(
                "【{hospital}】随访工单，{urgency}，{raised} 发出。{}",
                said(notice.event, lang)
            ),
        ),
        Lang::En => (
            format!("{hospital} follow-up order: {urgency}"),
            format!(
                "{hospital}: follow-up order, {urgency}, raised {raised}. {}",
                said(notice.event, lang)
            ),
        ),
    };
    if let Some(by) = order.promise() {
        let by = local(by);
        text.push_str(&match lang {
            Lang::Zh => format!("已向对方承诺 {by} 前有人通话。"),
            Lang::En => format!(" A call by a person was promised by {by}."),
        });
    }
    if notice.safe {
        text.push_str(&details(order, lang));
    }
    let number = &order.id.0;
    text.push_str(&match lang {
        Lang::Zh => format!("编号 {number}。"),
        Lang::En => format!(" Number {number}."),
    });
    if !notice.link.is_empty() {
        text.push(' ');
        text.push_str(&notice.link.replace("{id}", number));
    }
    (subject, text)
}

/// What a person hears who is rung.
pub fn spoken(notice: &Notice<'_>, lang: Lang) -> String {
    let (hospital, urgency) = (notice.hospital, urgency(notice.order.urgency, lang));
    match lang {
        Lang::Zh => format!(
            "这里是{hospital}的随访系统。有一个工单等您接手，级别是{urgency}。接手，请按一。"
        ),
        Lang::En => format!(
            "This is the follow-up system of {hospital}. An order is waiting for you. It is {urgency}. To take it, press one."
        ),
    }
}

fn urgency(urgency: Urgency, lang: Lang) -> &'static str {
    match (urgency, lang) {
        (Urgency::Emergent, Lang::Zh) => "特急",
        (Urgency::Urgent, Lang::Zh) => "紧急",
        (Urgency::SameDay, Lang::Zh) => "当日处理",
        (Urgency::Routine, Lang::Zh) => "常规",
        (Urgency::Emergent, Lang::En) => "emergent",
        (Urgency::Urgent, Lang::En) => "urgent",
        (Urgency::SameDay, Lang::En) => "same day",
        (Urgency::Routine, Lang::En) => "routine",
    }
}

fn said(event: &str, lang: Lang) -> &'static str {
    match (event, lang) {
        ("work_order.handed_over", Lang::Zh) => "已转交给您，请接手。",
        ("work_order.handed_over", Lang::En) => "It was handed over to you: please take it.",
        ("work_order.came_back", Lang::Zh) => "接手后未关闭，请处理。",
        ("work_order.came_back", Lang::En) => "It was taken and not closed: please see to it.",
        ("work_order.promise_broken", Lang::Zh) => "已接手，但尚无人与对方通话，请立即通话。",
        ("work_order.promise_broken", Lang::En) => {
            "It was taken, and nobody has spoken with the person yet: please call now."
        }
        ("work_order.escalated", Lang::Zh) => "至今无人接手，请接手。",
        ("work_order.escalated", Lang::En) => "Nobody has taken it so far: please take it.",
        ("work_order.acknowledged", Lang::Zh) => "已有人接手。",
        ("work_order.acknowledged", Lang::En) => "Somebody has taken it.",
        ("work_order.closed", Lang::Zh) => "已关闭。",
        ("work_order.closed", Lang::En) => "It is closed.",
        (_, Lang::Zh) => "请接手。",
        (_, Lang::En) => "Please take it.",
    }
}

/// The ward, and what was found.
fn details(order: &WorkOrder, lang: Lang) -> String {
    let mut found: Vec<String> = order.causes.iter().map(name).collect();
    found.dedup();
    let found = found.join(", ");
    let ward = &order.ward;
    match lang {
        Lang::Zh => format!("病区 {ward}：{found}。"),
        Lang::En => format!(" Ward {ward}: {found}."),
    }
}

/// A finding's concept; otherwise the cause's own word.
fn name(cause: &Cause) -> String {
    if let Cause::Finding { finding, .. } = cause {
        return finding.finding.concept.0.clone();
    }
    let value = serde_json::to_value(cause).unwrap_or_default();
    let kind = value.get("kind").and_then(|kind| kind.as_str());
    kind.unwrap_or_default().to_owned()
}
