//! Pages of a node, handed out once and for ever.

use crate::failure::{Outcome, failure};
use crate::machine::{MAX_RANGES, Machine};
use crate::physical::{self, PAGE};
use core::sync::atomic::{AtomicU64, Ordering};

/// How much of each memory range is taken.
static TAKEN: [AtomicU64; MAX_RANGES] = [const { AtomicU64::new(0) }; MAX_RANGES];

/// Zeroed pages of a memory range; their address.
pub(crate) fn pages(machine: &Machine, range: usize, count: u64) -> Outcome<u64> {
    let bytes = count * PAGE;
    let memory = machine.memory.get(range);
    let free = memory.map_or(0, |memory| memory.free.len());
    let taken = TAKEN[range].fetch_add(bytes, Ordering::Relaxed);
    let Some(memory) = memory.filter(|_| taken + bytes <= free) else {
        return Err(failure!(
            "memory range {range} has {free:#x} usable bytes, no {bytes:#x} more"
        ));
    };
    let at = memory.free.start.next_multiple_of(PAGE) + taken;
    for page in 0..count {
        physical::write(at + page * PAGE, &[0; PAGE as usize]);
    }
    Ok(at)
}

/// The memory range of a node, or the first one where it has none.
pub(crate) fn range_near(machine: &Machine, node: u32) -> usize {
    machine.memory.iter().position(|memory| memory.node == node).unwrap_or(0)
}
