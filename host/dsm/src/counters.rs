//! What a node's memory did, in numbers: faults by kind and by the peer that served them.
//!
//! Plain counts since start, read by `--stats` and the table at exit. They never steer anything.

use pangea_topology::NodeId;
use pangea_wire::Access;

/// Counts of one node since its start.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counters {
    /// Faults that were reported, to read.
    pub read_faults: u64,
    /// Faults that were reported, to write.
    pub write_faults: u64,
    /// Of these, how many found the page accessible already ([`crate::Output::Wake`]).
    pub stale_faults: u64,
    /// Of these, how many joined a transaction that was already open for the page.
    pub joined_faults: u64,
    /// Write faults while a read was on its way: their transaction followed the read's.
    pub followed_reads: u64,
    /// Pages that were write-protected here so that another node could read.
    pub downgrades: u64,
    /// Pages that were taken from the guest here.
    pub revokes: u64,
    /// Requests for a page that waited here until its hold was over.
    pub deferred: u64,
    /// Turns that another node passed on to this one.
    pub turns: u64,
    /// Pages (and the token) that were asked for because another of their gang was faulted for.
    pub gathered: u64,
    /// Transactions that this node started as a home.
    pub transactions: u64,
    /// Of these, how many had to queue behind another for the same page.
    pub queued: u64,
    /// Most requests that ever queued for one page here.
    pub longest_queue: u64,
    /// By peer, indexed by [`NodeId`]; the node's own place counts upgrades it granted itself.
    pub peers: Vec<PeerCounters>,
}

/// Counts of one node about one peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PeerCounters {
    /// Read faults that the peer served with a page.
    pub reads: u64,
    /// Write faults that the peer served with a page.
    pub writes: u64,
    /// Write faults for which the peer, as home, only sent a grant.
    pub upgrades: u64,
    /// Pages sent to the peer, to read.
    pub sent_reads: u64,
    /// Pages sent to the peer, to write.
    pub sent_writes: u64,
    /// Copies dropped here because the peer wanted to write.
    pub invalidated: u64,
}

impl Counters {
    pub(crate) fn new(nodes: u8) -> Counters {
        Counters { peers: vec![PeerCounters::default(); usize::from(nodes)], ..Counters::default() }
    }

    pub(crate) fn fault(&mut self, access: Access) {
        match access {
            Access::Read => self.read_faults += 1,
            Access::Write => self.write_faults += 1,
        }
    }

    /// The peer's counts; its index was checked when its message was.
    pub(crate) fn peer(&mut self, node: NodeId) -> &mut PeerCounters {
        &mut self.peers[node.index()]
    }
}
