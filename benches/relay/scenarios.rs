//! What is measured.

use std::net::SocketAddr;
use std::time::Instant;

use crate::clients::{Alts, Client, ECHO, Plain, SINK, Tls, server};
use crate::peers::Lab;
use crate::process::Relay;
use crate::report::Samples;

/// Round trips whose median is taken.
const PINGS: usize = 2000;

pub(crate) fn plain(lab: &Lab, mib: usize, pairs: usize, samples: &mut Samples) {
    let target = server();
    samples.add("256 B round trip, p50, direct (us)", "none", ping(&Plain, target));
    for peer in ["alts", "tokio-copy", "splice2"] {
        let relay = lab.plain(peer, target);
        samples.add("1 GiB plain to plain, CPU (s/GiB)", peer, bulk(&Plain, &relay, mib));
        samples.add("256 B round trip, p50 (us)", peer, ping(&Plain, relay.address));
        let (descriptors, resident) = idle(&Plain, &relay, pairs);
        samples.add("idle pair, descriptors", peer, descriptors);
        samples.add("idle pair, resident (B)", peer, resident);
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
    let relay = lab.secured(peer, target);
    samples.add("1 GiB secured to plain, CPU (s/GiB)", peer, bulk(client, &relay, mib));
    let before = relay.cpu();
    for _ in 0..handshakes {
        let mut stream = client.connect(relay.address);
        client.write(&mut stream, &[ECHO, 1]);
        client.read(&mut stream, &mut [0]);
    }
    let each = (relay.cpu() - before) / handshakes as f64;
    samples.add("connection with a handshake, CPU (us)", peer, each * 1e6);
    let (descriptors, resident) = idle(client, &relay, pairs);
    samples.add("idle secured pair, descriptors", peer, descriptors);
    samples.add("idle secured pair, resident (B)", peer, resident);
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

/// The median of round trips, in microseconds.
fn ping<C: Client>(client: &C, to: SocketAddr) -> f64 {
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
    times[PINGS / 2]
}

/// Descriptors and resident bytes of the relay for each connection that has moved 16 KiB both ways and is quiet now.
fn idle<C: Client>(client: &C, relay: &Relay, pairs: usize) -> (f64, f64) {
    let mut message = vec![7; 16 << 10];
    let mut use_it = |stream: &mut C::Stream| {
        client.write(stream, &message);
        client.read(stream, &mut message);
    };
    // What the first connections bring for all.
    let mut first = client.connect(relay.address);
    client.write(&mut first, &[ECHO]);
    use_it(&mut first);
    let (descriptors, resident) = (relay.descriptors(), relay.resident());
    let mut streams = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        let mut stream = client.connect(relay.address);
        client.write(&mut stream, &[ECHO]);
        use_it(&mut stream);
        streams.push(stream);
    }
    // Pipes and buffers go back when the last bytes have left.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pairs = pairs as f64;
    let more = relay.descriptors() as f64 - descriptors as f64;
    (more / pairs, (relay.resident() - resident) / pairs)
}
