//! How a run ended: what it did, or what it found.

use std::any::Any;
use std::fmt;

use pangea_dsm::{Nanos, ProtocolError};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage};
use thiserror::Error;

use crate::Config;
use crate::memory::Mapping;

/// What a run without a violation did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// What was run.
    pub config: Config,
    /// The node that crashed on the way.
    pub crashed: Option<NodeId>,
    /// Accesses that guests completed, and that were checked.
    pub accesses: u64,
    /// Of these, writes.
    pub writes: u64,
    /// Faults that pagers read.
    pub faults: u64,
    /// Messages between nodes.
    pub messages: u64,
    /// Of these, pages.
    pub pages_sent: u64,
    /// Requests that waited for a hold.
    pub deferred: u64,
    /// Pages that were mapped for a guest.
    pub installs: u64,
    /// Of these, pages that were taken away again before a CPU that waited had used them.
    pub unused: u64,
    /// Most messages under way at once for one page.
    pub most_in_flight: usize,
    /// Longest time from a CPU's first fault to its access.
    pub longest_wait: Nanos,
    /// Longest hold that any node came to.
    pub longest_hold: Nanos,
    /// How long it all took in virtual time.
    pub virtual_time: Nanos,
    /// Events in the trace.
    pub events: u64,
    /// The trace's hash: equal for equal runs of one build.
    pub trace_hash: u64,
}

/// A run that found something, and all that's needed to look at it again.
#[derive(Debug, Error)]
pub struct Failure {
    /// What was run.
    pub config: Config,
    /// When it was found.
    pub at: Nanos,
    /// What.
    pub violation: Box<Violation>,
    /// The last events of the page concerned.
    pub trace: Vec<String>,
}

/// What must never be.
#[derive(Debug, Error)]
pub enum Violation {
    /// Nothing was run.
    #[error("{field} is {value}, must be {least} to {most}")]
    Config {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A writer beside another node that has the page mapped.
    #[error("{writer} has {pfn} writable while {other} has it {mapping:?}")]
    TwoHolders {
        /// The page.
        pfn: Pfn,
        /// Has it writable.
        writer: NodeId,
        /// Has it too.
        other: NodeId,
        /// How.
        mapping: Mapping,
    },
    /// A CPU saw something other than the last completed write.
    #[error(
        "stale {access:?} of {pfn} on {node}: found version {found} of {found_by}, the last \
         completed write made version {last} of {last_by}"
    )]
    Stale {
        /// The page.
        pfn: Pfn,
        /// Where.
        node: NodeId,
        /// A write that builds on it is lost as well.
        access: Access,
        /// The version in memory.
        found: u64,
        /// Its writer.
        found_by: Writer,
        /// The version that should be.
        last: u64,
        /// Its writer.
        last_by: Writer,
    },
    /// Writes were completed that the page doesn't have.
    #[error("{pfn} on {node} counts {found} writes at the end, CPUs completed {written}")]
    LostWrites {
        /// The page.
        pfn: Pfn,
        /// Where it was read.
        node: NodeId,
        /// What it counts.
        found: u64,
        /// What it should.
        written: u64,
    },
    /// Nobody has the page.
    #[error("no node has {pfn} at the end; CPUs completed {written} writes")]
    Nowhere {
        /// The page.
        pfn: Pfn,
        /// What it should count.
        written: u64,
    },
    /// A page left a node whose guest could still change, or use, what is said to be gone.
    #[error("{node} sent {message:?} while the page is {mapping:?} there")]
    Unstable {
        /// The sender.
        node: NodeId,
        /// The message.
        message: PageMessage,
        /// The mapping.
        mapping: Mapping,
    },
    /// An order that its own earlier ones contradict.
    #[error("{node} was told to {order} {pfn}, which is {mapping:?} there")]
    Order {
        /// The node.
        node: NodeId,
        /// The page.
        pfn: Pfn,
        /// What.
        order: &'static str,
        /// The mapping.
        mapping: Mapping,
    },
    /// A CPU waits too long.
    #[error("vCPU {vcpu} of {node} waits for {pfn} since {since:?}; at most {limit:?} is allowed")]
    NoProgress {
        /// The page.
        pfn: Pfn,
        /// The node.
        node: NodeId,
        /// Which vCPU of it.
        vcpu: u32,
        /// Since when.
        since: Nanos,
        /// The limit.
        limit: Nanos,
    },
    /// A CPU waits and nothing can happen any more.
    #[error("deadlock: nothing is under way, and vCPU {vcpu} of {node} waits for {pfn}")]
    Deadlock {
        /// The page.
        pfn: Pfn,
        /// The node.
        node: NodeId,
        /// Which vCPU of it.
        vcpu: u32,
    },
    /// What happens can happen again and again, without any CPU's getting on.
    #[error("the same state comes again, and no CPU has got on; they are at {open}")]
    Endless {
        /// What the CPUs are at.
        open: String,
    },
    /// Nothing is under way, and a node still has something open.
    #[error("nothing is under way, but {node} has open: {open}")]
    Unfinished {
        /// The node.
        node: NodeId,
        /// What it says of itself.
        open: String,
    },
    /// A queue longer than the protocol can need.
    #[error("{what}: {length}, at most {limit} are possible")]
    Queue {
        /// Which.
        what: String,
        /// How long.
        length: usize,
        /// Its limit.
        limit: usize,
    },
    /// A node refused what another said.
    #[error("{node} refuses: {error}")]
    Protocol {
        /// Who refused.
        node: NodeId,
        /// What.
        error: Box<ProtocolError>,
    },
    /// An assertion of the protocol's own.
    #[error("an invariant broke: {0}")]
    Panic(String),
}

