//! What an observer is told of records.

use super::*;
use crate::observer::{Counters, Traffic};
use crate::ready::TryReadyReader;

#[test]
fn a_new_key_is_counted_in_the_direction_that_has_come_to_it() {
    for (protocol, begun, rekeys) in [
        (REKEY, 65_534, 1),
        (REKEY, 65_536, 1),
        (REKEY, 65_537, 0),
        (REKEY, 0, 0),
        (PLAIN, 65_534, 0),
    ] {
        let counters = Arc::new(Counters::new());
        let (mut stream, mut sealer, _) =
            observed(protocol, Role::Client, begun, Some(counters.clone()));
        for _ in 0..3 {
            stream.write_all(b"four").unwrap();
        }
        let stats = counters.stats();
        let traffic = |traffic: Traffic| (traffic.records, traffic.bytes, traffic.rekeys);
        assert_eq!(traffic(stats.sent), (3, 12, rekeys), "{protocol}, {begun}");
        assert_eq!(traffic(stats.received), (0, 0, 0));

        // Three records at once.
        let mut records = [0; 3 * (4 + OVERHEAD)];
        for record in records.chunks_mut(4 + OVERHEAD) {
            sealer.seal(b"four", record).unwrap();
        }
        stream.io.incoming.extend(records);
        let pool = stream.pool().clone();
        assert_eq!(&*stream.try_read_on_ready(&pool).unwrap().unwrap(), b"fourfourfour");
        assert_eq!(traffic(counters.stats().received), (3, 12, rekeys), "{protocol}, {begun}");
        // There is nothing more.
        stream.try_read_on_ready(&pool).unwrap_err();
        assert_eq!(traffic(counters.stats().received), (3, 12, rekeys));
    }
}

#[test]
fn records_before_a_bad_one_are_counted() {
    let counters = Arc::new(Counters::new());
    let (mut stream, mut sealer, _) = observed(REKEY, Role::Server, 0, Some(counters.clone()));
    let mut records = [0; 2 * (4 + OVERHEAD)];
    for record in records.chunks_mut(4 + OVERHEAD) {
        sealer.seal(b"four", record).unwrap();
    }
    *records.last_mut().unwrap() ^= 1;
    stream.io.incoming.extend(records);
    let mut read = [0; 8];
    assert_eq!(Read::read(&mut stream, &mut read).unwrap(), 4);
    Read::read(&mut stream, &mut read).unwrap_err();
    let received = counters.stats().received;
    assert_eq!((received.records, received.bytes), (1, 4));
}
