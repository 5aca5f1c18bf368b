//! Handshakes in memory.

use std::cell::Cell;
use std::fmt::Write as _;

use alts_benches::verdicts::Verdict;
use rustls::HandshakeKind;

use super::altsh1::Peers;
use super::certificates::{Certificates, p256_key};
use super::connected::connected;
use super::resumed_tls;
use super::stranger::{self, Stranger};
use super::tls::Tls;
use super::turns::{self, Turn};

pub(crate) struct Measured {
    pub(crate) text: String,
    pub(crate) verdicts: Vec<Verdict>,
}

pub(crate) fn measure(rounds: usize) -> Measured {
    let certificates = Certificates::new(p256_key);
    let [plain, giving, resuming] =
        [false, true, true].map(|tickets| Peers::new(&certificates, 1024, tickets));
    let bytes = Cell::new(0);
    resuming.handshake_with_ticket();
    let tls = Tls::new(&certificates);
    let tls_resuming = resumed_tls::resuming(Tls::new(&certificates));
    connected(&tls_resuming);
    let stranger = Stranger::new(&plain, &giving);

    let mut turns = [
        Turn::new("alts, full", || plain.handshake()),
        Turn::prepared(
            "alts, full, with a ticket",
            || giving.forget(),
            || {
                giving.handshake_with_ticket();
            },
        ),
        Turn::new("alts, resumed", || bytes.set(resuming.resume().bytes)),
        Turn::new("rustls, full", || drop(connected(&tls))),
        Turn::new("rustls, resumed", || {
            let (client, _) = connected(&tls_resuming);
            assert_eq!(client.handshake_kind(), Some(HandshakeKind::Resumed));
        }),
        Turn::new("server's answer to a stranger", || {
            stranger::answer(giving.server(), &stranger.plain);
        }),
        Turn::new("the same, junk for a ticket", || {
            stranger::answer(giving.server(), &stranger.junk);
        }),
        Turn::new("the same, junk under a key's name", || {
            stranger::answer(giving.server(), &stranger.named_junk);
        }),
    ];
    turns::take(&mut turns, rounds);

    let medians = turns.each_ref().map(Turn::median);
    let mut text = format!("\nmicroseconds, both sides, median of {rounds} rounds\n");
    for (turn, median) in turns.iter().zip(medians) {
        let _ = writeln!(text, "{:<64}{median:>9.1}", turn.name);
    }
    let [full, with_ticket, resumed, _, tls_resumed, answer, junk, named_junk] = medians;
    let worse_junk = junk.max(named_junk) - answer;
    let verdicts = vec![
        Verdict::at_most("resumed, of rustls' resumed", resumed / tls_resumed, 0.80, 0.75),
        Verdict::at_most("resumed, of a full one", resumed / full, 0.57, 0.52),
        Verdict::at_most("full with a ticket, above one without, µs", with_ticket - full, 6.0, 4.0),
        Verdict::at_most("a stranger's junk, above none, server, µs", worse_junk, 3.0, 2.0),
        Verdict::at_most("bytes of a resumed handshake", bytes.get() as f64, 1_700.0, None),
    ];
    Measured { text, verdicts }
}
