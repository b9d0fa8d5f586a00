//! The lab as a library, and the tests that boot real guests in it.
//!
//! ```text
//!   prepare: program, bundle --> cluster: what is started --+--> native: processes of this machine
//!                                                           +--> lab: processes of an emulated host
//! ```
//! [`machine`] knows which of the two this machine can do. [`lab`] also runs anything else that needs
//! `/dev/kvm` with hardware virtualization on a machine that has none, by emulating one.

pub mod cluster;
pub mod facts;
pub mod lab;
pub mod machine;
pub mod native;
pub mod prepare;
