//! The map as text: what `cargo xtask print` shows, what golden files hold, and what the layout hash
//! is the SHA-256 of. So it holds everything of the map that two nodes must agree on, and nothing else.

use crate::layout as at;
use crate::units::Bytes;
use crate::{E820Kind, Gpa, Topology};
use std::fmt::Write;

impl Topology {
    /// The map as tables: nodes, RAM, e820 and fixed places. Addresses are hexadecimal, ranges
    /// `first-last`, both included.
    pub fn layout_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String never fails.
        let _ = self.write_layout(&mut out);
        out
    }

    fn write_layout(&self, out: &mut String) -> std::fmt::Result {
        let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let nodes = count(self.nodes().len() as u64, "node");
        let vcpus = count(self.vcpus().into(), "vCPU");
        let memory = Bytes(self.memory().into());
        writeln!(out, "cluster {}: {nodes}, {vcpus}, {memory}", self.name())?;

        writeln!(out, "\n{:<4} {:<32} {:<11} memory", "node", "name", "APIC IDs")?;
        for node in self.nodes() {
            let ids = match &node.apic_ids {
                r if r.is_empty() => "-".to_owned(),
                r if r.len() == 1 => r.start.to_string(),
                r => format!("{}-{}", r.start, r.end - 1),
            };
            let memory = if node.ram.is_empty() {
                "-".to_owned()
            } else {
                Bytes(node.memory().into()).to_string()
            };
            writeln!(out, "{:>4} {:<32} {ids:<11} {memory}", node.id.0, node.name)?;
        }

        writeln!(out, "\n{:<30} {:>12} {:>5}  file offset", "RAM", "length", "node")?;
        for r in self.ram() {
            let (place, len) = (span(r.base, r.len), Bytes(r.len.into()).to_string());
            writeln!(out, "{place} {len:>12} {:>5}  {:#014x}", r.node.0, r.file_offset)?;
        }

        writeln!(out, "\n{:<30} {:>12} kind", "e820", "length")?;
        for e in self.e820() {
            let kind = match e.kind {
                E820Kind::Ram => "RAM",
                E820Kind::Reserved => "reserved",
                E820Kind::Acpi => "ACPI tables",
                E820Kind::Nvs => "ACPI NVS (FACS)",
            };
            writeln!(
                out,
                "{} {:>12} {kind}",
                span(e.base, e.len),
                Bytes(e.len.into()).to_string()
            )?;
        }

        writeln!(out, "\n{:<30} {:>12} use", "fixed", "length")?;
        for (base, len, what) in FIXED {
            writeln!(out, "{} {:>12} {what}", span(*base, *len), Bytes((*len).into()).to_string())?;
        }
        Ok(())
    }
}

/// The places that no cluster file moves.
const FIXED: &[(Gpa, u64, &str)] = &[
    (at::IOAPIC, 0x1000, "IOAPIC"),
    (at::LAPIC, 0x1000, "local APIC"),
    (at::GHOST_STUB, at::GHOST_STUB_LEN, "ghost vCPUs"),
    (at::KVM_IDENTITY_MAP, 0x1000, "KVM identity map"),
    (at::KVM_TSS, 0x3000, "KVM task state"),
    (at::GHOST_RESET, at::GHOST_RESET_LEN, "ghost reset vector"),
];

/// `first-last`, in as many digits as the largest map needs.
fn span(base: Gpa, len: u64) -> String {
    format!("{:#014x}-{:#014x}", base.0, base.0 + (len - 1))
}
