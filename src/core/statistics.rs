//! The few statistics that figures are printed with: a share with its interval, and how far two raters agree.

/// The 97.5th percentile of the normal distribution: every interval here is two-sided, at 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share by Wilson's score method, without continuity correction, as (low, high).
///
/// It stays inside 0 and 1 and says something at 0 and at all of few trials, where the textbook ± does not.
/// Successes and trials may be fractions: an effective sample size is. (0, 1) where nothing was tried.
///
/// Sources: E. B. Wilson, JASA 22 (1927) 209; R. G. Newcombe, Statistics in Medicine 17 (1998) 857, method 3.
pub fn wilson(successes: f64, trials: f64) -> (f64, f64) {
    if trials <= 0.0 {
        return (0.0, 1.0);
    }
    let share = (successes / trials).clamp(0.0, 1.0);
    let square = Z * Z / trials;
    let middle = share + square / 2.0;
    let half = Z * (share * (1.0 - share) / trials + square / (4.0 * trials)).sqrt();
    let whole = 1.0 + square;
    // At the ends the two terms are equal but for rounding.
    let low = if share <= 0.0 {
        0.0
    } else {
        (middle - half) / whole
    };
    let high = if share >= 1.0 {
        1.0
    } else {
        (middle + half) / whole
    };
    (low.max(0.0), high.min(1.0))
}

/// The interval of a / b from the intervals of two independent quantities that are not negative, each given as
/// (value, low, high). The upper end is infinite where b may be 0.
///
/// Method of variance estimates recovery, which keeps the asymmetry of both intervals and works where a is 0:
/// A. Donner and G. Y. Zou, Statistical Methods in Medical Research 21 (2012) 347; its lower limit is written here
/// with a rational denominator, so that it stays defined where b's upper end is 2 b.
pub fn ratio_interval(a: (f64, f64, f64), b: (f64, f64, f64)) -> (f64, f64) {
    let ((a, a_low, a_high), (b, b_low, b_high)) = (a, b);
    let root = |corner: f64| ((a * b).powi(2) - corner).max(0.0).sqrt();
    let spared = a_low * (2.0 * a - a_low);
    let whole = a * b + root(spared * b_high * (2.0 * b - b_high));
    let low = if spared > 0.0 { spared / whole } else { 0.0 };
    let below = b_low * (2.0 * b - b_low);
    let high = if below > 0.0 {
        (a * b + root(a_high * (2.0 * a - a_high) * below)) / below
    } else {
        f64::INFINITY
    };
    (low, high)
}

/// How far two raters agree beyond chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kappa {
    /// 1: always; 0: no more than chance; below 0: less.
    pub kappa: f64,
    /// Its 95 % interval.
    pub low: f64,
    pub high: f64,
    /// Standard error, for an interval or a comparison (not for the test that kappa is 0).
    pub error: f64,
    /// Share of items on which they agree, chance included.
    pub agreement: f64,
    /// Items rated by both.
    pub items: u32,
}

/// Cohen's kappa of a square table: `table[i][j]` items that the first rater put in class `i` and the second in `j`.
///
/// `None` where it is not defined: no items, or both raters put everything in one and the same class.
///
/// Sources: J. Cohen, Educational and Psychological Measurement 20 (1960) 37; the large-sample standard error by
/// Fleiss, Cohen and Everitt, Psychological Bulletin 72 (1969) 323, as in Fleiss, Levin and Paik, Statistical Methods
/// for Rates and Proportions, 3rd edition (2003), equation 18.13.
pub fn kappa(table: &[Vec<u32>]) -> Option<Kappa> {
    let items: u32 = table.iter().flatten().sum();
    if items == 0 {
        return None;
    }
    let n = f64::from(items);
    let share = |i: usize, j: usize| f64::from(table[i][j]) / n;
    let classes = 0..table.len();
    let first: Vec<f64> = classes
        .clone()
        .map(|i| classes.clone().map(|j| share(i, j)).sum())
        .collect();
    let second: Vec<f64> = classes
        .clone()
        .map(|j| classes.clone().map(|i| share(i, j)).sum())
        .collect();
    let agreement: f64 = classes.clone().map(|i| share(i, i)).sum();
    let chance: f64 = classes.clone().map(|i| first[i] * second[i]).sum();
    if (1.0 - chance).abs() < f64::EPSILON {
        return None;
    }
    let kappa = (agreement - chance) / (1.0 - chance);
    let rest = 1.0 - kappa;
    let mut spread = -(kappa - chance * rest).powi(2);
    for i in classes.clone() {
        for j in classes.clone() {
            spread += if i == j {
                share(i, i) * (1.0 - (first[i] + second[i]) * rest).powi(2)
            } else {
                share(i, j) * (second[i] + first[j]).powi(2) * rest.powi(2)
            };
        }
    }
    // Rounding may leave a hair below 0 where the raters agree on everything.
    let error = spread.max(0.0).sqrt() / ((1.0 - chance) * n.sqrt());
    Some(Kappa {
        kappa,
        low: (kappa - Z * error).max(-1.0),
        high: (kappa + Z * error).min(1.0),
        error,
        agreement,
        items,
    })
}

