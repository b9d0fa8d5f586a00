//! Every interleaving of a small cluster, each state visited once.
//!
//! ```text
//!   state = nodes + clocks + links + memory + CPUs
//!     |-- a CPU begins an access, or tries again    |-- a link delivers its next message
//!     |-- a pager reads a fault                     |-- ... after every hold there is over
//!     |-- a node's deadline comes                   |-- a node's CPUs are seen asleep
//!     `-- once: a node crashes
//! ```
//!
//! The nodes are the production protocol. Each CPU makes a few accesses, of any page and kind at any time; with
//! that bound the states are finitely many, and all of them are visited: depth first, each known again by a hash
//! of 128 bits of what decides its future. After every single order of a step, whatever any CPU could read must
//! be the last completed write and a writer must be alone (`memory.rs`); where nothing more can happen, all
//! CPUs must be through, nothing may be open and every page must be somewhere.
//!
//! Time is what it may be: each node's clock stands still, or moves to its next deadline, or past all its holds
//! before a message that a hold could make wait. Only a CPU that was woken gets to its access before its
//! node's clock moves, for that is what a hold is long enough for. Then every path ends: one that comes back to a
//! state of its own is a request that could wait for ever, and is reported.
//!
//! After a crash its node does nothing more, and any part of what it sent may still arrive: others' CPUs
//! may wait for it for ever, but may never see a wrong value.

mod cluster;

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pangea_dsm::Nanos;
use thiserror::Error;

use crate::outcome::{Violation, panicked};
use cluster::{Action, Cluster};

/// What is explored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Small {
    /// Nodes.
    pub nodes: u8,
    /// Pages; page p's home is node p modulo the nodes.
    pub pages: u64,
    /// CPUs of each node.
    pub cpus: u8,
    /// Accesses of each CPU.
    pub accesses: u32,
    /// May a node crash, at any moment?
    pub crash: bool,
}

/// What an exploration visited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Explored {
    /// Different states.
    pub states: u64,
    /// Steps from one state to another.
    pub transitions: u64,
    /// States in which nothing more can happen.
    pub ends: u64,
    /// Steps of the longest path.
    pub depth: usize,
    /// Did it stop at the limit of states? Then it says nothing of the others.
    pub cut: bool,
}

/// A violation, with the way to it.
#[derive(Debug, Error)]
pub struct Found {
    /// What was explored.
    pub small: Small,
    /// What was found.
    pub violation: Box<Violation>,
    /// All steps from the start.
    pub path: Vec<String>,
}

struct Frame {
    cluster: Cluster,
    key: u128,
    actions: Vec<Action>,
    /// What led here.
    by: Option<Action>,
}

/// Visits all states, or `limit` of them.
///
/// # Errors
/// The first violation, with the steps that lead to it.
pub fn explore(small: Small, limit: u64) -> Result<Explored, Found> {
    let mut explored = Explored::default();
    // At the start a guest's page tables may know its home pages, or not.
    for touched in [false, true] {
        if explored.cut {
            break;
        }
        let start = Cluster::new(small, touched);
        visit(small, start, limit, &mut explored)?;
    }
    Ok(explored)
}

fn visit(small: Small, start: Cluster, limit: u64, explored: &mut Explored) -> Result<(), Found> {
    let mut seen = HashSet::new();
    let mut on_path = HashSet::new();
    let mut stack =
        vec![Frame { key: start.key(), actions: start.actions(), cluster: start, by: None }];
    seen.insert(stack[0].key);
    on_path.insert(stack[0].key);
    explored.states += 1;
    while let Some(top) = stack.last_mut() {
        let Some(action) = top.actions.pop() else {
            on_path.remove(&top.key);
            stack.pop();
            continue;
        };
        let mut next = top.cluster.clone();
        let fail = |violation, stack: &[Frame]| Found {
            small,
            violation: Box::new(violation),
            path: path(stack, action),
        };
        // An assertion of the protocol's is a finding like any other: it must come with its path.
        let acted = catch_unwind(AssertUnwindSafe(|| next.act(action)));
        if let Err(violation) = acted.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            return Err(fail(violation, &stack));
        }
        explored.transitions += 1;
        let key = next.key();
        if key == top.key {
            // Nothing came of it: CPUs seen asleep that are not.
            continue;
        }
        if on_path.contains(&key) {
            return Err(fail(next.endless(), &stack));
        }
        if !seen.insert(key) {
            continue;
        }
        explored.states += 1;
        if explored.states >= limit {
            explored.cut = true;
            return Ok(());
        }
        let actions = next.actions();
        if actions.is_empty() {
            explored.ends += 1;
            if let Err(violation) = next.check_end() {
                return Err(fail(violation, &stack));
            }
        }
        on_path.insert(key);
        stack.push(Frame { cluster: next, key, actions, by: Some(action) });
        explored.depth = explored.depth.max(stack.len() - 1);
    }
    Ok(())
}

fn path(stack: &[Frame], last: Action) -> Vec<String> {
    let actions = stack.iter().filter_map(|frame| frame.by).chain([last]);
    actions.map(|action| format!("{action:?}")).collect()
}

/// A moment after every hold and turn, and long after every loss.
const LATER: Nanos = Nanos(64 * pangea_dsm::HOLD_CEILING.0);

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Small { nodes, pages, cpus, accesses, crash } = self;
        let crash = if *crash { ", a crash" } else { "" };
        write!(f, "nodes {nodes}, pages {pages}, CPUs {cpus}, accesses {accesses}{crash}")
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explored { states, transitions, ends, depth, cut } = self;
        let all = if *cut { "cut at" } else { "all" };
        write!(f, "{all} {states} states, {transitions} transitions, {ends} ends, {depth} deep")
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.path.iter().enumerate() {
            writeln!(f, "{number:4} {step}")?;
        }
        write!(f, "{}: {}", self.small, self.violation)
    }
}
