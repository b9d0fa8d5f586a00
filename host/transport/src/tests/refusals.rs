//! Nodes that are refused, and what they are told.

use super::*;

#[test]
fn occupied_ports_are_named_with_their_holder() {
    let ports = ports(2);
    let _held = [0, 1].map(|index| TcpListener::bind(port(&ports, index)).unwrap());
    let error = Starting::new(node(A, 2), &ports).error();
    let text = error.to_string();
    let (first, last) = (ports.start(), ports.end());
    let expected = format!("no free port among {first}-{last} on 127.0.0.1 for node a: ");
    assert!(text.starts_with(&expected), "{text}");
    assert!(text.contains(&format!("pid {} (", std::process::id())), "{text}");
    assert!(text.ends_with(&format!("{first}, {last}")), "{text}");
    assert!(error.help().contains("ss -ltnp"), "{}", error.help());
}

#[test]
fn an_address_of_another_machine_is_refused_with_ours() {
    let mut identity = node(A, 2);
    identity.nodes[0].address = "192.0.2.1".into();
    let error = Starting::new(identity, &ports(1)).error();
    let text = error.to_string();
    assert!(text.starts_with("address `192.0.2.1` of node a isn't an address of this machine"));
    assert!(text.contains("127.0.0.1"), "{text}");
}

#[test]
fn a_description_that_contradicts_itself_is_refused() {
    let error = Starting::new(node(C, 2), &ports(1)).error();
    assert!(error.to_string().contains("node 2 isn't one of 2 nodes"), "{error}");
    let long = Identity { cluster: "x".repeat(65), ..node(A, 2) };
    assert!(Starting::new(long, &ports(1)).error().to_string().contains("at most 64"));
}

#[test]
fn another_bundle_of_the_same_cluster_ends_both_sides() {
    let ports = ports(4);
    let b = Starting::new(Identity { bundle: [2; 32], ..node(B, 2) }, &ports);
    b.wait_for("listening on");
    let a = Starting::new(node(A, 2), &ports);
    for (error, peer, ours) in [(a.error(), "b", "it has 0202"), (b.error(), "a", "it has 0101")] {
        let text = error.to_string();
        assert!(matches!(error, LinkError::OtherBundle { .. }), "{error:?}");
        assert!(text.starts_with(&format!("node {peer} (127.0.0.1:")), "{text}");
        assert!(text.contains(ours), "{text}");
        assert!(error.help().contains("copy one bundle"), "{}", error.help());
    }
}

#[test]
fn another_protocol_version_ends_both_sides() {
    let ports = ports(4);
    let newer = Tuning { protocol: PROTOCOL + 1, ..tuning() };
    let b = Starting::with(node(B, 2), &ports, EVENTUALLY, newer);
    b.wait_for("listening on");
    let a = Starting::new(node(A, 2), &ports).error();
    assert!(a.to_string().contains("speaks protocol version 2, this node 1"), "{a}");
    let b = b.error();
    assert!(b.to_string().contains("speaks protocol version 1, this node 2"), "{b}");
    assert!(b.help().contains("same version of pangea"));
}

#[test]
fn a_second_process_of_a_waiting_node_finds_its_twin() {
    let ports = ports(4);
    let first = Starting::new(node(B, 2), &ports);
    first.wait_for("listening on");
    let second = Starting::new(node(B, 2), &ports);
    let error = second.error();
    let text = error.to_string();
    assert!(text.starts_with("node b runs already: node b (127.0.0.1:"), "{text}");
    assert!(error.help().contains("end the other process"));
    let a = Starting::new(node(A, 2), &ports);
    assert_eq!((a.links().peers.len(), first.links().peers.len()), (1, 1));
}

