//! The first thing each side of a lane says: who it is, whom it wants, and for which cluster.
//!
//! One fixed record in both directions, and the only one whose layout never changes: two nodes of
//! different versions can still tell each other by name that they are.
//!
//! ```text
//!   0       8          10     11     12     13   14       15     16    24       56        120         184       248   256
//!   | magic | protocol | kind | lane | from | to | reason | zero | run | bundle | cluster | from_name | to_name | zero |
//! ```
//!
//! The dialer sends kind `Hello`; the listener answers with `Welcome` or `Refusal`, both with its own
//! cluster, bundle, name and run, so that whoever reads a refusal can print both sides of it.

use crate::{MAX_NAME, MAX_NODES, WireError};
use pangea_topology::NodeId;
use std::fmt;
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes in a hello, a welcome and a refusal.
pub const HELLO_BYTES: usize = 256;
/// How each of them begins. The last two bytes don't survive a peer that translates line ends.
pub const MAGIC: [u8; 8] = *b"PANGEA\x1a\n";
/// The version of everything that follows the hello: page frames, control messages, measurement.
pub const PROTOCOL: u16 = 1;

/// What errors call this record.
const FRAME: &str = "hello";

/// Which stream between two nodes a connection is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Lane {
    /// Page frames.
    Page,
    /// Control frames.
    Control,
}

/// Who speaks, to whom, and for which cluster. What it says is a claim until compared with one's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The version that the sender speaks; [`PROTOCOL`] for ourselves.
    pub protocol: u16,
    /// The lane that this connection shall be.
    pub lane: Lane,
    /// The sender.
    pub from: NodeId,
    /// The sender's name.
    pub from_name: String,
    /// The node that is meant.
    pub to: NodeId,
    /// Its name.
    pub to_name: String,
    /// The cluster's name.
    pub cluster: String,
    /// SHA-256 of the sender's bundle manifest.
    pub bundle: [u8; 32],
    /// Names the sender's process: when it started, in ns since 1970.
    pub run: u64,
}

/// What a hello record is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Greeting {
    /// The dialer asks for a lane.
    Hello,
    /// The listener gives it.
    Welcome,
    /// The listener doesn't.
    Refusal(RefusalReason),
}

/// Why a listener refuses a lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum RefusalReason {
    /// The listener belongs to a cluster of another name.
    OtherCluster,
    /// Same cluster, another protocol version.
    OtherProtocol,
    /// Same cluster, another bundle.
    OtherBundle,
    /// The listener isn't the node that was asked for, or the dialer isn't one that may dial it.
    WrongNode,
    /// Another process already is the dialer's node.
    DuplicateNode,
    /// A reason that this version doesn't know.
    Unknown(u8),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Lane::Page => "page",
            Lane::Control => "control",
        })
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefusalReason::OtherCluster => f.write_str("it belongs to another cluster"),
            RefusalReason::OtherProtocol => f.write_str("it speaks another protocol version"),
            RefusalReason::OtherBundle => f.write_str("it runs another bundle"),
            RefusalReason::WrongNode => f.write_str("it is another node"),
            RefusalReason::DuplicateNode => f.write_str("it knows another process as this node"),
            RefusalReason::Unknown(code) => {
                write!(f, "its reason {code} is unknown to this version")
            }
        }
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHello {
    magic: [u8; 8],
    protocol: U16,
    kind: u8,
    lane: u8,
    from: u8,
    to: u8,
    reason: u8,
    zero: u8,
    run: U64,
    bundle: [u8; 32],
    cluster: [u8; MAX_NAME],
    from_name: [u8; MAX_NAME],
    to_name: [u8; MAX_NAME],
    zero_end: [u8; 8],
}
const _: () = assert!(size_of::<RawHello>() == HELLO_BYTES);

