//! Messages around a call: when one announces it, and the only words that any may have before somebody has said who they are.
//!
//! A telephone lies about, and a department's name can tell a diagnosis: a message is made of the hospital's neutral name, its
//! numbers and an hour, and of nothing that is known of the patient.

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::lang::Lang;
use crate::time::Timestamp;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Before a call.
    #[display("prewarm")]
    Prewarm,
    /// After calls in vain.
    #[display("missed_call")]
    MissedCall,
    /// A step of the plan that is no call.
    #[display("education")]
    Education,
    /// Instead of the calls that reached nobody.
    #[display("form")]
    Form,
}

impl MessageKind {
    pub const ALL: [MessageKind; 4] = [
        MessageKind::Prewarm,
        MessageKind::MissedCall,
        MessageKind::Education,
        MessageKind::Form,
    ];

    /// The event by which the hospital's program is told to send it.
    pub fn event(self) -> &'static str {
        match self {
            MessageKind::Prewarm => "prewarm.due",
            MessageKind::MissedCall => "missed_call.due",
            MessageKind::Education => "education.due",
            MessageKind::Form => "form.due",
        }
    }

    /// The kind of an event of messages.
    pub fn of_event(event: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.event() == event)
    }
}

/// How patients are written to who were not reached by telephone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreachable {
    /// A person's task: a letter.
    #[default]
    Letter,
    /// A message with a form; the letter where it cannot be delivered.
    Form,
    /// Their work order is all.
    Nothing,
}

/// The hospital as every message names it.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The approved neutral name.
    pub hospital: &'a str,
    /// Numbers that the callee may see; empty where the trunk shows none.
    pub callers: &'a [String],
    /// The number to ring back.
    pub callback: &'a str,
}

/// A message in words. `call_at`: the local hour from which the call comes, where it announces one.
pub fn words(
    kind: MessageKind,
    sender: &Sender<'_>,
    call_at: Option<DateTime>,
    lang: Lang,
) -> String {
    let Sender {
        hospital, callback, ..
    } = sender;
    match (kind, lang) {
        (MessageKind::Prewarm, Lang::Zh) => {
            let at = call_at.map_or_else(|| "稍后".to_owned(), |at| hour(at, lang));
            let from = match sender.callers {
                [] => String::new(),
                callers => format!("，来电号码{}", callers.join("、")),
            };
            format!("【{hospital}】{at}致电您{from}，请留意接听。如需联系我们，请拨打{callback}。")
        }
        (MessageKind::Prewarm, Lang::En) => {
            let at = call_at.map_or_else(|| "soon".to_owned(), |at| hour(at, lang));
            let from = match sender.callers {
                [] => String::new(),
                callers => format!(" from {}", callers.join(" or ")),
            };
            format!(
                "{hospital} will telephone you {at}{from}. Please answer. To reach us, call {callback}."
            )
        }
        (MessageKind::MissedCall, Lang::Zh) => {
            format!("【{hospital}】今天致电您未能接通。请回电{callback}。")
        }
        (MessageKind::MissedCall, Lang::En) => {
            format!("{hospital} tried to telephone you today. Please call us on {callback}.")
        }
        (MessageKind::Education, Lang::Zh) => {
            format!("【{hospital}】有一份资料请您阅读，请登录医院小程序查看，或致电{callback}。")
        }
        (MessageKind::Education, Lang::En) => format!(
            "{hospital} has something for you to read. Please sign in to the hospital's app, or call {callback}."
        ),
        (MessageKind::Form, Lang::Zh) => format!(
            "【{hospital}】多次致电您未能接通，有一份表格请您填写，请登录医院小程序，或致电{callback}。"
        ),
        (MessageKind::Form, Lang::En) => format!(
            "{hospital} could not reach you by telephone and has a form for you to fill in. Please sign in to the hospital's app, or call {callback}."
        ),
    }
}

fn hour(at: DateTime, lang: Lang) -> String {
    let (month, day, clock) = (at.month(), at.day(), at.strftime("%H:%M"));
    match lang {
        Lang::Zh => format!("将于{month}月{day}日{clock}以后"),
        Lang::En => format!("on {} {day} from {clock}", at.strftime("%B")),
    }
}

/// A message that comes later than this before its call announces nothing.
const LEAST: SignedDuration = SignedDuration::from_mins(10);

/// Whether a call is announced now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// With the message of this lead, in hours.
    Now { lead_hours: u32 },
    /// It is looked at again then.
    LookAt(Timestamp),
    /// No further message.
    Never,
}