#[test]
fn a_node_at_its_own_door_is_passed_in_silence_and_a_second_process_is_logged_by_name() {
    let warnings = || {
        let about_us = |line: &&str| line.contains("WARN") && line.contains("own-door");
        logged().lines().filter(about_us).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(warnings().is_empty());
    let ports = ports(4);
    let node = |me| Identity { cluster: "own-door".into(), ..node(me, 2) };
    let first = Starting::new(node(A), &ports);
    first.wait_for("waiting for node b at 127.0.0.1");
    first.wait_for("nobody listens there");
    assert!(warnings().is_empty(), "{:?}", warnings());
    let second = Starting::new(node(A), &ports).error();
    assert!(second.to_string().starts_with("node a runs already"), "{second}");
    let named = |line: &String| line.contains("node=\"a\"") && line.contains("DuplicateNode");
    assert!(warnings().iter().any(named), "{:?}", warnings());
    let b = Starting::new(node(B), &ports);
    assert_eq!((b.links().peers.len(), first.links().peers.len()), (1, 1));
}

#[test]
fn a_second_process_that_started_later_doesnt_end_the_first() {
    let ports = ports(4);
    let door = TcpListener::bind(port(&ports, 0)).unwrap();
    // It stays for longer than a refusal is suffered.
    let refusing = thread::spawn(move || {
        let second = own(A, 2, u64::MAX);
        for stream in door.incoming() {
            let (stream, until) = (stream.unwrap(), Instant::now() + EVENTUALLY);
            let Ok((_, hello)) = hear(&stream, until) else { return };
            let answer = second.hello(hello.from, hello.lane);
            let refusal = Greeting::Refusal(RefusalReason::DuplicateNode);
            // The dialer may have found b by now.
            let _ = say(&stream, refusal, &answer, until);
        }
    });
    let first = Starting::new(node(A, 2), &ports);
    first.wait_for(&format!("port {} is a second process of node a", ports.start()));
    let b = Starting::new(node(B, 2), &ports);
    assert_eq!((first.links().peers.len(), b.links().peers.len()), (1, 1));
    drop(TcpStream::connect(port(&ports, 0)).unwrap());
    refusing.join().unwrap();
}

#[test]
fn a_second_process_of_a_running_node_is_refused_by_name() {
    let ports = ports(4);
    let (a, b) = (Starting::new(node(A, 2), &ports), Starting::new(node(B, 2), &ports));
    let (a, b) = (a.links(), b.links());
    for me in [A, B] {
        let error = Starting::new(node(me, 2), &ports).error();
        assert!(matches!(error, LinkError::DuplicateNode { .. }), "{error}");
    }
    assert_joined(&a.peers[0].page, &b.peers[0].page);
}

#[test]
fn the_door_of_a_running_node_tells_latecomers_why() {
    let ports = ports(4);
    let b = Starting::new(node(B, 2), &ports);
    b.wait_for("listening on");
    let (a, b) = (Starting::new(node(A, 2), &ports).links(), b.links());
    let door = port(&ports, 0);
    let refusal = |own: &Own, to| hail(door, own, to, Lane::Page).1;
    let mut late = own(A, 2, 1);
    assert_eq!(refusal(&late, B), Greeting::Refusal(RefusalReason::DuplicateNode));
    assert_eq!(refusal(&late, C), Greeting::Refusal(RefusalReason::WrongNode));
    late.identity.bundle = [9; 32];
    assert_eq!(refusal(&late, B), Greeting::Refusal(RefusalReason::OtherBundle));
    late.identity.cluster = "other".into();
    assert_eq!(refusal(&late, B), Greeting::Refusal(RefusalReason::OtherCluster));
    drop((a, b));
    assert!(TcpListener::bind(door).is_ok(), "a door that is dropped frees its port");
}

#[test]
fn clocks_that_differ_are_refused_on_both_sides_with_what_to_do() {
    let ports = ports(4);
    let clock = Tuning::default().clock;
    let ahead = Arc::new(move || clock() + 1_000_000_000);
    let b = Tuning { clock: ahead, ..tuning() };
    let b = Starting::with(node(B, 2), &ports, EVENTUALLY, b);
    let a = Starting::new(node(A, 2), &ports);
    for (error, peer, sign) in [(a.error(), "b", 1), (b.error(), "a", -1)] {
        let LinkError::ClockSkew { peer: named, skew_ns, limit_ns } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(named, peer);
        assert_eq!(skew_ns.signum(), sign, "{error}");
        assert!(skew_ns.unsigned_abs() > *limit_ns);
        assert!(error.help().contains("chronyc tracking"), "{}", error.help());
    }
}
