//! One state of an exploration, and what can happen in it.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::rc::Rc;

use pangea_dsm::{Dsm, Homes, Input, Nanos, Output};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Txn};

use super::{LATER, Small};
use crate::links::Flight;
use crate::memory::Memory;
use crate::outcome::Violation;

/// Something that can happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// A CPU begins an access: it completes, or faults.
    Begin { cpu: usize, pfn: Pfn, access: Access },
    /// The pager reads a CPU's fault.
    ReadFault { cpu: usize },
    /// A CPU that was woken tries again.
    Retry { cpu: usize },
    /// The next message of a link arrives; `late`: when all holds there are over.
    Deliver { from: NodeId, to: NodeId, late: bool },
    /// A node's next deadline comes.
    Tick { node: NodeId },
    /// A node's CPUs are seen asleep, rightly or not.
    Idle { node: NodeId },
    /// A node does nothing more.
    Crash { node: NodeId },
}

/// Where a CPU is with the access that it began.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum At {
    /// Nowhere: it may begin another.
    Rest,
    /// It faulted, and the pager hasn't read the fault.
    Faulted(Pfn, Access),
    /// The pager has.
    Waits(Pfn, Access),
    /// It was woken.
    Woken(Pfn, Access),
}

#[derive(Clone, Copy, Hash)]
struct Cpu {
    left: u32,
    at: At,
}

#[derive(Clone)]
pub(super) struct Cluster {
    pages: u64,
    may_crash: bool,
    crashed: Option<NodeId>,
    nodes: Vec<Rc<Dsm>>,
    clocks: Vec<Nanos>,
    memory: Memory,
    /// By sender, then receiver.
    links: Vec<VecDeque<Flight>>,
    /// The first node's CPUs, the second's, and so on.
    cpus: Vec<Cpu>,
    /// CPUs of a node.
    each: usize,
}

impl Cluster {
    pub(super) fn new(small: Small, touched: bool) -> Cluster {
        let Small { nodes, pages, cpus, accesses, crash } = small;
        let homes: Vec<NodeId> =
            (0..pages).map(|page| NodeId((page % u64::from(nodes)) as u8)).collect();
        let ranges = (0..pages).zip(&homes).map(|(page, &node)| (Pfn(page)..Pfn(page + 1), node));
        let map = Homes::new(ranges.collect());
        let count = usize::from(nodes);
        Cluster {
            pages,
            may_crash: crash,
            crashed: None,
            nodes: (0..nodes).map(|me| Rc::new(Dsm::new(NodeId(me), nodes, map.clone()))).collect(),
            clocks: vec![Nanos(0); count],
            memory: Memory::new(nodes, &homes, || touched),
            links: vec![VecDeque::new(); count * count],
            cpus: vec![Cpu { left: accesses, at: At::Rest }; count * usize::from(cpus)],
            each: cpus.into(),
        }
    }

