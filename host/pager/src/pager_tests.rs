//! What only the inside can provoke: a kernel that drops mappings behind the protocol's back.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use common::{each_way, machine, page, topology};
use std::sync::atomic::Ordering::SeqCst;

/// Reclaim may unmap any page at any time; its bytes stay in the memfd, and so must its owner.
#[test]
fn a_mapping_that_the_kernel_dropped_comes_back_as_it_was() {
    each_way(|way| {
        let map = topology(&[256, 64]);
        let nodes = machine(way, &map);
        let (writable, readable) = (page(&map, 0, 1), page(&map, 0, 2));
        let far = nodes[1].cpu.run(move |cpu| {
            cpu.word(writable, 0).store(11, SeqCst);
            cpu.word(readable, 0).load(SeqCst)
        });
        assert_eq!(far.join().unwrap(), 0);
        let before = nodes[1].eventually("a read", |s| s.read.count == 1);

        nodes[1].cpu.ram.zap(writable).unwrap();
        nodes[1].cpu.ram.zap(readable).unwrap();
        let far = nodes[1].cpu.run(move |cpu| {
            // Read first: a page that was writable must be so again without another fault.
            let read = cpu.word(writable, 0).load(SeqCst);
            cpu.word(writable, 0).store(12, SeqCst);
            (read, cpu.word(readable, 0).load(SeqCst))
        });
        assert_eq!(far.join().unwrap(), (11, 0));
        let after = nodes[1].pager.stats();
        assert_eq!(after.local, before.local + 2);
        assert_eq!(after.remote_faults(), before.remote_faults(), "no node was asked");

        // The one that is shared is still protected, and nothing of the other was lost.
        nodes[1].cpu.run(move |cpu| cpu.word(readable, 0).store(1, SeqCst)).join().unwrap();
        let upgraded = nodes[1].eventually("an upgrade", |s| s.upgrade.count == 1);
        assert_eq!(upgraded.peers[0].upgrades, 1);
        let home = nodes[0]
            .cpu
            .run(move |cpu| [writable, readable].map(|pfn| cpu.word(pfn, 0).load(SeqCst)));
        assert_eq!(home.join().unwrap(), [12, 1]);
    });
}
