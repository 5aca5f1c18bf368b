//! Pings, GoAway, resets of this side, dropped handles, and what happens in time.

use std::task::Poll;

use super::*;
use crate::yamux::error::Violation;
use crate::yamux::limits;

#[test]
fn another_version_and_an_unknown_type_end_the_session() {
    for (at, value, violation) in [(0, 1, Violation::Version(1)), (1, 4, Violation::Type(4))] {
        let mut one = One::server();
        let mut bytes = bytes_of("1 WindowUpdate SYN 0");
        bytes[at] = value;
        assert_eq!(one.gets_bytes(&bytes), Err(violation.into()));
        assert_eq!(one.sends(), ["0 GoAway 1"]);
    }
}

#[test]
fn pings_are_answered_in_order_and_ahead_of_data() {
    let mut one = One::client();
    let slot = one.opens();
    assert_eq!(one.sends(), ["1 WindowUpdate SYN 0"]);
    assert_eq!(one.writes(slot, 9), Poll::Ready(Ok(9)));
    // One with a stream's id is answered, too.
    let mut bytes = [bytes_of("0 Ping 1"), bytes_of("0 Ping 4294967295")].concat();
    bytes[7] = 99;
    one.gets_bytes(&bytes).unwrap();
    assert_eq!(one.sends(), ["0 Pong 1", "0 Pong 4294967295", "1 Data 9"]);
}

#[test]
fn an_answer_that_was_not_asked_for_is_ignored() {
    let mut one = One::server();
    one.gets(&["0 Pong 0", "0 Pong 7"]).unwrap();
    assert_eq!(one.core.stats().rtt, None);
}

#[test]
fn nothing_is_read_while_1_024_answers_wait() {
    let mut one = One::server();
    for value in 0..1_024 {
        assert!(one.core.wants_input(), "{value}");
        one.gets(&[&format!("0 Ping {value}")]).unwrap();
    }
    assert!(!one.core.wants_input());
    let pongs: Vec<String> = (0..1_024).map(|value| format!("0 Pong {value}")).collect();
    assert_eq!(one.sends(), pongs);
    assert!(one.core.wants_input());
}

#[test]
fn resets_of_this_side_do_not_stop_it_from_reading_and_resets_that_the_peer_calls_for_do() {
    let config = || config().backlog(2_000).max_incoming(2_000);
    let mut one = One::with(Side::Server, config(), BufferPool::new());
    for id in 0..1_100 {
        one.gets(&[&format!("{} WindowUpdate SYN 0", 2 * id + 1)]).unwrap();
    }
    let slots: Vec<u32> = std::iter::from_fn(|| one.accepts()).collect();
    for slot in slots {
        one.drops(slot);
    }
    assert!(one.core.wants_input(), "the peer did not ask for them");
    assert_eq!(one.sends().len(), 1_100);
    // Data behind FIN.
    let mut one = One::with(Side::Server, config(), BufferPool::new());
    for id in 0..1_100 {
        let (syn, data) =
            (format!("{} Data SYN FIN 1", 2 * id + 1), format!("{} Data 1", 2 * id + 1));
        one.gets(&[&syn, &data]).unwrap();
    }
    assert!(!one.core.wants_input());
    assert_eq!(one.sends().len(), 1_100);
    assert!(one.core.wants_input());
}

#[test]
fn streams_that_are_accepted_and_dropped_take_their_places_until_their_resets_are_sent() {
    let mut one = One::with(Side::Server, config().max_incoming(100), BufferPool::new());
    let mut opened = 0;
    while one.core.wants_input() && opened < 5_000 {
        one.gets(&[&format!("{} WindowUpdate SYN 0", 2 * opened + 1)]).unwrap();
        opened += 1;
        if let Some(slot) = one.accepts() {
            one.drops(slot);
        }
    }
    assert_eq!(opened, 100 + 1_024, "the rest is refused, until those are too many, too");
    assert_eq!(one.sends().len(), opened);
    one.gets(&[&format!("{} WindowUpdate SYN 0", 2 * opened + 1)]).unwrap();
    assert!(one.accepts().is_some());
}

