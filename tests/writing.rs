//! What writing promises: when it waits, what it holds, and what is sent by whom.

mod support;

use std::io::{self, IoSlice};
use std::pin::Pin;

use alts::connect::Settings;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{AltsStream, Error, Fault};
use support::by_hand::take_records;
use support::pair::Pair;
use support::polling::{error_of, flush, now, read, shutdown, write};
use support::wire::Wire;
use support::{assert_nothing_out, pattern};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

const BATCH: usize = 20_000;
/// The payload of the largest record.
const RECORD: usize = 16_384 - 24;

/// A pair whose batches are small.
async fn pair(change: impl FnOnce(&mut Settings)) -> Pair {
    let small = |settings: &mut Settings| {
        settings.stream.write_batch = BATCH;
        change(settings);
    };
    support::pair::pair(small).await
}

#[tokio::test]
async fn a_write_waits_only_if_it_sealed_nothing() {
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    let data = pattern(3 * BATCH);
    near_control.set_write_chunk(0);
    // The kernel takes nothing: the whole records of one batch are sealed all the same, and the next have to wait.
    assert_eq!(write(&mut near, &data).unwrap().unwrap(), RECORD);
    for _ in 0..3 {
        assert!(write(&mut near, &data[RECORD..]).is_none());
        assert!(flush(&mut near).is_none());
    }
    assert_eq!(pool.stats().beyond_cap_buffers, 1);
    // Partly taken: still the same batch.
    near_control.set_write_chunk(7);
    near_control.script().capacity_left = Some(1_000);
    assert!(write(&mut near, &data[RECORD..]).is_none());
    assert_eq!(near_control.script().counts.written, 1_000);
    near_control.script().capacity_left = None;
    near_control.set_write_chunk(usize::MAX);
    let mut written = RECORD;
    while written < data.len() {
        written += write(&mut near, &data[written..]).unwrap().unwrap();
    }
    flush(&mut near).unwrap().unwrap();
    let mut received = vec![0; data.len()];
    far.read_exact(&mut received).await.unwrap();
    assert!(received == data);
    assert!(read(&mut far).is_none());
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn what_is_more_than_a_batch_is_cut_behind_a_whole_record() {
    let largest = |batch: usize, frame: usize| (batch, frame, frame - 24);
    // What a batch holds, and what is taken of more.
    for (batch, frame, record) in
        [largest(20_000, 16_384), largest(48 << 10, 16_384), largest(9_000, 4_096)]
    {
        let Pair { mut near, near_control, far: _far, .. } = pair(|settings| {
            settings.stream.write_batch = batch;
            settings.stream.max_frame_size = frame as u32;
        })
        .await;
        let data = pattern(batch + 1);
        assert_eq!(write(&mut near, &data).unwrap().unwrap(), batch / record * record);
        let sent = near_control.script().counts;
        assert_eq!((sent.writes, sent.written), (1, batch / record * frame));
        // Nothing is held back: a write that fits is taken as it is.
        assert_eq!(write(&mut near, &data[..batch]).unwrap().unwrap(), batch);
    }
    // A batch that is less than a record is one.
    let Pair { mut near, far: _far, .. } =
        pair(|settings| settings.stream.write_batch = 1_000).await;
    assert_eq!(write(&mut near, &pattern(RECORD)).unwrap().unwrap(), 1_000);
}

/// While the kernel takes nothing, small writes become one batch, which goes out in one call. It takes memory as it fills.
#[tokio::test]
async fn small_writes_join_what_waits() {
    const SMALL: usize = 100;
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    // 24 bytes of each record are not payload; a batch of 20,000 bytes is two records, since one of 16,384 takes less.
    let fit = (BATCH + 2 * 24) / (SMALL + 24);
    let data = pattern(fit * SMALL);
    // Once with nothing sent when more joins, once with part of what waits gone by then.
    for taken in [0, 1_000] {
        near_control.take_counts();
        near_control.script().capacity_left = Some(taken);
        let mut writes = data.chunks(SMALL);
        for (count, small) in writes.by_ref().take(fit).enumerate() {
            assert_eq!(write(&mut near, small).unwrap().unwrap(), SMALL);
            let most = BufferPool::capacity_for(2 * (count + 1) * (SMALL + 24)).unwrap();
            assert!(pool.stats().beyond_cap_bytes <= most, "{count}");
            assert!(pool.stats().beyond_cap_buffers <= 1);
        }
        if taken == 0 {
            assert!(write(&mut near, &data[..SMALL]).is_none(), "it would be more than a batch");
            assert!(write(&mut near, &data[..1]).is_some(), "this is not");
        }
        near_control.script().capacity_left = None;
        let before = near_control.script().counts.writes;
        flush(&mut near).unwrap().unwrap();
        assert_eq!(near_control.script().counts.writes - before, 1);
        let mut received = vec![0; data.len() + usize::from(taken == 0)];
        far.read_exact(&mut received).await.unwrap();
        assert!(received[..data.len()] == data);
        assert!(read(&mut far).is_none());
        assert_nothing_out(&pool);
    }
}

type Call = fn(&mut AltsStream<Wire>, &BufferPool);

#[tokio::test]
async fn whatever_is_called_next_sends_the_rest() {
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    let calls: [(&str, Call); 6] = [
        ("read", |stream, _| assert!(read(stream).is_none())),
        ("read_on_ready", |stream, pool| {
            assert!(now(|cx| stream.poll_read_on_ready(cx, pool, &mut None)).is_none());
        }),
        ("readable", |stream, _| assert!(now(|cx| stream.poll_readable(cx)).is_none())),
        ("flush", |stream, _| flush(stream).unwrap().unwrap()),
        ("write of nothing", |stream, _| assert_eq!(write(stream, b"").unwrap().unwrap(), 0)),
        ("shutdown", |stream, _| shutdown(stream).unwrap().unwrap()),
    ];
    for (name, call) in calls {
        near_control.set_write_chunk(0);
        assert_eq!(write(&mut near, b"kept").unwrap().unwrap(), 4);
        near_control.set_write_chunk(usize::MAX);
        assert!(read(&mut far).is_none(), "not sent yet");
        call(&mut near, &pool);
        assert_eq!(read(&mut far).unwrap().unwrap(), b"kept", "{name}");
    }
    assert_eq!(read(&mut far).unwrap().unwrap(), b"");
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn a_peer_that_never_reads_costs_one_batch() {
    for max_frame_size in [0, 4_096, 1 << 20] {
        let Pair { mut near, near_control, far, pool } =
            pair(|settings| settings.stream.max_frame_size = max_frame_size).await;
        near_control.script().capacity_left = Some(50_000);
        let data = pattern(1 << 20);
        let mut accepted = 0;
        for _ in 0..1_000 {
            if let Some(count) = write(&mut near, &data) {
                let count = count.unwrap();
                assert!(count <= BATCH);
                accepted += count;
            }
            let stats = pool.stats();
            assert!(stats.beyond_cap_buffers <= 1, "{stats:?}");
            assert!(stats.beyond_cap_bytes <= BufferPool::capacity_for(BATCH + 1_000).unwrap());
            assert_eq!(stats.in_use_buffers, 0);
        }
        assert!(accepted <= 50_000 + BATCH, "{accepted}");
        assert!(accepted >= 50_000);
        drop((near, far));
        assert_nothing_out(&pool);
    }
}

#[tokio::test]
async fn a_shutdown_may_be_called_again() {
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"last words").unwrap().unwrap(), 10);
    for _ in 0..3 {
        assert!(shutdown(&mut near).is_none());
    }
    // In three steps: what was written, half of the closing record, the rest.
    near_control.script().capacity_left = Some(34);
    near_control.set_write_chunk(usize::MAX);
    assert!(shutdown(&mut near).is_none());
    near_control.script().capacity_left = Some(12);
    assert!(shutdown(&mut near).is_none());
    assert_eq!(error_of(write(&mut near, b"more")), Error::WriteAfterShutdown);
    assert_eq!(near_control.script().counts.shutdowns, 0);
    near_control.script().capacity_left = None;
    for _ in 0..3 {
        shutdown(&mut near).unwrap().unwrap();
    }
    assert_eq!(near_control.script().counts.shutdowns, 1);
    assert_eq!(near_control.script().counts.written, 10 + 24 + 24, "one closing record");
    assert_eq!(error_of(write(&mut near, b"more")), Error::WriteAfterShutdown);
    assert_eq!(Error::WriteAfterShutdown.fault(), Fault::Local);
    flush(&mut near).unwrap().unwrap();
    assert_eq!(read(&mut far).unwrap().unwrap(), b"last words");
    assert_eq!(read(&mut far).unwrap().unwrap(), b"");
    assert!(far.peer_closed_authenticated());
    // The other direction is not affected.
    far.write_all(b"an answer").await.unwrap();
    assert_eq!(read(&mut near).unwrap().unwrap(), b"an answer");
    assert!(!near.peer_closed_authenticated());
    assert!(read(&mut near).is_none());
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn without_an_agreement_a_shutdown_sends_nothing() {
    let Pair { mut near, near_control, mut far, pool } =
        pair(|settings| settings.handshake.close_notify = false).await;
    shutdown(&mut near).unwrap().unwrap();
    shutdown(&mut near).unwrap().unwrap();
    let counts = near_control.take_counts();
    assert_eq!((counts.written, counts.shutdowns), (0, 1));
    assert_eq!(error_of(write(&mut near, b"more")), Error::WriteAfterShutdown);
    assert_eq!(read(&mut far).unwrap().unwrap(), b"");
    assert!(!far.peer_closed_authenticated());
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn dropping_sends_nothing() {
    let Pair { near, near_control, mut far, pool } = pair(|_| ()).await;
    drop(near);
    assert_eq!(near_control.intercept(), b"");
    let missing = error_of(read(&mut far));
    assert!(matches!(missing, Error::Truncated { .. }), "{missing}");
    assert_nothing_out(&pool);

    let Pair { mut near, near_control, far, pool } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"kept").unwrap().unwrap(), 4);
    near_control.set_write_chunk(usize::MAX);
    drop(near);
    assert_eq!(near_control.intercept(), b"");
    assert_nothing_out(&pool);
    drop(far);
}

