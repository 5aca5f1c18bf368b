//! What arrives on a stream, in each of its states, and what is done: the rows of the table in the protocol's notes.

use std::task::Poll;

use super::*;
use crate::yamux::error::Violation;

/// A server with stream 1 accepted and its ACK sent.
fn open() -> (One, u32) {
    let mut one = One::server();
    one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
    let slot = one.accepts().unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate ACK 0"]);
    (one, slot)
}

#[test]
fn syn_on_data_or_window_update_makes_a_stream_that_is_acknowledged_when_it_is_accepted() {
    for syn in ["1 WindowUpdate SYN 0", "1 Data SYN 0", "1 Data SYN 5"] {
        let mut one = One::server();
        one.gets(&[syn]).unwrap();
        assert_eq!(one.sends(), [""; 0], "nobody has accepted it");
        let slot = one.accepts().unwrap();
        assert_eq!(one.sends(), ["1 WindowUpdate ACK 0"]);
        let data = if syn.ends_with('5') { 5 } else { 0 };
        assert_eq!(one.reads(slot, 100), (data, Poll::Pending));
    }
}

#[test]
fn syn_with_our_parity_or_id_0_ends_the_session() {
    for (mut one, id) in [(One::server(), 2), (One::client(), 1), (One::server(), 0)] {
        let error = one.gets(&[&format!("{id} WindowUpdate SYN 0")]).unwrap_err();
        assert_eq!(error, Violation::SynOfThisSide { stream: id }.into());
        assert_eq!(one.sends(), ["0 GoAway 1"]);
    }
}

#[test]
fn syn_twice_ends_the_session() {
    let (mut one, slot) = open();
    let error = one.gets(&["1 Data SYN 5"]).unwrap_err();
    assert_eq!(error, Violation::SynTwice { stream: 1 }.into());
    assert_eq!(one.sends(), ["0 GoAway 1"]);
    assert_eq!(one.reads(slot, 1), (0, fails(error)));
}

#[test]
fn syn_after_go_away_is_reset() {
    let mut one = One::server();
    one.does(Core::go_away);
    one.gets(&["1 WindowUpdate SYN 0", "3 Data SYN 5"]).unwrap();
    assert_eq!(one.sends(), ["0 GoAway 0", "1 WindowUpdate RST 0", "3 WindowUpdate RST 0"]);
    assert_eq!(one.accepts(), None);
}

