//! This node's part of the machine: where the exits of its vCPUs go, and where messages of other
//! nodes arrive.
//!
//! ```text
//!   vCPU exit --> root node: chipset            ghost exit --> control lane --> node of the real vCPU
//!            \--> others: control lane --> root                                  --> KVM_SIGNAL_MSI
//! ```

use crate::devices::{Chipset, routes};
use crate::event::Event;
use crate::remote::Remote;
use pangea_kvm::{KvmError, Machine, Vm};
use pangea_topology::{ApicId, Gpa, NodeId, Topology};
use pangea_transport::{Control, ControlHandler, PeerLost};
use pangea_wire::{AccessOp, ControlMessage, Interrupt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How often a thread that waits for work looks whether the session is over.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Counters of what crossed between nodes besides pages.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) interrupts_out: AtomicU64,
    pub(crate) interrupts_in: AtomicU64,
    pub(crate) accesses: AtomicU64,
    /// Messages that this node's role has no use for: a peer that misbehaves.
    pub(crate) refused: AtomicU64,
}

/// Where this node's vCPUs find the devices.
pub(crate) enum Devices {
    /// Here: this is the root node.
    Here(Arc<Chipset>),
    /// On the root node.
    There(Remote),
}

/// An access of another node's vCPU, on its way to the thread that serves them.
pub(crate) struct Visit {
    from: NodeId,
    token: u64,
    op: AccessOp,
}

/// One node of the machine, once its parts exist.
pub(crate) struct NodeMachine {
    pub(crate) me: NodeId,
    pub(crate) topology: Topology,
    pub(crate) vm: Option<Arc<Vm>>,
    pub(crate) devices: Devices,
    pub(crate) control: Control,
    pub(crate) events: Sender<Event>,
    /// As many as there are vCPUs: each waits for its answer.
    pub(crate) visits: SyncSender<Visit>,
    pub(crate) counters: Arc<Counters>,
    /// Set when the session ends: what the guest does from then on is nobody's business.
    pub(crate) stopping: AtomicBool,
}

impl NodeMachine {
    fn access(&self, cpu: ApicId, op: AccessOp) -> [u8; 8] {
        if self.stopping.load(Ordering::Acquire) {
            return [0xff; 8];
        }
        match &self.devices {
            Devices::Here(chipset) => chipset.access(op),
            Devices::There(remote) => {
                self.counters.accesses.fetch_add(1, Ordering::Relaxed);
                remote.access(cpu, op)
            }
        }
    }

    /// Ends everything that could still wait for an answer.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        if let Devices::There(remote) = &self.devices {
            remote.abandon();
        }
    }

    /// Serves other nodes' accesses until the session ends. The console may block it; the lanes go
    /// on meanwhile.
    pub(crate) fn serve(&self, visits: &Receiver<Visit>) {
        let Devices::Here(chipset) = &self.devices else { return };
        while !self.stopping.load(Ordering::Acquire) {
            let Visit { from, token, op } = match visits.recv_timeout(LOOK_UP) {
                Ok(visit) => visit,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let data = chipset.access(op);
            let answer = ControlMessage::AccessDone { token, data };
            if let Err(error) = self.control.send(from, &answer) {
                tracing::debug!(%error, node = %from, "device access not answered");
            }
        }
    }

    /// A message that isn't the session's. False: this node has no use for it.
    fn take(&self, from: NodeId, message: &ControlMessage) -> bool {
        match (message, &self.devices) {
            (ControlMessage::Interrupt(interrupt), _) => self.interrupt(*interrupt),
            (ControlMessage::Access { token, op, cpu }, Devices::Here(_))
                if self.topology.node_of(*cpu) == Some(from) =>
            {
                let visit = Visit { from, token: *token, op: *op };
                self.visits.try_send(visit).is_ok()
            }
            (ControlMessage::AccessDone { token, data }, Devices::There(remote)) => {
                from == NodeId::ROOT && remote.done(*token, *data)
            }
            (ControlMessage::EndOfInterrupt { vector, .. }, Devices::Here(chipset)) => {
                chipset.end_of_interrupt(*vector);
                true
            }
            (ControlMessage::IoapicRoutes(entries), Devices::There(_)) if from == NodeId::ROOT => {
                let set = self.vm.as_ref().map_or(Ok(()), |vm| vm.set_routes(&routes(entries)));
                if let Err(error) = set {
                    self.failed(error);
                }
                true
            }
            _ => false,
        }
    }

    /// An interrupt that arrived at a ghost elsewhere, for one of our vCPUs.
    fn interrupt(&self, interrupt: Interrupt) -> bool {
        if self.topology.node_of(interrupt.to) != Some(self.me) {
            return false;
        }
        self.counters.interrupts_in.fetch_add(1, Ordering::Relaxed);
        let Some(vm) = &self.vm else { return false };
        if let Err(error) = vm.deliver(interrupt) {
            self.failed(error);
        }
        true
    }
}

