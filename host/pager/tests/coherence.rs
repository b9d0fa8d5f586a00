//! What guest code sees of memory that several nodes share, and what the counters say about it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{each_way, join, machine, page, topology};
use pangea_topology::PAGE_SIZE;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;

const WORDS: u64 = PAGE_SIZE / 8;

#[test]
fn a_pattern_is_read_from_the_other_node_in_both_directions() {
    const PAGES: u64 = 64;
    each_way(|way| {
        let map = topology(&[256, 64]);
        let nodes = machine(way, &map);
        let pattern = |home: u8, page: u64, word: u64| {
            (u64::from(home) << 56) ^ (page << 24) ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        };
        let writers = [0u8, 1].map(|home| {
            let map = map.clone();
            nodes[usize::from(home)].cpu.run(move |cpu| {
                for p in 0..PAGES {
                    for w in 0..WORDS {
                        cpu.word(page(&map, home, p), w).store(pattern(home, p, w), Relaxed);
                    }
                }
            })
        });
        join(writers);
        for node in &nodes {
            let stats = node.pager.stats();
            assert_eq!((stats.local, stats.remote_faults()), (0, 0), "own memory is untrapped");
        }
        let readers = [0u8, 1].map(|home| {
            let map = map.clone();
            nodes[usize::from(1 - home)].cpu.run(move |cpu| {
                for p in 0..PAGES {
                    for w in 0..WORDS {
                        let found = cpu.word(page(&map, home, p), w).load(Relaxed);
                        assert_eq!(found, pattern(home, p, w), "page {p} of {home}, word {w}");
                    }
                }
                // One that nobody ever wrote.
                assert_eq!(cpu.word(page(&map, home, PAGES), 0).load(Relaxed), 0);
            })
        });
        join(readers);
        for (me, node) in nodes.iter().enumerate() {
            // The last is counted when its reader has been let go.
            let stats = node.eventually("every read counted", |s| s.read.count > PAGES);
            println!("{stats}");
            let other = 1 - me;
            let peer = &stats.peers[other];
            assert_eq!((peer.reads, peer.writes, peer.upgrades), (PAGES + 1, 0, 0));
            assert_eq!((peer.pages_in, peer.zero_in), (PAGES + 1, 1), "the untouched one is zero");
            assert_eq!((peer.pages_out, stats.downgrades), (PAGES + 1, PAGES + 1));
            assert_eq!(stats.read.count, PAGES + 1);
            assert_eq!(stats.peers[me].reads, 0);
        }
    });
}

#[test]
fn a_read_then_a_write_upgrades_without_moving_the_page_again() {
    each_way(|way| {
        let map = topology(&[256, 64]);
        let nodes = machine(way, &map);
        let shared = page(&map, 0, 9);
        nodes[0].cpu.word(shared, 0).store(40, SeqCst);
        let far = nodes[1].cpu.run(move |cpu| {
            let word = cpu.word(shared, 0);
            assert_eq!(word.load(SeqCst), 40);
            word.fetch_add(2, SeqCst)
        });
        assert_eq!(far.join().unwrap(), 40);
        let stats = nodes[1].eventually("an upgrade", |s| s.upgrade.count == 1);
        assert_eq!((stats.peers[0].reads, stats.peers[0].upgrades), (1, 1));
        assert_eq!(stats.peers[0].pages_in, 1, "a grant carries no page");
        let home = nodes[0].cpu.run(move |cpu| cpu.word(shared, 0).load(SeqCst));
        assert_eq!(home.join().unwrap(), 42);
        let stats = nodes[0].eventually("the page back", |s| s.read.count == 1);
        assert_eq!(stats.peers[0].reads, 1, "its own page, borrowed by node 1");
        assert_eq!((stats.peers[1].pages_in, stats.revokes), (1, 1));
    });
}

#[test]
fn no_increment_is_lost_between_three_nodes() {
    const ROUNDS: u64 = 1_500;
    each_way(|way| {
        let map = topology(&[256, 64, 64]);
        let nodes = machine(way, &map);
        let words = [(page(&map, 0, 5), 1), (page(&map, 1, 5), 2), (page(&map, 2, 5), 3)];
        let adders: Vec<_> = nodes
            .iter()
            .flat_map(|node| {
                // Two vCPUs per node, so that faults on one page also meet within a node.
                [0usize, 1].map(|start| {
                    node.cpu.run(move |cpu| {
                        for round in 0..ROUNDS as usize {
                            let (pfn, index) = words[(start + round) % words.len()];
                            cpu.word(pfn, index).fetch_add(1, SeqCst);
                        }
                    })
                })
            })
            .collect();
        join(adders);
        for node in &nodes {
            let seen = node.cpu.run(move |cpu| {
                words.map(|(pfn, index)| cpu.word(pfn, index).load(SeqCst)).iter().sum::<u64>()
            });
            assert_eq!(seen.join().unwrap(), 6 * ROUNDS);
            println!("{}", node.pager.stats());
        }
    });
}

#[test]
fn a_turn_is_handed_back_and_forth() {
    const TURNS: u64 = 300;
    each_way(|way| {
        let map = topology(&[256, 64]);
        let nodes = machine(way, &map);
        let turn = page(&map, 1, 0);
        let players = [0u64, 1].map(|me| {
            nodes[me as usize].cpu.run(move |cpu| {
                let word = cpu.word(turn, 0);
                while word.load(SeqCst) < TURNS {
                    let now = word.load(SeqCst);
                    if now % 2 == me && now < TURNS {
                        word.store(now + 1, SeqCst);
                    }
                    thread::yield_now();
                }
            })
        });
        join(players);
        println!("{}{}", nodes[0].pager.stats(), nodes[1].pager.stats());
    });
}

/// x86-TSO: who sees the flag sees what was written before it, whichever nodes the pages live on.
#[test]
fn a_message_is_seen_whole_once_its_flag_is() {
    const MESSAGES: u64 = 200;
    each_way(|way| {
        let map = topology(&[256, 64, 64]);
        let nodes = machine(way, &map);
        let (data, flag) = (page(&map, 0, 2), page(&map, 1, 2));
        let writer = nodes[2].cpu.run(move |cpu| {
            for message in 1..=MESSAGES {
                for w in 0..8 {
                    cpu.word(data, w * 64).store(message, Relaxed);
                }
                cpu.word(flag, 0).store(message, SeqCst);
            }
        });
        let readers = [0usize, 1].map(|node| {
            nodes[node].cpu.run(move |cpu| {
                let mut seen = 0;
                while seen < MESSAGES {
                    seen = cpu.word(flag, 0).load(SeqCst);
                    for w in 0..8 {
                        let found = cpu.word(data, w * 64).load(SeqCst);
                        assert!(found >= seen, "flag {seen}, but word {w} is still {found}");
                    }
                }
            })
        });
        writer.join().unwrap();
        join(readers);
    });
}

#[test]
fn a_nodes_own_memory_stays_untrapped_beside_what_it_shares() {
    each_way(|way| {
        let map = topology(&[256, 64]);
        let nodes = machine(way, &map);
        let shared = page(&map, 0, 0);
        nodes[1].cpu.run(move |cpu| cpu.word(shared, 0).load(SeqCst)).join().unwrap();
        let before = nodes[0].pager.stats();
        let own = map.clone();
        let home = nodes[0].cpu.run(move |cpu| {
            // From the second 2 MiB on: the first is trapped now.
            (512..4096).for_each(|i| cpu.word(page(&own, 0, i), 0).store(i, SeqCst));
        });
        home.join().unwrap();
        assert_eq!(nodes[0].pager.stats(), before, "not one fault");
    });
}
