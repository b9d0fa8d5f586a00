//! The coherence protocol's messages: seven verbs about one page.
//!
//! ```text
//!   requester            home (directory)            supplier        other sharers
//!      | ----- Get --------> |                           |                 |
//!      |                     | ------ Fetch -----------> |                 |
//!      |                     | ------ Invalidate ---------------------->   |
//!      | <------------------------- Page (data) -------- |                 |
//!      | <------------------------- Invalidated --------------------------- |
//!      | ----- Done -------> |        (home starts the next request for the page)
//! ```
//!
//! `Grant` replaces `Page` where the requester's own copy is current: no data crosses the wire.

use pangea_topology::{NodeId, Pfn};

/// What an access needs, and what a mapping allows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Access {
    /// Reads only: the page is Shared.
    Read,
    /// Reads and writes: the page is Exclusive.
    Write,
}

/// A transaction's name, chosen by its requester: unique per requester within one cluster epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Txn(pub u64);

/// One message about one page. `txn` is the transaction of `requester` that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct PageMessage {
    /// The page it is about.
    pub pfn: Pfn,
    /// The transaction's name.
    pub txn: Txn,
    /// The node that started the transaction.
    pub requester: NodeId,
    /// What is said.
    pub verb: PageVerb,
}

/// What a [`PageMessage`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum PageVerb {
    /// Requester to home: I need the page.
    Get {
        /// To read, or to write.
        access: Access,
    },
    /// Home to supplier: send the page to the requester, and keep a read-only copy (`Read`) or none
    /// (`Write`).
    Fetch {
        /// What the requester gets.
        access: Access,
        /// How many `Invalidated` the requester must also wait for; 0..=63.
        invalidations: u8,
    },
    /// Home to a sharer: drop your copy, and tell the requester.
    Invalidate,
    /// Supplier to requester: here is the page (its bytes travel with the message).
    Page {
        /// What the requester now may do.
        access: Access,
        /// How many `Invalidated` to wait for.
        invalidations: u8,
    },
    /// Home to requester: your copy is current, you may write after so many `Invalidated`.
    Grant {
        /// How many `Invalidated` to wait for.
        invalidations: u8,
    },
    /// Former sharer to requester: my copy is gone.
    Invalidated,
    /// Requester to home: the page is mapped here; the transaction is over.
    Done,
}
