//! Windows, frames on their way out, and turns.

use std::task::Poll;

use super::*;
use crate::yamux::limits::BATCH;

/// A client with stream 1 open, whose windows do not grow.
fn open() -> (One, u32) {
    open_with(config().max_window(256 << 10))
}

fn open_with(config: ConfigBuilder) -> (One, u32) {
    let mut one = One::with(Side::Client, config, BufferPool::new());
    let slot = one.opens();
    one.sends();
    (one, slot)
}

#[test]
fn larger_windows_are_granted_with_syn_and_ack() {
    let config = || config().window(512 << 10);
    let mut one = One::with(Side::Client, config(), BufferPool::new());
    one.opens();
    assert_eq!(one.sends(), ["1 WindowUpdate SYN 262144"]);
    let mut one = One::with(Side::Server, config(), BufferPool::new());
    one.gets(&["1 WindowUpdate SYN 262144"]).unwrap();
    let slot = one.accepts().unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate ACK 262144"]);
    assert_eq!(one.core.table[slot].send.credit(), 512 << 10, "the peer's, too");
}

#[test]
fn credit_is_returned_on_consumption_alone_and_half_a_window_at_a_time() {
    let (mut one, slot) = open();
    one.gets(&["1 Data 262144"]).unwrap();
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.reads(slot, 131_071).0, 131_071);
    assert_eq!(one.sends(), [""; 0]);
    assert_eq!(one.reads(slot, 1).0, 1);
    assert_eq!(one.sends(), ["1 WindowUpdate 131072"]);
    assert_eq!(one.reads(slot, 131_072).0, 131_072);
    one.gets(&["1 Data 131072"]).unwrap();
    assert_eq!(one.sends(), ["1 WindowUpdate 131072"]);
    one.gets(&["1 Data 131072", "1 WindowUpdate FIN 0"]).unwrap();
    assert_eq!(one.reads(slot, 1 << 20), (262_144, END));
    assert_eq!(one.sends(), [""; 0], "useless after FIN");
}

#[test]
fn a_writer_takes_its_credit_and_no_more() {
    let (mut one, slot) = open();
    let mut written = 0;
    while let Poll::Ready(count) = one.writes(slot, 100_000) {
        written += count.unwrap();
        one.sends();
    }
    assert_eq!(written, 256 << 10);
    one.gets(&["1 WindowUpdate 1"]).unwrap();
    assert_eq!(one.writes(slot, 100_000), Poll::Ready(Ok(1)), "a peer may grant single bytes");
    assert_eq!(one.writes(slot, 1), Poll::Pending);
}

#[test]
fn frames_have_64_kib_at_most() {
    let (mut one, slot) = open();
    assert_eq!(one.writes(slot, 200_000), Poll::Ready(Ok(BATCH)));
    assert_eq!(one.writes(slot, 1_000), Poll::Pending, "the batch is full");
    assert_eq!(one.sends(), ["1 Data 65536", "1 Data 65536"]);
    let config = config().max_frame(1_024);
    let mut one = One::with(Side::Client, config, BufferPool::new());
    let slot = one.opens();
    one.sends();
    assert_eq!(one.writes(slot, 2_500), Poll::Ready(Ok(2_500)));
    assert_eq!(one.sends(), ["1 Data 1024", "1 Data 1024", "1 Data 452"]);
}

#[test]
fn small_writes_are_joined_in_one_frame() {
    let (mut one, slot) = open();
    for _ in 0..2_000 {
        assert_eq!(one.writes(slot, 64), Poll::Ready(Ok(64)));
    }
    assert_eq!(one.sends(), ["1 Data 65536", "1 Data 62464"]);
}

#[test]
fn a_message_that_outgrows_its_small_buffer_is_whole() {
    let (mut one, slot) = open();
    assert_eq!(one.writes(slot, 4_000), Poll::Ready(Ok(4_000)));
    assert_eq!(one.pool.stats().beyond_cap_bytes, 4_608);
    assert_eq!(one.writes(slot, 4_000), Poll::Ready(Ok(4_000)));
    assert_eq!(one.sends(), ["1 Data 8000"]);
    assert_eq!(one.pool.stats().beyond_cap_bytes, 0);
}

#[test]
fn slices_are_written_as_one() {
    let (mut one, slot) = open();
    let slices = [&[1; 10][..], &[], &[2; 20], &[3; 30]].map(IoSlice::new);
    let written = one.does(|core, after| core.write(slot, &slices, Waker::noop(), after));
    assert_eq!(written, Poll::Ready(Ok(60)));
    let batch = one.does(Core::take_batch).unwrap();
    assert_eq!(batch[header::LEN..], [&[1; 10][..], &[2; 20], &[3; 30]].concat());
}

#[test]
fn window_updates_go_ahead_of_data_and_fin_behind_it() {
    let (mut one, slot) = open();
    assert_eq!(one.writes(slot, 100), Poll::Ready(Ok(100)));
    one.closes(slot);
    assert_eq!(one.writes(slot, 1), fails(Error::WriteAfterClose));
    one.gets(&["1 Data 131072"]).unwrap();
    assert_eq!(one.reads(slot, 131_072).0, 131_072);
    assert_eq!(one.sends(), ["1 WindowUpdate 131072", "1 Data 100", "1 WindowUpdate FIN 0"]);
}

