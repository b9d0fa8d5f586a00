//! What the pager did, in numbers: counted by its thread, read by any other.
//!
//! "Of node N" in a fault's row means that N is the page's home; pages in and out count what came
//! from and went to that node's link. The counters never steer anything.

use crate::histogram::{Histogram, Latency};
use pangea_topology::NodeId;
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only the pager's thread increases.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Why a vCPU or thread had to wait for another node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FaultKind {
    Read,
    Write,
    Upgrade,
}

/// The live counters.
pub(crate) struct Counters {
    me: NodeId,
    pub(crate) peers: Vec<PeerCounters>,
    pub(crate) local: Counter,
    pub(crate) joined: Counter,
    pub(crate) revokes: Counter,
    pub(crate) downgrades: Counter,
    pub(crate) turns: Counter,
    pub(crate) gathered: Counter,
    read: Histogram,
    write: Histogram,
    upgrade: Histogram,
}

#[derive(Default)]
pub(crate) struct PeerCounters {
    reads: Counter,
    writes: Counter,
    upgrades: Counter,
    pub(crate) pages_in: Counter,
    pub(crate) zero_in: Counter,
    pub(crate) pages_out: Counter,
    pub(crate) zero_out: Counter,
    pub(crate) invalidations_in: Counter,
    pub(crate) invalidations_out: Counter,
}

impl Counters {
    pub(crate) fn new(me: NodeId, nodes: usize) -> Counters {
        Counters {
            me,
            peers: (0..nodes).map(|_| PeerCounters::default()).collect(),
            local: Counter::default(),
            joined: Counter::default(),
            revokes: Counter::default(),
            downgrades: Counter::default(),
            turns: Counter::default(),
            gathered: Counter::default(),
            read: Histogram::new(),
            write: Histogram::new(),
            upgrade: Histogram::new(),
        }
    }

    /// A peer's counters; none for a node that isn't in the cluster.
    pub(crate) fn peer(&self, node: NodeId) -> Option<&PeerCounters> {
        self.peers.get(node.index())
    }

    /// A fault that another node must help with, on a page of `home`.
    pub(crate) fn remote_fault(&self, kind: FaultKind, home: NodeId) {
        let Some(peer) = self.peer(home) else { return };
        match kind {
            FaultKind::Read => peer.reads.add(),
            FaultKind::Write => peer.writes.add(),
            FaultKind::Upgrade => peer.upgrades.add(),
        }
    }

    /// It took so long from being read to being resolved.
    pub(crate) fn resolved(&self, kind: FaultKind, ns: u64) {
        match kind {
            FaultKind::Read => self.read.record(ns),
            FaultKind::Write => self.write.record(ns),
            FaultKind::Upgrade => self.upgrade.record(ns),
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let peers = self.peers.iter().enumerate().map(|(i, p)| PeerStats {
            node: NodeId(i as u8),
            reads: p.reads.get(),
            writes: p.writes.get(),
            upgrades: p.upgrades.get(),
            pages_in: p.pages_in.get(),
            zero_in: p.zero_in.get(),
            pages_out: p.pages_out.get(),
            zero_out: p.zero_out.get(),
            invalidations_in: p.invalidations_in.get(),
            invalidations_out: p.invalidations_out.get(),
        });
        Stats {
            node: self.me,
            peers: peers.collect(),
            local: self.local.get(),
            joined: self.joined.get(),
            revokes: self.revokes.get(),
            downgrades: self.downgrades.get(),
            turns: self.turns.get(),
            gathered: self.gathered.get(),
            read: self.read.latency(),
            write: self.write.latency(),
            upgrade: self.upgrade.latency(),
        }
    }
}

/// The counters at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Stats {
    /// Whose they are.
    pub node: NodeId,
    /// By node, this one included: its row has the faults on own pages that were elsewhere.
    pub peers: Vec<PeerStats>,
    /// Faults that this node could resolve by itself at once.
    pub local: u64,
    /// Faults on a page that was already on its way for another.
    pub joined: u64,
    /// Pages taken from the guest here.
    pub revokes: u64,
    /// Pages made read-only for the guest here.
    pub downgrades: u64,
    /// Turns that this node got, to keep the pages that it needs together.
    pub turns: u64,
    /// Pages that were asked for together with another that was faulted for.
    pub gathered: u64,
    /// Remote read faults, from reading the event to the page being installed.
    pub read: Latency,
    /// Remote write faults that needed the page.
    pub write: Latency,
    /// Remote write faults on a page that was here read-only.
    pub upgrade: Latency,
}

