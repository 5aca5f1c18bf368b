//! A server that is killed: what it had acknowledged as stable is there.

#![cfg(all(target_os = "linux", feature = "cli"))]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};

use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;
use tokio::net::UnixStream;

use super::raw::{Client, MIB, pattern};

/// The command, which is killed with this.
pub(crate) struct Killed {
    pub(crate) child: Child,
    /// The line that says where it listens.
    pub(crate) ready: String,
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the command, and waits until it listens.
pub(crate) fn serve(arguments: &[&str]) -> Killed {
    let mut child = Process::new(env!("CARGO_BIN_EXE_alts-nbd"))
        .args(["serve", "--log", "warn"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it says that it is ready");
    assert!(line.starts_with("ready listen"), "{line:?}");
    Killed { child, ready: line.trim_end().to_owned() }
}

fn serve_image(socket: &Path, image: &Path) -> Killed {
    let listen = format!("--listen=unix:{}", socket.display());
    serve(&[&listen, &format!("--export=disk=file:{}", image.display())])
}

#[tokio::test]
async fn what_was_flushed_survives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, image) = (directory.path().join("socket"), directory.path().join("image"));
    std::fs::File::create(&image).unwrap().set_len(8 * MIB as u64).unwrap();
    let mut expected = vec![0; 8 * MIB];
    for turn in 0..6_usize {
        let server = serve_image(&socket, &image);
        let stream = UnixStream::connect(&socket).await.unwrap();
        let mut client = Client::over(stream).await;
        // Whatever was acknowledged by an earlier server.
        assert!(client.read(0, 8 * MIB).await == expected);
        let (offset, len) = (turn * 1_234_567, 300_000 + turn * 77);
        let data = pattern(turn, len);
        if turn % 2 == 0 {
            client.write(CommandFlags::FUA, offset as u64, &data).await;
        } else {
            client.write(CommandFlags::NONE, offset as u64, &data).await;
            let flushed = client.call(Command::Flush, CommandFlags::NONE, 0, 0).await;
            assert_eq!(flushed.code(), None);
        }
        expected[offset..offset + len].copy_from_slice(&data);
        // In the middle of another write, which may be there or not.
        let rest = 8 * MIB - 1000;
        client.request(Command::Write, CommandFlags::NONE, rest as u64, 1000).await;
        client.send(&[0; 500]).await;
        drop(server);
        assert!(client.is_closed().await);
    }
    assert!(std::fs::read(&image).unwrap() == expected);
}

#[tokio::test]
async fn sigterm_completes_what_is_in_flight_and_removes_the_socket() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, image) = (directory.path().join("socket"), directory.path().join("image"));
    std::fs::File::create(&image).unwrap().set_len(8 * MIB as u64).unwrap();
    let mut server = serve_image(&socket, &image);
    let mut client = Client::over(UnixStream::connect(&socket).await.unwrap()).await;
    client.request(Command::Read, CommandFlags::NONE, 0, 8 * MIB).await;
    // The first bytes show that it is being answered.
    let magic = client.magic().await;
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(client.reply_of(magic, 0).await.data(0, 8 * MIB).iter().all(|&byte| byte == 0));
    loop {
        let reply = client.call(Command::Read, CommandFlags::NONE, 0, 512).await;
        // The signal arrives when it arrives.
        if let Some(error) = reply.code() {
            assert_eq!(error, alts_nbd::wire::Errno::Shutdown);
            break;
        }
    }
    client.disconnect().await;
    let status = tokio::task::spawn_blocking(move || server.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(!socket.exists());
}