    /// What decides the future, in 128 bits.
    pub(super) fn key(&self) -> u128 {
        let last: Vec<Txn> = self.nodes.iter().map(|node| node.last_transaction()).collect();
        let half = |seed: u64| {
            let mut state = DefaultHasher::new();
            (seed, self.crashed, &self.cpus).hash(&mut state);
            for link in &self.links {
                link.len().hash(&mut state);
                for Flight { message, contents } in link {
                    let PageMessage { pfn, txn, requester, verb } = message;
                    let ago = last[requester.index()].0.wrapping_sub(txn.0);
                    (pfn, ago, requester, verb, contents).hash(&mut state);
                }
            }
            self.memory.hash_contents(&mut state);
            for (node, now) in self.nodes.iter().zip(&self.clocks) {
                node.hash_behaviour(*now, &last, &mut state);
            }
            state.finish()
        };
        u128::from(half(0)) << 64 | u128::from(half(1))
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u8).map(NodeId)
    }

    fn cpus_of(&self, node: NodeId) -> Range<usize> {
        node.index() * self.each..(node.index() + 1) * self.each
    }

    fn node_of(&self, cpu: usize) -> NodeId {
        NodeId((cpu / self.each) as u8)
    }

    /// All accesses that a CPU at rest may begin.
    fn accesses_of(&self, cpu: usize) -> impl Iterator<Item = Action> + use<> {
        let kinds = [Access::Read, Access::Write];
        (0..self.pages)
            .flat_map(move |page| kinds.map(|access| Action::Begin { cpu, pfn: Pfn(page), access }))
    }

    /// All that can happen now.
    pub(super) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let alive = |node: &NodeId| Some(*node) != self.crashed;
        for node in self.ids().filter(alive) {
            for cpu in self.cpus_of(node) {
                match self.cpus[cpu] {
                    Cpu { left: 0, at: At::Rest } | Cpu { at: At::Waits(..), .. } => {}
                    Cpu { at: At::Rest, .. } => actions.extend(self.accesses_of(cpu)),
                    Cpu { at: At::Faulted(..), .. } => actions.push(Action::ReadFault { cpu }),
                    Cpu { at: At::Woken(..), .. } => actions.push(Action::Retry { cpu }),
                }
            }
            // A hold is long enough for a CPU that was woken.
            let woken = |cpu: usize| matches!(self.cpus[cpu].at, At::Woken(..));
            let may_wait = !self.cpus_of(node).any(woken);
            if self.nodes[node.index()].next_deadline().is_some() {
                actions.push(Action::Idle { node });
                if may_wait {
                    actions.push(Action::Tick { node });
                }
            }
            for from in self.ids() {
                let Some(next) = self.link(from, node).front() else { continue };
                actions.push(Action::Deliver { from, to: node, late: false });
                let takes =
                    matches!(next.message.verb, PageVerb::Fetch { .. } | PageVerb::Invalidate);
                if takes && may_wait {
                    actions.push(Action::Deliver { from, to: node, late: true });
                }
            }
            if self.may_crash && self.crashed.is_none() {
                actions.push(Action::Crash { node });
            }
        }
        actions
    }

    pub(super) fn act(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Begin { cpu, pfn, access } => self.attempt(cpu, pfn, access),
            Action::Retry { cpu } => match self.cpus[cpu].at {
                At::Woken(pfn, access) => self.attempt(cpu, pfn, access),
                at => unreachable!("CPU {cpu} tries again, but is at {at:?}"),
            },
            Action::ReadFault { cpu } => match self.cpus[cpu].at {
                At::Faulted(pfn, access) => {
                    self.cpus[cpu].at = At::Waits(pfn, access);
                    self.step(self.node_of(cpu), Input::Fault { pfn, access })
                }
                at => unreachable!("CPU {cpu}'s fault is read, but it is at {at:?}"),
            },
            Action::Deliver { from, to, late } => {
                if late {
                    let clock = &mut self.clocks[to.index()];
                    *clock = clock.after(LATER);
                }
                self.deliver(from, to)
            }
            Action::Tick { node } => {
                let clock = &mut self.clocks[node.index()];
                let due = self.nodes[node.index()].next_deadline();
                *clock = due.map_or(*clock, |due| due.max(*clock));
                self.step(node, Input::Tick)
            }
            Action::Idle { node } => self.step(node, Input::Idle),
            Action::Crash { node } => {
                self.crashed = Some(node);
                // What others sent it makes no difference any more.
                for from in self.ids() {
                    self.link_mut(from, node).clear();
                }
                Ok(())
            }
        }
    }

    /// Nothing more can happen: is all done?
    pub(super) fn check_end(&self) -> Result<(), Violation> {
        if self.crashed.is_some() {
            return Ok(());
        }
        for node in self.ids() {
            for (number, cpu) in self.cpus_of(node).enumerate() {
                if let At::Waits(pfn, _) = self.cpus[cpu].at {
                    return Err(Violation::Deadlock { pfn, node, vcpu: number as u32 });
                }
            }
            let open = self.nodes[node.index()].outstanding();
            if open != Default::default() {
                return Err(Violation::Unfinished { node, open: format!("{open:?}") });
            }
        }
        self.memory.check_all()
    }

    /// This state can come again and again.
    pub(super) fn endless(&self) -> Violation {
        Violation::Endless {
            open: format!("{:?}", self.cpus.iter().map(|cpu| cpu.at).collect::<Vec<_>>()),
        }
    }

    fn attempt(&mut self, cpu: usize, pfn: Pfn, access: Access) -> Result<(), Violation> {
        let node = self.node_of(cpu);
        let Cpu { left, at } = &mut self.cpus[cpu];
        match self.memory.access(node, pfn, access)? {
            Some(_) => (*left, *at) = (*left - 1, At::Rest),
            None => *at = At::Faulted(pfn, access),
        }
        self.memory.check_mapped()
    }

    fn deliver(&mut self, from: NodeId, to: NodeId) -> Result<(), Violation> {
        let Some(Flight { message, contents }) = self.link_mut(from, to).pop_front() else {
            unreachable!("nothing is under way from {from} to {to}")
        };
        if let Some(contents) = contents
            && self.nodes[to.index()].expects_page(from, &message)
        {
            self.memory.store(to, message.pfn, contents);
            self.memory.check_mapped()?;
        }
        self.step(to, Input::Receive { from, message })
    }

    fn step(&mut self, node: NodeId, input: Input) -> Result<(), Violation> {
        let mut outputs = Vec::new();
        let dsm = Rc::make_mut(&mut self.nodes[node.index()]);
        dsm.step(self.clocks[node.index()], input, &mut outputs)
            .map_err(|error| Violation::Protocol { node, error: Box::new(error) })?;
        for output in outputs {
            self.execute(node, output)?;
            self.memory.check_mapped()?;
        }
        Ok(())
    }

    fn execute(&mut self, node: NodeId, output: Output) -> Result<(), Violation> {
        let dsm = &self.nodes[node.index()];
        if let Output::Send { to, message } = output {
            let has_bytes = dsm.has_bytes(&message);
            let contents = if has_bytes { self.memory.snapshot(node, message)? } else { None };
            if Some(to) != self.crashed {
                self.link_mut(node, to).push_back(Flight { message, contents });
            }
            return Ok(());
        }
        let known = dsm.access(output.pfn());
        let Some(woken) = self.memory.obey(node, output, known)? else { return Ok(()) };
        for cpu in self.cpus_of(node) {
            let at = &mut self.cpus[cpu].at;
            // A fault that nobody has read yet is read all the same.
            match *at {
                At::Waits(pfn, access) if pfn == woken => *at = At::Woken(pfn, access),
                _ => {}
            }
        }
        Ok(())
    }

    fn link(&self, from: NodeId, to: NodeId) -> &VecDeque<Flight> {
        &self.links[from.index() * self.nodes.len() + to.index()]
    }

    fn link_mut(&mut self, from: NodeId, to: NodeId) -> &mut VecDeque<Flight> {
        &mut self.links[from.index() * self.nodes.len() + to.index()]
    }
}