/// The record of `greeting` by `hello`. Fails if a name is longer than [`MAX_NAME`] bytes.
pub fn encode_hello(greeting: Greeting, hello: &Hello) -> Result<[u8; HELLO_BYTES], WireError> {
    let (kind, reason) = match greeting {
        Greeting::Hello => (1, 0),
        Greeting::Welcome => (2, 0),
        Greeting::Refusal(reason) => (3, reason.code()),
    };
    let raw = RawHello {
        magic: MAGIC,
        protocol: U16::new(hello.protocol),
        kind,
        lane: match hello.lane {
            Lane::Page => 1,
            Lane::Control => 2,
        },
        from: hello.from.0,
        to: hello.to.0,
        reason,
        zero: 0,
        run: U64::new(hello.run),
        bundle: hello.bundle,
        cluster: padded("cluster", &hello.cluster)?,
        from_name: padded("from_name", &hello.from_name)?,
        to_name: padded("to_name", &hello.to_name)?,
        zero_end: [0; 8],
    };
    Ok(zerocopy::transmute!(raw))
}

/// What a hello record says. A record of another protocol version is read all the same.
pub fn decode_hello(bytes: &[u8; HELLO_BYTES]) -> Result<(Greeting, Hello), WireError> {
    let raw: RawHello = zerocopy::transmute!(*bytes);
    if raw.magic != MAGIC {
        return Err(WireError::Magic {
            frame: FRAME,
            found: raw.magic.into(),
            expected: MAGIC.into(),
        });
    }
    let greeting = match (raw.kind, raw.reason) {
        (1, 0) => Greeting::Hello,
        (2, 0) => Greeting::Welcome,
        (3, 1..) => Greeting::Refusal(RefusalReason::from_code(raw.reason)),
        (1..=3, reason) => return Err(field("reason", reason, "0, or more in a refusal")),
        (kind, _) => return Err(field("kind", kind, "1 (hello), 2 (welcome) or 3 (refusal)")),
    };
    let lane = match raw.lane {
        1 => Lane::Page,
        2 => Lane::Control,
        other => return Err(field("lane", other, "1 (page) or 2 (control)")),
    };
    for (name, node) in [("from", raw.from), ("to", raw.to)] {
        if node >= MAX_NODES {
            return Err(field(name, node, "a node below 64"));
        }
    }
    let hello = Hello {
        protocol: raw.protocol.get(),
        lane,
        from: NodeId(raw.from),
        from_name: unpadded("from_name", &raw.from_name)?,
        to: NodeId(raw.to),
        to_name: unpadded("to_name", &raw.to_name)?,
        cluster: unpadded("cluster", &raw.cluster)?,
        bundle: raw.bundle,
        run: raw.run.get(),
    };
    Ok((greeting, hello))
}

impl RefusalReason {
    const fn code(self) -> u8 {
        match self {
            RefusalReason::OtherCluster => 1,
            RefusalReason::OtherProtocol => 2,
            RefusalReason::OtherBundle => 3,
            RefusalReason::WrongNode => 4,
            RefusalReason::DuplicateNode => 5,
            RefusalReason::Unknown(code) => code,
        }
    }

    const fn from_code(code: u8) -> RefusalReason {
        match code {
            1 => RefusalReason::OtherCluster,
            2 => RefusalReason::OtherProtocol,
            3 => RefusalReason::OtherBundle,
            4 => RefusalReason::WrongNode,
            5 => RefusalReason::DuplicateNode,
            other => RefusalReason::Unknown(other),
        }
    }
}

fn field(field: &'static str, value: u8, expected: &'static str) -> WireError {
    WireError::Field { frame: FRAME, field, value: value.into(), expected }
}

fn padded(field: &'static str, name: &str) -> Result<[u8; MAX_NAME], WireError> {
    let mut bytes = [0; MAX_NAME];
    let Some(space) = bytes.get_mut(..name.len()) else {
        let len = name.len();
        return Err(WireError::TooLong {
            frame: FRAME,
            field,
            len,
            limit: MAX_NAME,
            unit: "bytes",
        });
    };
    space.copy_from_slice(name.as_bytes());
    Ok(bytes)
}

/// A name of printable ASCII: it goes to logs and terminals as it is.
fn unpadded(field: &'static str, bytes: &[u8; MAX_NAME]) -> Result<String, WireError> {
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(MAX_NAME);
    let (name, padding) = bytes.split_at(len);
    match std::str::from_utf8(name) {
        Ok(text) if name.iter().all(u8::is_ascii_graphic) && padding.iter().all(|&b| b == 0) => {
            Ok(text.to_owned())
        }
        _ => Err(WireError::Name { frame: FRAME, field }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