impl Machine for NodeMachine {
    fn port_in(&self, cpu: ApicId, port: u16, data: &mut [u8]) {
        let size = data.len() as u8;
        let read = self.access(cpu, AccessOp::PortIn { port, size });
        data.iter_mut().zip(read).for_each(|(to, from)| *to = from);
    }

    fn port_out(&self, cpu: ApicId, port: u16, data: &[u8]) {
        let mut value = [0; 4];
        value.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let value = u32::from_le_bytes(value);
        self.access(cpu, AccessOp::PortOut { port, size: data.len() as u8, value });
    }

    fn mmio_read(&self, cpu: ApicId, gpa: Gpa, data: &mut [u8]) {
        let read = self.access(cpu, AccessOp::MmioRead { gpa, len: data.len() as u8 });
        data.iter_mut().zip(read).for_each(|(to, from)| *to = from);
    }

    fn mmio_write(&self, cpu: ApicId, gpa: Gpa, data: &[u8]) {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        self.access(cpu, AccessOp::MmioWrite { gpa, len: data.len() as u8, data: bytes });
    }

    fn end_of_interrupt(&self, cpu: ApicId, vector: u8) {
        match &self.devices {
            Devices::Here(chipset) => chipset.end_of_interrupt(vector),
            Devices::There(_) => {
                self.tell(NodeId::ROOT, &ControlMessage::EndOfInterrupt { cpu, vector });
            }
        }
    }

    fn forward(&self, interrupt: Interrupt) {
        let Some(node) = self.topology.node_of(interrupt.to) else { return };
        self.counters.interrupts_out.fetch_add(1, Ordering::Relaxed);
        self.tell(node, &ControlMessage::Interrupt(interrupt));
    }

    fn reset(&self, cpu: ApicId) {
        tracing::warn!(%cpu, "the guest reset itself by a triple fault");
        let _ = self.events.send(Event::Power(crate::devices::Request::Reset));
    }

    fn failed(&self, error: KvmError) {
        let _ = self.events.send(Event::Cpu(error));
    }
}

impl NodeMachine {
    /// A node that can't be told is about to be reported as lost by its lane.
    fn tell(&self, node: NodeId, message: &ControlMessage) {
        if let Err(error) = self.control.send(node, message) {
            tracing::debug!(%error, %node, "message not sent");
        }
    }
}

/// Takes what arrives on the control lanes: to the machine once it exists, else to the session.
pub(crate) struct Hub {
    events: Sender<Event>,
    machine: OnceLock<Arc<NodeMachine>>,
}

impl Hub {
    pub(crate) fn new(events: Sender<Event>) -> Hub {
        Hub { events, machine: OnceLock::new() }
    }

    pub(crate) fn set_machine(&self, machine: Arc<NodeMachine>) {
        let fresh = self.machine.set(machine).is_ok();
        assert!(fresh, "a session makes one machine");
    }
}

impl ControlHandler for Hub {
    fn receive(&self, from: NodeId, message: ControlMessage) {
        let session = matches!(
            message,
            ControlMessage::CpuidOffer { .. }
                | ControlMessage::CpuidAgreed { .. }
                | ControlMessage::Clock { .. }
                | ControlMessage::Ready
                | ControlMessage::Start
                | ControlMessage::Stop { .. }
        );
        if session {
            let _ = self.events.send(Event::Message(from, message));
            return;
        }
        let taken = self.machine.get().is_some_and(|machine| machine.take(from, &message));
        if let (false, Some(machine)) = (taken, self.machine.get()) {
            machine.counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(node = %from, ?message, "a message that this node has no use for");
        }
    }

    fn lost(&self, loss: PeerLost) {
        let _ = self.events.send(Event::Lost(loss));
    }
}