#[test]
fn a_flood_of_frames_that_carry_nothing_ends_the_session() {
    for frame in [
        "0 Ping 1",
        "0 Pong 1",
        "1 Data 0",
        "1 WindowUpdate 0",
        "9 Data 0",
        "0 GoAway 0",
        "9 WindowUpdate RST 0",
        "1 WindowUpdate ACK 0",
        "1 Data ACK 0",
        "1 WindowUpdate FIN 0",
        "1 Data FIN 0",
    ] {
        let mut one = One::server();
        one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
        let many: Vec<u8> = bytes_of(frame).repeat(1_000);
        let ended = (0..200).find_map(|_| {
            let ended = one.gets_bytes(&many).err();
            one.core.answers.clear();
            ended
        });
        assert_eq!(ended, Some(Violation::Flood.into()), "{frame}");
    }
}

#[test]
fn streams_that_are_opened_and_reset_without_end_are_a_flood() {
    let mut one = One::server();
    let many = (0..1_000).flat_map(|i| {
        let id = 2 * i + 1;
        [
            bytes_of(&format!("{id} WindowUpdate SYN 0")),
            bytes_of(&format!("{id} WindowUpdate RST 0")),
        ]
    });
    let many: Vec<u8> = many.flatten().collect();
    let ended = (0..200).find_map(|_| one.gets_bytes(&many).err());
    assert_eq!(ended, Some(Violation::Flood.into()));
    // As many that are used for one byte each are none.
    let mut one = One::server();
    let many = (0..1_000).flat_map(|i| {
        let id = 2 * i + 1;
        [bytes_of(&format!("{id} Data SYN 1")), bytes_of(&format!("{id} WindowUpdate RST 0"))]
    });
    let many: Vec<u8> = many.flatten().collect();
    for _ in 0..200 {
        one.gets_bytes(&many).unwrap();
    }
}

#[test]
fn frames_that_carry_nothing_are_no_flood_if_they_take_their_time_or_bytes_move() {
    let mut one = One::server();
    one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
    for round in 0..300_u32 {
        one.gets_bytes(&bytes_of("0 Pong 1").repeat(1_000)).unwrap();
        if round % 2 == 0 {
            one.now = one.now.after(Duration::from_millis(20));
        }
    }
    let mut one = One::server();
    one.gets(&["1 WindowUpdate SYN 0"]).unwrap();
    for _ in 0..300 {
        one.gets_bytes(&bytes_of("0 Pong 1").repeat(1_000)).unwrap();
        one.gets(&["1 Data 1"]).unwrap();
    }
}

#[test]
fn a_ping_measures_the_way() {
    let mut one = One::client();
    let asked = one.does(|core, after| core.ping(Waker::noop(), after));
    let Poll::Ready(Ok(value)) = asked else { panic!("{asked:?}") };
    assert_eq!(one.sends(), ["0 Ping 0"]);
    one.now = one.now.after(Duration::from_millis(30));
    let answer =
        |one: &mut One| one.does(|core, after| core.poll_ping(value, Waker::noop(), after));
    assert_eq!(answer(&mut one), Poll::Pending);
    one.gets(&["0 Pong 0"]).unwrap();
    assert_eq!(answer(&mut one), Poll::Ready(Ok(Duration::from_millis(30))));
    assert_eq!(one.core.stats().rtt, Some(Duration::from_millis(30)));
}

/// Times that cannot be added, or be over.
#[test]
fn pings_wait_for_their_answers_as_long_as_they_are_told_to() {
    let (short, endless) = (Duration::from_secs(30), Duration::MAX);
    for (silence, answer) in [(endless, short), (short, endless), (endless, endless)] {
        let config = config().keep_alive(silence, answer);
        let mut one = One::with(Side::Client, config, BufferPool::new());
        let asked = one.does(|core, after| core.ping(Waker::noop(), after));
        assert!(matches!(asked, Poll::Ready(Ok(_))), "{asked:?}");
        assert_eq!(one.sends(), ["0 Ping 0"]);
        assert_eq!(one.core.next_timeout(), Some(Moment::default().after(endless)));
        let later = one.now.after(1_000_000 * short);
        assert_eq!(one.does(|core, after| core.on_time(later, after)), Ok(()));
    }
}

#[test]
fn a_measured_way_is_recent_for_ten_seconds() {
    let mut one = One::client();
    let _ = one.does(|core, after| core.ping(Waker::noop(), after));
    one.sends();
    one.gets(&["0 Pong 0"]).unwrap();
    let recent = |one: &One| one.core.steady.pings.recent_rtt(one.now).is_some();
    one.now = one.now.after(Duration::from_millis(9_999));
    assert!(recent(&one));
    one.now = one.now.after(Duration::from_millis(1));
    assert!(!recent(&one));
}

