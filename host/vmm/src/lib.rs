//! One node of the machine: devices, the loader, and the session that joins them to KVM, pager and
//! links.
//!
//! ```text
//!                       +---------------- Session ----------------+
//!   bundle, node name ->| links -> agreement -> guest -> summary  |-> exit code, counters
//!                       +-----------------------------------------+
//!    vCPU threads -> NodeMachine -> Chipset (root) | Remote (others) | control lanes
//! ```
//!
//! Read `session.rs` for the order of things, `machine.rs` for who answers an exit, `loader.rs` for
//! what a guest finds in memory.

mod devices;
mod error;
mod event;
mod loader;
mod machine;
mod remote;
mod session;
mod summary;

pub use error::SessionError;
pub use event::Stopper;
pub use loader::LoadError;
pub use session::{Config, Console, Session};
pub use summary::{Ending, Summary, Traffic};
