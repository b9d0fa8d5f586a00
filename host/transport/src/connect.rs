//! From nothing to all links up, on every node at once.
//!
//! ```text
//!   listen -> dial and be dialed -> each link measured -> Linked to all, Linked from all -> done
//!                  ^                        |
//!                  +--- a node left --------+      Stop to all <- an error, the deadline, a signal
//! ```
//!
//! A node that has all its links tells the others; when all have told, all go on together. Until
//! then a node may come and go. Afterwards one that goes is an error, told to all.

use crate::board::{Board, Slot, Tuning};
use crate::door::Door;
use crate::first_word::{First, first, last_word};
use crate::handshake::Own;
use crate::socket::{is_up, read_by, write_by};
use crate::{Identity, LinkError, Links, Options, Peer, Progress, dial, port};
use pangea_topology::NodeId;
use pangea_wire::{ControlMessage, StopKind, encode_control};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How often the waiting thread looks at what nobody wakes it for.
const TICK: Duration = Duration::from_millis(20);
/// When a wait is told for the first time, and how often again.
const FIRST_WORD: Duration = Duration::from_millis(500);
const NEXT_WORD: Duration = Duration::from_secs(5);
/// How long a last word may take to leave.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Brings all links of this node up, and returns when all nodes have all of theirs. A node that is
/// alone has none, and listens to nobody.
pub fn connect(identity: &Identity, options: &Options) -> Result<Links, LinkError> {
    connect_with(identity, options, Tuning::default())
}

pub(crate) fn connect_with(
    identity: &Identity,
    options: &Options,
    tuning: Tuning,
) -> Result<Links, LinkError> {
    let me = identity.own()?;
    if identity.nodes.len() == 1 {
        return Ok(Links { peers: Vec::new(), door: Door::none() });
    }
    let listener = port::listen(me, &options.ports)?;
    let system = |what| move |source| LinkError::System { what, source };
    let address = listener.local_addr().map_err(system("tell our own port"))?;
    (options.progress)(&Progress::Listening { address });

    let (run, protocol) = ((tuning.clock)(), tuning.protocol);
    let own = Own { identity: identity.clone(), run, protocol };
    let board = Arc::new(Board::new(own, tuning));
    let door = Door::open(listener, board.clone())?;
    let startup = Startup { board: &board, options, address, began: Instant::now() };
    let links = startup.spawn_dialers().and_then(|()| startup.wait());
    board.end();
    let peers = match links {
        Ok(()) => startup.take_peers().map_err(system("set up a lane"))?,
        Err(error) => {
            startup.tell(&error);
            return Err(error);
        }
    };
    Ok(Links { peers, door })
}

struct Startup<'a> {
    board: &'a Arc<Board>,
    options: &'a Options<'a>,
    address: SocketAddr,
    began: Instant,
}

