//! RFC 7541, appendix C.

use alts::http2::hpack::Decoder;

use crate::{decode, from_hex};

/// A block, its header list, and what the table takes after it: text and 4 bytes an entry.
type Block<'text> = (&'text str, &'text [(&'text str, &'text str)], usize);

/// One example, for a decoder whose table has `limit` bytes.
fn example(limit: u32, blocks: &[Block<'_>]) {
    let mut decoder = Decoder::new(limit);
    for (block, fields, allocated) in blocks {
        let decoded = decode(&mut decoder, &from_hex(block)).unwrap();
        let decoded: Vec<_> = decoded.iter().map(|(n, v)| (text(n), text(v))).collect();
        assert_eq!(decoded, *fields, "{block}");
        assert_eq!(decoder.allocated(), *allocated, "{block}");
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn c2_representations() {
    let key = "custom-key";
    let block = "400a637573746f6d2d6b65790d637573746f6d2d686561646572";
    example(4_096, &[(block, &[(key, "custom-header")], 55 - 28)]);
    example(4_096, &[("040c2f73616d706c652f70617468", &[(":path", "/sample/path")], 0)]);
    example(4_096, &[("100870617373776f726406736563726574", &[("password", "secret")], 0)]);
    example(4_096, &[("82", &[(":method", "GET")], 0)]);
}

#[test]
fn c3_and_c4_requests() {
    let host = (":authority", "www.example.com");
    let first = [(":method", "GET"), (":scheme", "http"), (":path", "/"), host];
    let second = [&first[..], &[("cache-control", "no-cache")]].concat();
    let third = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        host,
        ("custom-key", "custom-value"),
    ];
    for blocks in [
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
        [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ],
    ] {
        let [one, two, three] = blocks;
        example(
            4_096,
            &[(one, &first, 57 - 28), (two, &second, 110 - 56), (three, &third, 164 - 84)],
        );
    }
}

#[test]
fn c5_and_c6_responses_with_eviction() {
    let location = ("location", "https://www.example.com");
    let (private, date) = (("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"));
    let first = [(":status", "302"), private, date, location];
    let second = [(":status", "307"), private, date, location];
    let third = [
        (":status", "200"),
        private,
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        location,
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ];
    for blocks in [
        [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54\
             6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f\
             3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076\
             657273696f6e3d31",
        ],
        [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f\
             0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df\
             dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ],
    ] {
        let [one, two, three] = blocks;
        example(
            256,
            &[(one, &first, 222 - 112), (two, &second, 222 - 112), (three, &third, 215 - 84)],
        );
    }
}
