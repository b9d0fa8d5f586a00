//! What a peer must not say: each illegal message is refused, named, and changes nothing.

#![allow(clippy::unwrap_used)]

mod net;

use net::{Net, PAGE, READ, WRITE};
use pangea_dsm::{Dsm, Homes, Input, Nanos, ProtocolError, Refusal};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::PageVerb::{Done, Fetch, Get, Grant, Invalidate, Invalidated, Page};
use pangea_wire::{PageMessage, PageVerb, Txn};

/// Sends a node what it must refuse, and gives the reason.
fn refused(dsm: &Dsm, from: u8, requester: u8, txn: u64, verb: PageVerb) -> Refusal {
    let message = PageMessage { pfn: PAGE, txn: Txn(txn), requester: NodeId(requester), verb };
    let (mut after, mut out) = (dsm.clone(), Vec::new());
    let from = NodeId(from);
    assert!(!after.expects_page(from, &message));
    let error =
        after.step(Nanos(u64::MAX), Input::Receive { from, message }, &mut out).unwrap_err();
    assert!(after == *dsm && out.is_empty(), "{error}: left a trace");
    let ProtocolError::Refused { from: named, message: said, why, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((named, said), (from, message));
    why
}

#[test]
fn who_may_not_say_it() {
    let net = Net::new(3);
    let (home, other) = (&net.nodes[0], &net.nodes[1]);
    let get = Get { access: READ };
    let no_peer = |me| Refusal::NotAPeer { me: NodeId(me), last: 2 };
    assert_eq!(refused(home, 0, 0, 1, get), no_peer(0), "itself");
    assert_eq!(refused(home, 3, 3, 1, get), no_peer(0), "past the last node");
    assert_eq!(refused(home, 255, 255, 1, get), no_peer(0));
    let home_is = NodeId(0);
    assert_eq!(refused(other, 2, 2, 1, get), Refusal::NotHome { home: home_is });
    assert_eq!(refused(other, 2, 2, 1, Done), Refusal::NotHome { home: home_is });
    for verb in [Fetch { access: READ, invalidations: 0 }, Invalidate, Grant { invalidations: 0 }] {
        assert_eq!(refused(other, 2, 1, 1, verb), Refusal::NotFromHome { home: home_is });
        assert_eq!(refused(home, 2, 1, 1, verb), Refusal::NotFromHome { home: home_is });
    }
}

#[test]
fn whose_transaction_it_cannot_be() {
    let net = Net::new(3);
    let (home, other) = (&net.nodes[0], &net.nodes[1]);
    let wrong = |node| Refusal::WrongRequester { named: NodeId(node) };
    assert_eq!(refused(home, 1, 2, 1, Get { access: READ }), wrong(2), "for another");
    assert_eq!(refused(home, 1, 2, 1, Done), wrong(2));
    let fetch = Fetch { access: WRITE, invalidations: 0 };
    assert_eq!(refused(other, 0, 1, 1, fetch), wrong(1), "from us for us");
    assert_eq!(refused(other, 0, 3, 1, fetch), wrong(3), "for nobody");
    assert_eq!(refused(other, 0, 200, 1, Invalidate), wrong(200));
    let page = Page { access: READ, invalidations: 0 };
    assert_eq!(refused(other, 0, 2, 1, page), wrong(2), "another's page");
    assert_eq!(refused(other, 2, 0, 1, Invalidated), wrong(0));
}

#[test]
fn more_invalidations_than_nodes() {
    let mut net = Net::new(4);
    net.fault(1, WRITE);
    let too_many = |count, limit| Refusal::TooManyInvalidations { count, limit };
    let page = |access, invalidations| Page { access, invalidations };
    assert_eq!(refused(&net.nodes[1], 2, 1, 1, page(WRITE, 3)), too_many(3, 2));
    assert_eq!(refused(&net.nodes[1], 2, 1, 1, page(READ, 1)), too_many(1, 0));
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, Grant { invalidations: 4 }), too_many(4, 3));
    let fetch = Fetch { access: WRITE, invalidations: 255 };
    assert_eq!(refused(&net.nodes[1], 0, 2, 1, fetch), too_many(255, 2));
    // Two copies were dropped, and then the supplier says there was one.
    for from in [2, 3] {
        let message =
            PageMessage { pfn: PAGE, txn: Txn(1), requester: NodeId(1), verb: Invalidated };
        net.step(1, Input::Receive { from: NodeId(from), message }).unwrap();
    }
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, page(WRITE, 1)), too_many(2, 1));
}

