use super::*;
use proptest::prelude::*;

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::Read), Just(Access::Write)]
}

fn verb() -> impl Strategy<Value = PageVerb> {
    prop_oneof![
        access().prop_map(|access| PageVerb::Get { access }),
        (access(), 0..64u8)
            .prop_map(|(access, invalidations)| PageVerb::Fetch { access, invalidations }),
        Just(PageVerb::Invalidate),
        (access(), 0..64u8)
            .prop_map(|(access, invalidations)| PageVerb::Page { access, invalidations }),
        (0..64u8).prop_map(|invalidations| PageVerb::Grant { invalidations }),
        Just(PageVerb::Invalidated),
        Just(PageVerb::Done),
    ]
}

prop_compose! {
    fn message()(pfn in 0..PFN_LIMIT, txn in any::<u64>(), node in 0..64u8, verb in verb()) -> PageMessage {
        PageMessage { pfn: Pfn(pfn), txn: Txn(txn), requester: NodeId(node), verb }
    }
}

fn payload_of(message: &PageMessage, zero: bool) -> Payload {
    match message.verb {
        PageVerb::Page { .. } if zero => Payload::Zero,
        PageVerb::Page { .. } => Payload::Bytes,
        _ => Payload::None,
    }
}

proptest! {
    #[test]
    fn every_message_comes_back_as_it_was(message in message(), zero: bool) {
        let payload = payload_of(&message, zero);
        prop_assert_eq!(decode_page(&encode_page(&message, payload)), Ok((message, payload)));
    }

    #[test]
    fn any_bytes_are_refused_or_mean_exactly_one_thing(bytes: [u8; PAGE_HEADER]) {
        if let Ok((message, payload)) = decode_page(&bytes) {
            prop_assert_eq!(encode_page(&message, payload), bytes);
        }
    }

    #[test]
    fn one_changed_byte_is_refused_or_means_something_else(
        message in message(), zero: bool, at in 0..PAGE_HEADER, flip in 1..=255u8,
    ) {
        let payload = payload_of(&message, zero);
        let mut bytes = encode_page(&message, payload);
        bytes[at] ^= flip;
        if let Ok((other, kind)) = decode_page(&bytes) {
            prop_assert_ne!((other, kind), (message, payload));
            prop_assert_eq!(encode_page(&other, kind), bytes);
        }
    }
}

#[test]
fn the_layout_is_what_the_picture_says() {
    let message = PageMessage {
        pfn: Pfn(0x0102_0304),
        txn: Txn(0x1122_3344_5566_7788),
        requester: NodeId(63),
        verb: PageVerb::Page { access: Access::Write, invalidations: 5 },
    };
    let bytes = encode_page(&message, Payload::Bytes);
    assert_eq!(
        bytes,
        [
            b'P', b'F', 1, 4, 2, 5, 63, 2, 0, 0x10, 0, 0, 0, 0, 0, 0, // magic to zero
            4, 3, 2, 1, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        ]
    );
}

#[test]
fn an_error_names_field_value_and_limit() {
    let message = PageMessage {
        pfn: Pfn(1),
        txn: Txn(1),
        requester: NodeId(1),
        verb: PageVerb::Grant { invalidations: 63 },
    };
    let good = encode_page(&message, Payload::None);
    let broken = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        decode_page(&bytes).unwrap_err().to_string()
    };
    assert_eq!(broken(5, 64), "page frame: field `invalidations` is 64, expected 0 to 63");
    assert_eq!(broken(6, 64), "page frame: field `requester` is 64, expected a node below 64");
    assert_eq!(broken(3, 8), "page frame: field `verb` is 8, expected 1 to 7");
    assert_eq!(broken(4, 1), "page frame: field `access` is 1, expected 0 with this verb");
    assert!(broken(0, 0).contains("isn't a Pangea node"));
}

#[test]
#[should_panic(expected = "with payload None")]
fn a_page_without_its_bytes_is_our_own_mistake() {
    let verb = PageVerb::Page { access: Access::Read, invalidations: 0 };
    let message = PageMessage { pfn: Pfn(0), txn: Txn(0), requester: NodeId(0), verb };
    encode_page(&message, Payload::None);
}
