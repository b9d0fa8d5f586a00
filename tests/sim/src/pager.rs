//! The pager's part, as the pager plays it, for every node.
//!
//! Bytes are stored if `expects_page`, then comes the step, then its outputs in order; a page's bytes
//! are taken when its `Send` is executed. Before, after and between all of these another CPU of the
//! node may use the page as its mapping allows at that moment.

use pangea_dsm::{Input, Nanos, Output};
use pangea_topology::NodeId;

use crate::links::Flight;
use crate::outcome::Violation;
use crate::trace::What;
use crate::world::{Event, World};

impl World {
    /// The next message of a link has arrived.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId) -> Result<(), Violation> {
        let Some(Flight { message, contents }) = self.links.receive(from, to) else {
            unreachable!("a message arrives from {from} to {to} that nobody sent")
        };
        self.note(to, What::Received { from, message });
        self.glance(to, message.pfn)?;
        if let Some(contents) = contents
            && self.nodes[to.index()].expects_page(from, &message)
        {
            self.memory.store(to, message.pfn, contents);
            self.glance(to, message.pfn)?;
        }
        self.step(to, Input::Receive { from, message })
    }

    /// The pager's part: a step, and what it orders.
    pub(crate) fn step(&mut self, node: NodeId, input: Input) -> Result<(), Violation> {
        let mut outputs = Vec::new();
        let dsm = &mut self.nodes[node.index()];
        dsm.step(self.now, input, &mut outputs)
            .map_err(|error| Violation::Protocol { node, error: Box::new(error) })?;
        for output in outputs {
            self.note(node, What::Output(output));
            self.execute(node, output)?;
            self.glance(node, output.pfn())?;
        }
        self.check_queues(node)?;
        let dsm = &self.nodes[node.index()];
        self.longest_hold = self.longest_hold.max(dsm.hold());
        if let Some(due) = dsm.next_deadline() {
            let late = if self.rng.chance(1, 10) { 500_000 } else { 20_000 };
            let due = due.max(self.now).after(Nanos(self.rng.below(late)));
            self.at(due, Event::Tick(node));
        }
        Ok(())
    }

    fn execute(&mut self, node: NodeId, output: Output) -> Result<(), Violation> {
        let dsm = &self.nodes[node.index()];
        if let Output::Send { to, message } = output {
            let contents = match dsm.has_bytes(&message) {
                true => self.memory.snapshot(node, message)?,
                false => None,
            };
            let flight = Flight { message, contents };
            let due = self.links.send(self.now, node, to, flight, &mut self.rng)?;
            self.at(due, Event::Deliver { from: node, to });
            return Ok(());
        }
        let known = dsm.access(output.pfn());
        let Some(pfn) = self.memory.obey(node, output, known)? else { return Ok(()) };
        for index in 0..self.vcpus.len() {
            let vcpu = &mut self.vcpus[index];
            if vcpu.node == node && vcpu.waits.take_if(|(page, _)| *page == pfn).is_some() {
                let again = self.now.after(self.habits.resume(&mut self.rng));
                self.at(again, Event::Run(index));
            }
        }
        Ok(())
    }

    fn check_queues(&self, node: NodeId) -> Result<(), Violation> {
        let open = self.nodes[node.index()].outstanding();
        let pages = self.config.pages as usize + 1; // And the token.
        let limits = [
            ("transactions open", open.requests, pages),
            ("requests deferred", open.deferred, pages),
            ("transactions running", open.running, pages),
            ("requests queued", open.queued, pages * (usize::from(self.config.nodes) - 1)),
        ];
        for (what, length, limit) in limits {
            if length > limit {
                let what = format!("{what} on {node}");
                return Err(Violation::Queue { what, length, limit });
            }
        }
        Ok(())
    }
}