#[test]
fn syn_beyond_a_limit_is_reset_and_the_session_goes_on() {
    let limited = |config: ConfigBuilder| One::with(Side::Server, config, BufferPool::new());
    for mut one in [limited(config().backlog(2)), limited(config().max_incoming(2))] {
        let syns: Vec<String> = (0..4).map(|i| format!("{} Data SYN 3", 2 * i + 1)).collect();
        one.gets(&syns.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(one.sends(), ["5 WindowUpdate RST 0", "7 WindowUpdate RST 0"]);
        let slots: Vec<_> = std::iter::from_fn(|| one.accepts()).collect();
        assert_eq!(slots.len(), 2);
        assert_eq!(one.reads(slots[1], 10), (3, Poll::Pending));
    }
}

#[test]
fn syn_with_fin_is_a_stream_that_the_peer_has_ended_and_it_is_acknowledged() {
    let mut one = One::server();
    one.gets(&["1 Data SYN FIN 5"]).unwrap();
    let slot = one.accepts().unwrap();
    assert_eq!(one.reads(slot, 10), (5, END));
    one.closes(slot);
    assert_eq!(one.sends(), ["1 WindowUpdate ACK 0", "1 WindowUpdate FIN 0"]);
    one.drops(slot);
    assert_eq!(one.core.stats().streams, 0);
}

#[test]
fn ack_is_sent_even_if_the_stream_is_over_and_dropped_before() {
    let mut one = One::server();
    one.gets(&["1 Data SYN FIN 5"]).unwrap();
    let slot = one.accepts().unwrap();
    one.closes(slot);
    one.drops(slot);
    assert_eq!(one.sends(), ["1 WindowUpdate ACK 0", "1 WindowUpdate FIN 0"]);
    // And with the reset, if that is its end.
    one.gets(&["3 Data SYN 5"]).unwrap();
    let slot = one.accepts().unwrap();
    one.drops(slot);
    assert_eq!(one.sends(), ["3 WindowUpdate ACK RST 0"]);
}

#[test]
fn syn_with_rst_is_nothing() {
    let mut one = One::server();
    one.gets(&["1 Data SYN RST 5", "3 WindowUpdate SYN RST 0", "5 Data SYN 2"]).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    let slot = one.accepts().unwrap();
    assert_eq!(one.reads(slot, 10), (2, Poll::Pending));
    assert_eq!(one.accepts(), None);
}

#[test]
fn a_stream_that_is_reset_before_it_is_accepted_is_not_handed_out() {
    let mut one = One::server();
    one.gets(&["1 Data SYN 5", "3 Data SYN 5", "1 WindowUpdate RST 0"]).unwrap();
    one.accepts().unwrap();
    assert_eq!(one.accepts(), None);
    assert_eq!(one.sends(), ["3 WindowUpdate ACK 0"]);
}

#[test]
fn ack_frees_a_place_and_so_does_any_other_frame_of_the_stream() {
    for answer in ["WindowUpdate ACK 0", "Data 5", "WindowUpdate FIN 0", "WindowUpdate RST 0"] {
        let mut one = One::client();
        let slots: Vec<u32> = (0..256).map(|_| one.opens()).collect();
        let opened = |one: &mut One| {
            one.does(|core, after| core.open(1 << 18, Waker::noop(), after)).is_ready()
        };
        assert!(!opened(&mut one), "256 are not acknowledged");
        one.gets(&[&format!("21 {answer}")]).unwrap();
        assert!(opened(&mut one), "{answer}");
        assert!(!opened(&mut one));
        one.gets(&[&format!("21 {answer}")]).unwrap();
        assert!(!opened(&mut one), "it counts once");
        one.drops(slots[0]);
        assert!(opened(&mut one), "one that is gone counts no more");
    }
}

#[test]
fn syn_is_sent_before_data_and_data_does_not_wait_for_ack() {
    let mut one = One::client();
    let slots: Vec<u32> = (0..5).map(|_| one.opens()).collect();
    for &slot in &slots {
        assert_eq!(one.writes(slot, 10), Poll::Ready(Ok(10)));
    }
    let sent = one.sends();
    for id in [1, 3, 5, 7, 9] {
        let at = |frame: String| sent.iter().position(|sent| *sent == frame).unwrap();
        assert!(at(format!("{id} WindowUpdate SYN 0")) < at(format!("{id} Data 10")));
    }
}

#[test]
fn data_in_each_state_is_buffered() {
    let mut one = One::client();
    let slot = one.opens();
    one.sends();
    one.gets(&["1 Data 5"]).unwrap();
    assert_eq!(one.reads(slot, 10), (5, Poll::Pending), "syn-sent");
    one.closes(slot);
    assert_eq!(one.sends(), ["1 WindowUpdate FIN 0"]);
    one.gets(&["1 Data 6"]).unwrap();
    assert_eq!(one.reads(slot, 10), (6, Poll::Pending), "local FIN");
    one.gets(&["1 Data FIN 7"]).unwrap();
    assert_eq!(one.reads(slot, 10), (7, END));
}

#[test]
fn data_after_fin_resets_the_stream_and_is_not_handed_up() {
    let (mut one, slot) = open();
    one.gets(&["1 Data 3", "1 WindowUpdate FIN 0", "1 Data 5", "3 Data SYN 1"]).unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate RST 0"]);
    assert_eq!(one.reads(slot, 10), (0, fails(Error::ResetByThisSide { code: 0 })));
    let other = one.accepts().unwrap();
    assert_eq!(one.reads(other, 10), (1, Poll::Pending), "the body was skipped");
}

#[test]
fn credit_exceeded_by_one_byte_ends_the_session_on_the_header() {
    let (mut one, _) = open();
    one.gets(&["1 Data 262144"]).unwrap();
    let error = one.gets(&["1 Data 1 alone"]).unwrap_err();
    assert_eq!(error, Violation::CreditExceeded { stream: 1, len: 1, credit: 0 }.into());
    assert_eq!(one.sends(), ["0 GoAway 1"]);
    let mut one = One::server();
    let error = one.gets(&["1 Data SYN 262145 alone"]).unwrap_err();
    let (len, credit) = (262_145, 262_144);
    assert_eq!(error, Violation::CreditExceeded { stream: 1, len, credit }.into());
    let mut one = One::server();
    one.gets(&["1 Data SYN 4294967295 alone"]).unwrap_err();
}

#[test]
fn data_longer_than_1_mib_is_received() {
    let config = config().window(4 << 20);
    let mut one = One::with(Side::Server, config, BufferPool::new());
    one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
    let slot = one.accepts().unwrap();
    assert_eq!(one.sends(), [format!("1 WindowUpdate ACK {}", (4 << 20) - (256 << 10))]);
    one.gets(&["1 Data 4194304"]).unwrap();
    assert_eq!(one.reads(slot, 5 << 20), (4 << 20, Poll::Pending));
}

#[test]
fn frames_for_a_stream_that_is_not_there_are_skipped() {
    let mut one = One::server();
    one.gets(&["1 Data 5", "1 WindowUpdate 9", "1 WindowUpdate FIN 0", "3 Data FIN 7"]).unwrap();
    one.gets(&["2 Data 5", "2 WindowUpdate ACK 0", "4 Data RST 100000", "1 Data RST 0"]).unwrap();
    one.gets(&["1 Data SYN 5"]).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    let slot = one.accepts().unwrap();
    assert_eq!(one.reads(slot, 10), (5, Poll::Pending));
    one.drops(slot);
    one.sends();
    one.gets(&["1 Data 5", "1 WindowUpdate 4294967295", "1 WindowUpdate FIN 0"]).unwrap();
    assert_eq!(one.sends(), [""; 0]);
}

#[test]
fn fin_with_a_body_ends_behind_the_body() {
    let (mut one, slot) = open();
    let bytes = bytes_of("1 Data FIN 5");
    one.gets_bytes(&bytes[..header::LEN]).unwrap();
    assert_eq!(one.reads(slot, 10), (0, Poll::Pending), "the body is not here yet");
    one.gets_bytes(&bytes[header::LEN..16]).unwrap();
    assert_eq!(one.reads(slot, 10), (4, Poll::Pending));
    one.gets_bytes(&bytes[16..]).unwrap();
    assert_eq!(one.reads(slot, 10), (1, END));
}

#[test]
fn the_last_fin_leaves_what_came_with_it() {
    let (mut one, slot) = open();
    one.closes(slot);
    // In one buffer, of which the bodies are the most part.
    one.gets(&["1 Data 9000", "1 Data 9000", "1 WindowUpdate FIN 0"]).unwrap();
    assert_eq!(one.core.stats().streams, 0);
    assert_eq!(one.reads(slot, 100_000), (18_000, END));
}

#[test]
fn fin_twice_is_ignored() {
    let (mut one, slot) = open();
    one.gets(&["1 WindowUpdate FIN 0", "1 WindowUpdate FIN 0", "1 Data FIN 0"]).unwrap();
    assert_eq!(one.reads(slot, 10), (0, END));
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.writes(slot, 3), Poll::Ready(Ok(3)));
    one.closes(slot);
    one.closes(slot);
    assert_eq!(one.sends(), ["1 Data 3", "1 WindowUpdate FIN 0"], "and sent once");
    one.gets(&["1 WindowUpdate FIN 0"]).unwrap();
}