#[cfg(test)]
mod tests {
    use super::{kappa, wilson};

    fn near(found: f64, expected: f64, within: f64) -> bool {
        (found - expected).abs() <= within
    }

    /// Newcombe (1998), table I, method 3.
    #[test]
    fn wilson_gives_the_intervals_of_newcombe() {
        let rows = [
            (81.0, 263.0, 0.2553, 0.3662),
            (15.0, 148.0, 0.0624, 0.1605),
            (0.0, 20.0, 0.0, 0.1611),
            (1.0, 29.0, 0.0061, 0.1718),
        ];
        for (successes, trials, low, high) in rows {
            let found = wilson(successes, trials);
            assert!(
                near(found.0, low, 5e-5) && near(found.1, high, 5e-5),
                "{successes} of {trials}: {found:?}"
            );
        }
    }

    #[test]
    fn wilson_is_symmetric_and_keeps_inside_0_and_1() {
        for trials in 1..60_u32 {
            for successes in 0..=trials {
                let (k, n) = (f64::from(successes), f64::from(trials));
                let ((low, high), (mirrored_low, mirrored_high)) = (wilson(k, n), wilson(n - k, n));
                assert!(
                    near(low, 1.0 - mirrored_high, 1e-12) && near(high, 1.0 - mirrored_low, 1e-12)
                );
                assert!(
                    0.0 <= low && low <= k / n && k / n <= high && high <= 1.0,
                    "{k} of {n}"
                );
            }
        }
        assert_eq!(wilson(0.0, 0.0), (0.0, 1.0));
    }

    #[test]
    fn kappa_gives_the_numbers_of_the_textbooks() {
        // Fleiss, Levin and Paik (2003), table 18.1: kappa 0.68, standard error 0.087.
        let diagnoses = [vec![75, 1, 4], vec![5, 4, 1], vec![0, 0, 10]];
        // Hout, Duncan and Sobel (1987), wives by husbands, as `Kappa(SexualFun)` of R's package vcd prints it.
        let couples = [
            vec![7, 7, 2, 3],
            vec![2, 8, 3, 7],
            vec![1, 5, 4, 9],
            vec![2, 8, 9, 14],
        ];
        let rows: [(&[Vec<u32>], f64, f64, f64); 2] = [
            (&diagnoses, 0.68, 0.087, 0.89),
            (&couples, 0.129, 0.0686, 33.0 / 91.0),
        ];
        for (table, expected, error, agreement) in rows {
            let found = kappa(table).expect("defined");
            assert!(near(found.kappa, expected, 0.005), "{found:?}");
            assert!(near(found.error, error, 0.001), "{found:?}");
            assert!(near(found.agreement, agreement, 1e-9), "{found:?}");
        }
    }

    #[test]
    fn kappa_knows_its_ends() {
        let whole = kappa(&[vec![5, 0], vec![0, 5]]).expect("defined");
        assert!(
            near(whole.kappa, 1.0, 1e-12) && near(whole.low, 1.0, 1e-9),
            "{whole:?}"
        );
        let chance = kappa(&[vec![25, 25], vec![25, 25]]).expect("defined");
        assert!(near(chance.kappa, 0.0, 1e-12) && chance.low < 0.0 && chance.high > 0.0);
        let opposed = kappa(&[vec![0, 5], vec![5, 0]]).expect("defined");
        assert!(near(opposed.kappa, -1.0, 1e-12), "{opposed:?}");
        assert_eq!(kappa(&[vec![0, 0], vec![0, 9]]), None);
        assert_eq!(kappa(&[vec![0, 0], vec![0, 0]]), None);
    }
}