#[test]
fn only_so_many_pings_are_under_way_and_the_sessions_own_goes_beside_them() {
    let mut one = One::client();
    let ping = |one: &mut One| one.does(|core, after| core.ping(Waker::noop(), after));
    for value in 0..256 {
        assert_eq!(ping(&mut one), Poll::Ready(Ok(value)));
    }
    assert_eq!(ping(&mut one), Poll::Pending);
    assert_eq!(one.sends().len(), 256);
    // Something was heard, and then nothing for 30 s.
    one.now = one.now.after(Duration::from_secs(1));
    one.gets(&["0 Pong 0"]).unwrap();
    assert_eq!(ping(&mut one), Poll::Pending, "the answer is not fetched");
    one.passes(limits::KEEP_ALIVE).unwrap();
    assert_eq!(one.sends(), ["0 Ping 256"]);
    one.does(|core, after| core.forget_ping(1, after));
    one.does(|core, after| core.forget_ping(2, after));
    assert_eq!(ping(&mut one), Poll::Ready(Ok(257)));
}

#[test]
fn go_away_0_stops_new_streams_and_nothing_else() {
    let mut one = One::client();
    let slot = one.opens();
    one.sends();
    one.gets(&["0 GoAway 0"]).unwrap();
    let opened = one.does(|core, after| core.open(1 << 18, Waker::noop(), after));
    assert_eq!(opened, Poll::Ready(Err(Error::GoAway { code: 0 })));
    assert_eq!(one.writes(slot, 5), Poll::Ready(Ok(5)));
    one.gets(&["1 Data 6", "2 Data SYN 1"]).unwrap();
    assert_eq!(one.reads(slot, 10), (6, Poll::Pending));
    assert!(one.accepts().is_some(), "the peer may go on to open");
}

#[test]
fn go_away_with_another_code_ends_the_session_even_in_the_middle_of_data() {
    for code in [1, 2, 77] {
        let mut one = One::client();
        let slot = one.opens();
        let error = one.gets(&["1 Data 5", &format!("0 GoAway {code}"), "1 Data 5"]).unwrap_err();
        assert_eq!(error, Error::GoAway { code });
        assert_eq!(one.reads(slot, 10), (5, fails(error)));
    }
}

#[test]
fn a_reset_of_this_side_is_one_frame_with_its_code() {
    let mut one = One::client();
    let slot = one.opens();
    one.sends();
    one.gets(&["1 Data 5"]).unwrap();
    one.does(|core, after| core.reset(slot, 42, after));
    assert_eq!(one.sends(), ["1 WindowUpdate RST 42"]);
    one.does(|core, after| core.reset(slot, 43, after));
    one.drops(slot);
    one.gets(&["1 Data 5", "1 WindowUpdate FIN 0"]).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.core.stats().held_bytes, 0);
}

#[test]
fn a_stream_that_nobody_heard_of_is_not_reset() {
    let mut one = One::client();
    let slot = one.opens();
    one.drops(slot);
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.core.stats().streams, 0);
}

#[test]
fn a_dropped_stream_is_reset_unless_it_was_closed() {
    let mut one = One::client();
    let (cut, closed) = (one.opens(), one.opens());
    one.sends();
    assert_eq!(one.writes(closed, 5), Poll::Ready(Ok(5)));
    one.closes(closed);
    one.drops(closed);
    one.drops(cut);
    assert_eq!(one.sends(), ["1 WindowUpdate RST 0", "3 Data 5", "3 WindowUpdate FIN 0"]);
    assert_eq!(one.core.stats().streams, 1, "the peer has not ended it");
    one.gets(&["3 WindowUpdate FIN 0"]).unwrap();
    assert_eq!(one.core.stats().streams, 0);
}

#[test]
fn data_for_a_stream_that_was_closed_and_dropped_resets_it() {
    let mut one = One::client();
    let slot = one.opens();
    one.closes(slot);
    one.drops(slot);
    one.sends();
    one.gets(&["1 Data 5"]).unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate RST 0"]);
    assert_eq!((one.core.stats().streams, one.core.stats().held_bytes), (0, 0));
}

#[test]
fn only_so_many_closed_streams_wait_for_the_peer() {
    let mut one = One::client();
    for _ in 0..300 {
        let slot = one.opens();
        one.sends();
        let id = one.core.table[slot].id;
        one.gets(&[&format!("{id} WindowUpdate ACK 0")]).unwrap();
        one.closes(slot);
        one.drops(slot);
    }
    assert_eq!(one.core.stats().streams, 256);
    assert_eq!(one.core.stats().resets_sent, 44);
}

