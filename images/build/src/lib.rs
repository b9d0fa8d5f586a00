//! Things a guest boots: kernels from the distribution's packages and small initramfs images.
//!
//! ```text
//! packages (apt, private state, SHA-256) -> kernel  \
//! probe (static test program)            ------------> guest (default Linux guest)
//! busybox, modules, libs, caller's files ------------> lab   (the host inside QEMU)
//! testguest (runs without a system) ---------------------> guest of the kvm tier
//! ```
//!
//! Everything is a pure function of its inputs: the same packages, probe and files give the same
//! bytes, wherever and whenever they are built. Nothing here needs root or touches the system's
//! own package state.

mod busybox;
mod command;
pub mod cpio;
mod error;
pub mod guest;
pub mod kernel;
pub mod lab;
pub mod libs;
pub mod modules;
pub mod packages;
pub mod probe;
pub mod testguest;

pub use error::ImageError;
pub use packages::{Package, Packages, Role};

/// Told, in one line, what is being done: called at the start of anything that may take over a
/// second, and again while it goes on.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Short for results of this crate.
pub type Result<T> = std::result::Result<T, ImageError>;
