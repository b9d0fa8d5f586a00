//! May this node say that, to us, now?
//!
//! ```text
//!   claim --> sender is a peer --> its role --> the requester field --> numbers --> our state
//! ```
//!
//! | message | from | to | requester field |
//! |---|---|---|---|
//! | `Get`, `Done` | requester | home | the sender |
//! | `Fetch`, `Invalidate` | home | a holder | another node than the receiver |
//! | `Grant` | home | requester | the receiver |
//! | `Page`, `Invalidated` | a holder | requester | the receiver |
//!
//! Nothing here changes anything. What a node sends itself, as home of its own page, passes the
//! same checks; there a refusal is a broken invariant.

use pangea_topology::NodeId;
use pangea_wire::{Access, PageMessage, PageVerb};

use crate::Dsm;
use crate::error::Refusal;

impl Dsm {
    /// A message that came over a link.
    pub(crate) fn admit(&self, from: NodeId, message: &PageMessage) -> Result<NodeId, Refusal> {
        let me = self.cache.me;
        if from == me || from.0 >= self.cache.nodes {
            return Err(Refusal::NotAPeer { me, last: self.cache.nodes - 1 });
        }
        self.admit_any(from, message)
    }

    /// A message from a peer or from this node itself: is it possible? Gives the page's home.
    pub(crate) fn admit_any(&self, from: NodeId, message: &PageMessage) -> Result<NodeId, Refusal> {
        let home = self.homes.keeper(message.pfn).ok_or(Refusal::NotRam)?;
        self.check_roles(home, from, message)?;
        check_numbers(self.cache.nodes, message)?;
        let PageMessage { pfn, txn, .. } = *message;
        match message.verb {
            PageVerb::Get { access } => self.directory.check_get(from, pfn, access),
            PageVerb::Done if !self.directory.runs(pfn, from, txn) => Err(Refusal::NotRunning),
            PageVerb::Done if self.cache.defers(&self.homes, pfn) => Err(Refusal::DoneTooEarly),
            PageVerb::Done => Ok(()),
            PageVerb::Fetch { .. } | PageVerb::Invalidate => {
                self.cache.check_request(&self.homes, message)
            }
            PageVerb::Page { .. } | PageVerb::Grant { .. } | PageVerb::Invalidated => {
                // A home knows better than its own open transaction: is it that one's turn?
                if home == self.cache.me && !self.directory.runs(pfn, home, txn) {
                    return Err(Refusal::NoSuchTransaction);
                }
                self.cache.check_reply(&self.homes, from, message)
            }
        }?;
        Ok(home)
    }

    fn check_roles(
        &self,
        home: NodeId,
        from: NodeId,
        message: &PageMessage,
    ) -> Result<(), Refusal> {
        let me = self.cache.me;
        let named = message.requester;
        let (to_home, from_home, requester) = match message.verb {
            PageVerb::Get { .. } | PageVerb::Done => (true, false, named == from),
            PageVerb::Fetch { .. } | PageVerb::Invalidate => {
                (false, true, named != me && named.0 < self.cache.nodes)
            }
            PageVerb::Grant { .. } => (false, true, named == me),
            PageVerb::Page { .. } | PageVerb::Invalidated => (false, false, named == me),
        };
        if to_home && me != home {
            return Err(Refusal::NotHome { home });
        }
        if from_home && from != home {
            return Err(Refusal::NotFromHome { home });
        }
        if requester { Ok(()) } else { Err(Refusal::WrongRequester { named }) }
    }
}

/// Invalidations go to every sharer but the requester, and but the supplier where there is one.
fn check_numbers(nodes: u8, message: &PageMessage) -> Result<(), Refusal> {
    let (count, limit) = match message.verb {
        PageVerb::Fetch { access, invalidations } | PageVerb::Page { access, invalidations } => {
            (invalidations, if access == Access::Read { 0 } else { nodes.saturating_sub(2) })
        }
        PageVerb::Grant { invalidations } => (invalidations, nodes - 1),
        _ => return Ok(()),
    };
    if count > limit {
        return Err(Refusal::TooManyInvalidations { count: count.into(), limit: limit.into() });
    }
    Ok(())
}
