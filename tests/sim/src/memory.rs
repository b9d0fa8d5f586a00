//! Every node's memory as its guest sees it, and the truth to compare it with.
//!
//! ```text
//!   per node and page:  mapping (absent, read-only, writable) + contents of the backing
//!   per page:           the truth: the last write that any CPU completed
//! ```
//!
//! Nothing here asks the protocol: mappings change only by its orders, contents only by guests'
//! writes and by pages that arrive. An access takes no virtual time, so "last" is well defined,
//! and each page must behave as one variable in real-time order (linearizable, hence sequentially
//! consistent per page).

use std::hash::{Hash, Hasher};

use pangea_dsm::Output;
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb};

use crate::outcome::{Violation, Writer};

/// What the guest's page tables allow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mapping {
    /// Any access faults.
    Absent,
    /// Writes fault.
    ReadOnly,
    /// None faults.
    Writable,
}

/// What a page holds: how many writes led to it, and whose the last one was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Contents {
    pub(crate) version: u64,
    writer: Writer,
}

#[derive(Clone, Copy, Hash)]
struct Frame {
    mapping: Mapping,
    /// A page that is current though its guest hasn't touched it, a home's at the start or one that came
    /// along with others: only such a one may be unmapped where the protocol knows it as accessible.
    untouched: bool,
    /// Has a CPU that waited for it used it since it was mapped?
    used: bool,
    contents: Contents,
}

/// All nodes' memory.
#[derive(Clone)]
pub(crate) struct Memory {
    /// By node, then page.
    frames: Vec<Vec<Frame>>,
    truth: Vec<Contents>,
    /// Writes that CPUs completed, counted apart from the contents.
    written: Vec<u64>,
    /// Pages that were mapped.
    pub(crate) installs: u64,
    /// Of these, pages that were taken away before a CPU that waited had used them.
    pub(crate) unused: u64,
}

/// Never current: recognisable, and far from any version that a run can reach.
const GARBAGE: Contents = Contents { version: 0xDEAD_DEAD_DEAD_DEAD, writer: Writer::Garbage };
const START: Contents = Contents { version: 0, writer: Writer::Nobody };

impl Memory {
    /// At the start only the homes have anything; `touched` says whether a guest's page tables know
    /// its page yet.
    pub(crate) fn new(nodes: u8, homes: &[NodeId], mut touched: impl FnMut() -> bool) -> Memory {
        let frame = |node, home, touched| {
            let mapping = if node == home && touched { Mapping::Writable } else { Mapping::Absent };
            let contents = if node == home { START } else { GARBAGE };
            Frame { mapping, untouched: node == home && !touched, used: true, contents }
        };
        let of = |node| homes.iter().map(|&home| frame(node, home, touched())).collect();
        Memory {
            frames: (0..nodes).map(NodeId).map(of).collect(),
            truth: vec![START; homes.len()],
            written: vec![0; homes.len()],
            installs: 0,
            unused: 0,
        }
    }

    fn frame(&mut self, node: NodeId, pfn: Pfn) -> &mut Frame {
        &mut self.frames[node.index()][pfn.0 as usize]
    }

    /// May a CPU do this without a fault?
    pub(crate) fn allows(&self, node: NodeId, pfn: Pfn, access: Access) -> bool {
        match self.frames[node.index()][pfn.0 as usize].mapping {
            Mapping::Absent => false,
            Mapping::ReadOnly => access == Access::Read,
            Mapping::Writable => true,
        }
    }

    /// A CPU accesses the page. `None`: it faults. Otherwise the version that it read or made.
    pub(crate) fn access(
        &mut self,
        node: NodeId,
        pfn: Pfn,
        access: Access,
    ) -> Result<Option<u64>, Violation> {
        let last = self.truth[pfn.0 as usize];
        if !self.allows(node, pfn, access) {
            return Ok(None);
        }
        let frame = self.frame(node, pfn);
        // A write is a locked increment: it sees what it replaces.
        let found = frame.contents;
        if found != last {
            return Err(Violation::Stale {
                pfn,
                node,
                access,
                found: found.version,
                found_by: found.writer,
                last: last.version,
                last_by: last.writer,
            });
        }
        if access == Access::Write {
            frame.contents = Contents { version: found.version + 1, writer: Writer::Node(node) };
            self.truth[pfn.0 as usize] = frame.contents;
            self.written[pfn.0 as usize] += 1;
        }
        Ok(Some(self.frame(node, pfn).contents.version))
    }

