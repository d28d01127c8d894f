//! What of a new configuration holds at once, and what only from the next start.

use std::collections::BTreeSet;

use super::Config;

/// A running configuration under a new file.
#[derive(Debug)]
pub struct Swap {
    pub config: Config,
    /// Keys that hold now.
    pub swapped: Vec<String>,
    /// Keys that differ and hold from the next start: sockets, files and models are opened once.
    pub waiting: Vec<String>,
}

impl Config {
    /// Takes over from `new` what can be swapped while calls are made.
    pub fn swap(&self, new: Config) -> Swap {
        let mut config = self.clone();
        config.calling = new.calling.clone();
        config.calling.cadence.clone_from(&self.calling.cadence);
        config.work_orders = new.work_orders.clone();
        config.channels.clone_from(&new.channels);
        config.audit = new.audit.clone();
        config.staff = new.staff.clone();
        config.figures = new.figures.clone();
        // Hosts are looked up when the trunk opens; numbers go over it.
        if new.on_call_hosts() == self.on_call_hosts() {
            config.on_call.clone_from(&new.on_call);
        }
        Swap {
            swapped: differences(self, &config),
            waiting: differences(&config, &new),
            config,
        }
    }
}

/// The dotted keys whose values differ.
fn differences(one: &Config, other: &Config) -> Vec<String> {
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let mut keys = BTreeSet::new();
    collect("", &table(one), &table(other), &mut keys);
    keys.into_iter().collect()
}

fn collect(prefix: &str, one: &toml::Table, other: &toml::Table, keys: &mut BTreeSet<String>) {
    for name in one.keys().chain(other.keys()) {
        let key = format!("{prefix}{name}");
        match (one.get(name), other.get(name)) {
            (Some(toml::Value::Table(one)), Some(toml::Value::Table(other))) => {
                collect(&format!("{key}."), one, other, keys);
            }
            (one, other) if one != other => {
                keys.insert(key);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_at_once_and_sockets_from_the_next_start() {
        let old = Config::parse("a.toml", "[trunk]\nlines = 4\n").expect("a good file");
        let new = "on_call = [{ number = \"6001\" }]\n[trunk]\nlines = 8\n[calling]\nper_day = 2\ncadence = \
                   [{ day = 3, grace_days = 2 }]\n[staff]\nidle_minutes = 5\n[work_orders]\npromise_minutes = 30\n";
        let new = Config::parse("a.toml", new).expect("a good file");
        let swap = old.swap(new);
        assert_eq!(
            swap.swapped,
            [
                "calling.per_day",
                "on_call",
                "staff.idle_minutes",
                "work_orders.promise_minutes"
            ]
        );
        assert_eq!(swap.waiting, ["calling.cadence", "trunk.lines"]);
        assert_eq!(
            (swap.config.trunk.lines, swap.config.calling.per_day),
            (4, 2)
        );
        assert_eq!(swap.config.on_call.len(), 1);
    }

    #[test]
    fn a_new_host_on_call_waits_for_the_trunk() {
        let old = Config::default();
        let new = "on_call = [{ number = \"sip:6001@pbx.example\" }]\n";
        let swap = old.swap(Config::parse("a.toml", new).expect("a good file"));
        assert_eq!(swap.waiting, ["on_call"]);
        assert!(swap.swapped.is_empty());
    }
}
