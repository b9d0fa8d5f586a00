//! The byte form of a [`PageMessage`]: a fixed header, and for `Page` perhaps 4096 bytes after it.
//!
//! ```text
//!  0      2    3      4        5               6           7         8             12        16    24    32
//!  | 'PF' | ver| verb | access | invalidations | requester | payload | payload_len | zero    | pfn | txn |
//! ```
//!
//! All integers are little-endian. A field that a verb doesn't use is zero, and is checked to be.
//! Only `Page` has a payload: the page's bytes, or nothing where the page is all zeros.

use crate::{Access, MAX_NODES, PageMessage, PageVerb, Txn, WireError};
use pangea_topology::{NodeId, PAGE_SIZE, Pfn};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes in a page frame's header.
pub const PAGE_HEADER: usize = 32;
/// Bytes that follow the header where [`Payload::Bytes`] is announced.
pub const PAYLOAD_BYTES: usize = PAGE_SIZE as usize;

/// A frame that doesn't begin so means that the stream has lost its place.
const MAGIC: [u8; 2] = *b"PF";
/// The header's own version, so that a stray peer is told apart even past its hello.
const VERSION: u8 = 1;
/// x86-64 has at most 52 bits of physical address; below this `Pfn::gpa` can't overflow.
const PFN_LIMIT: u64 = 1 << 40;
/// What errors call this record.
const FRAME: &str = "page frame";

const GET: u8 = 1;
const FETCH: u8 = 2;
const INVALIDATE: u8 = 3;
const PAGE: u8 = 4;
const GRANT: u8 = 5;
const INVALIDATED: u8 = 6;
const DONE: u8 = 7;

/// What follows a page frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Payload {
    /// Nothing: the message has no page.
    None,
    /// Nothing: the page is all zeros.
    Zero,
    /// [`PAYLOAD_BYTES`] bytes: the page.
    Bytes,
}

impl Payload {
    /// How many bytes follow the header.
    pub const fn len(self) -> usize {
        match self {
            Payload::None | Payload::Zero => 0,
            Payload::Bytes => PAYLOAD_BYTES,
        }
    }

    /// Does nothing follow the header?
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 2],
    version: u8,
    verb: u8,
    access: u8,
    invalidations: u8,
    requester: u8,
    payload: u8,
    payload_len: U32,
    zero: U32,
    pfn: U64,
    txn: U64,
}
const _: () = assert!(size_of::<RawHeader>() == PAGE_HEADER);

/// The header for `message`, to be followed by `payload.len()` bytes.
///
/// # Panics
/// If `payload` doesn't fit the verb: `Page` has `Zero` or `Bytes`, all others `None`. That would
/// be our own mistake, and a page lost.
pub fn encode_page(message: &PageMessage, payload: Payload) -> [u8; PAGE_HEADER] {
    let is_page = matches!(message.verb, PageVerb::Page { .. });
    assert_eq!(is_page, payload != Payload::None, "{message:?} with payload {payload:?}");
    let (verb, access, invalidations) = match message.verb {
        PageVerb::Get { access } => (GET, access_byte(access), 0),
        PageVerb::Fetch { access, invalidations } => (FETCH, access_byte(access), invalidations),
        PageVerb::Invalidate => (INVALIDATE, 0, 0),
        PageVerb::Page { access, invalidations } => (PAGE, access_byte(access), invalidations),
        PageVerb::Grant { invalidations } => (GRANT, 0, invalidations),
        PageVerb::Invalidated => (INVALIDATED, 0, 0),
        PageVerb::Done => (DONE, 0, 0),
    };
    let header = RawHeader {
        magic: MAGIC,
        version: VERSION,
        verb,
        access,
        invalidations,
        requester: message.requester.0,
        payload: match payload {
            Payload::None => 0,
            Payload::Zero => 1,
            Payload::Bytes => 2,
        },
        payload_len: U32::new(payload.len() as u32),
        zero: U32::ZERO,
        pfn: U64::new(message.pfn.0),
        txn: U64::new(message.txn.0),
    };
    zerocopy::transmute!(header)
}

/// What a header says, once each of its fields has been checked.
pub fn decode_page(bytes: &[u8; PAGE_HEADER]) -> Result<(PageMessage, Payload), WireError> {
    let raw: RawHeader = zerocopy::transmute!(*bytes);
    if raw.magic != MAGIC {
        return Err(WireError::Magic {
            frame: FRAME,
            found: raw.magic.into(),
            expected: MAGIC.into(),
        });
    }
    expect(raw.version == VERSION, "version", raw.version, "1")?;
    expect(raw.requester < MAX_NODES, "requester", raw.requester, "a node below 64")?;
    expect(raw.pfn.get() < PFN_LIMIT, "pfn", raw.pfn, "a page below 2^40 (52 address bits)")?;
    expect(raw.invalidations < MAX_NODES, "invalidations", raw.invalidations, "0 to 63")?;
    expect(raw.zero.get() == 0, "zero", raw.zero.get(), "0")?;
    let payload = match raw.payload {
        0 => Payload::None,
        1 => Payload::Zero,
        2 => Payload::Bytes,
        other => return Err(field("payload", other, "0 (none), 1 (zero page) or 2 (bytes)")),
    };
    let announced = raw.payload_len.get();
    expect(announced as usize == payload.len(), "payload_len", announced, "0, or 4096 for bytes")?;

    let access = || match raw.access {
        1 => Ok(Access::Read),
        2 => Ok(Access::Write),
        other => Err(field("access", other, "1 (read) or 2 (write)")),
    };
    let invalidations = raw.invalidations;
    let verb = match raw.verb {
        GET => PageVerb::Get { access: access()? },
        FETCH => PageVerb::Fetch { access: access()?, invalidations },
        INVALIDATE => PageVerb::Invalidate,
        PAGE => PageVerb::Page { access: access()?, invalidations },
        GRANT => PageVerb::Grant { invalidations },
        INVALIDATED => PageVerb::Invalidated,
        DONE => PageVerb::Done,
        other => return Err(field("verb", other, "1 to 7")),
    };
    let (has_access, has_count) = match verb {
        PageVerb::Get { .. } => (true, false),
        PageVerb::Fetch { .. } | PageVerb::Page { .. } => (true, true),
        PageVerb::Grant { .. } => (false, true),
        PageVerb::Invalidate | PageVerb::Invalidated | PageVerb::Done => (false, false),
    };
    expect(has_access || raw.access == 0, "access", raw.access, "0 with this verb")?;
    expect(has_count || invalidations == 0, "invalidations", invalidations, "0 with this verb")?;
    let is_page = matches!(verb, PageVerb::Page { .. });
    expect(
        is_page == (payload != Payload::None),
        "payload",
        raw.payload,
        "1 or 2 with Page, else 0",
    )?;

    let message = PageMessage {
        pfn: Pfn(raw.pfn.get()),
        txn: Txn(raw.txn.get()),
        requester: NodeId(raw.requester),
        verb,
    };
    Ok((message, payload))
}

const fn access_byte(access: Access) -> u8 {
    match access {
        Access::Read => 1,
        Access::Write => 2,
    }
}

fn field(field: &'static str, value: impl Into<u64>, expected: &'static str) -> WireError {
    WireError::Field { frame: FRAME, field, value: value.into(), expected }
}

fn expect(
    holds: bool,
    name: &'static str,
    value: impl Into<u64>,
    expected: &'static str,
) -> Result<(), WireError> {
    if holds { Ok(()) } else { Err(field(name, value, expected)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
