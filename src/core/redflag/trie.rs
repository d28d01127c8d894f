//! Longest and overlapping matches of many unit sequences at once.
//!
//! Replies are short and symbols are whole characters, words or syllables, so a trie walked from every start is
//! as fast as an automaton and gives every overlapping match, which slots of gapped wordings need.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Symbols to numbers. Only ever looked up, never walked through: its order decides nothing.
#[derive(Debug, Default)]
pub struct Symbols {
    known: FxHashMap<String, u32>,
}

impl Symbols {
    pub fn intern(&mut self, text: &str) -> u32 {
        let next = number(self.known.len());
        *self.known.entry(text.to_owned()).or_insert(next)
    }

    pub fn find(&self, text: &str) -> Option<u32> {
        self.known.get(text).copied()
    }
}

/// Sequences of symbols with numbered payloads.
///
/// Nodes are numbered level by level, the children of one node side by side and in the order of their symbols, so that
/// a walk touches few places of memory. Node 0 is the root; `symbols[n]` leads to node `n + 1`.
#[derive(Debug, Default)]
pub struct Trie {
    symbols: Vec<u32>,
    /// For each node: where its children begin in `symbols`, and behind the last.
    children: Vec<(u32, u32)>,
    payloads: Vec<u32>,
    /// For each node: where its payloads begin, and behind the last.
    ends: Vec<(u32, u32)>,
    /// For each symbol, the node behind the root; 0 for none. Nearly every walk ends here.
    first: Vec<u32>,
}

impl Trie {
    pub fn of(mut sequences: Vec<(Vec<u32>, u32)>) -> Trie {
        sequences.sort();
        sequences.dedup();
        let mut trie = Trie::default();
        let mut open = VecDeque::from([(sequences.as_slice(), 0)]);
        while let Some((behind, depth)) = open.pop_front() {
            // Sorted, so that what ends here stands before what goes on.
            let whole = behind.partition_point(|(sequence, _)| sequence.len() == depth);
            let (whole, longer) = behind.split_at(whole);
            let (child, end) = (number(trie.symbols.len()), number(trie.payloads.len()));
            trie.payloads
                .extend(whole.iter().map(|(_, payload)| *payload));
            for same in longer.chunk_by(|(a, _), (b, _)| a[depth] == b[depth]) {
                trie.symbols.push(same[0].0[depth]);
                open.push_back((same, depth + 1));
            }
            trie.children.push((child, number(trie.symbols.len())));
            trie.ends.push((end, number(trie.payloads.len())));
        }
        let roots = trie.children.first().map_or(0, |root| root.1 as usize);
        let widest = trie.symbols[..roots].last().map_or(0, |last| last + 1);
        trie.first = vec![0; widest as usize];
        for (at, symbol) in trie.symbols[..roots].iter().enumerate() {
            trie.first[*symbol as usize] = number(at + 1);
        }
        trie
    }

    fn next(&self, node: usize, symbol: u32) -> Option<usize> {
        if node == 0 {
            let next = self.first.get(symbol as usize).filter(|next| **next != 0);
            return next.map(|next| *next as usize);
        }
        let (from, to) = self.children[node];
        let (from, to) = (from as usize, to as usize);
        let at = self.symbols[from..to].binary_search(&symbol);
        at.ok().map(|at| from + at + 1)
    }

    fn payloads(&self, node: usize) -> &[u32] {
        let (from, to) = self.ends[node];
        &self.payloads[from as usize..to as usize]
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
            for payload in self.payloads(node) {
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
                for payload in self.payloads(next) {
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

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a lexicon has fewer than 2^32 symbols in all")
}
