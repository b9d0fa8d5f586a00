//! What nodes say to each other, as values and as bytes.
//!
//! Two lanes run between each pair of nodes (see `host/transport`): the **page** lane carries
//! [`PageMessage`]s as fixed little-endian headers, some followed by one page; the **control** lane
//! carries [`ControlMessage`]s as length-prefixed frames. Both begin with a [`Hello`] each way, whose
//! layout is the same in every version of the protocol.
//!
//! ```text
//! either lane:   Hello (256 bytes, fixed) -->      <-- Welcome or Refusal (256 bytes, fixed)
//! page lane:     | header 32 |  | header 32 | page 4096 |  | header 32 | ...
//! control lane:  | length 4 | postcard, at most 64 KiB |  | length 4 | ...
//! ```
//!
//! This room knows no socket and keeps no state but the bytes of an unfinished frame. Bytes that
//! arrive are claims: each decoder checks every field and answers with a value or a [`WireError`].

mod control;
mod control_frame;
mod error;
mod hello;
mod page;
mod page_frame;

pub use control::{
    AccessOp, ControlMessage, CpuidEntry, IOAPIC_PINS, Interrupt, InterruptKind, MAX_CPUID_ENTRIES,
    MAX_NAME, MAX_TEXT, StopKind,
};
pub use control_frame::{
    FRAME_PREFIX, FrameReader, MAX_CONTROL_BODY, control_body_len, decode_control, encode_control,
};
pub use error::WireError;
pub use hello::{
    Greeting, HELLO_BYTES, Hello, Lane, MAGIC, PROTOCOL, RefusalReason, decode_hello, encode_hello,
};
pub use page::{Access, PageMessage, PageVerb, Txn};
pub use page_frame::{PAGE_HEADER, PAYLOAD_BYTES, Payload, decode_page, encode_page};

/// Nodes in the largest cluster; node indices lie below it.
pub const MAX_NODES: u8 = 64;
