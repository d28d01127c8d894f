//! Longest and overlapping matches of many unit sequences at once.
//!
//! Replies are short and symbols are whole characters, words or syllables, so a trie walked from every start is
//! as fast as an automaton and gives every overlapping match, which slots of gapped wordings need.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Hashes alike in every process.
pub type Unseeded = BuildHasherDefault<DefaultHasher>;

/// Symbols to numbers. Only ever looked up, never walked through: its order decides nothing.
#[derive(Debug, Default)]
pub struct Symbols {
    known: HashMap<String, u32, Unseeded>,
}

impl Symbols {
    pub fn intern(&mut self, text: &str) -> u32 {
        let next = u32::try_from(self.known.len()).expect("a lexicon has fewer than 2^32 symbols");
        *self.known.entry(text.to_owned()).or_insert(next)
    }

    pub fn find(&self, text: &str) -> Option<u32> {
        self.known.get(text).copied()
    }
}

/// Sequences of symbols with numbered payloads.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    /// For each symbol, the node behind the root; 0 for none. Nearly every walk ends here.
    first: Vec<u32>,
}

#[derive(Debug, Default)]
struct Node {
    /// Symbols and the nodes behind them, in the order of the symbols.
    next: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

impl Default for Trie {
    fn default() -> Trie {
        Trie {
            nodes: vec![Node::default()],
            first: Vec::new(),
        }
    }
}

impl Trie {
    pub fn insert(&mut self, sequence: &[u32], payload: u32) {
        let mut node = 0;
        for symbol in sequence {
            let fresh =
                u32::try_from(self.nodes.len()).expect("a lexicon has fewer than 2^32 nodes");
            node = match self.next(node, *symbol) {
                Some(next) => next,
                None => {
                    self.nodes.push(Node::default());
                    self.join(node, *symbol, fresh);
                    fresh as usize
                }
            };
        }
        if !self.nodes[node].ends.contains(&payload) {
            self.nodes[node].ends.push(payload);
        }
    }

    fn join(&mut self, node: usize, symbol: u32, next: u32) {
        if node == 0 {
            let at = symbol as usize;
            self.first.resize(self.first.len().max(at + 1), 0);
            self.first[at] = next;
            return;
        }
        let known = &mut self.nodes[node].next;
        let at = known.partition_point(|(other, _)| *other < symbol);
        known.insert(at, (symbol, next));
    }

    fn next(&self, node: usize, symbol: u32) -> Option<usize> {
        if node == 0 {
            let next = self.first.get(symbol as usize).filter(|next| **next != 0);
            return next.map(|next| *next as usize);
        }
        let known = &self.nodes[node].next;
        let at = known.binary_search_by_key(&symbol, |(other, _)| *other);
        at.ok().map(|at| known[at].1 as usize)
    }

    /// Every sequence that begins at `start`: `found(end, payload)`, shortest first. `joined(i)` says whether
    /// symbol `i` may be followed by the next one inside a match.
    pub fn walk(
        &self,
        symbols: &[Option<u32>],
        start: usize,
        joined: impl Fn(usize) -> bool,
        mut found: impl FnMut(usize, u32),
    ) {
        let mut node = 0;
        for (at, symbol) in symbols.iter().enumerate().skip(start) {
            let Some(next) = symbol.and_then(|s| self.next(node, s)) else {
                return;
            };
            node = next;
            for payload in &self.nodes[node].ends {
                found(at + 1, *payload);
            }
            if !joined(at) {
                return;
            }
        }
    }

    /// As [`Trie::walk`], but a symbol that `idle` names may also be passed over, between two that match.
    pub fn walk_over(
        &self,
        symbols: &[Option<u32>],
        start: usize,
        joined: &impl Fn(usize) -> bool,
        idle: &impl Fn(usize) -> bool,
        found: &mut impl FnMut(usize, u32),
    ) {
        let mut open = vec![(0, start)];
        while let Some((node, at)) = open.pop() {
            let Some(symbol) = symbols.get(at) else {
                continue;
            };
            if let Some(next) = symbol.and_then(|s| self.next(node, s)) {
                for payload in &self.nodes[next].ends {
                    found(at + 1, *payload);
                }
                if joined(at) {
                    open.push((next, at + 1));
                }
            }
            if at > start && idle(at) && joined(at) {
                open.push((node, at + 1));
            }
        }
    }
}
