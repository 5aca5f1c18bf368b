//! What one connection is asked to be.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::connect::Settings;
use alts::handshaker::identity::{Identity, IdentityError, IdentitySource, Policy, TrustBundles};
use alts::handshaker::{
    HandshakeLimits, HandshakeOptions, LimitOptions, LocalHandshaker, RecordProtocol, Role,
    RpcVersion, RpcVersions, Suite,
};
use alts::{Acceptor, AltsStream, Connector};
use serde_json::Value;
use tokio::net::TcpStream;

type Fault = Box<dyn Error>;

pub(crate) struct Ask {
    pub(crate) role: Role,
    pub(crate) port: u16,
    /// `echo`, `write` or `keys`.
    pub(crate) work: String,
    /// For `write`: how many times, and how many bytes each.
    pub(crate) writes: (u64, usize),
    /// Whether the one place for handshakes is taken.
    pub(crate) occupied: bool,
    pub(crate) options: HandshakeOptions,
    pub(crate) handshaker: LocalHandshaker,
    largest_record: Option<u32>,
    deadline: Option<Duration>,
}

impl Ask {
    pub(crate) fn read(request: &Value) -> Result<Self, Fault> {
        let role = match text(&request["role"])? {
            "client" => Role::Client,
            "server" => Role::Server,
            other => return Err(format!("no role {other}").into()),
        };
        let number = |name: &str| request[name].as_u64();
        let size = |name: &str| number(name).map(u32::try_from).transpose();
        let writes = (number("writes").unwrap_or(0), number("write_size").unwrap_or(0));
        Ok(Self {
            role,
            port: u16::try_from(number("port").ok_or("no port")?)?,
            work: text(&request["work"])?.to_owned(),
            writes: (writes.0, usize::try_from(writes.1)?),
            occupied: request["occupied"].as_bool().unwrap_or(false),
            options: options(request)?,
            handshaker: handshaker(request)?,
            largest_record: size("largest_record")?,
            deadline: number("deadline_ms").map(Duration::from_millis),
        })
    }

    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.handshake = self.options.clone();
        if let Some(size) = self.largest_record {
            settings.stream.max_frame_size = size;
            settings.stream.write_batch = size as usize;
        }
        if let Some(deadline) = self.deadline {
            settings.handshake_timeout = deadline;
        }
        if self.occupied {
            let mut limits = LimitOptions::default();
            limits.half_open = 1;
            limits.queue = 0;
            settings.limits = HandshakeLimits::new(limits);
        }
        settings
    }

    pub(crate) async fn secure(
        &self,
        io: TcpStream,
        settings: Settings,
    ) -> Result<AltsStream<TcpStream>, alts::Error> {
        let handshaker = self.handshaker.clone();
        match self.role {
            Role::Client => Connector::with_settings(handshaker, settings).connect(io).await,
            Role::Server => Acceptor::with_settings(handshaker, settings).accept(io).await,
        }
    }
}

fn options(request: &Value) -> Result<HandshakeOptions, Fault> {
    let mut options = HandshakeOptions::default();
    if let Some(names) = list(&request["app_protocols"])? {
        options.application_protocols = names;
    }
    if let Some(names) = list(&request["record_protocols"])? {
        let protocol = |name: &String| {
            RecordProtocol::from_name(name).ok_or_else(|| format!("no record protocol {name}"))
        };
        options.record_protocols = names.iter().map(protocol).collect::<Result<_, _>>()?;
    }
    if let Some(names) = list(&request["targets"])? {
        options.target_identities = names;
    }
    if let Some(versions) = request["rpc_versions"].as_array() {
        let numbers: Vec<u32> = versions
            .iter()
            .filter_map(|number| number.as_u64().and_then(|number| u32::try_from(number).ok()))
            .collect();
        let [major, minor, min_major, min_minor] = numbers[..] else {
            return Err("rpc_versions takes four numbers".into());
        };
        options.rpc_versions = RpcVersions {
            max: RpcVersion { major, minor },
            min: RpcVersion { major: min_major, minor: min_minor },
        };
    }
    if let Some(size) = request["max_frame_size"].as_u64() {
        options.max_frame_size = u32::try_from(size)?;
    }
    options.close_notify = request["close_notify"].as_bool().unwrap_or(true);
    Ok(options)
}

fn handshaker(request: &Value) -> Result<LocalHandshaker, Fault> {
    let mut trust = TrustBundles::new();
    for (domain, path) in request["trust"].as_object().ok_or("no trust bundles")? {
        let pem = fs::read(text(path)?)?;
        // Certificates and revocation lists, whichever are in it.
        trust.insert_pem(&domain.parse()?, &pem)?;
    }
    let mut builder = if request["identity"].is_null() {
        LocalHandshaker::builder(NoneYet)
    } else {
        let directory = Path::new(text(&request["identity"])?);
        let chain = fs::read(directory.join("chain.pem"))?;
        let key = fs::read(directory.join("key.pem"))?;
        let identity: Arc<Identity> = Identity::from_pem(&chain, &key, trust, SystemTime::now())?;
        LocalHandshaker::builder(identity)
    };
    let mut policy = match list(&request["allow"])? {
        Some(rules) => Policy::from_rules(rules)?,
        None => Policy::own_trust_domain(),
    };
    for rule in list(&request["deny"])?.unwrap_or_default() {
        policy = policy.deny(rule.parse::<alts::handshaker::identity::Rule>()?);
    }
    builder = builder.server_policy(policy.clone()).client_policy(policy);
    if let Some(names) = list(&request["suites"])? {
        let suite = |name: &String| match name.as_str() {
            "x25519" => Ok(Suite::X25519),
            "p256" => Ok(Suite::P256),
            other => Err(format!("no suite {other}")),
        };
        builder = builder.suites(names.iter().map(suite).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(builder.build())
}

/// Waits for its first certificate.
#[derive(Debug)]
struct NoneYet;

impl IdentitySource for NoneYet {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::Unavailable("none yet".to_owned()))
    }
}

fn text(value: &Value) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| "a text is missing".into())
}

fn list(value: &Value) -> Result<Option<Vec<String>>, Fault> {
    let Some(values) = value.as_array() else { return Ok(None) };
    values.iter().map(|value| text(value).map(str::to_owned)).collect::<Result<_, _>>().map(Some)
}
