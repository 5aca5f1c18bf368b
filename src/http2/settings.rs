//! What this side announces, and what the peer did.

use super::error::Error;
use super::frame::{self, DEFAULT_WINDOW, LARGEST_WINDOW, Setting, WindowUpdate};
use super::hpack;
use super::limits;

/// This side's part in a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What holds for all connections of a client or a server, checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) max_concurrent_streams: u32,
    /// Bytes.
    pub(crate) stream_window: u32,
    /// Bytes.
    pub(crate) connection_window: u32,
    /// Bytes of names and values, and 32 a field.
    pub(crate) max_header_list_size: u32,
    /// Bytes.
    pub(crate) header_table_size: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_concurrent_streams: limits::MAX_CONCURRENT_STREAMS,
            stream_window: limits::STREAM_WINDOW,
            connection_window: limits::CONNECTION_WINDOW,
            max_header_list_size: limits::MAX_HEADER_LIST_SIZE,
            header_table_size: limits::HEADER_TABLE_SIZE,
        }
    }
}

impl Config {
    /// Fails with the first setting that cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let window = 1..=LARGEST_WINDOW;
        let checks = [
            (self.max_concurrent_streams > 0, "max_concurrent_streams must not be 0"),
            (window.contains(&self.stream_window), "stream_window must be from 1 to 2^31 - 1"),
            (
                (DEFAULT_WINDOW..=LARGEST_WINDOW).contains(&self.connection_window),
                "connection_window must be from 65,535 to 2^31 - 1",
            ),
            (
                (256..=1 << 20).contains(&self.max_header_list_size),
                "max_header_list_size must be from 256 bytes to 1 MiB",
            ),
            (
                self.header_table_size <= hpack::MAX_TABLE_SIZE,
                "header_table_size must be at most 65,536",
            ),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(Error::misuse(what)),
            None => Ok(()),
        }
    }

    /// SETTINGS, and what raises the connection's window above its default.
    pub(crate) fn write(&self, role: Role, out: &mut Vec<u8>) {
        let of_role = match role {
            Role::Server => Setting::MaxConcurrentStreams(self.max_concurrent_streams),
            Role::Client => Setting::EnablePush(false),
        };
        let settings = [
            of_role,
            Setting::InitialWindowSize(self.stream_window),
            Setting::MaxHeaderListSize(self.max_header_list_size),
            Setting::HeaderTableSize(self.header_table_size),
        ];
        let default = self.header_table_size == hpack::DEFAULT_TABLE_SIZE;
        frame::Settings::write(&settings[..settings.len() - usize::from(default)], out);
        let increment = self.connection_window - DEFAULT_WINDOW;
        if increment > 0 {
            WindowUpdate { stream: 0, increment }.write(out);
        }
    }

    /// Bytes of memory for the heads of all requests that are open. Each may be as large as the limit of a list, and fields take more than that
    /// counts; but not all at a time.
    pub(crate) fn max_head_memory(&self) -> usize {
        self.max_concurrent_streams as usize * self.max_header_list_size as usize
    }

    /// Bytes of a header block that are taken before it is decoded.
    pub(crate) fn max_header_block(&self) -> usize {
        limits::HEADER_BLOCK_RATIO * self.max_header_list_size as usize
    }
}
