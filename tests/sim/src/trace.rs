//! What happened, in order: a hash of all of it, and the last of it as text for a failure.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use pangea_dsm::{Nanos, Output};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage};

/// How much of the past a failure can show; a page's part of it is printed.
const KEPT: usize = 20_000;

/// One thing that happened at a node.
#[derive(Clone, Copy, Hash, Debug)]
pub(crate) struct Event {
    pub(crate) now: Nanos,
    pub(crate) node: NodeId,
    pub(crate) what: What,
}

/// What it was.
#[derive(Clone, Copy, Hash, Debug)]
pub(crate) enum What {
    /// The pager read a fault.
    Fault { pfn: Pfn, access: Access },
    /// A message arrived.
    Received { from: NodeId, message: PageMessage },
    /// A deadline came.
    Tick,
    /// The node does nothing more.
    Crashed,
    /// The protocol decided.
    Output(Output),
    /// A CPU did what it wanted, and found or left this version.
    Accessed { pfn: Pfn, access: Access, version: u64 },
}

/// All of it.
pub(crate) struct Trace {
    hash: Fnv,
    events: u64,
    last: VecDeque<Event>,
}

impl Trace {
    pub(crate) fn new() -> Trace {
        Trace { hash: Fnv(0xCBF2_9CE4_8422_2325), events: 0, last: VecDeque::new() }
    }

    pub(crate) fn add(&mut self, event: Event) {
        event.hash(&mut self.hash);
        self.events += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.0
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The last `count` events, of one page or of all.
    pub(crate) fn tail(&self, pfn: Option<Pfn>, count: usize) -> Vec<String> {
        let concerns = |event: &&Event| pfn.is_none() || event.what.pfn() == pfn;
        let mut tail: Vec<_> =
            self.last.iter().rev().filter(concerns).take(count).map(Event::to_string).collect();
        tail.reverse();
        tail
    }
}

impl What {
    fn pfn(&self) -> Option<Pfn> {
        match *self {
            What::Fault { pfn, .. } | What::Accessed { pfn, .. } => Some(pfn),
            What::Received { message, .. } => Some(message.pfn),
            What::Output(output) => Some(output.pfn()),
            What::Tick | What::Crashed => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.3} us {:?} ", self.now.0 as f64 / 1e3, self.node)?;
        match &self.what {
            What::Fault { pfn, access } => write!(f, "fault {access:?} {pfn}"),
            What::Received { from, message } => write!(f, "<- {from:?} {}", Short(message)),
            What::Tick => write!(f, "tick"),
            What::Crashed => write!(f, "crashes"),
            What::Output(Output::Send { to, message }) => {
                write!(f, "   -> {to:?} {}", Short(message))
            }
            What::Output(output) => write!(f, "   {output:?}"),
            What::Accessed { pfn, access, version } => {
                write!(f, "      {access:?} {pfn}: version {version}")
            }
        }
    }
}

struct Short<'a>(&'a PageMessage);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageMessage { pfn, txn, requester, verb } = self.0;
        write!(f, "{verb:?} {pfn} (transaction {} of {requester:?})", txn.0)
    }
}

/// FNV-1a, 64 bits: small, and the same everywhere.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
