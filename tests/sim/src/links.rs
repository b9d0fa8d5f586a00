//! The links: in order between each two nodes, in any order with each other.
//!
//! Each direction of each pair has its own base delay, from 2 us to 500 us, so that a forwarded
//! message may come long before or after what was sent straight; each message adds some, and now and
//! then one is late by milliseconds. Nothing is lost: a link is a TCP stream.

use std::collections::VecDeque;

use pangea_dsm::Nanos;
use pangea_topology::NodeId;
use pangea_wire::{PageMessage, PageVerb};

use crate::memory::Contents;
use crate::outcome::Violation;
use crate::rng::Rng;

/// A message under way, with a page's bytes if it takes some along.
#[derive(Clone, Copy, Hash, Debug)]
pub(crate) struct Flight {
    pub(crate) message: PageMessage,
    pub(crate) contents: Option<Contents>,
}

struct Link {
    base: u64,
    queue: VecDeque<Flight>,
    /// When the last message in it arrives.
    last: Nanos,
}

/// All links.
pub(crate) struct Links {
    nodes: usize,
    links: Vec<Link>,
    /// By page, how many messages are under way.
    in_flight: Vec<usize>,
    pub(crate) messages: u64,
    pub(crate) pages: u64,
    pub(crate) most_in_flight: usize,
}

impl Links {
    pub(crate) fn new(nodes: u8, pages: u64, rng: &mut Rng) -> Links {
        let nodes = usize::from(nodes);
        let mut link =
            || Link { base: rng.magnitude(2_000, 500_000), queue: VecDeque::new(), last: Nanos(0) };
        Links {
            nodes,
            links: (0..nodes * nodes).map(|_| link()).collect(),
            in_flight: vec![0; pages as usize + 1], // And the token.
            messages: 0,
            pages: 0,
            most_in_flight: 0,
        }
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        &mut self.links[from.index() * self.nodes + to.index()]
    }

    /// Sends, and tells when it arrives.
    pub(crate) fn send(
        &mut self,
        now: Nanos,
        from: NodeId,
        to: NodeId,
        flight: Flight,
        rng: &mut Rng,
    ) -> Result<Nanos, Violation> {
        self.messages += 1;
        self.pages += u64::from(matches!(flight.message.verb, PageVerb::Page { .. }));
        let pfn = flight.message.pfn;
        let under_way = &mut self.in_flight[pfn.0 as usize];
        *under_way += 1;
        let length = *under_way;
        self.most_in_flight = self.most_in_flight.max(length);
        // A Get of each node, and for the one that runs: an answer, or word of each copy dropped.
        let limit = 2 * self.nodes;
        if length > limit {
            let what = format!("messages under way for {pfn}");
            return Err(Violation::Queue { what, length, limit });
        }
        let link = self.link(from, to);
        let late = if rng.chance(1, 60) { rng.magnitude(10_000, 3_000_000) } else { 0 };
        let delay = link.base + rng.below(link.base) + late;
        link.last = link.last.max(now.after(Nanos(delay)));
        link.queue.push_back(flight);
        Ok(link.last)
    }

    /// The next message of the link, which has arrived.
    pub(crate) fn receive(&mut self, from: NodeId, to: NodeId) -> Option<Flight> {
        let flight = self.link(from, to).queue.pop_front()?;
        self.in_flight[flight.message.pfn.0 as usize] -= 1;
        Some(flight)
    }
}
