//! Several nodes that share pages, simulated from a seed, with checkers of their own.
//!
//! ```text
//!   seed --> homes, delays, programs --> 2-4 x Dsm over virtual links, time, memory and vCPUs
//!                                                |
//!                      checkers that ask none of them: Report | Failure + command that repeats it
//! ```
//!
//! What is checked at every event, independent of the protocol's own state:
//! - **single writer**: over all nodes' mappings, a writable page is mapped nowhere else;
//! - **no stale read**: each read returns the last completed write of its page in virtual time;
//! - **no lost write**: each write builds on the last one, and the totals agree at the end;
//! - **stable snapshots**: a page is sent only when its guest can't change what is sent;
//! - **orders that fit**: no page is mapped over a mapped one, or upgraded when it isn't there;
//! - **progress**: no CPU waits longer than [`WAIT_PER_NODE`] each; nothing is open when nothing is under way;
//! - **bounds**: no more messages for a page than two per node, no queue past its limit.
//!
//! `explore.rs` visits every interleaving of clusters small enough for it, with the same checkers.
//!
//! After a node's crash the others go on, with some of what it sent, until nothing more happens: their CPUs may
//! wait for ever (a driver stops the guest), but never see a wrong value.
//!
//! Not simulated: links that lose or repeat (a link is a TCP stream), nodes that lie (`host/dsm/tests/refusals.rs` has those).

mod config;
mod explore;
mod links;
mod memory;
mod outcome;
mod pager;
mod rng;
mod trace;
mod vcpu;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use pangea_dsm::{HOLD_CEILING, Nanos};

pub use config::Config;
pub use explore::{Explored, Found, Small, explore};
pub use memory::Mapping;
pub use outcome::{Failure, Report, Violation, Writer};

/// The longest that a CPU may wait for an access in virtual time, per node of the cluster: each of
/// the others may be before it, with a late message or two and the longest hold of each page that
/// its CPU needs.
pub const WAIT_PER_NODE: Nanos = Nanos(2 * HOLD_CEILING.0);

/// How many events of the page concerned a failure shows.
const SHOWN: usize = 40;

/// Simulates one run. The same configuration gives the same result, to the trace's last event.
///
/// # Errors
/// What was found, with the page's last events and the command that repeats the run.
pub fn run(config: &Config) -> Result<Report, Failure> {
    let fail = |at, violation: Violation, trace| Failure {
        config: *config,
        at,
        violation: Box::new(violation),
        trace,
    };
    config.check().map_err(|violation| fail(Nanos(0), violation, Vec::new()))?;
    let mut world = world::World::new(*config);
    // An assertion of the protocol's is a finding like any other: it must name its seed.
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ended {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(violation)) => violation,
        Err(panic) => outcome::panicked(&*panic),
    };
    let trace = world.trace.tail(violation.pfn(), SHOWN);
    Err(fail(world.now, violation, trace))
}
