//! The hello, on a socket and in judgement.
//!
//! ```text
//!   dialer                                listener
//!     | -- Hello (I am a, I want b) ------> |  judge(): cluster, protocol, bundle, node
//!     | <------ Welcome, or Refusal(why) -- |  either with the listener's own side of it
//! ```

use crate::socket::{wait_for_any, write_by};
use crate::{Identity, LinkError};
use pangea_topology::NodeId;
use pangea_wire::{
    Greeting, HELLO_BYTES, Hello, Lane, MAGIC, RefusalReason, WireError, decode_hello, encode_hello,
};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;
use thiserror::Error;

/// This process: who it is, and which of the processes that may claim to be that.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    pub(crate) identity: Identity,
    /// When it started, in ns since 1970.
    pub(crate) run: u64,
    /// The version it speaks: that of [`pangea_wire::PROTOCOL`], but for tests between versions.
    pub(crate) protocol: u16,
}

/// Why there is no hello from the other side.
#[derive(Debug, Error)]
pub(crate) enum NoHello {
    #[error("it says nothing in time")]
    Silence,
    #[error(transparent)]
    Io(io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl From<io::Error> for NoHello {
    fn from(error: io::Error) -> NoHello {
        match error.kind() {
            ErrorKind::TimedOut => NoHello::Silence,
            _ => NoHello::Io(error),
        }
    }
}

impl Own {
    /// What this process says on a lane to `to`.
    pub(crate) fn hello(&self, to: NodeId, lane: Lane) -> Hello {
        let Own { identity, run, protocol } = self;
        Hello {
            protocol: *protocol,
            lane,
            from: identity.me,
            from_name: identity.name(identity.me),
            to,
            to_name: identity.name(to),
            cluster: identity.cluster.clone(),
            bundle: identity.bundle,
            run: *run,
        }
    }

    /// May the sender of this hello have a lane? In the order in which an answer makes sense: of
    /// another cluster nothing else is known, of another version no more than that.
    pub(crate) fn judge(&self, hello: &Hello) -> Result<(), RefusalReason> {
        let Own { identity, run, protocol } = self;
        let me = identity.me;
        if hello.cluster != identity.cluster {
            return Err(RefusalReason::OtherCluster);
        }
        if hello.protocol != *protocol {
            return Err(RefusalReason::OtherProtocol);
        }
        if hello.bundle != identity.bundle {
            return Err(RefusalReason::OtherBundle);
        }
        // Our own dialer tries our port in turn, where nodes share an address: no other process.
        if hello.from == me && hello.run != *run {
            return Err(RefusalReason::DuplicateNode);
        }
        let named = hello.from_name == identity.name(hello.from);
        let wanted = hello.to == me && hello.to_name == identity.name(me);
        // The lower node dials. A node past the end of the list can't be lower than we are.
        if !named || !wanted || hello.from >= me { Err(RefusalReason::WrongNode) } else { Ok(()) }
    }

    /// Is the one that says welcome the one that was asked? The same order as in [`Own::judge`].
    pub(crate) fn recognise(&self, asked: &Hello, theirs: &Hello) -> Result<(), RefusalReason> {
        if theirs.cluster != asked.cluster {
            Err(RefusalReason::OtherCluster)
        } else if theirs.protocol != asked.protocol {
            Err(RefusalReason::OtherProtocol)
        } else if theirs.bundle != asked.bundle {
            Err(RefusalReason::OtherBundle)
        } else if (theirs.from, &theirs.from_name) != (asked.to, &asked.to_name)
            || (theirs.to, theirs.lane) != (asked.from, asked.lane)
        {
            Err(RefusalReason::WrongNode)
        } else {
            Ok(())
        }
    }

    /// The error that a refusal is for the one who was refused, or who refuses; `None` where it is
    /// no reason to give up: another cluster's port, another node's port.
    pub(crate) fn mismatch(
        &self,
        reason: RefusalReason,
        theirs: &Hello,
        address: SocketAddr,
    ) -> Option<LinkError> {
        let peer = theirs.from_name.clone();
        match reason {
            RefusalReason::OtherProtocol if theirs.cluster == self.identity.cluster => {
                let (ours, theirs) = (self.protocol, theirs.protocol);
                Some(LinkError::OtherProtocol { peer, address, ours, theirs })
            }
            RefusalReason::OtherBundle if theirs.cluster == self.identity.cluster => {
                let (ours, theirs) = (self.identity.bundle, theirs.bundle);
                Some(LinkError::OtherBundle { peer, address, ours, theirs })
            }
            RefusalReason::DuplicateNode if theirs.cluster == self.identity.cluster => {
                let name = self.identity.name(self.identity.me);
                Some(LinkError::DuplicateNode { name, witness: peer, address })
            }
            _ => None,
        }
    }
}

/// A record on its way in, which may come in pieces.
pub(crate) struct Incoming {
    bytes: [u8; HELLO_BYTES],
    filled: usize,
}

impl Default for Incoming {
    fn default() -> Incoming {
        Incoming { bytes: [0; HELLO_BYTES], filled: 0 }
    }
}

impl Incoming {
    /// Takes what has come, without waiting. `None` while more must come.
    pub(crate) fn take(
        &mut self,
        stream: &TcpStream,
    ) -> Option<Result<(Greeting, Hello), NoHello>> {
        let space = self.bytes.get_mut(self.filled..).unwrap_or_default();
        match rustix::net::recv(stream, space, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Some(Err(io::Error::from(ErrorKind::UnexpectedEof).into())),
            Ok((count, _)) => self.filled += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Some(Err(io::Error::from(errno).into())),
        }
        // What doesn't begin as ours isn't waited for to the end: it may be short.
        let enough = if self.bytes.starts_with(&MAGIC) { HELLO_BYTES } else { MAGIC.len() };
        (self.filled >= enough).then(|| Ok(decode_hello(&self.bytes)?))
    }
}

/// Reads one record.
pub(crate) fn hear(stream: &TcpStream, until: Instant) -> Result<(Greeting, Hello), NoHello> {
    let mut incoming = Incoming::default();
    loop {
        if let Some(heard) = incoming.take(stream) {
            return heard;
        }
        if Instant::now() >= until {
            return Err(NoHello::Silence);
        }
        wait_for_any([stream], until);
    }
}

/// Writes one record.
pub(crate) fn say(
    stream: &TcpStream,
    greeting: Greeting,
    hello: &Hello,
    until: Instant,
) -> Result<(), NoHello> {
    Ok(write_by(stream, &encode_hello(greeting, hello)?, until)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