impl Startup<'_> {
    fn spawn_dialers(&self) -> Result<(), LinkError> {
        let identity = &self.board.own.identity;
        let higher = usize::from(identity.me.0) + 1..identity.nodes.len();
        for node in higher.filter_map(|index| u8::try_from(index).ok()).map(NodeId) {
            let (board, ports) = (self.board.clone(), self.options.ports.clone());
            spawn(format!("dial-{}", identity.name(node)), move || {
                dial::run(&board, node, &ports)
            })?;
        }
        let (board, ports, own) = (self.board.clone(), self.options.ports.clone(), self.address);
        spawn("twin".into(), move || dial::look_for_twin(&board, own, &ports))
    }

    fn wait(&self) -> Result<(), LinkError> {
        self.all_measured()?;
        let linked = encode_control(&ControlMessage::Linked).unwrap_or_default();
        for (node, control) in self.controls() {
            write_by(&control, &linked, Instant::now() + LAST_WORD)
                .map_err(|error| self.left(node, error.to_string()))?;
        }
        self.all_linked()
    }

    /// Waits until each link is up and measured.
    fn all_measured(&self) -> Result<(), LinkError> {
        let mut told = vec![None; self.board.own.identity.nodes.len()];
        let mut next_word = FIRST_WORD;
        loop {
            self.look_around()?;
            self.look_at_linked()?;
            let (news, missing) = self.news(&mut told);
            news.iter().for_each(|news| (self.options.progress)(news));
            if missing.is_empty() && self.board.seal() {
                return Ok(());
            }
            let waited = self.began.elapsed();
            if waited >= self.options.wait {
                let missing = missing.iter().map(ToString::to_string).collect();
                return Err(LinkError::NoAnswer { missing, waited });
            }
            if waited >= next_word {
                missing.iter().for_each(|missing| (self.options.progress)(missing));
                next_word = waited + NEXT_WORD;
            }
            self.board.wait(TICK);
        }
    }

    /// Waits until every other node has said that it has all its links.
    fn all_linked(&self) -> Result<(), LinkError> {
        let mut waiting = self.controls();
        let mut next_word = self.began.elapsed() + FIRST_WORD;
        loop {
            self.look_around()?;
            let mut still = Vec::new();
            for (node, control) in waiting {
                match first(&control) {
                    First::None => still.push((node, control)),
                    First::Linked { bytes } => {
                        let mut frame = vec![0; bytes];
                        read_by(&control, &mut frame, Instant::now() + LAST_WORD)
                            .map_err(|error| self.left(node, error.to_string()))?;
                    }
                    First::Other(what) => return Err(self.left(node, last_word(what))),
                    First::Ended => return Err(self.left(node, "it closed the connection".into())),
                }
            }
            waiting = still;
            if waiting.is_empty() {
                return Ok(());
            }
            let waited = self.began.elapsed();
            let waits = || {
                waiting.iter().map(|(node, _)| Progress::WaitingForLinks {
                    node: *node,
                    name: self.board.own.identity.name(*node),
                    waited,
                })
            };
            if waited >= self.options.wait {
                let missing = waits().map(|wait| wait.to_string()).collect();
                return Err(LinkError::NoAnswer { missing, waited });
            }
            if waited >= next_word {
                waits().for_each(|wait| (self.options.progress)(&wait));
                next_word = waited + NEXT_WORD;
            }
            std::thread::sleep(TICK / 4);
        }
    }

    /// Is there a reason to give up?
    fn look_around(&self) -> Result<(), LinkError> {
        if self.options.stop.load(Ordering::Relaxed) {
            return Err(LinkError::Stopped);
        }
        self.board.lock().fatal.take().map_or(Ok(()), Err)
    }

    /// Notices nodes that left, and those that give up.
    fn look_at_linked(&self) -> Result<(), LinkError> {
        for (node, control) in self.controls() {
            let generation = self.generation(node);
            match first(&control) {
                First::None | First::Linked { .. } => {
                    let page_up = |slot: &Slot| slot.page.as_ref().is_some_and(is_up);
                    if self.board.lock().slots.get(node.index()).is_some_and(page_up) {
                        continue;
                    }
                }
                First::Other(what) => return Err(self.left(node, last_word(what))),
                First::Ended => {}
            }
            self.board.abandon(node, generation);
            let name = self.board.own.identity.name(node);
            (self.options.progress)(&Progress::Left { node, name });
        }
        Ok(())
    }

    /// Links that are new since the last look, and nodes that have none.
    fn news(&self, told: &mut [Option<u64>]) -> (Vec<Progress>, Vec<Progress>) {
        let identity = &self.board.own.identity;
        let (mut news, mut missing) = (Vec::new(), Vec::new());
        let waited = self.began.elapsed();
        let state = self.board.lock();
        let ids = (0..).map(NodeId);
        for (((node, slot), address), told) in ids.zip(&state.slots).zip(&identity.nodes).zip(told)
        {
            if node == identity.me {
                continue;
            }
            let name = address.name.clone();
            match &slot.report {
                Some(report) if *told != Some(slot.generation) => {
                    *told = Some(slot.generation);
                    news.push(Progress::Linked(report.clone()));
                }
                Some(_) => {}
                None if node < identity.me => missing.push(Progress::Expecting {
                    node,
                    name,
                    address: address.address.clone(),
                    at: self.address,
                    waited,
                    seen: slot.seen.clone(),
                }),
                None => missing.push(Progress::Waiting {
                    node,
                    name,
                    address: address.address.clone(),
                    ports: self.options.ports.clone(),
                    waited,
                    seen: slot.seen.clone(),
                }),
            }
        }
        (news, missing)
    }

    /// The control lanes of all links that are up and measured.
    fn controls(&self) -> Vec<(NodeId, TcpStream)> {
        let state = self.board.lock();
        let ids = (0..).map(NodeId);
        ids.zip(&state.slots)
            .filter(|(_, slot)| slot.report.is_some())
            .filter_map(|(node, slot)| Some((node, slot.control.as_ref()?.try_clone().ok()?)))
            .collect()
    }

    fn generation(&self, node: NodeId) -> u64 {
        self.board.lock().slots.get(node.index()).map_or(0, |slot| slot.generation)
    }

    fn left(&self, node: NodeId, reason: String) -> LinkError {
        LinkError::PeerLeft { peer: self.board.own.identity.name(node), reason }
    }

    /// Tells all nodes that are linked why this one gives up, so that they needn't wait for it.
    fn tell(&self, error: &LinkError) {
        let kind = match error {
            LinkError::Stopped => StopKind::User,
            _ => StopKind::Fault,
        };
        let Ok(frame) = encode_control(&ControlMessage::stop(kind, &error.to_string())) else {
            return;
        };
        for (_, control) in self.controls() {
            // Whoever can't hear it sees the connection end.
            let _ = write_by(&control, &frame, Instant::now() + LAST_WORD);
        }
    }

    fn take_peers(&self) -> std::io::Result<Vec<Peer>> {
        let mut state = self.board.lock();
        let mut peers = Vec::new();
        for slot in &mut state.slots {
            if let (Some(page), Some(control), Some(report)) =
                (slot.page.take(), slot.control.take(), slot.report.take())
            {
                for lane in [&page, &control] {
                    lane.set_read_timeout(None)?;
                    lane.set_write_timeout(None)?;
                    lane.set_nodelay(true)?;
                }
                let (node, name) = (report.node, report.name.clone());
                peers.push(Peer { node, name, page, control, report });
            }
        }
        Ok(peers)
    }
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<(), LinkError> {
    let spawned = Builder::new().name(name).spawn(body);
    spawned.map(|_| ()).map_err(|source| LinkError::System { what: "start a thread", source })
}