#[tokio::test]
async fn slices_become_one_record_and_one_call() {
    let Pair { mut near, near_control, mut far, .. } = pair(|_| ()).await;
    assert!(near.is_write_vectored());
    let parts: Vec<_> = (0..40).map(|i| pattern(i * 5)).collect();
    let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let total: usize = parts.iter().map(Vec::len).sum();
    let count = now(|cx| Pin::new(&mut near).poll_write_vectored(cx, &slices)).unwrap().unwrap();
    assert_eq!(count, total);
    assert_eq!(near_control.script().counts.writes, 1);
    let mut wire = near_control.intercept();
    assert_eq!(wire.len(), total + 24);
    assert_eq!(take_records(&mut wire.clone()).len(), 1);
    near_control.reinsert(&std::mem::take(&mut wire));
    let mut received = vec![0; total];
    far.read_exact(&mut received).await.unwrap();
    assert_eq!(received, parts.concat());
}

#[tokio::test]
async fn nothing_written_sends_nothing() {
    let Pair { mut near, near_control, .. } = pair(|_| ()).await;
    assert_eq!(write(&mut near, b"").unwrap().unwrap(), 0);
    let empty = [IoSlice::new(b""), IoSlice::new(b"")];
    assert_eq!(now(|cx| Pin::new(&mut near).poll_write_vectored(cx, &empty)).unwrap().unwrap(), 0);
    flush(&mut near).unwrap().unwrap();
    assert_eq!(near_control.take_counts().written, 0);
}