/// Who wrote a version: a node's CPU, or nobody yet, or nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Writer {
    /// Memory as it was at the start, at its home.
    Nobody,
    /// A CPU of this node.
    Node(NodeId),
    /// Memory that never was current here.
    Garbage,
}

/// A panic's own words.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
    Violation::Panic(text.unwrap_or_else(|| "no message".into()))
}

impl Violation {
    /// The page it is about, if it is about one.
    pub(crate) fn pfn(&self) -> Option<Pfn> {
        match self {
            Violation::TwoHolders { pfn, .. }
            | Violation::Stale { pfn, .. }
            | Violation::LostWrites { pfn, .. }
            | Violation::Nowhere { pfn, .. }
            | Violation::Order { pfn, .. }
            | Violation::NoProgress { pfn, .. }
            | Violation::Deadlock { pfn, .. } => Some(*pfn),
            Violation::Unstable { message, .. } => Some(message.pfn),
            Violation::Protocol { error, .. } => match **error {
                ProtocolError::NotRam { pfn } => Some(pfn),
                ProtocolError::Refused { message, .. } => Some(message.pfn),
            },
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "at {:.3} us: {}", self.at.0 as f64 / 1e3, self.violation)?;
        write!(f, "repeat it with: {}", self.config.command())
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Writer::Nobody => write!(f, "the start"),
            Writer::Node(node) => write!(f, "{node}"),
            Writer::Garbage => write!(f, "nobody (it was never current here)"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { seed, nodes, pages, vcpus, .. } = self.config;
        write!(
            f,
            "seed {seed}: {nodes} nodes, {pages} pages, {vcpus} vCPUs each: {} accesses ({} \
             writes), {} faults, {} messages ({} pages), {} waited for a hold, {} of {} taken unused; longest wait {:.3} \
             ms, longest hold {:.3} ms, trace {:016x}",
            self.accesses,
            self.writes,
            self.faults,
            self.messages,
            self.pages_sent,
            self.deferred,
            self.unused,
            self.installs,
            self.longest_wait.0 as f64 / 1e6,
            self.longest_hold.0 as f64 / 1e6,
            self.trace_hash,
        )
    }
}