/// Decides on the call that may be made from `call_at` on. `leads`: hours before it; `sent`: the shortest that was announced
/// already; `may_write_at`: the first instant from now on at which a message wakes nobody.
///
/// Leads whose time has passed are made up for by the shortest of them alone: nobody gets two messages at once.
pub fn announce(
    leads: &[u32],
    sent: Option<u32>,
    call_at: Timestamp,
    may_write_at: Option<Timestamp>,
    now: Timestamp,
) -> Announce {
    let at = |lead: u32| call_at - SignedDuration::from_hours(lead.into());
    let left = || {
        leads
            .iter()
            .copied()
            .filter(|lead| sent.is_none_or(|sent| *lead < sent))
    };
    let later = left().filter(|lead| at(*lead) > now).max();
    let Some(lead_hours) = left().filter(|lead| at(*lead) <= now).min() else {
        return later.map_or(Announce::Never, |lead| Announce::LookAt(at(lead)));
    };
    match may_write_at {
        Some(write) if write + LEAST > call_at => {
            later.map_or(Announce::Never, |lead| Announce::LookAt(at(lead)))
        }
        Some(write) if write > now => Announce::LookAt(write),
        Some(_) => Announce::Now { lead_hours },
        None => Announce::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn a_call_is_announced_by_its_leads_and_never_twice_at_once() {
        // The call may come at 09:00; a message may go out from 08:00 on.
        let call = at("2026-11-23T09:00:00Z");
        for (now, sent, write, expected) in [
            (
                "2026-11-22T08:00:00Z",
                None,
                "2026-11-22T08:00:00Z",
                Announce::LookAt(at("2026-11-22T09:00:00Z")),
            ),
            (
                "2026-11-22T09:00:00Z",
                None,
                "2026-11-22T09:00:00Z",
                Announce::Now { lead_hours: 24 },
            ),
            (
                "2026-11-22T09:00:10Z",
                Some(24),
                "2026-11-22T09:00:10Z",
                Announce::LookAt(at("2026-11-23T08:00:00Z")),
            ),
            // Enrolled in the evening: the one of the day before is made up for, in an hour that wakes nobody.
            (
                "2026-11-22T18:00:00Z",
                None,
                "2026-11-22T18:00:00Z",
                Announce::Now { lead_hours: 24 },
            ),
            (
                "2026-11-22T23:00:00Z",
                None,
                "2026-11-23T08:00:00Z",
                Announce::LookAt(at("2026-11-23T08:00:00Z")),
            ),
            // Both are due: the shorter says it all.
            (
                "2026-11-23T08:00:00Z",
                None,
                "2026-11-23T08:00:00Z",
                Announce::Now { lead_hours: 1 },
            ),
            (
                "2026-11-23T08:00:10Z",
                Some(1),
                "2026-11-23T08:00:10Z",
                Announce::Never,
            ),
            (
                "2026-11-23T08:51:00Z",
                None,
                "2026-11-23T08:51:00Z",
                Announce::Never,
            ),
            (
                "2026-11-23T08:00:00Z",
                None,
                "2026-11-23T08:55:00Z",
                Announce::Never,
            ),
        ] {
            let found = announce(&[24, 1], sent, call, Some(at(write)), at(now));
            assert_eq!(found, expected, "{now} {sent:?}");
        }
        assert_eq!(
            announce(&[24], None, call, None, at("2026-11-22T10:00:00Z")),
            Announce::Never
        );
        assert_eq!(announce(&[], None, call, Some(call), call), Announce::Never);
    }

    #[test]
    fn words_are_the_neutral_name_numbers_and_an_hour() {
        let callers = ["4001".to_owned(), "4002".to_owned()];
        let sender = |hospital| Sender {
            hospital,
            callers: &callers,
            callback: "010-0000-0000",
        };
        let call_at = Some(jiff::civil::date(2026, 11, 23).at(9, 0, 0, 0));
        let zh = words(MessageKind::Prewarm, &sender("示范医院"), call_at, Lang::Zh);
        assert_eq!(
            zh,
            "【示范医院】将于11月23日09:00以后致电您，来电号码4001、4002，请留意接听。如需联系我们，请拨打010-0000-0000。"
        );
        let en = words(
            MessageKind::Prewarm,
            &sender("Demonstration Hospital"),
            call_at,
            Lang::En,
        );
        assert_eq!(
            en,
            "Demonstration Hospital will telephone you on November 23 from 09:00 from 4001 or 4002. Please answer. \
             To reach us, call 010-0000-0000."
        );
        for kind in MessageKind::ALL {
            assert_eq!(MessageKind::of_event(kind.event()), Some(kind));
        }
        assert_eq!(MessageKind::of_event("call.finished"), None);
    }
}
