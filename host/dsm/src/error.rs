//! What a peer said that can't be: who, what, about which page, and in which state it found us.
//!
//! A message that arrives over an authenticated link is still only a claim. Each is checked against
//! its sender's role before anything changes; a refused one leaves no trace in the state. The two
//! nodes then disagree about who holds a page, and no further answer can be trusted to be current:
//! the driver stops the guest.

use std::fmt;

use pangea_topology::{NodeId, NodeSet, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Txn};
use thiserror::Error;

/// Why [`crate::Dsm::step`] did nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ProtocolError {
    /// A fault of this node's guest outside all RAM.
    #[error("{pfn} is no node's RAM: the guest's map and the pager's registration disagree")]
    NotRam {
        /// The page.
        pfn: Pfn,
    },
    /// A peer's message that its role or this node's state rules out.
    #[error(
        "{from} sent {}: {why}; here {state}. The two nodes disagree about the page: stop the \
         guest and compare the versions that both run",
        Said(.message)
    )]
    Refused {
        /// The sender.
        from: NodeId,
        /// What it sent.
        message: PageMessage,
        /// What is wrong with it.
        why: Refusal,
        /// What this node knows of the page.
        state: PageState,
    },
}

/// What is wrong with a peer's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    /// The sender is this node, or none of the cluster's.
    #[error("the sender is no peer: peers are nodes 0 to {last} except {me}")]
    NotAPeer {
        /// This node.
        me: NodeId,
        /// The cluster's last node index.
        last: u8,
    },
    /// The page is nobody's RAM.
    #[error("that page is no node's RAM")]
    NotRam,
    /// `Get` or `Done` that another node should have got.
    #[error("only the page's home takes that, and the home is {home}")]
    NotHome {
        /// The page's home.
        home: NodeId,
    },
    /// `Fetch`, `Invalidate` or `Grant` from a node that doesn't keep the page's directory entry.
    #[error("only the page's home, {home}, may say that")]
    NotFromHome {
        /// The page's home.
        home: NodeId,
    },
    /// The requester field doesn't fit the sender's role.
    #[error("its requester field names {named}, which can't be right in this message")]
    WrongRequester {
        /// The node that the field names.
        named: NodeId,
    },
    /// More invalidations than there are nodes that could send them.
    #[error("{count} invalidations announced, at most {limit} are possible")]
    TooManyInvalidations {
        /// How many were announced, or have come so far.
        count: u32,
        /// How many there can be.
        limit: u32,
    },
    /// `Page`, `Grant` or `Invalidated` for a transaction that isn't open.
    #[error("no such transaction is open")]
    NoSuchTransaction,
    /// An answer to a read where a write was asked for, or the other way round.
    #[error("the open transaction asked for {wanted}")]
    WrongAccess {
        /// What was asked for.
        wanted: Asked,
    },
    /// The same answer a second time.
    #[error("that part of the transaction has come before")]
    Repeated,
    /// `Page` while this node's own copy is valid: storing it would change memory under the guest.
    #[error("this node's own copy is current, so no data can be due")]
    CopyIsCurrent,
    /// `Fetch`, `Invalidate` or `Grant` about a copy that isn't here.
    #[error("there is no copy here")]
    NoCopy,
    /// `Invalidate` to the exclusive owner: the only valid copy would be lost.
    #[error("this node has the only copy, which must be fetched, not dropped")]
    OnlyCopy,
    /// The home took a page before the transaction before it was over.
    #[error("the transaction before it isn't over")]
    StillOpen,
    /// A second `Get` from a node whose first one is still open.
    #[error("that node's transaction {open:?} for the page is still open")]
    AlreadyAsked {
        /// The open one.
        open: Txn,
    },
    /// `Get` from a node that has what it asks for.
    #[error("that node has this access already")]
    AlreadyHeld,
    /// `Done` for a transaction that isn't the one running.
    #[error("that transaction isn't the one running for the page")]
    NotRunning,
    /// `Done` before this node itself gave the page up.
    #[error("this node hasn't given the page up yet, so it can't be done")]
    DoneTooEarly,
}

/// An [`Access`] in a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked(pub Access);

/// What this node knows of one page, for errors and dumps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageState {
    /// What the guest here may do with it.
    pub access: Option<Access>,
    /// This node's own open transaction for it, and what that asked for.
    pub pending: Option<(Txn, Access)>,
    /// Does a request of its home wait here for the hold's end?
    pub deferred: bool,
    /// The directory's entry, where this node is the page's home.
    pub directory: Option<DirectoryState>,
}

/// A directory entry, for errors and dumps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryState {
    /// The nodes that have it as of the last finished transaction; one if it is exclusive.
    pub holders: NodeSet,
    /// Does its holder have it alone, writable?
    pub exclusive: bool,
    /// The transaction running for it, and its requester.
    pub running: Option<(NodeId, Txn)>,
    /// How many wait behind it.
    pub queued: usize,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Access::Read => "read",
            Access::Write => "write",
        })
    }
}

impl fmt::Display for PageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.access {
            None => "it isn't mapped",
            Some(Access::Read) => "it is read-only",
            Some(Access::Write) => "it is writable",
        })?;
        if let Some((txn, want)) = self.pending {
            write!(f, ", transaction {} to {} is open", txn.0, Asked(want))?;
        }
        if self.deferred {
            f.write_str(", and another node waits for its hold to end")?;
        }
        if let Some(directory) = &self.directory {
            write!(f, "; {directory}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DirectoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exclusive { "exclusive to" } else { "shared by" };
        write!(f, "the directory has it {kind} {:?}", self.holders)?;
        if let Some((node, txn)) = self.running {
            write!(f, ", busy with transaction {} of {node}, {} waiting", txn.0, self.queued)?;
        }
        Ok(())
    }
}

/// A message in a sentence.
struct Said<'a>(&'a PageMessage);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PageMessage { pfn, txn, requester, verb } = self.0;
        match verb {
            PageVerb::Get { access } => write!(f, "Get to {}", Asked(*access)),
            PageVerb::Fetch { access, invalidations } => {
                write!(f, "Fetch to {} with {invalidations} invalidations", Asked(*access))
            }
            PageVerb::Invalidate => f.write_str("Invalidate"),
            PageVerb::Page { access, invalidations } => {
                write!(f, "Page to {} with {invalidations} invalidations", Asked(*access))
            }
            PageVerb::Grant { invalidations } => {
                write!(f, "Grant with {invalidations} invalidations")
            }
            PageVerb::Invalidated => f.write_str("Invalidated"),
            PageVerb::Done => f.write_str("Done"),
        }?;
        write!(f, " for {pfn} in transaction {} of {requester}", txn.0)
    }
}
