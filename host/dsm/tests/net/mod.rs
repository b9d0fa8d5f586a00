//! A few nodes and the links between them, delivered by hand: so a test can put one message before
//! another. One page, at home on node 0.

#![allow(clippy::unwrap_used, dead_code)]

use std::collections::{BTreeMap, VecDeque};

use pangea_dsm::{Dsm, Homes, Input, Nanos, Output, ProtocolError};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb};

pub(crate) const PAGE: Pfn = Pfn(3);
pub(crate) const READ: Access = Access::Read;
pub(crate) const WRITE: Access = Access::Write;

pub(crate) struct Net {
    pub(crate) nodes: Vec<Dsm>,
    pub(crate) links: BTreeMap<(u8, u8), VecDeque<PageMessage>>,
    pub(crate) now: u64,
}

/// An output that concerns the guest, without its page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Install(Access),
    Take,
    Upgrade,
    Downgrade,
    Revoke,
    Wake,
}

impl Net {
    pub(crate) fn new(nodes: u8) -> Net {
        let homes = Homes::new(vec![(Pfn(0)..Pfn(8), NodeId(0))]);
        let nodes = (0..nodes).map(|me| Dsm::new(NodeId(me), nodes, homes.clone())).collect();
        Net { nodes, links: BTreeMap::new(), now: 1 }
    }

    /// One step of a node: what its guest feels; what it sends goes onto the links.
    pub(crate) fn step(&mut self, node: u8, input: Input) -> Result<Vec<Did>, ProtocolError> {
        let mut out = Vec::new();
        self.nodes[usize::from(node)].step(Nanos(self.now), input, &mut out)?;
        let mut did = Vec::new();
        for output in out {
            did.push(match output {
                Output::Send { to, message } => {
                    self.links.entry((node, to.0)).or_default().push_back(message);
                    continue;
                }
                Output::Install { access, .. } => Did::Install(access),
                Output::Take { .. } => Did::Take,
                Output::Upgrade { .. } => Did::Upgrade,
                Output::Downgrade { .. } => Did::Downgrade,
                Output::Revoke { .. } => Did::Revoke,
                Output::Wake { .. } => Did::Wake,
            });
        }
        Ok(did)
    }

    pub(crate) fn fault(&mut self, node: u8, access: Access) -> Vec<Did> {
        self.step(node, Input::Fault { pfn: PAGE, access }).unwrap()
    }

    pub(crate) fn tick(&mut self, node: u8) -> Vec<Did> {
        self.step(node, Input::Tick).unwrap()
    }

    /// Delivers the first message of a link, which must be this one.
    pub(crate) fn deliver(&mut self, from: u8, to: u8, verb: PageVerb) -> Vec<Did> {
        let message = self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let message = message.unwrap_or_else(|| panic!("nothing from {from} to {to}: {verb:?}?"));
        assert_eq!(message.verb, verb, "from {from} to {to}");
        self.step(to, Input::Receive { from: NodeId(from), message }).unwrap()
    }

    /// Delivers whatever is under way, until nothing is; holds end as they must.
    pub(crate) fn settle(&mut self) {
        loop {
            let link = self.links.iter().find(|(_, queue)| !queue.is_empty());
            if let Some((&(from, to), queue)) = link {
                let verb = queue[0].verb;
                self.deliver(from, to, verb);
                continue;
            }
            let next = self.nodes.iter().filter_map(Dsm::next_deadline).min();
            let Some(next) = next else { return };
            self.now = self.now.max(next.0);
            for node in 0..self.nodes.len() as u8 {
                self.tick(node);
            }
        }
    }

    /// A fault and all that follows, and then time enough for every hold to end.
    pub(crate) fn have(&mut self, node: u8, access: Access) {
        self.fault(node, access);
        self.settle();
        assert!(self.access(node) >= Some(access));
        self.now += 10_000_000;
    }

    pub(crate) fn access(&self, node: u8) -> Option<Access> {
        self.nodes[usize::from(node)].access(PAGE)
    }

    pub(crate) fn accesses(&self) -> Vec<Option<Access>> {
        (0..self.nodes.len() as u8).map(|node| self.access(node)).collect()
    }
}
