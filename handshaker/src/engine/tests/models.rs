//! The models in `models/` are of this protocol: each says in rows what stands for which message, hash and label, and those are
//! compared with the tables in `protocol.rs`, with `PROTOCOL.md`, and with the terms that the model really has.

mod resumed;

use super::document::rows;
use crate::engine::protocol::{self, FrameKind};
use crate::role::Role;
use crate::session::RecordProtocol;

const MODELS: [(&str, &str); 6] = [
    ("altsh1-auth.pv", include_str!("../../../models/altsh1-auth.pv")),
    ("altsh1-fs.pv", include_str!("../../../models/altsh1-fs.pv")),
    ("altsh1-idhide.pv", include_str!("../../../models/altsh1-idhide.pv")),
    ("altsh1-alerts.pv", include_str!("../../../models/altsh1-alerts.pv")),
    ("altsh1.vp", include_str!("../../../models/altsh1.vp")),
    ("altsh1-early.vp", include_str!("../../../models/altsh1-early.vp")),
];

/// What a model does not have.
const LEFT_OUT: &str = "-";

struct Model {
    name: &'static str,
    /// Without comments, spaces in a row as one.
    terms: String,
    rows: Vec<Vec<&'static str>>,
}

impl Model {
    fn all() -> Vec<Self> {
        MODELS.map(|(name, text)| Self::load(name, text)).into()
    }

    fn load(name: &'static str, text: &'static str) -> Self {
        let rows = text.lines().filter_map(|line| {
            let row = line.trim_start_matches(['/', ' ']).strip_prefix("@ ")?;
            Some(row.split(" | ").map(str::trim).collect())
        });
        let mut terms = String::new();
        if name.rsplit('.').next() == Some("pv") {
            for part in text.split("(*") {
                terms.push_str(part.split_once("*)").map_or(part, |(_, after)| after));
            }
        } else {
            text.lines().filter(|line| !line.starts_with("//")).for_each(|line| {
                terms.push_str(line);
                terms.push('\n');
            });
        }
        let terms = terms.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { name, terms, rows: rows.collect() }
    }

    /// The other cells of the rows whose first cell begins with `kind`, which is taken off.
    fn rows_of(&self, kind: &str) -> Vec<Vec<&'static str>> {
        let of_kind = self.rows.iter().filter_map(|row| {
            let first = row[0].strip_prefix(kind)?.strip_prefix(' ')?;
            Some([&[first], &row[1..]].concat())
        });
        of_kind.collect()
    }

    /// Whether the model has the term; a question mark in it stands for either side, and both must have it.
    #[track_caller]
    fn assert_has(&self, term: &str) {
        for side in ["s", "c"] {
            let term = term.replace('?', side);
            assert!(self.terms.contains(&term), "{} has no {term}", self.name);
        }
    }

    /// What stands for a hash of the transcript: the name that its term defines, or the term.
    fn hash(&self, name: &str) -> &'static str {
        let row = self.rows_of("hash").into_iter().find(|row| row[0] == name);
        let term = row.unwrap_or_else(|| panic!("{} has no {name}", self.name))[2];
        term.split_once(" = ").map_or(term, |(variable, _)| variable)
    }
}

#[test]
fn messages() {
    // These models are of full handshakes.
    let kinds = FrameKind::ALL.into_iter().filter(|kind| *kind != FrameKind::Ticket);
    let kinds: Vec<_> = kinds.map(|kind| format!("{kind:?}")).collect();
    let mut modeled = vec![false; kinds.len()];
    for model in Model::all() {
        let rows = model.rows_of("frame");
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), kinds, "{}", model.name);
        for (row, modeled) in rows.iter().zip(&mut modeled) {
            if row[1] != LEFT_OUT {
                model.assert_has(row[1]);
                *modeled = true;
            }
        }
    }
    assert!(!modeled.contains(&false), "each message is in some model: {modeled:?}");
}

#[test]
fn transcript() {
    for model in Model::all() {
        let rows = model.rows_of("hash");
        assert_eq!(rows.len(), protocol::TRANSCRIPT.len(), "{}", model.name);
        let mut before: Option<&str> = None;
        for (row, (item, stage)) in rows.iter().zip(protocol::TRANSCRIPT) {
            let [name, found, term] = row[..] else { panic!("{}: {row:?}", model.name) };
            assert_eq!((name, found), (&*stage.to_uppercase(), *item), "{}", model.name);
            if term == LEFT_OUT {
                assert!(name > "TH4", "every model has what the server proves");
                continue;
            }
            model.assert_has(term);
            // Each hash is over the one before it.
            if let Some(before) = before {
                // A model may have one side of what both hash before.
                let over = term.contains(before) || term.contains(&before.replace('?', "s"));
                assert!(over, "{}: {term} is not over {before}", model.name);
            }
            before = Some(model.hash(name));
        }
    }
}

/// Labels and their contexts, as code and specification have them.
fn labels() -> Vec<(String, String)> {
    labels_of(&[
        protocol::LABEL_DERIVED,
        protocol::label_handshake(Role::Server),
        protocol::label_handshake(Role::Client),
        protocol::LABEL_KEY,
        protocol::LABEL_IV,
        protocol::LABEL_ALERT_KEY,
        protocol::LABEL_ALERT_IV,
        protocol::LABEL_FINISHED,
        protocol::label_record(RecordProtocol::Aes128GcmRekey),
        protocol::label_record(RecordProtocol::Aes128Gcm),
        protocol::LABEL_LOG_ID,
    ])
}

/// These labels, each with its context in the specification.
fn labels_of(labels: &[&str]) -> Vec<(String, String)> {
    let contexts: Vec<_> = rows("## 8. ").filter(|row| row.len() == 5).collect();
    let context = |label: &str| {
        let row = contexts.iter().find(|row| row[2] == label);
        row.unwrap_or_else(|| panic!("PROTOCOL.md has no label {label}"))[3].clone()
    };
    labels.iter().map(|label| ((*label).to_owned(), context(label))).collect()
}

/// What each side signs.
fn signatures() -> Vec<(String, String)> {
    let signed = rows("## 10. ").filter(|row| row.len() == 3 && row[1].starts_with("altsh1 "));
    signed.map(|row| (row[0].clone(), row[2].clone())).collect()
}

#[test]
fn keys_and_signatures() {
    assert_eq!(signatures().len(), 2);
    for (kind, expected) in [("label", labels()), ("signature", signatures())] {
        let mut modeled = vec![false; expected.len()];
        for model in Model::all() {
            let rows = model.rows_of(kind);
            assert_eq!(rows.len(), expected.len(), "{}", model.name);
            for ((row, (label, context)), modeled) in rows.iter().zip(&expected).zip(&mut modeled) {
                let [name, found, term] = row[..] else { panic!("{}: {row:?}", model.name) };
                assert_eq!((name, found), (&**label, &**context), "{}", model.name);
                if term == LEFT_OUT {
                    continue;
                }
                model.assert_has(term);
                if context.starts_with("TH") {
                    let hash = model.hash(context);
                    assert!(term.contains(hash), "{}: {term} is not over {hash}", model.name);
                }
                *modeled = true;
            }
        }
        for ((label, _), modeled) in expected.iter().zip(modeled) {
            // Nonces go with their keys, the early secret is known to everybody, and the log's name is no secret.
            let is_plain = ["derived", "iv", "alert iv", "log id"].contains(&&**label);
            assert_eq!(modeled, !is_plain, "{label}");
        }
    }
}