    /// A CPU that wanted the page has got to use it.
    pub(crate) fn used(&mut self, node: NodeId, pfn: Pfn) {
        self.frame(node, pfn).used = true;
    }

    /// Does what the protocol ordered, but for sending. Gives the page whose waiting CPUs are to be woken, if any.
    /// `known` is what the protocol knows the node's guest may do with the page.
    pub(crate) fn obey(
        &mut self,
        node: NodeId,
        order: Output,
        known: Option<Access>,
    ) -> Result<Option<Pfn>, Violation> {
        let (done, wakes) = match order {
            Output::Send { .. } => (Ok(()), None),
            Output::Downgrade { pfn } => (self.downgrade(node, pfn), None),
            Output::Revoke { pfn } => (self.revoke(node, pfn), None),
            Output::Take { pfn } => (self.take(node, pfn), None),
            Output::Install { pfn, access } => (self.install(node, pfn, access), Some(pfn)),
            Output::Upgrade { pfn } => (self.upgrade(node, pfn), Some(pfn)),
            Output::Wake { pfn } => (self.wake(node, pfn, known), Some(pfn)),
        };
        done.map(|()| wakes)
    }

    /// Maps what the backing has. The page mustn't be mapped yet.
    fn install(&mut self, node: NodeId, pfn: Pfn, access: Access) -> Result<(), Violation> {
        let to = match access {
            Access::Read => Mapping::ReadOnly,
            Access::Write => Mapping::Writable,
        };
        self.installs += 1;
        self.frame(node, pfn).used = false;
        self.order(node, pfn, "map", &[Mapping::Absent], to)
    }

    /// Keeps what the backing has, unmapped. The page mustn't be mapped yet.
    fn take(&mut self, node: NodeId, pfn: Pfn) -> Result<(), Violation> {
        let frame = self.frame(node, pfn);
        if frame.mapping != Mapping::Absent || frame.untouched {
            return Err(Violation::Order { node, pfn, order: "take", mapping: frame.mapping });
        }
        frame.untouched = true;
        Ok(())
    }

    /// Makes a read-only page writable. A home's page that was never touched stays unmapped.
    fn upgrade(&mut self, node: NodeId, pfn: Pfn) -> Result<(), Violation> {
        match self.frame(node, pfn).untouched {
            true => Ok(()),
            false => self.order(node, pfn, "upgrade", &[Mapping::ReadOnly], Mapping::Writable),
        }
    }

    /// Write-protects the page if it is mapped.
    fn downgrade(&mut self, node: NodeId, pfn: Pfn) -> Result<(), Violation> {
        match self.frame(node, pfn).untouched {
            true => Ok(()),
            false => self.order(node, pfn, "downgrade", &[Mapping::Writable], Mapping::ReadOnly),
        }
    }

    /// Takes the page from the guest.
    fn revoke(&mut self, node: NodeId, pfn: Pfn) -> Result<(), Violation> {
        if std::mem::take(&mut self.frame(node, pfn).untouched) {
            return Ok(());
        }
        self.unused += u64::from(!self.frame(node, pfn).used);
        let from = [Mapping::ReadOnly, Mapping::Writable];
        self.order(node, pfn, "revoke", &from, Mapping::Absent)
    }

    /// For a fault that needs no other node: maps the page if its guest never touched it.
    fn wake(&mut self, node: NodeId, pfn: Pfn, access: Option<Access>) -> Result<(), Violation> {
        let frame = self.frame(node, pfn);
        match access {
            Some(access) if std::mem::take(&mut frame.untouched) => self.install(node, pfn, access),
            _ if frame.mapping == Mapping::Absent => {
                Err(Violation::Order { node, pfn, order: "use", mapping: Mapping::Absent })
            }
            _ => Ok(()),
        }
    }

