//! What the operator of a server deals with: pages with its health and its metrics, signals, and systemd.
//!
//! The programs of this workspace have these from here, so that they look the same from outside. None of it is about ALTS; any
//! server on tokio can use it:
//!
//! ```no_run
//! # async fn serve() {}
//! use std::{fmt, sync::Arc};
//! use alts_handshaker::admin::{self, Report};
//! use tokio::net::TcpListener;
//!
//! struct Shop;
//!
//! impl Report for Shop {
//!     fn metrics(&self) -> Result<String, fmt::Error> {
//!         Ok("# TYPE shop_orders counter\nshop_orders_total 7\n# EOF\n".to_owned())
//!     }
//!
//!     fn is_ready(&self) -> bool {
//!         true
//!     }
//! }
//!
//! # async fn run() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:9464").await?;
//! tokio::spawn(admin::serve(listener, Arc::new(Shop)));
//! # #[cfg(unix)]
//! # {
//! let mut stop = admin::Stop::new()?;
//! admin::notify::ready();
//! tokio::select! {
//!     () = serve() => {}
//!     () = stop.signaled() => admin::notify::stopping(),
//! }
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # Who may see the pages
//!
//! Whoever reaches the address can read them: there is no password and no encryption. They answer `GET` on three paths and change
//! nothing, but metrics tell how much a server does, for how many peers, why handshakes fail, and when its certificates expire.
//! Listen on the loopback or on a Unix socket, or where a firewall or a network policy lets Prometheus and the kubelet through
//! and nobody else.

#[cfg(unix)]
pub mod notify;
mod pages;
#[cfg(unix)]
mod signals;
mod visitors;

pub use pages::{Report, serve};
#[cfg(unix)]
pub use signals::{Stop, reload_on_hangup};
