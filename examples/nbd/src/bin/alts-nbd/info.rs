//! `alts-nbd info`.

use alts_nbd::client::{Client, Dialer, Error, Security, Terms, Uri};
use alts_nbd::wire::flags::TransmissionFlags;
use clap::Args;
use serde_json::{Value, json};

use crate::connecting::Connecting;
use crate::outcome::Failure;
use crate::units::bytes;

/// Arguments of `alts-nbd info`.
#[derive(Debug, Args)]
pub(crate) struct Info {
    /// The export to ask about.
    #[arg(value_name = "URI")]
    uri: Uri,
    /// Ask about all exports that the server lists.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "size")]
    json: bool,
    /// Print the size in bytes, and nothing else.
    #[arg(long, conflicts_with = "list")]
    size: bool,
    #[command(flatten)]
    connecting: Connecting,
}

/// What a server can be capable of, by the names of libnbd.
const CAPABILITIES: [(&str, TransmissionFlags); 9] = [
    ("can_flush", TransmissionFlags::FLUSH),
    ("can_fua", TransmissionFlags::FUA),
    ("can_trim", TransmissionFlags::TRIM),
    ("can_zero", TransmissionFlags::WRITE_ZEROES),
    ("can_fast_zero", TransmissionFlags::FAST_ZERO),
    ("can_df", TransmissionFlags::DF),
    ("can_cache", TransmissionFlags::CACHE),
    ("can_multi_conn", TransmissionFlags::CAN_MULTI_CONN),
    ("is_rotational", TransmissionFlags::ROTATIONAL),
];

/// An export, and what can be asked about its blocks.
struct Described {
    terms: Terms,
    contexts: Vec<String>,
    /// The text that comes with a list.
    listed: Option<String>,
}

impl Info {
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let settings = self.connecting.settings()?;
        let dialer = self.connecting.dialer(&self.uri, settings.clone())?;
        let described = match self.list {
            true => list(&dialer).await,
            false => one(&dialer).await.map(|described| vec![described]),
        };
        let described = described.map_err(|error| Failure::from(error).at(&self.uri))?;
        if self.size {
            println!("{}", described[0].terms.size());
        } else if self.json {
            let exports: Vec<_> = described.iter().map(Described::json).collect();
            let structured = described.iter().any(|export| export.terms.structured);
            let protected = protection(self.uri.security);
            println!(
                "{:#}",
                json!({ "security": protected, "structured": structured, "exports": exports })
            );
        } else {
            println!("security: {}", protection(self.uri.security));
            described.iter().for_each(Described::print);
        }
        Ok(())
    }
}

fn protection(security: Security) -> &'static str {
    match security {
        Security::Plain => "none",
        Security::Tls => "TLS",
        Security::Alts => "ALTS",
    }
}

async fn one(dialer: &Dialer) -> Result<Described, Error> {
    let settings = alts_nbd::client::Settings::default();
    let name = &dialer.uri().export;
    let mut haggling = dialer.haggle().await?;
    let mut contexts = Vec::new();
    if haggling.structured_replies().await? {
        contexts = or_none(haggling.contexts(name).await)?;
    }
    // Opening tells the truth where asking does not (nbd-server).
    let (stream, terms) = haggling.open(name).await?;
    Client::start(stream, terms.clone(), settings).disconnect().await?;
    Ok(Described { terms, contexts, listed: None })
}

async fn list(dialer: &Dialer) -> Result<Vec<Described>, Error> {
    let mut haggling = dialer.haggle().await?;
    let structured = haggling.structured_replies().await?;
    let mut described = Vec::new();
    for listed in haggling.list().await? {
        let terms = haggling.info(&listed.name).await?;
        let contexts = match structured {
            true => or_none(haggling.contexts(&listed.name).await)?,
            false => Vec::new(),
        };
        let listed = Some(listed.description).filter(|text| !text.is_empty());
        described.push(Described { terms, contexts, listed });
    }
    haggling.abort().await?;
    Ok(described)
}

/// A server need not tell.
fn or_none(contexts: Result<Vec<String>, Error>) -> Result<Vec<String>, Error> {
    match contexts {
        Err(Error::Option { .. }) => Ok(Vec::new()),
        told => told,
    }
}

impl Described {
    fn description(&self) -> Option<&str> {
        self.terms.description.as_deref().or(self.listed.as_deref())
    }

    fn json(&self) -> Value {
        let terms = &self.terms;
        let mut export = json!({
            "name": terms.name,
            "size": terms.size(),
            "is_read_only": terms.is_read_only(),
            "contexts": self.contexts,
            "description": self.description(),
            "canonical_name": terms.canonical_name,
        });
        for (name, flag) in CAPABILITIES {
            export[name] = terms.offers(flag).into();
        }
        export["block_size"] = terms.told_block_size.map_or(Value::Null, |sizes| {
            json!({
                "minimum": sizes.minimum,
                "preferred": sizes.preferred,
                "maximum": sizes.maximum,
            })
        });
        export
    }

    fn print(&self) {
        let terms = &self.terms;
        println!("export {:?}:", terms.name);
        let line = |name: &str, value: &str| println!("  {:<14} {value}", format!("{name}:"));
        line("size", &format!("{} ({})", terms.size(), bytes(terms.size())));
        if let Some(text) = self.description() {
            line("description", &format!("{text:?}"));
        }
        if let Some(name) = terms.canonical_name.as_ref().filter(|name| **name != terms.name) {
            line("known as", &format!("{name:?}"));
        }
        line("read-only", if terms.is_read_only() { "yes" } else { "no" });
        if let Some(sizes) = terms.told_block_size {
            let (minimum, preferred) = (bytes(sizes.minimum.into()), bytes(sizes.preferred.into()));
            let most = match sizes.maximum {
                u32::MAX => "no limit".to_owned(),
                most => bytes(most.into()),
            };
            line("block size", &format!("{minimum}, preferred {preferred}, maximum {most}"));
        }
        let can = CAPABILITIES.iter().filter(|(_, flag)| terms.offers(*flag));
        let can: Vec<_> = can
            .map(|(name, _)| name.trim_start_matches("can_").trim_start_matches("is_"))
            .collect();
        line("capabilities", &can.join(", "));
        if !self.contexts.is_empty() {
            line("contexts", &self.contexts.join(", "));
        }
    }
}
