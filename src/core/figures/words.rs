//! What each figure is called, what it is made of, and its value: one list for pages, sheets and metrics.

use serde::{Deserialize, Serialize};

use super::{Figures, Share, Times};
use crate::lang::Lang;

/// A figure of the catalogue (`kpis.md`).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    #[display("coverage")]
    Coverage,
    #[display("reach")]
    Reach,
    #[display("reach_touch")]
    ReachTouch,
    #[display("right_party")]
    RightParty,
    #[display("completion")]
    Completion,
    #[display("screen_completion")]
    ScreenCompletion,
    #[display("alert_rate")]
    AlertRate,
    #[display("ppv")]
    Ppv,
    #[display("acknowledge_p50")]
    AcknowledgeP50,
    #[display("acknowledge_p90")]
    AcknowledgeP90,
    #[display("close_p50")]
    CloseP50,
    #[display("close_p90")]
    CloseP90,
    #[display("late")]
    Late,
    #[display("satisfaction")]
    Satisfaction,
    #[display("nps")]
    Nps,
    #[display("cost_per_completed")]
    CostPerCompleted,
    #[display("nurse_hours_saved")]
    NurseHoursSaved,
    #[display("orders_per_shift")]
    OrdersPerShift,
}

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 0 to 1.
    Share,
    Seconds,
    /// 0 to 10.
    Score,
    /// -100 to 100.
    Balance,
    Money,
    Hours,
    /// Orders by nurse and shift.
    Orders,
}

/// A figure's value with what it rests on; no value where nothing was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Value {
    pub value: Option<f64>,
    pub part: Option<u64>,
    pub of: Option<u64>,
    /// 95 %.
    pub interval: Option<(f64, f64)>,
    /// Beyond what is to be: too few reached, the screen seldom answered, too many orders a shift.
    pub alarm: bool,
}

impl Figure {
    pub const ALL: [Figure; 18] = [
        Figure::Coverage,
        Figure::Reach,
        Figure::ReachTouch,
        Figure::RightParty,
        Figure::Completion,
        Figure::ScreenCompletion,
        Figure::AlertRate,
        Figure::Ppv,
        Figure::AcknowledgeP50,
        Figure::AcknowledgeP90,
        Figure::CloseP50,
        Figure::CloseP90,
        Figure::Late,
        Figure::Satisfaction,
        Figure::Nps,
        Figure::CostPerCompleted,
        Figure::NurseHoursSaved,
        Figure::OrdersPerShift,
    ];

    pub fn unit(self) -> Unit {
        match self {
            Figure::Coverage
            | Figure::Reach
            | Figure::ReachTouch
            | Figure::RightParty
            | Figure::Completion
            | Figure::ScreenCompletion
            | Figure::AlertRate
            | Figure::Ppv
            | Figure::Late => Unit::Share,
            Figure::AcknowledgeP50
            | Figure::AcknowledgeP90
            | Figure::CloseP50
            | Figure::CloseP90 => Unit::Seconds,
            Figure::Satisfaction => Unit::Score,
            Figure::Nps => Unit::Balance,
            Figure::CostPerCompleted => Unit::Money,
            Figure::NurseHoursSaved => Unit::Hours,
            Figure::OrdersPerShift => Unit::Orders,
        }
    }

    /// Its value in counted figures.
    pub fn value(self, figures: &Figures) -> Value {
        let plain = |value: Option<f64>, of: u64| Value {
            value,
            of: Some(of),
            ..Value::default()
        };
        let below = |share: Share, least: f64| Value {
            alarm: share.value().is_some_and(|value| value < least),
            ..Value::of(share)
        };
        let time = |times: Times, value: Option<f64>| plain(value, times.count);
        match self {
            Figure::Coverage => Value::of(figures.coverage),
            Figure::Reach => below(figures.reach, Figures::REACH_ALARM),
            Figure::ReachTouch => Value::of(figures.reach_touch),
            Figure::RightParty => Value::of(figures.right_party),
            Figure::Completion => Value::of(figures.completion),
            Figure::ScreenCompletion => below(figures.screen_completion, Figures::SCREEN_TARGET),
            Figure::AlertRate => Value::of(figures.alert_rate),
            Figure::Ppv => Value::of(figures.ppv),
            Figure::AcknowledgeP50 => time(figures.acknowledge, figures.acknowledge.p50_s),
            Figure::AcknowledgeP90 => time(figures.acknowledge, figures.acknowledge.p90_s),
            Figure::CloseP50 => time(figures.close, figures.close.p50_s),
            Figure::CloseP90 => time(figures.close, figures.close.p90_s),
            Figure::Late => Value::of(figures.late),
            Figure::Satisfaction => plain(figures.satisfaction.mean, figures.satisfaction.answers),
            Figure::Nps => plain(figures.nps, figures.nps_answers),
            Figure::CostPerCompleted => plain(figures.cost_per_completed, figures.alert_rate.of),
            Figure::NurseHoursSaved => plain(figures.nurse_hours_saved, figures.alert_rate.of),
            Figure::OrdersPerShift => Value {
                alarm: figures.too_many_orders,
                ..plain(figures.orders_per_shift, figures.orders)
            },
        }
    }