#[test]
fn a_stream_is_gone_after_both_fins_and_its_id_can_be_used_again() {
    let (mut one, slot) = open();
    one.closes(slot);
    one.gets(&["1 Data FIN 4"]).unwrap();
    assert_eq!(one.core.stats().streams, 0);
    one.gets(&["1 Data SYN 6"]).unwrap();
    let again = one.accepts().unwrap();
    assert_ne!(again, slot);
    assert_eq!(one.reads(slot, 10), (4, END));
    assert_eq!(one.reads(again, 10), (6, Poll::Pending));
}

#[test]
fn rst_fails_reads_and_writes_with_its_code() {
    let (mut one, slot) = open();
    one.gets(&["1 Data 5", "1 WindowUpdate RST 77"]).unwrap();
    assert_eq!(one.reads(slot, 10), (0, fails(Error::Reset { code: 77 })));
    assert_eq!(one.writes(slot, 1), fails(Error::Reset { code: 77 }));
    one.drops(slot);
    assert_eq!(one.sends(), [""; 0], "it knows");
    one.gets(&["3 Data SYN 1"]).unwrap();
    let slot = one.accepts().unwrap();
    one.gets(&["3 Data RST 9", "5 Data SYN 2"]).unwrap();
    assert_eq!(one.reads(slot, 10), (0, fails(Error::Reset { code: 0 })), "its body is no code");
    let slot = one.accepts().unwrap();
    assert_eq!(one.reads(slot, 10), (2, Poll::Pending), "its body was skipped");
}

