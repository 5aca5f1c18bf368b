//! Messages over secure connections, by `alts::ready::Framed`.

mod support;

use alts::connect::Settings;
use alts::ready::Framed;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use support::{Parties, assert_nothing_out, pattern};
use tokio_util::codec::LengthDelimitedCodec;

/// Of all sizes, in both directions at once.
#[tokio::test]
async fn messages_are_echoed() {
    let parties = Parties::new();
    let settings = Settings::default();
    let pool = settings.pool.clone();
    let (near, far) = parties.tcp_pair(settings.clone(), settings).await;
    let codec = || LengthDelimitedCodec::builder().max_frame_length(2 << 20).new_codec();
    let server = tokio::spawn({
        let pool = pool.clone();
        async move {
            let (mut replies, mut requests) = Framed::new(far, codec(), pool).split();
            while let Some(request) = requests.next().await {
                replies.send(request.unwrap().freeze()).await.unwrap();
            }
            replies.close().await.unwrap();
        }
    });
    let (mut requests, mut replies) = Framed::new(near, codec(), pool.clone()).split();
    let sizes = [0, 1, 100, 16 << 10, 100_000, 2 << 20];
    let sending = async {
        for size in sizes {
            requests.send(Bytes::from(pattern(size))).await.unwrap();
        }
        requests.close().await.unwrap();
    };
    let receiving = async {
        for size in sizes {
            assert_eq!(replies.next().await.unwrap().unwrap(), pattern(size));
        }
        assert!(replies.next().await.is_none(), "the authenticated end is an end in order");
    };
    tokio::join!(sending, receiving);
    server.await.unwrap();
    assert_nothing_out(&pool);
}
