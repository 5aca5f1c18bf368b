//! Somebody on the path changes one thing in a handshake between two engines. Whatever it is, it must be noticed:
//!
//! | changed | must not succeed | why |
//! | --- | --- | --- |
//! | `ClientInit` | both | its whole frame enters TH1, and with it every secret |
//! | `ServerInit` | both | as above; and without a client there is no `ClientFinished` |
//! | `ServerFinished` | both | it is sealed, its header too; and as above |
//! | `ClientFinished` | the server | it is sealed, its header too. The client was done before, and gets a late alert or nothing |
//!
//! A side may also wait for bytes that never come, when a length was changed or bytes are missing. Then its driver gives up,
//! as a driver does at its deadline; so at the end each side has a result or an error, never neither.

use crate::peers::{Flights, Outcome, Pair};
use alts_handshaker::{AlertCode, Error};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    Offer,
    Answer,
    Finish,
}

impl Flight {
    const ALL: [Self; 3] = [Self::Offer, Self::Answer, Self::Finish];

    fn of(self, flights: &Flights) -> &[u8] {
        match self {
            Self::Offer => &flights.offer,
            Self::Answer => &flights.answer,
            Self::Finish => &flights.finish,
        }
    }
}

/// A handshake in which one flight arrives changed.
fn disturbed(pair: &Pair, changed: Flight, change: &dyn Fn(&mut Vec<u8>)) -> Outcome {
    let pass = |flight: Flight, mut bytes: Vec<u8>| {
        if flight == changed {
            change(&mut bytes);
        }
        bytes
    };
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = pass(Flight::Offer, client.feed(&[]));
    let answer = pass(Flight::Answer, server.feed(&offer));
    let finish = pass(Flight::Finish, client.feed(&answer));
    let last = server.feed(&finish);
    client.feed(&last);

    // Deadlines. Each side's alert may still reach the other.
    let to_server = client.fail(AlertCode::Timeout);
    let to_client = server.fail(AlertCode::Timeout);
    server.feed(&to_server);
    client.feed(&to_client);
    for side in [&mut client, &mut server] {
        if side.end.is_none() {
            side.feed(&[]);
        }
    }
    Outcome { client, server }
}

/// Errors of a kind that a change on the path may cause: never a fault of our own.
fn blames_the_path(error: &Error) -> bool {
    match error {
        Error::Peer { .. }
        | Error::Incompatible { .. }
        | Error::Alert { .. }
        | Error::Foreign(_) => true,
        Error::Limit { code, .. } => *code == AlertCode::Timeout,
        _ => false,
    }
}

fn assert_noticed(pair: &Pair, flight: Flight, what: &str, change: &dyn Fn(&mut Vec<u8>)) {
    let Outcome { client, server } = disturbed(pair, flight, change);
    assert!(
        blames_the_path(server.error()),
        "{flight:?}, {what}: the server says {:?}",
        server.error()
    );
    if flight == Flight::Finish {
        let key = client.result().late_alert.as_ref();
        if !client.records.is_empty() {
            let header = *client.records.first_chunk().expect("alerts are whole");
            let key = key.expect("clients get one");
            assert_eq!(key.frame_len(header), Some(client.records.len()), "{what}");
            key.open(&client.records).expect("it is the server's");
        }
    } else {
        assert!(
            blames_the_path(client.error()),
            "{flight:?}, {what}: the client says {:?}",
            client.error()
        );
    }
}

/// Calls `each` with every position of every flight.
fn everywhere(pair: &Pair, mut each: impl FnMut(Flight, usize)) {
    let flights = pair.flights();
    for flight in Flight::ALL {
        for at in 0..flight.of(&flights).len() {
            each(flight, at);
        }
    }
}

#[test]
fn the_driver_itself_disturbs_nothing() {
    for flight in Flight::ALL {
        let Outcome { client, server } = disturbed(&Pair::usual(), flight, &|_| {});
        assert_eq!(client.result().key_data, server.result().key_data);
        assert_eq!(client.records, []);
    }
}

#[test]
fn a_bit_of_every_byte() {
    let pair = Pair::usual();
    everywhere(&pair, |flight, at| {
        let bit = 1 << (at % 8);
        assert_noticed(&pair, flight, &format!("byte {at} ^ {bit:#x}"), &|bytes| bytes[at] ^= bit);
    });
}

#[test]
#[ignore = "half a million handshakes take minutes: cargo test --release --test handshake every_value -- --ignored"]
fn every_value_of_every_byte() {
    let pair = Pair::usual();
    everywhere(&pair, |flight, at| {
        for bits in 1..=255 {
            assert_noticed(&pair, flight, &format!("byte {at} ^ {bits:#x}"), &|bytes| {
                bytes[at] ^= bits;
            });
        }
    });
}

#[test]
fn cut_off_anywhere() {
    let pair = Pair::usual();
    everywhere(&pair, |flight, at| {
        assert_noticed(&pair, flight, &format!("{at} bytes arrive"), &|bytes| bytes.truncate(at));
    });
}

#[test]
fn a_byte_missing_anywhere() {
    let pair = Pair::usual();
    everywhere(&pair, |flight, at| {
        let what = format!("without byte {at}");
        assert_noticed(&pair, flight, &what, &|bytes| {
            bytes.remove(at);
        });
    });
}

#[test]
fn a_byte_too_many_anywhere() {
    let pair = Pair::usual();
    everywhere(&pair, |flight, at| {
        let what = format!("a byte before byte {at}");
        assert_noticed(&pair, flight, &what, &|bytes| bytes.insert(at, 0xa5));
    });
}

#[test]
fn with_close_notify_and_a_long_chain_too() {
    let mut pair = Pair::named("deep", "rsa");
    pair.client_options.close_notify = true;
    pair.server_options.close_notify = true;
    let flights = pair.flights();
    for flight in Flight::ALL {
        for at in (0..flight.of(&flights).len()).step_by(7) {
            assert_noticed(&pair, flight, &format!("byte {at}"), &|bytes| bytes[at] ^= 0x40);
        }
    }
}
