//! What is readable without the socket.

use std::io::Read;

use alts_handshaker::Role;

use super::super::AltsStream;
use super::given::Given;
use super::{Ends, REKEY, sealed, stream};

#[test]
fn what_has_a_result_already_is_readable_whatever_the_socket_says() {
    let is_readable =
        |stream: &mut AltsStream<Ends>| stream.channel.readable(&mut Given::silent()).is_ok();
    let mut received = [0; 100];

    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(sealed(&mut sealer, b"plaintext"));
    assert_eq!(stream.read(&mut received[..4]).unwrap(), 4);
    assert!(is_readable(&mut stream), "plaintext");
    let record = sealed(&mut sealer, b"a record");
    assert_eq!(stream.read(&mut received).unwrap(), 5);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(record.iter().chain(&sealed(&mut sealer, b"another")));
    assert_eq!(stream.read(&mut received[..8]).unwrap(), 8);
    assert!(is_readable(&mut stream), "a whole record");
    assert_eq!(stream.read(&mut received).unwrap(), 7);
    assert!(!is_readable(&mut stream));
    stream.io.incoming.extend(sealed(&mut sealer, b""));
    assert_eq!(stream.read(&mut received).unwrap(), 0);
    assert!(stream.peer_closed_authenticated());
    assert!(is_readable(&mut stream), "the end");

    let (mut stream, ..) = self::stream(REKEY, Role::Client, 0);
    stream.io.failing = true;
    stream.read(&mut received).unwrap_err();
    assert!(is_readable(&mut stream), "a failure");
}
