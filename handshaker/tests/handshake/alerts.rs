//! Alerts and drivers that give up.

use alts_handshaker::{AlertCode, Error};

use crate::peers::{self, Pair, frame, frames, refuses, waiting_for};

#[test]
fn plaintext_alerts_are_accepted_until_the_end_but_carry_no_secret_codes() {
    for awaited in 0x41..=0x44 {
        for code in 0..=20 {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&peers::clear_alert(code)), [], "no alert answers an alert");
            let read = if (7..=11).contains(&code) { 0 } else { code };
            let code = AlertCode::from_number(read);
            let told = Error::Alert { code, reason: String::new(), sealed: false };
            assert_eq!(*side.error(), told);
        }
        let mut side = waiting_for(awaited);
        let words = b"\x00\x0e\x09late \"it\"";
        let alert = frame(0x4f, words);
        for byte in &alert {
            assert_eq!(side.feed(&[*byte]), []);
        }
        assert_eq!(
            *side.error(),
            Error::Alert {
                code: AlertCode::Timeout,
                reason: "late \\\"it\\\"".to_owned(),
                sealed: false
            }
        );
    }
}

#[test]
fn alerts_that_are_malformed_get_no_answer() {
    for awaited in 0x41..=0x44 {
        for body in [&[][..], &[0], &[0, 1], &[0, 1, 1], &[0, 1, 0, 0], &[0, 1, 1, 7]] {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&frame(0x4f, body)), []);
            assert_eq!(side.error().alert(), Some(AlertCode::DecodeError));
        }
        if awaited >= 0x43 {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&frame(0x4e, &[0; 19])), []);
            assert_eq!(side.error().alert(), Some(AlertCode::DecryptError));
        }
        refuses(awaited, &frame(0x4f, &[0; 124]), AlertCode::TooLarge);
    }
}

#[test]
fn a_driver_gives_up() {
    for code in [AlertCode::Timeout, AlertCode::Overloaded] {
        let limit =
            Error::Limit { code, detail: "the handshake was canceled by its driver".into() };
        // Nothing was said yet; a client is told all the same.
        let mut server = Pair::usual().server();
        assert_eq!(server.fail(code), peers::clear_alert(code.number()));
        assert_eq!(server.fail(code), [], "once");
        server.feed(&[]);
        assert_eq!(*server.error(), limit);

        for awaited in [0x41, 0x42] {
            let mut side = waiting_for(awaited);
            side.feed(&[9, 0, 0]);
            assert_eq!(side.fail(code), peers::clear_alert(code.number()));
            side.feed(&frame(0x42, &[]));
            assert_eq!(*side.error(), limit);
        }

        // A server that waits for ClientFinished has keys, and its client can read it.
        let pair = Pair::usual();
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        let answer = server.feed(&offer);
        let alert = server.fail(code);
        client.feed(frames(&answer)[0]);
        client.feed(&alert);
        let told = Error::Alert { code, reason: String::new(), sealed: true };
        assert_eq!(*client.error(), told);

        // So has a client that waits for ServerFinished.
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        let answer = server.feed(&offer);
        client.feed(frames(&answer)[0]);
        let alert = client.fail(code);
        server.feed(&alert);
        assert_eq!(*server.error(), told);
    }
}

#[test]
fn what_is_secret_is_not_said_in_plaintext_by_drivers_either() {
    let mut side = waiting_for(0x42);
    assert_eq!(side.fail(AlertCode::AccessDenied), peers::clear_alert(0));
}