#[test]
fn what_had_its_fin_stays_readable_after_rst() {
    let (mut one, slot) = open();
    one.gets(&["1 Data FIN 5", "1 WindowUpdate RST 0"]).unwrap();
    assert_eq!(one.reads(slot, 10), (5, END));
    assert_eq!(one.writes(slot, 1), fails(Error::Reset { code: 0 }));
}

#[test]
fn rst_in_the_middle_of_a_body_and_behind_it_is_no_mix_up() {
    let (mut one, slot) = open();
    // All in one buffer: what was packed for stream 1 goes, and the next stream 1 gets its own.
    one.gets(&["1 Data 20000", "1 WindowUpdate RST 0", "1 Data SYN 9000"]).unwrap();
    assert_eq!(one.reads(slot, 1), (0, fails(Error::Reset { code: 0 })));
    let again = one.accepts().unwrap();
    assert_eq!(one.reads(again, 20_000), (9_000, Poll::Pending));
}

#[test]
fn a_sum_of_credit_beyond_32_bits_ends_the_session() {
    let (mut one, _) = open();
    let most = u32::MAX - (256 << 10);
    one.gets(&[&format!("1 WindowUpdate {most}")]).unwrap();
    let error = one.gets(&["1 WindowUpdate 1"]).unwrap_err();
    assert_eq!(error, Violation::CreditOverflow { stream: 1 }.into());
    assert_eq!(one.sends(), ["0 GoAway 1"]);
}

#[test]
fn every_split_of_a_conversation_is_understood() {
    let frames = ["1 Data SYN 5", "0 Ping 7", "1 WindowUpdate 9", "1 Data 300", "1 Data FIN 2"];
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| bytes_of(frame)).collect();
    for size in 1..=bytes.len() {
        let mut one = One::server();
        for part in bytes.chunks(size) {
            one.gets_bytes(part).unwrap();
        }
        let slot = one.accepts().unwrap();
        assert_eq!(one.reads(slot, 1_000), (307, END), "{size} at a time");
        assert_eq!(one.sends(), ["0 Pong 7", "1 WindowUpdate ACK 0"]);
    }
}

#[test]
fn the_end_of_the_connection_fails_open_streams_and_no_others() {
    let (mut one, slot) = open();
    one.gets(&["1 Data 5", "3 Data SYN FIN 6"]).unwrap();
    let ended = one.accepts().unwrap();
    assert_eq!(one.does(Core::end_of_connection), Err(Error::Lost));
    assert_eq!(one.reads(slot, 10), (5, fails(Error::Lost)));
    assert_eq!(one.reads(ended, 10), (6, END));
    assert_eq!(one.writes(ended, 1), fails(Error::Lost));
}

#[test]
fn the_end_inside_a_frame_is_no_clean_end() {
    for bytes in [&bytes_of("1 WindowUpdate SYN 0")[..5], &bytes_of("9 Data 5")[..14]] {
        let mut one = One::server();
        one.gets_bytes(bytes).unwrap();
        assert_eq!(one.does(Core::end_of_connection), Err(Error::Truncated));
    }
    let mut one = One::server();
    assert_eq!(one.does(Core::end_of_connection), Ok(()), "nothing was open");
}

#[test]
fn bytes_in_the_same_read_as_the_end_of_the_session_are_not_lost() {
    let away = Error::GoAway { code: 1 };
    for (data, end) in
        [("1 Data FIN 20000", Poll::Ready(Ok(0))), ("1 Data 20000", fails(away.clone()))]
    {
        let (mut one, slot) = open();
        assert_eq!(one.gets(&[data, "0 GoAway 1"]), Err(away.clone()));
        assert_eq!(one.reads(slot, 100_000), (20_000, end), "{data}");
    }
}