#[test]
fn streams_take_turns() {
    let mut one = One::client();
    let slots: Vec<u32> = (0..3).map(|_| one.opens()).collect();
    one.sends();
    // The first one fills the batch; then each has its turn, the first one last.
    assert_eq!(one.writes(slots[0], 1 << 20), Poll::Ready(Ok(BATCH)));
    for slot in [1, 2, 0] {
        assert_eq!(one.writes(slots[slot], 50_000), Poll::Pending);
    }
    assert_eq!(one.does(Core::take_batch).unwrap().len(), BATCH + 24);
    assert_eq!(
        one.writes(slots[0], 50_000),
        Poll::Pending,
        "it goes behind those that have waited"
    );
    assert_eq!(one.writes(slots[1], 50_000), Poll::Ready(Ok(50_000)));
    assert_eq!(one.writes(slots[2], 50_000), Poll::Ready(Ok(50_000)));
    assert_eq!(one.sends(), ["3 Data 50000", "5 Data 50000"]);
    assert_eq!(one.writes(slots[0], 50_000), Poll::Ready(Ok(50_000)));
}

#[test]
fn a_turn_that_is_not_used_holds_up_nobody() {
    let mut one = One::client();
    let slots: Vec<u32> = (0..9).map(|_| one.opens()).collect();
    one.sends();
    assert_eq!(one.writes(slots[0], 1 << 20), Poll::Ready(Ok(BATCH)));
    for &slot in &slots[1..] {
        assert_eq!(one.writes(slot, 50_000), Poll::Pending);
    }
    // All but the last have lost interest. The driver comes back as long as somebody waits.
    let mut rounds = 0;
    while one.core.has_output() {
        one.sends();
        rounds += 1;
    }
    assert!(rounds <= 9);
    assert_eq!(one.writes(slots[8], 50_000), Poll::Ready(Ok(50_000)));
}

#[test]
fn fin_finds_a_place_when_the_batch_is_full() {
    let mut one = One::client();
    let slots: Vec<u32> = (0..100).map(|_| one.opens()).collect();
    one.sends();
    assert_eq!(one.writes(slots[0], 1 << 20), Poll::Ready(Ok(BATCH)));
    for &slot in &slots {
        one.closes(slot);
        one.drops(slot);
    }
    let mut fins = Vec::new();
    while one.core.has_output() {
        fins.extend(one.sends().into_iter().filter(|frame| frame.ends_with("FIN 0")));
    }
    let all: Vec<String> = (0..100).map(|i| format!("{} WindowUpdate FIN 0", 2 * i + 1)).collect();
    fins.sort();
    let mut sorted = all;
    sorted.sort();
    assert_eq!(fins, sorted);
}

#[test]
fn a_small_grant_waits_for_more_while_other_data_is_on_its_way() {
    let mut one = One::client();
    let (slot, other) = (one.opens(), one.opens());
    one.sends();
    while one.writes(slot, 65_536).is_ready() {
        one.sends();
    }
    one.gets(&["1 WindowUpdate 100"]).unwrap();
    assert_eq!(one.writes(other, 10), Poll::Ready(Ok(10)));
    assert_eq!(one.writes(slot, 5_000), Poll::Pending);
    one.gets(&["1 WindowUpdate 3000"]).unwrap();
    assert_eq!(one.sends(), ["3 Data 10"]);
    assert_eq!(one.writes(slot, 5_000), Poll::Ready(Ok(3_100)));
}

#[test]
fn windows_grow_for_distance_and_not_for_speed() {
    for (rtt, grown) in [(Duration::from_micros(500), false), (Duration::from_millis(50), true)] {
        let (mut one, slot) = open_with(config());
        let mut pings = 0;
        let mut most = 0;
        for _ in 0..20 {
            let credit = one.core.table[slot].receive.credit();
            one.gets(&[&format!("1 Data {credit}")]).unwrap();
            assert_eq!(one.reads(slot, 8 << 20).0, credit as usize);
            for frame in one.sends() {
                if let Some(value) = frame.strip_prefix("0 Ping ") {
                    pings += 1;
                    one.now = one.now.after(rtt);
                    one.gets(&[&format!("0 Pong {value}")]).unwrap();
                }
            }
            one.now = one.now.after(rtt / 4);
            most = one.core.table[slot].receive.size();
        }
        assert!(pings >= 1);
        let expected = if grown { 4 << 20 } else { 256 << 10 };
        assert_eq!(most, expected, "{rtt:?}");
        one.closes(slot);
        one.gets(&["1 WindowUpdate FIN 0"]).unwrap();
        assert_eq!(one.core.growth, 0);
    }
}

#[test]
fn all_windows_of_a_session_grow_by_16_mib_at_most() {
    let mut one = One::with(Side::Client, config().max_window(16 << 20), BufferPool::new());
    let slots = [one.opens(), one.opens(), one.opens()];
    let rtt = Duration::from_millis(50);
    for _ in 0..10 {
        for slot in slots {
            let (id, credit) = (one.core.table[slot].id, one.core.table[slot].receive.credit());
            one.gets(&[&format!("{id} Data {credit}")]).unwrap();
            assert_eq!(one.reads(slot, 32 << 20).0, credit as usize);
            for frame in one.sends() {
                if let Some(value) = frame.strip_prefix("0 Ping ") {
                    one.now = one.now.after(rtt);
                    one.gets(&[&format!("0 Pong {value}")]).unwrap();
                }
            }
            one.now = one.now.after(rtt / 10);
        }
    }
    let grown = slots.map(|slot| one.core.table[slot].receive.size() - (256 << 10));
    let total: u32 = grown.iter().sum();
    assert_eq!(total, one.core.growth);
    // None has room to double.
    let least = total + grown[0] + (256 << 10);
    assert!(total <= 16 << 20 && least > 16 << 20, "{grown:?}");
}