#[test]
fn a_reader_that_is_dropped_alone_gives_no_credit() {
    let mut one = One::client();
    let slot = one.opens();
    one.sends();
    one.gets(&["1 Data 5"]).unwrap();
    one.does(|core, after| core.drop_half(slot, Half::Read, after));
    one.gets(&["1 Data 262139"]).unwrap();
    assert_eq!(one.core.stats().held_bytes, 0);
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.writes(slot, 5), Poll::Ready(Ok(5)));
    one.does(|core, after| core.drop_half(slot, Half::Write, after));
    assert_eq!(one.sends()[0], "1 WindowUpdate RST 0");
}

#[test]
fn silence_is_asked_about_and_then_ends_the_session() {
    let mut one = One::server();
    one.passes(Duration::from_secs(29)).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    one.passes(Duration::from_secs(1)).unwrap();
    assert_eq!(one.sends(), ["0 Ping 0"]);
    // Whatever comes is a sign of life, not only the answer.
    one.passes(Duration::from_secs(9)).unwrap();
    one.gets(&["1 Data SYN 5"]).unwrap();
    one.passes(Duration::from_secs(29)).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    one.passes(Duration::from_secs(1)).unwrap();
    assert_eq!(one.sends(), ["0 Ping 1"]);
    one.passes(Duration::from_secs(9)).unwrap();
    assert_eq!(one.passes(Duration::from_secs(1)), Err(Error::KeepAlive));
}

#[test]
fn a_peer_that_never_acknowledges_loses_the_stream_and_not_the_session() {
    let config = config().open_timeout(Some(Duration::from_secs(5))).no_keep_alive();
    let mut one = One::with(Side::Client, config, BufferPool::new());
    let (first, second) = (one.opens(), one.opens());
    one.passes(Duration::ZERO).unwrap();
    one.sends();
    one.gets(&["1 WindowUpdate ACK 0"]).unwrap();
    one.passes(Duration::from_secs(5)).unwrap();
    assert_eq!(one.sends(), ["3 WindowUpdate RST 0"]);
    assert_eq!(one.reads(second, 1), (0, fails(Error::OpenTimeout)));
    assert_eq!(one.reads(first, 1), (0, Poll::Pending));
    assert_eq!(one.core.next_timeout(), None);
}

#[test]
fn a_session_that_closes_refuses_lets_streams_end_and_is_done() {
    let mut one = One::server();
    one.gets(&["1 Data SYN 5", "3 Data SYN 5"]).unwrap();
    let slot = one.accepts().unwrap();
    one.does(|core, after| core.close(Duration::from_secs(9), after));
    one.passes(Duration::ZERO).unwrap();
    one.gets(&["5 Data SYN 5"]).unwrap();
    let sent = one.sends();
    assert_eq!(sent, ["3 WindowUpdate RST 0", "5 WindowUpdate RST 0", "1 WindowUpdate ACK 0"]);
    assert_eq!(one.accepts(), None);
    let opened = one.does(|core, after| core.open(1 << 18, Waker::noop(), after));
    assert_eq!(opened, Poll::Ready(Err(Error::Closed)));
    assert!(!one.core.is_done());
    one.closes(slot);
    one.gets(&["1 WindowUpdate FIN 0"]).unwrap();
    assert!(one.core.is_done());
}

#[test]
fn a_session_that_closes_cuts_what_is_open_after_its_limit() {
    let mut one = One::server();
    one.gets(&["1 Data SYN 5"]).unwrap();
    let slot = one.accepts().unwrap();
    one.does(|core, after| core.close(Duration::from_secs(9), after));
    one.passes(Duration::ZERO).unwrap();
    one.gets(&["0 Ping 1"]).unwrap();
    one.passes(Duration::from_secs(8)).unwrap();
    assert_eq!(one.passes(Duration::from_secs(1)), Err(Error::Deadline));
    assert_eq!(one.reads(slot, 1), (0, fails(Error::ResetByThisSide { code: 0 })));
}

#[test]
fn ids_end_before_they_wrap() {
    let mut one = One::client();
    one.core.steady.next_id = u32::MAX - 2;
    one.opens();
    let opened = one.does(|core, after| core.open(1 << 18, Waker::noop(), after));
    assert_eq!(opened, Poll::Ready(Err(Error::IdsExhausted)));
    assert_eq!(limits::MAX_UNACKED, 256);
}