/// A peer may answer and close without having read all that was on its way to it.
#[tokio::test]
async fn what_was_received_is_read_although_sending_fails() {
    let Pair { mut near, near_control, mut far, pool } = pair(|_| ()).await;
    near_control.set_write_chunk(0);
    assert_eq!(write(&mut near, b"a request").unwrap().unwrap(), 9);
    far.write_all(b"go away").await.unwrap();
    far.shutdown().await.unwrap();
    near_control.fail_writes(io::ErrorKind::BrokenPipe);
    assert_eq!(read(&mut near).expect("ready").unwrap(), b"go away");
    assert_eq!(read(&mut near).expect("ready").unwrap(), b"");
    assert!(near.peer_closed_authenticated());
    // Who sends is told.
    let message = io::Error::from(io::ErrorKind::BrokenPipe).to_string();
    let broken = Error::Io { kind: io::ErrorKind::BrokenPipe, code: None, message };
    let told = flush(&mut near).unwrap().unwrap_err();
    assert_eq!(Error::from(told), broken);
    assert_eq!(broken.fault(), Fault::Network);
    drop(near);
    assert_nothing_out(&pool);
}

/// A batch larger than any buffer is a setting, not an error at every write.
#[tokio::test]
async fn a_batch_beyond_the_largest_buffer_is_cut() {
    let Pair { mut near, mut far, pool, .. } =
        pair(|settings| settings.stream.write_batch = usize::MAX).await;
    let data = pattern(33 << 20);
    let count = write(&mut near, &data).unwrap().unwrap();
    assert!((1..=32 << 20).contains(&count), "{count}");
    let mut received = vec![0; count];
    far.read_exact(&mut received).await.unwrap();
    assert!(received == data[..count]);
    assert!(read(&mut far).is_none());
    assert_nothing_out(&pool);
}