#[test]
fn answers_to_no_question() {
    let mut net = Net::new(3);
    let page = Page { access: READ, invalidations: 0 };
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, page), Refusal::NoSuchTransaction);
    net.fault(1, READ);
    assert_eq!(refused(&net.nodes[1], 0, 1, 2, page), Refusal::NoSuchTransaction, "other name");
    let wanted = pangea_dsm::Asked(READ);
    let write = Page { access: WRITE, invalidations: 0 };
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, write), Refusal::WrongAccess { wanted });
    assert_eq!(refused(&net.nodes[1], 2, 1, 1, Invalidated), Refusal::WrongAccess { wanted });
    let grant = Grant { invalidations: 0 };
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, grant), Refusal::WrongAccess { wanted });
    net.settle();
    assert_eq!(refused(&net.nodes[1], 0, 1, 1, page), Refusal::NoSuchTransaction, "it is over");
    // The home's own question, before its turn: 2's transaction runs.
    net.have(1, WRITE);
    net.fault(2, WRITE);
    net.deliver(2, 0, Get { access: WRITE });
    net.fault(0, WRITE);
    let txn = net.nodes[0].describe(PAGE).pending.unwrap().0.0;
    assert_eq!(refused(&net.nodes[0], 1, 0, txn, write), Refusal::NoSuchTransaction);
}

#[test]
fn answers_given_twice_or_against_a_copy() {
    let mut net = Net::new(4);
    net.have(1, READ);
    net.fault(1, WRITE);
    let write = |invalidations| Page { access: WRITE, invalidations };
    assert_eq!(refused(&net.nodes[1], 0, 1, 2, write(0)), Refusal::CopyIsCurrent);
    let say = |net: &mut Net, node, from, txn, verb| {
        let message = PageMessage { pfn: PAGE, txn: Txn(txn), requester: NodeId(node), verb };
        net.step(node, Input::Receive { from: NodeId(from), message }).unwrap();
    };
    say(&mut net, 1, 0, 2, Grant { invalidations: 2 });
    assert_eq!(refused(&net.nodes[1], 0, 1, 2, Grant { invalidations: 2 }), Refusal::Repeated);
    say(&mut net, 1, 2, 2, Invalidated);
    assert_eq!(refused(&net.nodes[1], 2, 1, 2, Invalidated), Refusal::Repeated);
    net.fault(2, WRITE);
    assert_eq!(refused(&net.nodes[2], 0, 2, 1, Grant { invalidations: 0 }), Refusal::NoCopy);
    say(&mut net, 2, 3, 1, write(2));
    assert_eq!(refused(&net.nodes[2], 3, 2, 1, Invalidated), Refusal::Repeated, "it supplied");
    say(&mut net, 2, 1, 1, Invalidated);
    assert_eq!(refused(&net.nodes[2], 1, 2, 1, write(2)), Refusal::Repeated);
}

#[test]
fn taking_what_is_not_there_or_not_free() {
    let mut net = Net::new(3);
    let fetch = Fetch { access: READ, invalidations: 0 };
    assert_eq!(refused(&net.nodes[1], 0, 2, 1, fetch), Refusal::NoCopy);
    assert_eq!(refused(&net.nodes[1], 0, 2, 1, Invalidate), Refusal::NoCopy);
    net.fault(1, WRITE);
    net.settle();
    assert_eq!(refused(&net.nodes[1], 0, 2, 1, Invalidate), Refusal::OnlyCopy);
    net.fault(2, WRITE);
    net.deliver(2, 0, Get { access: WRITE });
    net.deliver(0, 1, Fetch { access: WRITE, invalidations: 0 });
    assert_eq!(refused(&net.nodes[1], 0, 2, 1, fetch), Refusal::StillOpen, "one waits already");
}

#[test]
fn asking_or_ending_out_of_turn() {
    let mut net = Net::new(3);
    let get = |access| Get { access };
    assert_eq!(refused(&net.nodes[0], 1, 1, 1, Done), Refusal::NotRunning);
    net.fault(1, READ);
    net.deliver(1, 0, get(READ));
    let open = Txn(1);
    assert_eq!(refused(&net.nodes[0], 1, 1, 2, get(READ)), Refusal::AlreadyAsked { open });
    assert_eq!(refused(&net.nodes[0], 1, 1, 2, Done), Refusal::NotRunning, "another's name");
    net.fault(2, READ);
    net.deliver(2, 0, get(READ));
    assert_eq!(refused(&net.nodes[0], 2, 2, 2, get(WRITE)), Refusal::AlreadyAsked { open });
    assert_eq!(refused(&net.nodes[0], 2, 2, 1, Done), Refusal::NotRunning, "it waits");
    net.settle();
    assert_eq!(refused(&net.nodes[0], 1, 1, 2, get(READ)), Refusal::AlreadyHeld);
    net.have(0, WRITE);
    net.have(1, WRITE);
    assert_eq!(refused(&net.nodes[0], 1, 1, 9, get(WRITE)), Refusal::AlreadyHeld);
    // The home gets it back and holds it: nobody can have finished without it.
    net.fault(0, WRITE);
    net.settle();
    net.fault(2, WRITE);
    net.deliver(2, 0, get(WRITE));
    let txn = net.nodes[2].describe(PAGE).pending.unwrap().0.0;
    assert_eq!(refused(&net.nodes[0], 2, 2, txn, Done), Refusal::DoneTooEarly);
}