    /// Its name.
    pub fn name(self, lang: Lang) -> &'static str {
        let (zh, en, _, _) = self.words();
        match lang {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    /// What it is made of, for who has not read the catalogue.
    pub fn definition(self, lang: Lang) -> &'static str {
        let (_, _, zh, en) = self.words();
        match lang {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Figure::Coverage => (
                "覆盖率",
                "Coverage",
                "至少拨打过一次的患者 ÷ 应随访的患者（含因故不能拨打的）。",
                "Patients with at least one attempt ÷ patients due, also those whom the robot may not call.",
            ),
            Figure::Reach => (
                "接通率（按次）",
                "Reach, by attempt",
                "确认由真人接听的呼叫 ÷ 已拨出的呼叫。低于 60 % 报警。",
                "Attempts answered by a confirmed human ÷ attempts dialled. Alarm under 60 %.",
            ),
            Figure::ReachTouch => (
                "接通率（按随访点）",
                "Reach, by touch",
                "至少接通一次的随访点 ÷ 拨打过的随访点。",
                "Follow-ups in which a human answered at least once ÷ follow-ups dialled.",
            ),
            Figure::RightParty => (
                "本人率",
                "Right party",
                "确认为本人或许可代答人的呼叫 ÷ 真人接听的呼叫。",
                "Identity or a permitted proxy confirmed ÷ human answers.",
            ),
            Figure::Completion => (
                "完成率",
                "Completion",
                "答完急症筛查和专病问题的呼叫 ÷ 确认本人的呼叫。",
                "Emergency screen and condition block answered ÷ right-party calls.",
            ),
            Figure::ScreenCompletion => (
                "急症筛查完成率",
                "Emergency-screen completion",
                "全部 P0 问题都有回答的呼叫 ÷ 确认本人的呼叫。目标不低于 95 %。",
                "All P0 questions answered ÷ right-party calls. Target at least 95 %.",
            ),
            Figure::AlertRate => (
                "预警率",
                "Alert rate",
                "有至少一项 P0–P2 发现的呼叫 ÷ 完成的呼叫。中途结束的呼叫也可能预警，故可超过 100 %。",
                "Calls with at least one P0–P2 finding ÷ completed calls. A call that broke off may alert too, so it can pass 100 %.",
            ),
            Figure::Ppv => (
                "阳性预测值",
                "PPV",
                "结果属实（属实、已知、已送急诊）的预警 ÷ 已关闭的预警。一张工单为一次预警。",
                "Alerts with the outcome true (so, already known, sent to emergency) ÷ closed alerts. One order is one alert.",
            ),
            Figure::AcknowledgeP50 => (
                "接单时间 p50",
                "Time to acknowledge, p50",
                "从工单产生到有人接单，半数不超过此时间。",
                "From the order to its acknowledgement: half took no longer.",
            ),
            Figure::AcknowledgeP90 => (
                "接单时间 p90",
                "Time to acknowledge, p90",
                "从工单产生到有人接单，九成不超过此时间。",
                "From the order to its acknowledgement: nine of ten took no longer.",
            ),
            Figure::CloseP50 => (
                "关单时间 p50",
                "Time to close, p50",
                "从工单产生到关闭，半数不超过此时间。",
                "From the order to its closing: half took no longer.",
            ),
            Figure::CloseP90 => (
                "关单时间 p90",
                "Time to close, p90",
                "从工单产生到关闭，九成不超过此时间。",
                "From the order to its closing: nine of ten took no longer.",
            ),
            Figure::Late => (
                "超时率",
                "Over the deadline",
                "接单前已升级的工单 ÷ 全部工单。",
                "Orders that climbed before somebody acknowledged them ÷ all orders.",
            ),
            Figure::Satisfaction => (
                "满意度",
                "Satisfaction",
                "问到时患者给出院服务打分的平均值（0–10）。",
                "Mean score that patients gave the care around leaving hospital (0–10), where it was asked.",
            ),
            Figure::Nps => (
                "净推荐值",
                "NPS",
                "愿意推荐的 9–10 分占比减去 0–6 分占比，乘以 100；仅当话术问到是否愿意推荐时有值。",
                "Share of 9–10 less share of 0–6, times 100, on whether they would recommend; where a script asks it (node recommend).",
            ),
            Figure::CostPerCompleted => (
                "每次完成的成本",
                "Cost per completed call",
                "（线路 + 计算 + 护士时间）÷ 完成的呼叫。单价由医院在配置中设定。",
                "Line + compute + nurse minutes ÷ completed calls. The rates are set in the configuration, [figures].",
            ),
            Figure::NurseHoursSaved => (
                "节省护士工时",
                "Nurse hours saved",
                "护士打同样电话所需的时间减去处理工单的时间。所需分钟由医院在配置中设定。",
                "What nurses would have needed for the completed calls, less what the closed orders took. Minutes are set in the configuration, [figures].",
            ),
            Figure::OrdersPerShift => (
                "每护士班工单",
                "Orders per nurse-shift",
                "工单 ÷ 护士班次（按排班表；无排班的病区每班计一人）。",
                "Orders ÷ nurse-shifts by the rota; one nurse a shift for a ward that the rota does not know.",
            ),
        }
    }
}

impl Value {
    fn of(share: Share) -> Self {
        Self {
            value: share.value(),
            part: Some(share.part),
            of: Some(share.of),
            interval: share.interval(),
            alarm: false,
        }
    }
}
