//! A lane against a real socket: frames in pieces, both buffers at their limits.
#![allow(clippy::unwrap_used)]

use super::*;
use pangea_topology::Pfn;
use pangea_wire::{Access, PageVerb, Txn};
use std::net::TcpListener;
use std::time::Duration;

fn lane() -> (Lane, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    far.set_nodelay(true).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (Lane::new(NodeId(1), near).unwrap(), far)
}

fn message(pfn: u64, verb: PageVerb) -> PageMessage {
    PageMessage { pfn: Pfn(pfn), txn: Txn(pfn), requester: NodeId(0), verb }
}

fn a_page(pfn: u64) -> PageMessage {
    message(pfn, PageVerb::Page { access: Access::Read, invalidations: 0 })
}

/// Fills until something came: a socket delivers when it likes.
fn filled(lane: &mut Lane) {
    while !lane.fill().unwrap() {
        std::thread::yield_now();
    }
}

#[test]
fn frames_that_arrive_in_pieces_are_put_together() {
    let (mut lane, mut far) = lane();
    let mut bytes = encode_page(&message(1, PageVerb::Done), Payload::None).to_vec();
    bytes.extend(encode_page(&a_page(2), Payload::Bytes));
    bytes.extend([0x5A; PAGE_BYTES]);
    bytes.extend(encode_page(&a_page(3), Payload::Zero));
    let mut seen = Vec::new();
    for piece in bytes.chunks(100) {
        far.write_all(piece).unwrap();
        filled(&mut lane);
        while let Some((message, carried)) = lane.next().unwrap() {
            let carried = match carried {
                Carried::Nothing => "nothing",
                Carried::Zero => "zero",
                Carried::Page(page) if *page == [0x5A; PAGE_BYTES] => "page",
                Carried::Page(_) => "damage",
            };
            seen.push((message.pfn.0, carried));
        }
    }
    assert_eq!(seen, [(1, "nothing"), (2, "page"), (3, "zero")]);
    drop(far);
    assert!(matches!(lane.fill(), Err(LaneError::Closed)));
}

#[test]
fn a_zero_page_travels_as_a_header() {
    let (mut lane, mut far) = lane();
    assert!(!lane.push_page(&a_page(1), |page| page[4095] = 1).unwrap());
    assert!(lane.push_page(&a_page(2), |page| page.fill(0)).unwrap());
    lane.flush().unwrap();
    assert!(!lane.is_pending() && !lane.blocked);
    let mut bytes = vec![0; 2 * PAGE_HEADER + PAGE_BYTES];
    far.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes[PAGE_HEADER + PAGE_BYTES - 1], 1);
    let last = bytes.last_chunk::<PAGE_HEADER>().unwrap();
    assert_eq!(decode_page(last).unwrap(), (a_page(2), Payload::Zero));
}

#[test]
fn a_peer_that_does_not_read_meets_the_limit_and_one_that_does_gets_all() {
    let (mut lane, mut far) = lane();
    let mut pushed = 0u64;
    let refused = loop {
        match lane.push_page(&a_page(pushed), |page| page.fill(pushed as u8 | 1)) {
            Ok(_) => pushed += 1,
            Err(e) => break e,
        }
        lane.flush().unwrap();
    };
    assert!(lane.blocked, "the socket is full");
    assert!(matches!(refused, LaneError::Backlog { waiting, limit: OUTBOX_BYTES }
        if waiting + PAGE_HEADER + PAGE_BYTES > OUTBOX_BYTES));
    let reader = std::thread::spawn(move || {
        for pfn in 0..pushed {
            let (mut header, mut page) = ([0; PAGE_HEADER], [0; PAGE_BYTES]);
            far.read_exact(&mut header).unwrap();
            far.read_exact(&mut page).unwrap();
            assert_eq!(decode_page(&header).unwrap(), (a_page(pfn), Payload::Bytes));
            assert_eq!(page, [pfn as u8 | 1; PAGE_BYTES]);
        }
    });
    while lane.is_pending() {
        lane.flush().unwrap();
        std::thread::yield_now();
    }
    reader.join().unwrap();
    lane.push(&message(1, PageVerb::Done)).unwrap();
}
