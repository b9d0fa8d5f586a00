//! The chipset of the root node: what answers at ports and addresses that aren't RAM.

mod chipset;
mod interrupts;
mod ioapic;
mod power;
mod rtc;

pub(crate) use chipset::{Chipset, Output};
pub(crate) use interrupts::Interrupts;
pub(crate) use ioapic::routes;
pub(crate) use power::Request;
