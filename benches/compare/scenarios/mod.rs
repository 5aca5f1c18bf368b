//! What is measured. Each scenario makes a list of steps, in which the peers take turns.

mod accept;
mod bulk;
mod burst;
mod fairness;
mod handshake;
mod idle;
mod many;
mod ping_pong;

use clap::ValueEnum;

use crate::lab::{Lab, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// What a server holds for a connection that is quiet.
    Idle,
    /// Resident memory after all connections were busy at once.
    Burst,
    /// One connection, server to client.
    Bulk,
    /// One connection, client to server.
    Upload,
    /// A small message to and fro.
    PingPong,
    /// Messages of 16 KiB on 2,000 connections.
    Many,
    /// A ping beside streams that never rest.
    Fairness,
    /// Connections made and given up.
    Accept,
    /// The computation of a handshake, without sockets.
    Handshake,
}

impl Scenario {
    pub(crate) const ALL: &[Self] = &[
        Self::Idle,
        Self::Burst,
        Self::Bulk,
        Self::Upload,
        Self::PingPong,
        Self::Many,
        Self::Fairness,
        Self::Accept,
        Self::Handshake,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Burst => "burst",
            Self::Bulk => "bulk",
            Self::Upload => "upload",
            Self::PingPong => "ping-pong",
            Self::Many => "many",
            Self::Fairness => "fairness",
            Self::Accept => "accept",
            Self::Handshake => "handshake",
        }
    }

    pub(crate) fn steps(self, lab: &Lab) -> Vec<Step> {
        match self {
            Self::Idle => idle::steps(lab),
            Self::Burst => burst::steps(lab),
            Self::Bulk => bulk::steps(lab, bulk::Direction::Download),
            Self::Upload => bulk::steps(lab, bulk::Direction::Upload),
            Self::PingPong => ping_pong::steps(lab),
            Self::Many => many::steps(lab),
            Self::Fairness => fairness::steps(lab),
            Self::Accept => accept::steps(lab),
            Self::Handshake => handshake::steps(lab),
        }
    }
}