    /// The bytes that a `Page` message takes along; the guest here mustn't be able to use what it
    /// gives away.
    pub(crate) fn snapshot(
        &mut self,
        node: NodeId,
        message: PageMessage,
    ) -> Result<Option<Contents>, Violation> {
        let PageVerb::Page { access, .. } = message.verb else { return Ok(None) };
        let frame = *self.frame(node, message.pfn);
        match (frame.mapping, access) {
            (Mapping::Writable, _) | (Mapping::ReadOnly, Access::Write) => {
                Err(Violation::Unstable { node, message, mapping: frame.mapping })
            }
            _ => Ok(Some(frame.contents)),
        }
    }

    /// Bytes have come for the page's backing.
    pub(crate) fn store(&mut self, node: NodeId, pfn: Pfn, contents: Contents) {
        self.frame(node, pfn).contents = contents;
    }

    /// Whatever a CPU could read right now is the last completed write.
    pub(crate) fn check_mapped(&self) -> Result<(), Violation> {
        for (node, frames) in self.frames.iter().enumerate() {
            for (page, (frame, last)) in frames.iter().zip(&self.truth).enumerate() {
                if frame.mapping != Mapping::Absent && frame.contents != *last {
                    return Err(Violation::Stale {
                        pfn: Pfn(page as u64),
                        node: NodeId(node as u8),
                        access: Access::Read,
                        found: frame.contents.version,
                        found_by: frame.contents.writer,
                        last: last.version,
                        last_by: last.writer,
                    });
                }
            }
        }
        Ok(())
    }

    /// Hashes what guests can see and what is kept for them; not what is only counted.
    pub(crate) fn hash_contents(&self, state: &mut impl Hasher) {
        for frame in self.frames.iter().flatten() {
            (frame.mapping, frame.untouched, frame.contents).hash(state);
        }
        self.truth.hash(state);
    }

    /// Somebody has every page, and whoever has it has every write in it.
    pub(crate) fn check_all(&self) -> Result<(), Violation> {
        for (page, &written) in self.written.iter().enumerate() {
            let pfn = Pfn(page as u64);
            let mut kept = false;
            for (node, frames) in self.frames.iter().enumerate() {
                let (node, frame) = (NodeId(node as u8), &frames[page]);
                if frame.mapping == Mapping::Absent && !frame.untouched {
                    continue;
                }
                kept = true;
                let found = frame.contents.version;
                if found != written {
                    return Err(Violation::LostWrites { pfn, node, found, written });
                }
            }
            if !kept {
                return Err(Violation::Nowhere { pfn, written });
            }
        }
        Ok(())
    }

    /// How many writes CPUs completed in all.
    pub(crate) fn writes(&self) -> u64 {
        self.written.iter().sum()
    }

    fn order(
        &mut self,
        node: NodeId,
        pfn: Pfn,
        order: &'static str,
        from: &[Mapping],
        to: Mapping,
    ) -> Result<(), Violation> {
        let frame = self.frame(node, pfn);
        if !from.contains(&frame.mapping) {
            return Err(Violation::Order { node, pfn, order, mapping: frame.mapping });
        }
        frame.mapping = to;
        self.single_writer(pfn)
    }

    /// A writer is alone.
    fn single_writer(&self, pfn: Pfn) -> Result<(), Violation> {
        let mapping = |node: u8| self.frames[usize::from(node)][pfn.0 as usize].mapping;
        let nodes = 0..self.frames.len() as u8;
        let Some(writer) = nodes.clone().find(|&node| mapping(node) == Mapping::Writable) else {
            return Ok(());
        };
        match nodes.into_iter().find(|&node| node != writer && mapping(node) != Mapping::Absent) {
            None => Ok(()),
            Some(other) => Err(Violation::TwoHolders {
                pfn,
                writer: NodeId(writer),
                other: NodeId(other),
                mapping: mapping(other),
            }),
        }
    }
}
