//! What is measured.

use std::net::SocketAddr;
use std::time::Instant;

use crate::clients::{Alts, Client, ECHO, Plain, SINK, Tls, server};
use crate::peers::Lab;
use crate::process::Relay;
use crate::report::{DIRECT, Samples, THROUGH};

/// Round trips whose median is taken.
const PINGS: usize = 2000;
/// Connections before those that are measured.
const FIRST: usize = 16;

pub(crate) fn plain(lab: &Lab, mib: usize, pairs: usize, samples: &mut Samples) {
    let target = server();
    let (median, _) = ping(&Plain, target);
    samples.add(DIRECT, "none", median);
    for peer in ["alts", "tokio-copy", "splice2"] {
        let relay = lab.plain(peer, target, false);
        samples.add("1 GiB plain to plain, CPU (s/GiB)", peer, bulk(&Plain, &relay, mib));
        let (median, p99) = ping(&Plain, relay.address);
        samples.add(THROUGH, peer, median);
        samples.add("256 B round trip, p99 (us)", peer, p99);
        let held = idle(&Plain, &lab.plain(peer, target, true), pairs);
        samples.add("idle pair, descriptors", peer, held.descriptors);
        samples.add("idle pair, resident (B)", peer, held.resident);
        if let Some(live_heap) = held.live_heap {
            samples.add("idle pair, live heap (B)", peer, live_heap);
        }
    }
}

pub(crate) fn secured(
    lab: &Lab,
    mib: usize,
    pairs: usize,
    handshakes: usize,
    samples: &mut Samples,
) {
    let target = server();
    let alts = Alts::new(lab);
    one(lab, "alts", &alts, target, (mib, pairs, handshakes), samples);
    if lab.has_stunnel {
        let tls = Tls::new(lab);
        one(lab, "stunnel", &tls, target, (mib, pairs, handshakes), samples);
    }
}

fn one<C: Client>(
    lab: &Lab,
    peer: &'static str,
    client: &C,
    target: SocketAddr,
    (mib, pairs, handshakes): (usize, usize, usize),
    samples: &mut Samples,
) {
    let relay = lab.secured(peer, target, false);
    samples.add("1 GiB secured to plain, CPU (s/GiB)", peer, bulk(client, &relay, mib));
    let (median, p99) = ping(client, relay.address);
    samples.add("256 B round trip, secured, p50 (us)", peer, median);
    samples.add("256 B round trip, secured, p99 (us)", peer, p99);
    let before = relay.cpu();
    for _ in 0..handshakes {
        let mut stream = client.connect(relay.address);
        client.write(&mut stream, &[ECHO, 1]);
        client.read(&mut stream, &mut [0]);
    }
    let each = (relay.cpu() - before) / handshakes as f64;
    samples.add("connection with a handshake, CPU (us)", peer, each * 1e6);
    samples.add("handshakes a second of CPU", peer, 1.0 / each);
    let held = idle(client, &lab.secured(peer, target, true), pairs);
    samples.add("idle secured pair, descriptors", peer, held.descriptors);
    samples.add("idle secured pair, resident (B)", peer, held.resident);
    if let Some(live_heap) = held.live_heap {
        samples.add("idle secured pair, live heap (B)", peer, live_heap);
    }
}

/// Seconds of the relay's processor time for each GiB.
fn bulk<C: Client>(client: &C, relay: &Relay, mib: usize) -> f64 {
    let mut stream = client.connect(relay.address);
    client.write(&mut stream, &[SINK]);
    let piece = vec![7; 1 << 20];
    let before = relay.cpu();
    for _ in 0..mib {
        client.write(&mut stream, &piece);
    }
    client.end(&mut stream);
    // The server has it all.
    client.read(&mut stream, &mut [0]);
    (relay.cpu() - before) * 1024.0 / mib as f64
}

/// Of round trips, the median and what 99 of 100 stay below, in microseconds.
fn ping<C: Client>(client: &C, to: SocketAddr) -> (f64, f64) {
    let mut stream = client.connect(to);
    client.write(&mut stream, &[ECHO]);
    let mut message = [7; 256];
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        client.write(&mut stream, &message);
        client.read(&mut stream, &mut message);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    (times[PINGS / 2], times[PINGS * 99 / 100])
}

/// What each quiet connection adds to a relay.
struct Held {
    descriptors: f64,
    resident: f64,
    live_heap: Option<f64>,
}

/// What a relay holds for each connection that has moved 16 KiB both ways and is quiet now.
fn idle<C: Client>(client: &C, relay: &Relay, pairs: usize) -> Held {
    let mut message = vec![7; 16 << 10];
    let mut used = || {
        let mut stream = client.connect(relay.address);
        client.write(&mut stream, &[ECHO]);
        client.write(&mut stream, &message);
        client.read(&mut stream, &mut message);
        stream
    };
    // What the first connections bring for all.
    let first: Vec<_> = (0..FIRST).map(|_| used()).collect();
    settle();
    let (descriptors, resident) = (relay.descriptors() as f64, relay.resident());
    let live_heap = relay.live_heap();
    let streams: Vec<_> = (0..pairs).map(|_| used()).collect();
    settle();
    let each = |before: f64, after: f64| (after - before) / pairs as f64;
    let held = Held {
        descriptors: each(descriptors, relay.descriptors() as f64),
        resident: each(resident, relay.resident()),
        live_heap: live_heap.zip(relay.live_heap()).map(|(before, after)| each(before, after)),
    };
    drop((first, streams));
    held
}

/// Pipes and buffers go back when the last bytes have left.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(500));
}
