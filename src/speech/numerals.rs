//! Figures in Mandarin text as they are read: dates, times, units, ranges, telephone numbers.

use aftercall_core::script::spoken::whole_zh;

/// Units after a number, the longer first.
const UNITS: [(&str, &str); 21] = [
    ("mmol/L", "毫摩尔每升"),
    ("mmHg", "毫米汞柱"),
    ("次/分", "次每分钟"),
    ("mg/d", "毫克每天"),
    ("kg", "公斤"),
    ("mg", "毫克"),
    ("μg", "微克"),
    ("ug", "微克"),
    ("ml", "毫升"),
    ("mL", "毫升"),
    ("cm", "厘米"),
    ("mm", "毫米"),
    ("km", "公里"),
    ("℃", "摄氏度"),
    ("°C", "摄氏度"),
    ("g", "克"),
    ("L", "升"),
    ("m", "米"),
    ("h", "小时"),
    ("°", "度"),
    ("天/次", "天一次"),
];

/// What is counted with 两, not 二.
const COUNTED: [char; 24] = [
    '个', '次', '片', '粒', '颗', '天', '周', '年', '点', '位', '种', '瓶', '盒', '支', '遍', '顿',
    '条', '口', '家', '包', '袋', '勺', '步', '小',
];

/// Writes the figures of a text as the words they are read as. Latin letters that are no unit stay.
pub fn written_out(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (String::new(), 0);
    while at < chars.len() {
        if !chars[at].is_ascii_digit() {
            // An inline reading, `[单|shan4]`, is no figure.
            let inside = chars[at..].iter().position(|c| *c == ']');
            let kept = match inside {
                Some(end) if chars[at] == '[' && chars[at..at + end].contains(&'|') => end + 1,
                Some(_) | None => 1,
            };
            out.extend(&chars[at..at + kept]);
            at += kept;
            continue;
        }
        let figure = Figure::read(&chars[at..]);
        if out.ends_with(['打', '拨', '码']) && figure.marks.is_empty() {
            digits(&figure.groups.concat(), true, &mut out);
        } else {
            figure.write(&chars[at + figure.length..], &mut out);
        }
        at += figure.length;
        at += unit(&chars[at..], &mut out);
    }
    out
}

/// A stretch of digits and the marks between them.
struct Figure {
    groups: Vec<String>,
    marks: Vec<char>,
    length: usize,
}

impl Figure {
    fn read(chars: &[char]) -> Figure {
        let (mut groups, mut marks, mut at) = (vec![String::new()], Vec::new(), 0);
        while at < chars.len() {
            let next = chars.get(at + 1);
            match chars[at] {
                digit if digit.is_ascii_digit() => {
                    if let Some(group) = groups.last_mut() {
                        group.push(digit);
                    }
                }
                mark @ ('.' | '-' | '~' | '～' | '—' | '/' | ':' | '：')
                    if next.is_some_and(char::is_ascii_digit) =>
                {
                    marks.push(mark);
                    groups.push(String::new());
                }
                _ => break,
            }
            at += 1;
        }
        Figure {
            groups,
            marks,
            length: at,
        }
    }

    fn write(&self, after: &[char], out: &mut String) {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        match (&groups[..], &self.marks[..]) {
            ([year, month, day], ['-' | '/' | '.', ..]) if year.len() == 4 && month.len() <= 2 => {
                digits(year, false, out);
                out.push('年');
                out.push_str(&number(month));
                out.push('月');
                out.push_str(&number(day));
                out.push('日');
            }
            ([hour, minute], [':' | '：']) if minute.len() == 2 => {
                out.push_str(&counted(hour, Some('点')));
                out.push('点');
                match *minute {
                    "00" => {}
                    "30" => out.push('半'),
                    _ => {
                        if minute.starts_with('0') {
                            out.push('零');
                        }
                        out.push_str(&number(minute));
                        out.push('分');
                    }
                }
            }
            // A telephone number: 010-12345678.
            (parts, marks)
                if marks.iter().all(|mark| *mark == '-')
                    && parts.iter().map(|part| part.len()).sum::<usize>() >= 7 =>
            {
                for part in parts {
                    digits(part, true, out);
                }
            }
            _ => self.quantity(&groups, after, out),
        }
    }

