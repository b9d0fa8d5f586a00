//! What the loader tells: command line, memory map, where ACPI's tables are. It lies in memory that
//! is used for other things later, so all of it is copied.
//!
//! Spec: Xen, "x86/HVM direct boot ABI", `struct hvm_start_info` version 1.

use crate::failure::{Outcome, ensure, failure};
use crate::list::List;
use crate::physical::read;

const MAGIC: u32 = 0x336e_c578;
/// A memory map entry that is RAM.
const RAM: u32 = 1;
/// Entries of the map, and bytes of the command line, that there is room for.
const MAX_ENTRIES: usize = 64;
const MAX_COMMAND_LINE: usize = 512;

/// A range of physical addresses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

pub(crate) struct Start {
    pub(crate) rsdp: u64,
    /// What of the memory map is RAM.
    pub(crate) ram: List<Range, MAX_ENTRIES>,
    command_line: [u8; MAX_COMMAND_LINE],
    command_line_len: usize,
}

impl Range {
    pub(crate) fn new(start: u64, len: u64) -> Range {
        Range { start, end: start.saturating_add(len) }
    }

    pub(crate) fn overlap(self, other: Range) -> Range {
        let start = self.start.max(other.start);
        Range { start, end: self.end.min(other.end).max(start) }
    }

    pub(crate) fn len(self) -> u64 {
        self.end - self.start
    }
}

impl Start {
    pub(crate) fn read(at: u64) -> Outcome<Start> {
        let nothing = || failure!("the start information at {at:#x} is out of reach");
        let u32_at = |offset| read::<u32>(at + offset).ok_or_else(nothing);
        let u64_at = |offset| read::<u64>(at + offset).ok_or_else(nothing);
        let (magic, version) = (u32_at(0)?, u32_at(4)?);
        ensure!(magic == MAGIC, "{magic:#x} at {at:#x} isn't PVH's magic");
        ensure!(version >= 1, "start information version {version} has no memory map");
        let (mut command_line, mut len) = ([0; MAX_COMMAND_LINE], 0);
        let text = u64_at(24)?;
        if text != 0 {
            for (at, byte) in (text..).zip(&mut command_line) {
                *byte = read(at).unwrap_or(0);
                if *byte == 0 {
                    break;
                }
                len += 1;
            }
        }
        let (map, entries) = (u64_at(40)?, u32_at(48)?);
        let mut ram = List::new();
        for entry in 0..u64::from(entries) {
            let at = map + 24 * entry;
            let field = |offset| read::<u64>(at + offset).ok_or_else(nothing);
            if field(16)? as u32 == RAM {
                let range = Range::new(field(0)?, field(8)?);
                ensure!(ram.push(range), "over {MAX_ENTRIES} entries of RAM in the memory map");
            }
        }
        Ok(Start { rsdp: u64_at(32)?, ram, command_line, command_line_len: len })
    }

    pub(crate) fn command_line(&self) -> &str {
        str::from_utf8(&self.command_line[..self.command_line_len]).unwrap_or("(not text)")
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.command_line().split(' ')
    }
}
