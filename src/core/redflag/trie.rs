//! Longest and overlapping matches of many unit sequences at once.
//!
//! Replies are short and symbols are whole characters, words or syllables, so a trie walked from every start is
//! as fast as an automaton and gives every overlapping match, which slots of gapped wordings need.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

/// Symbols to numbers. Only ever looked up, never walked through: its order decides nothing.
#[derive(Debug, Default)]
pub struct Symbols {
    known: HashMap<String, u32, BuildHasherDefault<DefaultHasher>>,
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
    next: BTreeMap<u32, u32>,
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
            let next = *self.nodes[node].next.entry(*symbol).or_insert(fresh);
            if next == fresh {
                self.nodes.push(Node::default());
            }
            node = next as usize;
        }
        if let Some(symbol) = sequence.first() {
            let at = *symbol as usize;
            self.first.resize(self.first.len().max(at + 1), 0);
            self.first[at] = self.nodes[0].next[symbol];
        }
        if !self.nodes[node].ends.contains(&payload) {
            self.nodes[node].ends.push(payload);
        }
    }

    fn next(&self, node: usize, symbol: u32) -> Option<usize> {
        let next = match node {
            0 => self.first.get(symbol as usize).filter(|next| **next != 0),
            _ => self.nodes[node].next.get(&symbol),
        };
        next.map(|next| *next as usize)
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
        let mut open = vec![(0_u32, start)];
        while let Some((node, at)) = open.pop() {
            let Some(symbol) = symbols.get(at) else {
                continue;
            };
            let here = &self.nodes[node as usize];
            if let Some(next) = symbol.and_then(|s| here.next.get(&s)) {
                for payload in &self.nodes[*next as usize].ends {
                    found(at + 1, *payload);
                }
                if joined(at) {
                    open.push((*next, at + 1));
                }
            }
            if at > start && idle(at) && joined(at) {
                open.push((node, at + 1));
            }
        }
    }
}
