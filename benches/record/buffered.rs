//! Records of rustls' usual connections: the way in which `tokio-rustls` and most others use it.

use std::io::{Read, Write};

use rustls::Connection;

/// Seals `plaintext` into `out`, which is emptied first.
pub(crate) fn seal(connection: &mut Connection, plaintext: &[u8], out: &mut Vec<u8>) {
    out.clear();
    connection.writer().write_all(plaintext).expect("there is no limit");
    while connection.wants_write() {
        connection.write_tls(out).expect("memory takes all");
    }
}

/// Opens all of `records` into `plaintext`, and says how many bytes that was.
pub(crate) fn open(connection: &mut Connection, mut records: &[u8], plaintext: &mut [u8]) -> usize {
    let mut opened = 0;
    while !records.is_empty() {
        connection.read_tls(&mut records).expect("memory gives all");
        let available = connection.process_new_packets().expect("good records");
        let available = available.plaintext_bytes_to_read();
        let into = &mut plaintext[opened..opened + available];
        connection.reader().read_exact(into).expect("it is there");
        opened += available;
    }
    opened
}
