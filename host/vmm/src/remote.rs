//! Device accesses of vCPUs on other nodes than the root: sent there, awaited here.

use pangea_topology::{ApicId, NodeId};
use pangea_transport::Control;
use pangea_wire::{AccessOp, ControlMessage};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

/// What an access reads when no answer can come any more: an empty bus.
const NOTHING: [u8; 8] = [0xff; 8];

/// The way to the root node's chipset.
pub(crate) struct Remote {
    control: Control,
    /// At most one for each vCPU of this node: it waits.
    waiting: Mutex<BTreeMap<u64, mpsc::SyncSender<[u8; 8]>>>,
    next: AtomicU64,
}

impl Remote {
    pub(crate) fn new(control: Control) -> Remote {
        Remote { control, waiting: Mutex::default(), next: AtomicU64::new(1) }
    }

    /// Has the root node serve the access, and waits for its answer. When the machine stops while
    /// waiting, the answer is that of an empty bus.
    pub(crate) fn access(&self, cpu: ApicId, op: AccessOp) -> [u8; 8] {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let (send, answer) = mpsc::sync_channel(1);
        self.waiting().insert(token, send);
        let sent = self.control.send(NodeId::ROOT, &ControlMessage::Access { token, cpu, op });
        if let Err(error) = sent {
            tracing::debug!(%error, %cpu, ?op, "device access not sent");
            self.waiting().remove(&token);
            return NOTHING;
        }
        answer.recv().unwrap_or(NOTHING)
    }

    /// The root node's answer. False: nobody waits for it.
    pub(crate) fn done(&self, token: u64, data: [u8; 8]) -> bool {
        let waiter = self.waiting().remove(&token);
        waiter.is_some_and(|waiter| waiter.try_send(data).is_ok())
    }

    /// Lets everybody go who still waits.
    pub(crate) fn abandon(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, mpsc::SyncSender<[u8; 8]>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
