//! Why bytes from a peer, or a message about to be sent, were refused.

use thiserror::Error;

/// A frame or message that breaks the format. Each variant names the field, its value and the limit.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum WireError {
    /// The first bytes aren't Pangea's.
    #[error(
        "{frame} begins with {found:02x?}, not with {expected:02x?}: the sender isn't a Pangea node"
    )]
    Magic {
        /// Which record.
        frame: &'static str,
        /// What it begins with.
        found: Vec<u8>,
        /// What it should begin with.
        expected: Vec<u8>,
    },
    /// A field holds a value that has no meaning there.
    #[error("{frame}: field `{field}` is {value}, expected {expected}")]
    Field {
        /// Which record.
        frame: &'static str,
        /// Which field of it.
        field: &'static str,
        /// What it holds.
        value: u64,
        /// What it may hold.
        expected: &'static str,
    },
    /// Something is longer than its limit.
    #[error("{frame}: `{field}` has {len} {unit}, the limit is {limit}")]
    TooLong {
        /// Which record.
        frame: &'static str,
        /// Which field of it.
        field: &'static str,
        /// How long it is.
        len: usize,
        /// How long it may be.
        limit: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A name isn't UTF-8, or has bytes after its end.
    #[error("{frame}: `{field}` isn't a name in UTF-8 padded with zeros")]
    Name {
        /// Which record.
        frame: &'static str,
        /// Which field of it.
        field: &'static str,
    },
    /// A control message that postcard can't read or write.
    #[error("control message of {len} bytes: {reason}")]
    Message {
        /// Bytes in the frame's body.
        len: usize,
        /// What postcard says.
        reason: String,
    },
    /// Bytes are left after the message's end.
    #[error("control message ends after {used} of its frame's {len} bytes")]
    Trailing {
        /// Bytes that the message took.
        used: usize,
        /// Bytes in the frame's body.
        len: usize,
    },
}
