//! Coherent memory over several nodes, as a function: `step(now, input, out)`.
//!
//! ```text
//!   guest fault ----+                        +----> Install, Take, Upgrade, Downgrade, Revoke, Wake
//!   peer's message -+--> Dsm::step(now, ..) -+
//!   tick -----------+                        +----> Send
//! ```
//!
//! This room knows no socket, clock, thread or mapping: the pager and the simulator drive the same
//! code, and the same inputs always give the same outputs. Each page has a **home** (the node whose
//! SRAT range it lies in) that keeps its directory entry; nodes hold a page not at all, read-only
//! beside others, or writable alone. A write invalidates all other copies before it proceeds.
//!
//! # A transaction
//!
//! ```text
//!   requester            home (directory)            supplier        other sharers
//!      | ----- Get --------> |                           |                 |
//!      |                     | ------ Invalidate ----------------------->  |
//!      |                     | ------ Fetch -----------> |              Revoke
//!      |                     |                        Revoke               |
//!      | <------------------------- Page (data) -------- |                 |
//!      | <------------------------- Invalidated -------------------------- |
//!   Install                  |                           |                 |
//!      | ----- Done -------> | (settles; the next Get in the queue runs)
//! ```
//!
//! For a read the supplier keeps a read-only copy and nobody is invalidated; for a write by a node
//! whose own copy is current, the home sends `Grant` to it and no data crosses the wire. The home
//! takes part in its own transactions by messages to itself, inside one `step`.
//!
//! # Races
//!
//! **An invalidation between a fetch and its install** would leave a stale copy mapped. It can't
//! come: the home runs one transaction per page, and that ends with `Done`, which follows Install.
//!
//! ```text
//!   A: Get read ....... Page  Install  Done
//!   home:  Fetch ..........................  | Invalidate to A (B's write starts only here)
//!   B:        Get write  (queues) ---------- |
//! ```
//!
//! **The upgrade race.** Two sharers both want to write. The first one's turn takes the other's copy
//! while that waits; at its own turn it is no sharer any more, so it gets data instead of a grant.
//!
//! ```text
//!   A (sharer): Get write --> runs: Grant ... Invalidated from B, Upgrade, Done
//!   B (sharer): Get write --> queues; Invalidate: Revoke; ........ its turn: Page from A, Install
//! ```
//!
//! **`Invalidated` before `Page`.** Links are in order, but not with each other. The requester counts
//! what comes and learns how many to expect from `Page` or `Grant`, whichever comes first.
//!
//! **Forwards that cross.** Two nodes take the page from each other by way of a third, its home. The second
//! request reaches the home while the first one's page is under way, and waits there: so the forward to
//! the new owner can't overtake the page that makes it one.
//!
//! ```text
//!   B (owner):  Fetch: Revoke, Page ----> C       Get write (wants it back) ----+
//!   home:  Fetch to B .......................... | queues: C's write runs       v
//!   C:      Get write ....... Page  Install  Done --> home: Fetch to C (only now)
//! ```
//!
//! **An owner dies with the only copy.** No later value of the page can be right any more, and nobody may
//! make one up: whoever asks waits, nothing is installed, and the driver stops the guest.
//!
//! ```text
//!   B (owner):  Fetch ... dies
//!   home:  Fetch to B ......... never Done: the page's queue stands
//!   C:      Get write ......... waits until the driver stops the guest
//! ```
//!
//! **A write fault during a pending read** is remembered; its own `Get` follows the read's `Done`.
//!
//! **A stale fault**, reported after the page came, is answered with [`Output::Wake`] at once.
//!
//! **Ping-pong.** What a transaction brought stays for a short hold (`hold.rs`), so that the CPU that
//! faulted can use it; a request for the page waits so long. Holds are finite and nothing is
//! requested while waiting for one, so they can't form a cycle. Pages that a node needs several of at
//! once have **turns** (`turn.rs`).
//!
//! Each of these is a test of that name (`tests/races.rs`), and one of the interleavings that
//! `cargo xtask explore` visits. The conditions that all of it rests on have names: [`Guard`].
//!
//! The full tables of transitions, tested against the code, are in [`transitions`].
//!
//! # What the driver owes
//!
//! - Outputs are executed in order, before the next `step`.
//! - Links are reliable and in order between each two nodes; a lost peer stops the guest.
//! - Bytes of a `Page` go to the page's backing only if [`Dsm::expects_page`], before its `step`.
//! - After a [`ProtocolError`] about a peer, memory can't be trusted: the guest is stopped.

mod admission;
mod behaviour;
mod cache;
mod counters;
mod directory;
mod error;
mod guard;
mod hold;
mod holder;
mod homes;
mod io;
mod step;
mod table;
mod turn;

#[doc = include_str!("transitions.md")]
pub mod transitions {}

pub use counters::{Counters, PeerCounters};
pub use error::{Asked, DirectoryState, PageState, ProtocolError, Refusal};
pub use guard::Guard;
pub use hold::{HEAT_MAX, HOLD_CEILING, HOLD_FLOOR};
pub use homes::Homes;
pub use io::{Input, Nanos, Output, Outstanding};
pub use step::Dsm;

pub(crate) use step::Effects;