#[test]
fn pages_that_are_nobodys() {
    let mut net = Net::new(2);
    let pfn = Pfn(9); // Past all RAM, and past the token.
    let error = net.step(0, Input::Fault { pfn, access: READ }).unwrap_err();
    assert_eq!(error, ProtocolError::NotRam { pfn });
    assert!(error.to_string().starts_with("page 0x9 is no node's RAM"), "{error}");
    for pfn in [Pfn(9), Pfn(u64::MAX)] {
        let verb = Get { access: READ };
        let message = PageMessage { pfn, txn: Txn(1), requester: NodeId(1), verb };
        let error = net.step(0, Input::Receive { from: NodeId(1), message }).unwrap_err();
        assert!(matches!(error, ProtocolError::Refused { why: Refusal::NotRam, .. }), "{error}");
    }
}

#[test]
fn an_error_says_who_what_which_page_and_what_to_do() {
    let mut net = Net::new(3);
    net.have(1, READ);
    let verb = Page { access: WRITE, invalidations: 1 };
    let message = PageMessage { pfn: PAGE, txn: Txn(7), requester: NodeId(0), verb };
    let error = net.step(0, Input::Receive { from: NodeId(2), message }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 2 sent Page to write with 1 invalidations for page 0x3 in transaction 7 of node 0: \
         no such transaction is open; here it is read-only; the directory has it shared by \
         {n0, n1}. The two nodes disagree about the page: stop the guest and compare the versions \
         that both run"
    );
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[test]
fn lies_never_panic_and_refused_ones_leave_no_trace() {
    // Peers say anything that fits the wire, with likely names, to a node that faults and ticks:
    // as home of the first page and as user of the second.
    let mut accepted = [0_u32; 7];
    for seed in 0..1000 {
        let mut state = seed;
        let mut pick = |n: u64| random(&mut state) % n;
        let nodes = 2 + pick(3) as u8;
        let homes = Homes::new(vec![(Pfn(0)..Pfn(1), NodeId(0)), (Pfn(1)..Pfn(2), NodeId(1))]);
        let mut dsm = Dsm::new(NodeId(0), nodes, homes);
        let (mut now, mut out) = (0, Vec::new());
        for _ in 0..150 {
            now += pick(100_000);
            let pfn = Pfn(pick(2));
            let access = if pick(2) == 0 { READ } else { WRITE };
            let invalidations = pick(u64::from(nodes)) as u8;
            let kind = pick(7) as usize;
            let verb = [
                Get { access },
                Fetch { access, invalidations },
                Invalidate,
                Page { access, invalidations },
                Grant { invalidations },
                Invalidated,
                Done,
            ][kind];
            let own = dsm.describe(pfn).pending.map_or(Txn(1), |(txn, _)| txn);
            let running = dsm.describe(pfn).directory.and_then(|d| d.running);
            // Mostly from whom its role allows, and now and then from anyone.
            let anyone = NodeId(pick(u64::from(nodes) + 1) as u8);
            let from = match (pick(4), verb, running) {
                (0, ..) => anyone,
                (_, Fetch { .. } | Invalidate | Grant { .. }, _) => NodeId(1),
                (_, Done, Some((node, _))) => node,
                _ => anyone,
            };
            let (requester, txn) = match (pick(4), verb, running) {
                (0, ..) => (anyone, Txn(pick(4))),
                (_, Done, Some((_, txn))) => (from, txn),
                (_, Get { .. } | Done, _) => (from, Txn(pick(4))),
                (_, Fetch { .. } | Invalidate, _) => (anyone, Txn(pick(4))),
                _ => (NodeId(0), own),
            };
            let message = PageMessage { pfn, txn, requester, verb };
            let input = match pick(8) {
                0 => Input::Fault { pfn, access },
                1 => Input::Tick,
                _ => Input::Receive { from, message },
            };
            let before = dsm.clone();
            out.clear();
            let expected = dsm.expects_page(from, &message);
            assert!(!expected || dsm.access(pfn).is_none(), "bytes under the guest's feet");
            let result = dsm.step(Nanos(now), input, &mut out);
            if let (Page { .. }, Input::Receive { .. }) = (verb, input) {
                assert_eq!(expected, result.is_ok(), "{message:?}");
            }
            match result {
                Err(_) => assert!(dsm == before && out.is_empty(), "{message:?} left a trace"),
                Ok(()) if matches!(input, Input::Receive { .. }) => accepted[kind] += 1,
                Ok(()) => {}
            }
        }
    }
    assert!(accepted.iter().all(|&count| count > 50), "hardly tried: {accepted:?}");
}
