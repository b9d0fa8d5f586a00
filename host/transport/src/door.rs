//! The listening side: takes connections, hears who they are, and lets in whom it may.
//!
//! Each connection is heard on a thread of its own, so that one that says nothing keeps nobody
//! waiting; their number and their time are bounded. Once all links are up the door stays, to tell
//! latecomers why they can't come in.

use crate::board::Board;
use crate::handshake::{NoHello, hear, say};
use crate::{LinkError, measure};
use pangea_wire::{Greeting, Hello, RefusalReason};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long a connection has for its hello.
pub(crate) const HELLO_TIME: Duration = Duration::from_secs(2);
/// Connections that may be in that time at once: more than the 126 lanes that lower nodes can open.
const MAX_HALF_OPEN: usize = 160;
/// Rest after a connection that couldn't be taken, for want of file descriptors or threads.
const REST: Duration = Duration::from_millis(50);

/// This node's port. Refuses latecomers by name until it is dropped.
#[derive(Debug)]
pub struct Door(Option<Inner>);

#[derive(Debug)]
struct Inner {
    wake: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Door {
    /// A node alone has none.
    pub(crate) fn none() -> Door {
        Door(None)
    }

    pub(crate) fn open(listener: TcpListener, board: Arc<Board>) -> Result<Door, LinkError> {
        let system = |what| move |source| LinkError::System { what, source };
        listener.set_nonblocking(true).map_err(system("listen without waiting"))?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC)
            .map_err(|errno| system("make an eventfd")(errno.into()))?;
        let wake = Arc::new(wake);
        let woken = wake.clone();
        let thread = Builder::new()
            .name("door".into())
            .spawn(move || run(&listener, &woken, &board))
            .map_err(system("start the door thread"))?;
        Ok(Door(Some(Inner { wake, thread })))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(Inner { wake, thread }) = self.0.take() {
            // Only a counter at its limit could refuse this; it is at 0.
            let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
            let _ = thread.join();
        }
    }
}

fn run(listener: &TcpListener, wake: &OwnedFd, board: &Arc<Board>) {
    let half_open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        // An interrupted wait is looked at like any other.
        let _ = poll(&mut ready, None);
        if !ready[1].revents().is_empty() {
            return;
        }
        let (stream, address) = match listener.accept() {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => {
                tracing::debug!(%error, "a connection couldn't be taken");
                std::thread::sleep(REST);
                continue;
            }
        };
        let Some(place) = Place::take(&half_open) else {
            tracing::debug!(%address, "too many connections without a hello: closed");
            continue;
        };
        let board = board.clone();
        let spawned = Builder::new().name("hello".into()).spawn(move || {
            if let Err(error) = receive(&board, stream, address, place) {
                tracing::debug!(%address, %error, "a connection without a hello");
            }
        });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to hear a hello");
            std::thread::sleep(REST);
        }
    }
}

/// One of the half-open connections, counted while it lives.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Option<Place> {
        let place = Place(count.clone());
        (count.fetch_add(1, Ordering::SeqCst) < MAX_HALF_OPEN).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Hears one hello and answers it; serves the measurement where it completes a link.
fn receive(
    board: &Board,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
) -> Result<(), NoHello> {
    let until = Instant::now() + HELLO_TIME;
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    let (greeting, hello) = hear(&stream, until)?;
    if greeting != Greeting::Hello {
        return Err(
            std::io::Error::new(ErrorKind::InvalidData, "an answer nobody asked for").into()
        );
    }
    if let Err(reason) = board.own.judge(&hello) {
        return refuse(board, &stream, address, reason, &hello, until);
    }
    let answer = stream.try_clone()?;
    let Some((generation, complete)) = board.admit(hello.from, hello.lane, hello.run, stream)
    else {
        return refuse(board, &answer, address, RefusalReason::DuplicateNode, &hello, until);
    };
    let welcome = board.own.hello(hello.from, hello.lane);
    if let Err(error) = say(&answer, Greeting::Welcome, &welcome, until) {
        board.abandon(hello.from, generation);
        return Err(error);
    }
    drop((answer, place));
    if complete {
        let page = board.page(hello.from, generation)?;
        match measure::serve(&page, &*board.tuning.clock) {
            Ok(measured) => board.conclude(hello.from, generation, address, measured),
            Err(error) => {
                tracing::info!(node = hello.from_name, %error, "the link wasn't measured");
                board.saw(hello.from, format!("the link to it couldn't be measured: {error}"));
                board.abandon(hello.from, generation);
            }
        }
    }
    Ok(())
}

fn refuse(
    board: &Board,
    stream: &TcpStream,
    address: SocketAddr,
    reason: RefusalReason,
    hello: &Hello,
    until: Instant,
) -> Result<(), NoHello> {
    let Hello { cluster, from_name, .. } = hello;
    match reason {
        // What dialers that try our port in turn meet: nothing out of order.
        RefusalReason::OtherCluster | RefusalReason::WrongNode => {
            tracing::debug!(%address, cluster, node = from_name, ?reason, "refused a connection");
        }
        _ => tracing::warn!(%address, cluster, node = from_name, ?reason, "refused a connection"),
    }
    let mut answer = board.own.hello(hello.from, hello.lane);
    answer.to_name.clone_from(from_name);
    let said = say(stream, Greeting::Refusal(reason), &answer, until);
    // A look for a twin isn't remembered by its sender: if it ended us, we would end alone.
    let looks_for_twin = hello.from == hello.to;
    if matches!(reason, RefusalReason::OtherBundle | RefusalReason::OtherProtocol)
        && !looks_for_twin
        && let Some(error) = board.own.mismatch(reason, hello, address)
    {
        board.fail(error);
    }
    said
}
