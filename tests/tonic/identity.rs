//! What handlers learn about their callers.

use alts::SecurityLevel;
use alts::handshaker::{RecordProtocol, RpcVersions};
use tonic::transport::server::{TcpConnectInfo, UdsConnectInfo};

use crate::echo::WhoAmIRequest;
use crate::fixture::{BOTH, Over, Served};
use crate::support::{CLIENT, Parties, SERVER};

#[tokio::test]
async fn handlers_see_who_calls() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, _) = served.connect(&parties).await;
        let answer = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
        assert_eq!((answer.identity.as_str(), answer.server.as_str()), (CLIENT, SERVER));

        let callers = served.seen.callers();
        let caller = callers[0].as_ref().unwrap();
        assert_eq!(caller.peer().name(), CLIENT);
        assert!(caller.peer().not_after().is_some());
        let negotiated = caller.negotiated();
        assert_eq!(negotiated.local, SERVER);
        assert_eq!(negotiated.application_protocol, "grpc");
        assert_eq!(negotiated.record_protocol, RecordProtocol::Aes128GcmRekey);
        assert_eq!(negotiated.security_level, SecurityLevel::IntegrityAndPrivacy);
        assert_eq!(negotiated.peer_rpc_versions, RpcVersions::GRPC);
        match over {
            Over::Tcp => {
                let address = caller.remote_addr().unwrap();
                assert!(address.ip().is_loopback());
                assert_ne!(address.port(), served.port());
                assert_eq!(answer.address, address.to_string());
                let local = caller.transport::<TcpConnectInfo>().unwrap().local_addr().unwrap();
                assert_eq!(local.port(), served.port());
            }
            Over::Unix => {
                assert_eq!(caller.remote_addr(), None);
                let credentials = caller.transport::<UdsConnectInfo>().unwrap().peer_cred;
                let pid = credentials.unwrap().pid().unwrap();
                assert_eq!(u32::try_from(pid).unwrap(), std::process::id());
            }
        }
    }
}

#[tokio::test]
async fn each_connection_has_its_own() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    for name in ["spiffe://dev.local/one", "spiffe://dev.local/two"] {
        let mut client = served.connect_as(&parties, name).await.unwrap();
        for _ in 0..2 {
            let answer = client.who_am_i(WhoAmIRequest {}).await.unwrap().into_inner();
            assert_eq!(answer.identity, name);
        }
    }
}
