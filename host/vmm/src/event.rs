//! What can happen to a node, as one stream: the session waits on nothing else.

use pangea_kvm::KvmError;
use pangea_pager::PagerEvent;
use pangea_topology::NodeId;
use pangea_transport::PeerLost;
use pangea_wire::ControlMessage;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The guest switched itself off, or reset itself.
    Power(crate::devices::Request),
    /// Somebody at this node wants it to end.
    Interrupted(&'static str),
    /// A peer says something that concerns the session.
    Message(NodeId, ControlMessage),
    /// A peer is gone.
    Lost(PeerLost),
    /// The pager has something to tell.
    Pager(PagerEvent),
    /// A vCPU can't go on.
    Cpu(KvmError),
}

/// Ends a session from outside: from a signal handler's thread, or a console's escape key.
#[derive(Clone)]
pub struct Stopper {
    events: Sender<Event>,
    flag: Arc<AtomicBool>,
}

impl Stopper {
    /// Makes the session end, whatever it is doing. `why` is said to the other nodes.
    pub fn stop(&self, why: &'static str) {
        self.flag.store(true, Ordering::Release);
        // A session that is already over needs no telling.
        let _ = self.events.send(Event::Interrupted(why));
    }
}

/// The stream's two ends, and the handle that ends a session.
pub(crate) struct Events {
    pub(crate) sender: Sender<Event>,
    pub(crate) receiver: Receiver<Event>,
    pub(crate) interrupted: Arc<AtomicBool>,
}

impl Events {
    pub(crate) fn new() -> Events {
        let (sender, receiver) = mpsc::channel();
        Events { sender, receiver, interrupted: Arc::default() }
    }

    pub(crate) fn stopper(&self) -> Stopper {
        Stopper { events: self.sender.clone(), flag: self.interrupted.clone() }
    }
}
