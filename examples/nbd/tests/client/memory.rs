//! What a client holds.

use alts::pool::BufferPool;
use alts_nbd::client::Settings;
use alts_nbd::wire::flags::CommandFlags;
use futures_util::future::try_join_all;

use super::requests::{pattern, served};

const MIB: usize = 1 << 20;

fn settings(cap: usize) -> Settings {
    let mut settings = Settings::default();
    settings.pool = BufferPool::builder().buffer_size(4096).cap(cap).build().unwrap();
    settings
}

#[tokio::test]
async fn the_cap_holds_and_a_quiet_client_has_nothing() {
    let settings = settings(MIB);
    let pool = settings.pool.clone();
    let (client, ..) = served(32 * MIB, 64 << 10, settings).await;
    assert_eq!(pool.stats().in_use_bytes, 0);
    let jobs = (0..16).map(|nth| {
        let client = client.clone();
        async move {
            let at = nth * 2 * MIB;
            let data = pattern(at, 2 * MIB);
            client.write_from(at as u64, &data, CommandFlags::NONE).await?;
            let mut back = vec![0; data.len()];
            client.read_into(at as u64, &mut back).await?;
            assert!(back == data);
            Ok::<_, alts_nbd::client::Error>(())
        }
    });
    try_join_all(jobs).await.unwrap();
    let stats = pool.stats();
    assert!(stats.high_water_bytes > 0 && stats.high_water_bytes <= MIB, "{stats:?}");
    assert_eq!(stats.in_use_bytes, 0);
}

#[tokio::test]
async fn a_pool_of_one_buffer_is_enough() {
    let mut settings = settings(BufferPool::capacity_for(64 << 10).unwrap());
    settings.request_size = 64 << 10;
    // Fewer places than callers: nobody keeps one while waiting for memory.
    settings.requests_in_flight = 2;
    let (client, ..) = served(8 * MIB, 4096, settings).await;
    let jobs = (0..4).map(|nth| {
        let client = client.clone();
        async move {
            let at = nth * MIB;
            let data = pattern(at, MIB);
            client.write_from(at as u64, &data, CommandFlags::NONE).await?;
            let mut back = vec![0; data.len()];
            client.read_into(at as u64, &mut back).await?;
            assert!(back == data);
            client.flush().await
        }
    });
    try_join_all(jobs).await.unwrap();
}

#[tokio::test]
async fn more_than_the_pool_ever_has_is_an_error() {
    let (client, ..) = served(8 * MIB, 4096, settings(MIB)).await;
    let error = client.read(0, 4 * MIB).await.map(drop).unwrap_err();
    assert_eq!(error.fault(), alts::Fault::Limit);
    assert_eq!(client.read(0, 512).await.unwrap().len(), 512);
}
