//! Whole handshakes through the public interface.

mod peers;

use alts_handshaker::{
    AlertCode, Error, ForeignProtocol, HandshakeOptions, RecordProtocol, Role, RpcVersion,
    RpcVersions, Suite,
};
use peers::{Outcome, Pair, Side, builder, identity};

#[test]
fn both_sides_agree() {
    let Outcome { client, server } = Pair::usual().run();
    let (client, server) = (client.result(), server.result());
    assert_eq!(client.key_data.as_bytes().len(), 44);
    assert_eq!(client.key_data, server.key_data);
    assert_eq!(client.log_id, server.log_id);
    assert_eq!(client.peer.name(), "spiffe://test.example/server");
    assert_eq!(client.local, "spiffe://test.example/client");
    assert_eq!(server.peer.name(), "spiffe://test.example/client");
    assert_eq!(server.local, "spiffe://test.example/server");
}