    /// Decimals, ranges and pressures: 36.5-37.2, 120/80.
    fn quantity(&self, groups: &[&str], after: &[char], out: &mut String) {
        let percent = after.first().is_some_and(|c| matches!(c, '%' | '％'));
        if percent {
            out.push_str("百分之");
        }
        let mut decimal = false;
        for (at, group) in groups.iter().enumerate() {
            match at.checked_sub(1).map(|before| self.marks[before]) {
                Some('.') => {
                    out.push('点');
                    decimal = true;
                }
                Some('/') => {
                    out.push('，');
                    decimal = false;
                }
                Some(_) => {
                    out.push('到');
                    if percent {
                        out.push_str("百分之");
                    }
                    decimal = false;
                }
                None => {}
            }
            let is_last = at + 1 == groups.len();
            let next = after.first().filter(|_| is_last).copied();
            let year = next == Some('年') && group.len() == 4;
            let long = group.len() >= 5;
            if decimal || year || long || (group.len() > 1 && group.starts_with('0')) {
                digits(group, long && !decimal, out);
            } else if groups.len() == 1 {
                out.push_str(&counted(group, next));
            } else {
                out.push_str(&number(group));
            }
        }
    }
}

/// The unit that follows a figure; the characters it takes.
fn unit(chars: &[char], out: &mut String) -> usize {
    if chars.first().is_some_and(|c| matches!(c, '%' | '％')) {
        return 1;
    }
    let found = UNITS.iter().find(|(unit, _)| {
        let length = unit.chars().count();
        let whole = chars
            .get(length)
            .is_none_or(|next| !next.is_ascii_alphabetic());
        whole && unit.chars().eq(chars.iter().copied().take(length))
    });
    match found {
        Some((unit, words)) => {
            out.push_str(words);
            unit.chars().count()
        }
        None => 0,
    }
}

/// Digit by digit; in a number that is dialled, one is 幺.
fn digits(figure: &str, dialled: bool, out: &mut String) {
    for digit in figure.bytes() {
        match digit {
            b'1' if dialled => out.push('幺'),
            _ => out.push(numeral(u64::from(digit - b'0'))),
        }
    }
}

fn counted(figure: &str, next: Option<char>) -> String {
    match next {
        Some(what) if figure == "2" && COUNTED.contains(&what) => "两".to_owned(),
        _ => number(figure),
    }
}

fn numeral(digit: u64) -> char {
    ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'][digit as usize % 10]
}

/// A whole number below a hundred million as it is read.
fn number(figure: &str) -> String {
    let value: u64 = figure.parse().unwrap_or(0);
    if value >= 10_000 {
        let (upper, lower) = (value / 10_000, value % 10_000);
        let gap = if lower > 0 && lower < 1_000 {
            "零"
        } else {
            ""
        };
        let rest = if lower == 0 {
            String::new()
        } else {
            small(lower)
        };
        return format!("{}万{gap}{rest}", small(upper % 10_000));
    }
    small(value)
}

/// A number below 10,000: 130 is 一百三十, 12 is 十二.
fn small(value: u64) -> String {
    whole_zh(u32::try_from(value).expect("below 10,000"))
}

#[cfg(test)]
mod tests {
    use super::written_out;

    #[test]
    fn figures_are_read_as_people_read_them() {
        for (text, wanted) in [
            ("体温38.5℃", "体温三十八点五摄氏度"),
            ("36.5-37.2℃", "三十六点五到三十七点二摄氏度"),
            ("2026-11-26", "二零二六年十一月二十六日"),
            ("2026年11月26日", "二零二六年十一月二十六日"),
            ("12月3日", "十二月三日"),
            ("上午8:30来", "上午八点半来"),
            ("14:05", "十四点零五分"),
            ("2:00", "两点"),
            ("2片", "两片"),
            ("12片", "十二片"),
            ("每次5mg", "每次五毫克"),
            ("100ml", "一百毫升"),
            ("血压120/80mmHg", "血压一百二十，八十毫米汞柱"),
            ("血糖6.1mmol/L", "血糖六点一毫摩尔每升"),
            ("95%", "百分之九十五"),
            ("3~5天", "三到五天"),
            ("心率72次/分", "心率七十二次每分钟"),
            ("13800138000", "幺三八零零幺三八零零零"),
            ("010-12345678", "零幺零幺二三四五六七八"),
            ("105", "一百零五"),
            ("1020", "一千零二十"),
            ("0571", "零五七一"),
            ("请拨打120", "请拨打幺二零"),
            ("0571-88881111", "零五七幺八八八八幺幺幺幺"),
        ] {
            assert_eq!(written_out(text), wanted, "{text}");
        }
    }
}
