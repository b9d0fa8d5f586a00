//! Why the pager, its memory or a lane failed: what, where, and what to do next.

use pangea_dsm::ProtocolError;
use pangea_topology::{Gpa, NodeId, Pfn};
use pangea_wire::{PageMessage, WireError};
use std::fmt;
use std::io;

/// Why the guest's RAM could not be set up, or a page of it not reached.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The kernel gave no memfd of that size.
    #[error("cannot create {len:#x} bytes of shared memory for the guest's RAM: {cause}")]
    Memfd {
        /// Bytes of RAM in the whole map.
        len: u64,
        /// The kernel's answer.
        #[source]
        cause: io::Error,
    },
    /// A range could not be mapped.
    #[error("cannot map {len:#x} bytes of guest RAM at {base}: {cause}")]
    Map {
        /// The range's first address.
        base: Gpa,
        /// Its length in bytes.
        len: u64,
        /// The kernel's or vm-memory's answer.
        cause: String,
    },
    /// The map's ranges aren't sorted, overlap, are empty or aren't whole pages.
    #[error("RAM range {base} + {len:#x} (file offset {offset:#x}) doesn't fit the map before it")]
    Range {
        /// The offending range's first address.
        base: Gpa,
        /// Its length in bytes.
        len: u64,
        /// Where it should lie in the memfd.
        offset: u64,
    },
    /// A page number that is no RAM.
    #[error("{pfn} is not RAM in this cluster's map")]
    NotRam {
        /// The page asked for.
        pfn: Pfn,
    },
    /// The kernel refused to drop or free a page.
    #[error("{what} failed on {pfn}: {cause}")]
    Advise {
        /// The call.
        what: &'static str,
        /// The page.
        pfn: Pfn,
        /// The kernel's answer.
        #[source]
        cause: io::Error,
    },
}

/// Why the userfaultfd could not be had or used.
#[derive(Debug, thiserror::Error)]
pub enum UffdError {
    /// The kernel doesn't let this user have one.
    #[error(
        "userfaultfd refused to this user ({cause}): run as root or with CAP_SYS_PTRACE, or let \
         this user open it (chmod o+rw /dev/userfaultfd), or sysctl vm.unprivileged_userfaultfd=1"
    )]
    Permission {
        /// The kernel's answer.
        cause: io::Error,
    },
    /// It exists but lacks something the pager can't do without.
    #[error("userfaultfd lacks {feature}, which Linux has since {since}: use a newer host kernel")]
    Feature {
        /// The kernel's name of the missing feature.
        feature: &'static str,
        /// The first kernel with it.
        since: &'static str,
    },
    /// Opening it failed in some other way.
    #[error("cannot open a userfaultfd: {cause}")]
    Open {
        /// What the kernel or the crate said.
        cause: String,
    },
    /// A range could not be registered.
    #[error("cannot trap {pages} pages from {first}: {cause}")]
    Register {
        /// First page of the range.
        first: Pfn,
        /// Its length in pages.
        pages: u64,
        /// What the kernel or the crate said.
        cause: String,
    },
    /// Events could not be read.
    #[error("cannot read page faults: {cause}")]
    Read {
        /// What the kernel or the crate said.
        cause: String,
    },
    /// The memory or the process that a page belonged to is gone.
    #[error("{ioctl} on {pfn}: the mapping is gone ({cause})")]
    Gone {
        /// The ioctl's name.
        ioctl: &'static str,
        /// The page.
        pfn: Pfn,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// Any other refusal: one that our own rules should have made impossible.
    #[error("{ioctl} failed on {pfn}: {cause}")]
    Ioctl {
        /// The ioctl's name.
        ioctl: &'static str,
        /// The page.
        pfn: Pfn,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// A page that isn't RAM.
    #[error(transparent)]
    Ram(#[from] RamError),
}

/// Why a lane is no longer served.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The peer closed it, or its process ended.
    #[error("the peer closed the page lane")]
    Closed,
    /// The socket failed.
    #[error("the page lane's socket failed: {cause}")]
    Socket {
        /// The kernel's answer.
        #[from]
        cause: io::Error,
    },
    /// The peer doesn't read what it is sent.
    #[error("{waiting} bytes wait for the peer, more than the limit of {limit}: it doesn't read")]
    Backlog {
        /// Bytes that wait.
        waiting: usize,
        /// `OUTBOX_BYTES`.
        limit: usize,
    },
    /// Bytes that are no page frame.
    #[error("bad page frame: {cause}")]
    Frame {
        /// What is wrong with it.
        #[from]
        cause: WireError,
    },
}

/// Why a pager didn't start.
#[derive(Debug, thiserror::Error)]
pub enum PagerError {
    /// The userfaultfd, or memory to be trapped by it.
    #[error(transparent)]
    Uffd(#[from] UffdError),
    /// A lane was given that no other node of the cluster can have.
    #[error("a page lane to {node} was given twice, to {me} itself, or beyond the {nodes} nodes")]
    Peer {
        /// The node it was given for.
        node: NodeId,
        /// This node.
        me: NodeId,
        /// Nodes in the cluster.
        nodes: usize,
    },
    /// A node without a lane: its pages could never be had.
    #[error("no page lane to {node} was given")]
    NoLane {
        /// The node.
        node: NodeId,
    },
    /// A lane's socket can't be set up.
    #[error("cannot set up the page lane's socket to {node}: {cause}")]
    Socket {
        /// The peer.
        node: NodeId,
        /// The kernel's answer.
        #[source]
        cause: io::Error,
    },
    /// The operating system refused a thread or a descriptor.
    #[error("cannot make the pager's {what}: {cause}")]
    System {
        /// What was refused.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        cause: io::Error,
    },
}

/// What the pager's thread tells the node: after any of these the guest can't go on.
#[derive(Debug)]
pub enum PagerEvent {
    /// A peer's page lane ended or broke; the peer is no longer served.
    LaneClosed {
        /// The peer.
        node: NodeId,
        /// Why.
        cause: LaneError,
    },
    /// A peer broke the protocol; it is no longer served.
    Protocol {
        /// The peer.
        node: NodeId,
        /// What it sent.
        message: PageMessage,
        /// What is wrong with that.
        cause: ProtocolError,
    },
    /// The pager's thread ended: accesses to memory that isn't here wait until the pager is stopped.
    Failed {
        /// Why.
        cause: String,
    },
}

impl fmt::Display for PagerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PagerEvent::LaneClosed { node, cause } => write!(f, "{node}: {cause}"),
            PagerEvent::Protocol { node, cause, .. } => {
                write!(f, "{node} broke the coherence protocol: {cause}")
            }
            PagerEvent::Failed { cause } => write!(f, "the pager failed: {cause}"),
        }
    }
}
