//! The limit of open files, of which each call takes its share: looked at before the first call, so that none fails for it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets of RTP and RTCP, and a recording.
const EACH: u64 = 3;
/// The database, the API's connections, logs, trunks, models.
const OTHERS: u64 = 64;

/// The limit permits fewer calls than are configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit of open files, {limit}, permits {permitted} calls at once, and {wanted} are asked for; run `ulimit -n \
     {needed}` before, or set LimitNOFILE={needed} in the unit"
)]
pub struct TooFewFiles {
    pub limit: u64,
    pub permitted: u64,
    pub wanted: u64,
    pub needed: u64,
}

/// Takes what the system lets us have, and looks whether it is enough for so many calls at once.
///
/// # Errors
/// [`TooFewFiles`], with the number that is permitted and the cure.
pub fn provide(calls: usize) -> Result<(), TooFewFiles> {
    let calls = u64::try_from(calls).unwrap_or(u64::MAX);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = needed(calls);
    let (Some(soft), true) = (current, current.is_some_and(|soft| soft < wanted)) else {
        return Ok(());
    };
    // What is soft is ours to raise; a system that refuses leaves it as it was.
    let raised = Rlimit {
        current: Some(maximum.map_or(wanted, |hard| hard.min(wanted))),
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current.unwrap_or(soft),
        Err(_) => soft,
    };
    check(limit, calls)
}

fn needed(calls: u64) -> u64 {
    calls.saturating_mul(EACH).saturating_add(OTHERS)
}

fn check(limit: u64, wanted: u64) -> Result<(), TooFewFiles> {
    let permitted = limit.saturating_sub(OTHERS) / EACH;
    if wanted <= permitted {
        return Ok(());
    }
    Err(TooFewFiles {
        limit,
        permitted,
        wanted,
        needed: needed(wanted),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_how_many_calls_it_permits_and_what_cures_it() {
        for (limit, wanted, permitted) in [
            (1_024, 320, None),
            (1_024, 321, Some(320)),
            (64, 1, Some(0)),
            (10, 1, Some(0)),
            (67, 1, None),
        ] {
            let found = check(limit, wanted);
            assert_eq!(
                found.err().map(|few| few.permitted),
                permitted,
                "{limit} {wanted}"
            );
            if let Err(few) = found {
                assert_eq!(check(few.needed, wanted), Ok(()), "the cure cures");
                assert!(
                    few.to_string()
                        .contains(&format!("`ulimit -n {}`", few.needed))
                );
            }
        }
        assert!(check(u64::MAX, u64::MAX).is_err(), "and nothing overflows");
    }
}
