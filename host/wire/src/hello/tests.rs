use super::*;
use proptest::prelude::*;

fn example() -> Hello {
    Hello {
        protocol: PROTOCOL,
        lane: Lane::Control,
        from: NodeId(0),
        from_name: "a".into(),
        to: NodeId(63),
        to_name: "node-z".into(),
        cluster: "duo".into(),
        bundle: [7; 32],
        run: 0x0123_4567_89ab_cdef,
    }
}

prop_compose! {
    fn any_hello()(
        protocol: u16, control: bool, from in 0..64u8, to in 0..64u8, run: u64,
        bundle: [u8; 32], names in [r"[!-~]{0,64}", r"[!-~]{0,64}", r"[!-~]{0,64}"],
    ) -> Hello {
        let [from_name, to_name, cluster] = names;
        let lane = if control { Lane::Control } else { Lane::Page };
        let (from, to) = (NodeId(from), NodeId(to));
        Hello { protocol, lane, from, from_name, to, to_name, cluster, bundle, run }
    }
}

fn any_greeting() -> impl Strategy<Value = Greeting> {
    prop_oneof![
        Just(Greeting::Hello),
        Just(Greeting::Welcome),
        (1..=255u8).prop_map(|code| Greeting::Refusal(RefusalReason::from_code(code))),
    ]
}

proptest! {
    #[test]
    fn every_hello_comes_back_as_it_was(hello in any_hello(), greeting in any_greeting()) {
        let bytes = encode_hello(greeting, &hello).unwrap();
        prop_assert_eq!(decode_hello(&bytes), Ok((greeting, hello)));
    }

    #[test]
    fn any_bytes_after_the_magic_are_refused_or_kept(
        head in prop::collection::vec(any::<u8>(), 8..56),
        names in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 200),
    ) {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        for (to, from) in bytes[8..].iter_mut().zip(head.iter().chain(&names)) {
            *to = *from;
        }
        if let Ok((greeting, hello)) = decode_hello(&bytes) {
            prop_assert_eq!(decode_hello(&encode_hello(greeting, &hello).unwrap()), Ok((greeting, hello)));
        }
    }
}

#[test]
fn the_layout_is_what_the_picture_says() {
    let refusal = Greeting::Refusal(RefusalReason::OtherBundle);
    let bytes = encode_hello(refusal, &example()).unwrap();
    assert_eq!(&bytes[..16], b"PANGEA\x1a\n\x01\0\x03\x02\0\x3f\x03\0");
    assert_eq!(bytes[16..24], 0x0123_4567_89ab_cdef_u64.to_le_bytes());
    assert_eq!(bytes[24..56], [7; 32]);
    assert_eq!(&bytes[56..60], b"duo\0");
    assert_eq!(&bytes[120..122], b"a\0");
    assert_eq!(&bytes[184..191], b"node-z\0");
}

#[test]
fn a_stranger_is_told_apart_by_its_first_bytes() {
    let mut ssh = [0; HELLO_BYTES];
    ssh[..16].copy_from_slice(b"SSH-2.0-OpenSSH_");
    let error = decode_hello(&ssh).unwrap_err().to_string();
    assert!(error.contains("isn't a Pangea node"), "{error}");
}

#[test]
fn names_fit_or_are_refused() {
    let longest = Hello { cluster: "c".repeat(MAX_NAME), ..example() };
    let bytes = encode_hello(Greeting::Hello, &longest).unwrap();
    assert_eq!(decode_hello(&bytes).unwrap().1, longest);
    let longer = Hello { cluster: "c".repeat(MAX_NAME + 1), ..example() };
    assert_eq!(
        encode_hello(Greeting::Hello, &longer).unwrap_err().to_string(),
        "hello: `cluster` has 65 bytes, the limit is 64"
    );
    let mut escape = encode_hello(Greeting::Hello, &example()).unwrap();
    escape[120] = 0x1b;
    assert!(decode_hello(&escape).unwrap_err().to_string().contains("from_name"));
}
