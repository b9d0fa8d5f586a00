//! Litmus tests: tiny programs on several CPUs, and the outcomes that x86-TSO forbids.
//!
//! Each test runs on variables X and Y, in one page or in pages of different nodes; `arena.rs` is
//! where the threads meet.
//!
//! Spec: P. Sewell et al., "x86-TSO: A Rigorous and Usable Programmer's Model for x86
//! Multiprocessors", CACM 53(7), 2010; Intel SDM volume 3A, 8.2.3.

mod arena;

use crate::Outcome;
use crate::args::Args;
use crate::crew;
use crate::machine::Machine;
use Op::*;
use arena::{Arena, Reads};
use std::collections::BTreeMap;

/// Outcomes wanted of each test and placement.
const ROUNDS: u64 = 400;
/// The most CPUs of one test.
const CPUS: usize = 4;

/// A step of a thread: on variable 0 (X) or 1 (Y).
#[derive(Clone, Copy, PartialEq)]
enum Op {
    Write(usize),
    Read(usize),
    Fence,
}

const X: usize = 0;
const Y: usize = 1;

/// A test: what each thread does, and the outcomes (all reads, thread by thread) that are forbidden.
struct Test {
    name: &'static str,
    threads: &'static [&'static [Op]],
    forbidden: &'static [&'static str],
}

const TESTS: [Test; 7] = [
    // Message passing: who sees the flag sees the message.
    Test { name: "MP", threads: &[&[Write(X), Write(Y)], &[Read(Y), Read(X)]], forbidden: &["10"] },
    // Store buffering: permitted on x86, and so the sign that the threads met.
    Test { name: "SB", threads: &[&[Write(X), Read(Y)], &[Write(Y), Read(X)]], forbidden: &[] },
    Test {
        name: "SB+mfences",
        threads: &[&[Write(X), Fence, Read(Y)], &[Write(Y), Fence, Read(X)]],
        forbidden: &["00"],
    },
    // Load buffering: no value before its cause.
    Test { name: "LB", threads: &[&[Read(X), Write(Y)], &[Read(Y), Write(X)]], forbidden: &["11"] },
    // One variable, read twice, never goes back.
    Test { name: "CoRR", threads: &[&[Write(X)], &[Read(X), Read(X)]], forbidden: &["10"] },
    // Write to read causality.
    Test {
        name: "WRC",
        threads: &[&[Write(X)], &[Read(X), Write(Y)], &[Read(Y), Read(X)]],
        forbidden: &["110"],
    },
    // Independent reads of independent writes: all agree on the order of two writes.
    Test {
        name: "IRIW",
        threads: &[&[Write(X)], &[Write(Y)], &[Read(X), Read(Y)], &[Read(Y), Read(X)]],
        forbidden: &["1010"],
    },
];

pub(crate) fn run(args: &Args, machine: &Machine) -> Outcome {
    let cpus = args.cpus.clone().unwrap_or_else(|| machine.spread(CPUS));
    let places = placements(machine.memory());
    let rounds = args.or(args.rounds, ROUNDS);
    let mut left = TESTS.len() * places.len();
    let mut failures = Vec::new();
    for test in &TESTS {
        for &(x, y, same) in &places {
            let arena = Arena::new(x, y, same)?;
            let where_ =
                if same { format!("page-of-node {x}") } else { format!("x-node {x} y-node {y}") };
            let on: Vec<u32> =
                test.threads.iter().zip(cpus.iter().cycle()).map(|(_, cpu)| *cpu).collect();
            let what = format!("litmus {} {where_}", test.name);
            let deadline = args.share(left);
            left -= 1;
            let seen = crew::run(&what, &on, deadline, |me| arena.thread(me, test, rounds))?;
            let counts = tally(&seen);
            let total: u64 = counts.values().sum();
            let bad: u64 = test.forbidden.iter().filter_map(|outcome| counts.get(*outcome)).sum();
            let counts: Vec<_> = counts.iter().map(|(bits, n)| format!("{bits}:{n}")).collect();
            println!(
                "{what} cpus {on:?} outcomes {total} of {rounds} {} forbidden {bad}",
                counts.join(" ")
            );
            if bad > 0 || total == 0 {
                failures.push(format!("{what}: {bad} forbidden outcomes of {total}"));
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}

/// Where X and Y lie: (node of X, node of Y, in the same page).
fn placements(nodes: &[u32]) -> Vec<(u32, u32, bool)> {
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    let mut places = vec![(first, first, true), (first, last, false)];
    if first != last {
        places.extend([(last, last, true), (last, first, false)]);
    }
    places
}

/// How often each outcome was seen; a thread's reads follow those of the threads before it.
fn tally(seen: &[Vec<Reads>]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let cells = seen.iter().map(Vec::len).min().unwrap_or(0);
    for cell in 0..cells {
        let reads = seen.iter().flat_map(|thread| thread[cell]).filter(|bit| *bit != 0);
        *counts.entry(reads.map(char::from).collect()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn outcomes_are_counted_thread_by_thread() {
        let writer = vec![[0, 0]; 3];
        let reader = vec![*b"10", *b"11", *b"10"];
        let counts = tally(&[writer, reader]);
        assert_eq!(counts, [("10".to_owned(), 2), ("11".to_owned(), 1)].into());
        assert_eq!(counts.get(TESTS[0].forbidden[0]), Some(&2), "MP must count as forbidden");
    }

    #[test]
    fn a_forbidden_outcome_has_one_bit_for_each_read_of_its_test() {
        for test in &TESTS {
            let reads = test.threads.iter().flat_map(|thread| thread.iter());
            let reads = reads.filter(|op| matches!(op, Read(_))).count();
            assert!(test.forbidden.iter().all(|bits| bits.len() == reads), "{}", test.name);
        }
    }
}
