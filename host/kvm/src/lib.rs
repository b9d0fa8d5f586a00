//! Stock KVM made to hold one machine that spans several hosts.
//!
//! Each node's virtual machine has all the cluster's vCPUs: its own, and **ghosts** that stand for
//! those of other nodes, so that KVM's own interrupt routing reaches everybody.
//!
//! ```text
//!   node a: [vcpu 0] [vcpu 1] [ghost 2] [ghost 3]      node b: [ghost 0] [ghost 1] [vcpu 2] [vcpu 3]
//!                        IPI to 2 --^  | out exit                            ^
//!                                      +--- Interrupt{to: 2, ..} -- link ----+ KVM_SIGNAL_MSI
//! ```
//!
//! Read `ghost.rs` first; `stub.rs` has the bytes that a ghost runs, `cpuid.rs` what the guest may
//! know of its CPUs, `clock.rs` how the nodes' clocks become one. This room knows neither links nor
//! devices: both are behind [`Machine`].

mod activity;
mod clock;
mod cpu;
mod cpuid;
mod cpus;
mod error;
mod ghost;
mod segment;
mod stub;
mod vcpu;
mod vm;

pub use activity::Activity;
pub use clock::{Epoch, TscOffset};
pub use cpuid::{Cpuid, agree, offer};
pub use cpus::{Cpus, Running};
pub use error::KvmError;
pub use vcpu::Entry;
pub use vm::{IOAPIC_PINS, Msi, Vm};

use cpu::Cpu;
use ghost::Ghost;
use pangea_topology::{ApicId, Gpa};
use pangea_wire::Interrupt;

/// What a vCPU needs from the rest of its node. Called on vCPU threads; a call may block for a round
/// trip to the root node.
pub trait Machine: Send + Sync {
    /// `data.len()` (1, 2 or 4) bytes read from a port.
    fn port_in(&self, cpu: ApicId, port: u16, data: &mut [u8]);
    /// `data.len()` (1, 2 or 4) bytes written to a port.
    fn port_out(&self, cpu: ApicId, port: u16, data: &[u8]);
    /// 1 to 8 bytes read from an address that isn't RAM.
    fn mmio_read(&self, cpu: ApicId, gpa: Gpa, data: &mut [u8]);
    /// 1 to 8 bytes written to an address that isn't RAM.
    fn mmio_write(&self, cpu: ApicId, gpa: Gpa, data: &[u8]);
    /// The guest ended a level-triggered interrupt on this vCPU.
    fn end_of_interrupt(&self, cpu: ApicId, vector: u8);
    /// An interrupt for a vCPU of another node arrived at its ghost here.
    fn forward(&self, interrupt: Interrupt);
    /// The guest reset itself by a triple fault.
    fn reset(&self, cpu: ApicId);
    /// A vCPU can't go on.
    fn failed(&self, error: KvmError);
}