/// The counters about one node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PeerStats {
    /// Which node.
    pub node: NodeId,
    /// Remote read faults on pages whose home it is.
    pub reads: u64,
    /// Remote write faults on pages whose home it is.
    pub writes: u64,
    /// The same where this node already had the page read-only.
    pub upgrades: u64,
    /// Pages that came from it.
    pub pages_in: u64,
    /// Of these, all-zero ones, whose bytes didn't travel.
    pub zero_in: u64,
    /// Pages sent to it.
    pub pages_out: u64,
    /// Of these, all-zero ones.
    pub zero_out: u64,
    /// Invalidations that it asked of this node.
    pub invalidations_in: u64,
    /// Invalidations that this node asked of it.
    pub invalidations_out: u64,
}

impl Stats {
    /// Faults that needed another node, of all kinds.
    pub fn remote_faults(&self) -> u64 {
        self.peers.iter().map(|p| p.reads + p.writes + p.upgrades).sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<8}{:>10}{:>10}{:>10}{:>11}{:>9}{:>11}{:>9}{:>10}{:>10}",
            self.node.to_string(),
            "reads",
            "writes",
            "upgrades",
            "pages in",
            "zero",
            "pages out",
            "zero",
            "inval in",
            "inval out"
        )?;
        for p in &self.peers {
            writeln!(
                f,
                "{:<8}{:>10}{:>10}{:>10}{:>11}{:>9}{:>11}{:>9}{:>10}{:>10}",
                format!(" of {}", p.node.0),
                p.reads,
                p.writes,
                p.upgrades,
                p.pages_in,
                p.zero_in,
                p.pages_out,
                p.zero_out,
                p.invalidations_in,
                p.invalidations_out
            )?;
        }
        writeln!(
            f,
            "local {}, joined {}, revokes {}, downgrades {}, turns {}, gathered {}",
            self.local, self.joined, self.revokes, self.downgrades, self.turns, self.gathered
        )?;
        writeln!(f, "{:<8}{:>10}{:>10}{:>10}{:>11}", "us", "p50", "p99", "max", "count")?;
        for (kind, l) in [("read", self.read), ("write", self.write), ("upgrade", self.upgrade)] {
            let us = |ns: u64| format!("{}.{}", ns / 1000, ns % 1000 / 100);
            let (p50, p99, max) = (us(l.p50_ns), us(l.p99_ns), us(l.max_ns));
            writeln!(f, " {kind:<7}{p50:>10}{p99:>10}{max:>10}{:>11}", l.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_per_node_and_a_row_per_kind() {
        let counters = Counters::new(NodeId(1), 2);
        counters.remote_fault(FaultKind::Read, NodeId(0));
        counters.remote_fault(FaultKind::Upgrade, NodeId(7)); // Not in the cluster: not counted.
        counters.resolved(FaultKind::Read, 26_140);
        counters.local.add();
        if let Some(peer) = counters.peer(NodeId(0)) {
            peer.pages_in.add();
        }
        let stats = counters.snapshot();
        assert_eq!(stats.remote_faults(), 1);
        let expected = "\
node 1       reads    writes  upgrades   pages in     zero  pages out     zero  inval in inval out
 of 0            1         0         0          1        0          0        0         0         0
 of 1            0         0         0          0        0          0        0         0         0
local 1, joined 0, revokes 0, downgrades 0, turns 0, gathered 0
us             p50       p99       max      count
 read         26.6      26.6      26.6          1
 write         0.0       0.0       0.0          0
 upgrade       0.0       0.0       0.0          0
";
        assert_eq!(stats.to_string(), expected);
    }
}
