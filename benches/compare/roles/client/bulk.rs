//! As much as possible over one connection.

use std::time::Instant;

use alts_benches::cores::cpu_time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Ends;
use crate::roles::server::Request;
use crate::roles::transport::Transport;

impl<T: Transport> Ends<T> {
    /// Has the server send `total` bytes. Answers how many seconds it took, and how many of processor time at this end.
    pub(super) async fn download(&mut self, write: usize, total: usize) -> Vec<f64> {
        let stream = &mut self.open[0];
        let (start, used) = (Instant::now(), cpu_time());
        let request = Request::Download.header(write, total);
        T::send(stream, &request).await.expect("sent");
        let mut left = total;
        while left > 0 {
            let len = T::discard(stream, &self.pool).await.expect("received");
            assert!(len > 0 && len <= left, "{len} bytes with {left} to come");
            left -= len;
        }
        vec![start.elapsed().as_secs_f64(), cpu_time() - used]
    }

    /// Sends `total` bytes, and waits until the server has them.
    pub(super) async fn upload(&mut self, write: usize, total: usize) -> Vec<f64> {
        let stream = &mut self.open[0];
        let payload = vec![0x5A; write];
        let (start, used) = (Instant::now(), cpu_time());
        let request = Request::Upload.header(write, total);
        stream.write_all(&request).await.expect("sent");
        let mut left = total;
        while left > 0 {
            let len = left.min(write);
            stream.write_all(&payload[..len]).await.expect("sent");
            left -= len;
        }
        stream.flush().await.expect("sent");
        stream.read_u8().await.expect("the server has it");
        vec![start.elapsed().as_secs_f64(), cpu_time() - used]
    }
}
