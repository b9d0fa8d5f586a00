//! What goes into a step and what comes out: the whole contract with the driver.
//!
//! Time is the driver's: nanoseconds since any moment it likes, never going back.

use std::fmt;

use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage};

/// A point in the driver's time, or a span of it, in nanoseconds. Only differences count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// The guest here touched a page that its mapping doesn't let it.
    Fault {
        /// The page.
        pfn: Pfn,
        /// How it was touched.
        access: Access,
    },
    /// A peer said something.
    Receive {
        /// Which peer: as the link knows it, not as the message says.
        from: NodeId,
        /// What it said.
        message: PageMessage,
    },
    /// Time has passed, to [`Dsm::next_deadline`](crate::Dsm::next_deadline) or beyond.
    Tick,
    /// No CPU of this node runs: unless one waits for a page, others may have whatever is kept here.
    Idle,
}

/// What the driver is to do, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Send this; if [`Dsm::has_bytes`](crate::Dsm::has_bytes), with the page's bytes as they are in the backing now.
    Send {
        /// To which peer; never to this node itself.
        to: NodeId,
        /// What.
        message: PageMessage,
    },
    /// The backing's contents are current: map the page, write-protected for `Read`, and wake who
    /// waits for it.
    Install {
        /// The page.
        pfn: Pfn,
        /// What the mapping is to allow.
        access: Access,
    },
    /// The backing's contents are current and this node's: leave the page unmapped until a fault, which
    /// [`Wake`](Self::Wake) will answer.
    Take {
        /// The page.
        pfn: Pfn,
    },
    /// The page is mapped read-only, and current: make it writable and wake who waits for it.
    Upgrade {
        /// The page.
        pfn: Pfn,
    },
    /// Write-protect the page in the guest's mapping, if it is mapped.
    Downgrade {
        /// The page.
        pfn: Pfn,
    },
    /// Take the page from the guest's mapping; the backing keeps its bytes.
    Revoke {
        /// The page.
        pfn: Pfn,
    },
    /// The guest may do already what it faulted for ([`Dsm::access`](crate::Dsm::access)): wake it. Where the
    /// page isn't mapped (after `Take`, or never touched since the start), map it first.
    Wake {
        /// The page.
        pfn: Pfn,
    },
}

/// What isn't over yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Outstanding {
    /// Transactions that this node's faults wait for: at most one per page.
    pub requests: usize,
    /// Peers' requests that wait here for a hold to end: at most one per page.
    pub deferred: usize,
    /// Transactions that run for pages whose home this is: at most one per page.
    pub running: usize,
    /// Requests that queue behind those: at most one per page and node.
    pub queued: usize,
}

impl Output {
    /// The page that it is about.
    pub fn pfn(&self) -> Pfn {
        match *self {
            Output::Send { message, .. } => message.pfn,
            Output::Install { pfn, .. }
            | Output::Take { pfn }
            | Output::Upgrade { pfn }
            | Output::Downgrade { pfn }
            | Output::Revoke { pfn }
            | Output::Wake { pfn } => pfn,
        }
    }
}

impl Nanos {
    /// The span from `earlier` to this; none if that is later.
    #[must_use]
    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point a span after this one.
    #[must_use]
    pub fn after(self, span: Nanos) -> Nanos {
        Nanos(self.0.saturating_add(span.0))
    }
}

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ns", self.0)
    }
}
