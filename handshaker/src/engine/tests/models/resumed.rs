//! The models of resumption: the same, with the rows that full handshakes do not have.

use super::{LEFT_OUT, Model, labels_of};
use crate::engine::protocol::{self, FrameKind};

const MODELS: [(&str, &str); 5] = [
    ("altsh1-resume.pv", include_str!("../../../../models/altsh1-resume.pv")),
    ("altsh1-resume-fs.pv", include_str!("../../../../models/altsh1-resume-fs.pv")),
    ("altsh1-resume-step.pv", include_str!("../../../../models/altsh1-resume-step.pv")),
    ("altsh1-resume-fallback.pv", include_str!("../../../../models/altsh1-resume-fallback.pv")),
    ("altsh1-resume-chain.pv", include_str!("../../../../models/altsh1-resume-chain.pv")),
];

fn models() -> impl Iterator<Item = Model> {
    MODELS.into_iter().map(|(name, text)| Model::load(name, text))
}

#[test]
fn messages() {
    let mut modeled = FrameKind::ALL.map(|_| false);
    for model in models() {
        let rows = model.rows_of("frame");
        assert_eq!(rows.len(), FrameKind::ALL.len(), "{}", model.name);
        for ((row, kind), modeled) in rows.iter().zip(FrameKind::ALL).zip(&mut modeled) {
            assert_eq!(row[0], format!("{kind:?}"), "{}", model.name);
            if row[1] != LEFT_OUT {
                model.assert_has(row[1]);
                *modeled = true;
            }
        }
    }
    for (kind, modeled) in FrameKind::ALL.into_iter().zip(modeled) {
        // Alerts are those of a full handshake, which altsh1-alerts.pv has.
        let is_alert = matches!(kind, FrameKind::SealedAlert | FrameKind::Alert);
        assert_eq!(modeled, !is_alert, "{kind:?}");
    }
}

#[test]
fn transcript() {
    let mut most = 0;
    for model in models() {
        let rows = model.rows_of("hash");
        assert_eq!(rows.len(), protocol::TRANSCRIPT.len(), "{}", model.name);
        let mut before: Option<&str> = None;
        let mut count = 0;
        for (row, (item, stage)) in rows.iter().zip(protocol::TRANSCRIPT) {
            let [name, found, term] = row[..] else { panic!("{}: {row:?}", model.name) };
            assert_eq!((name, found), (&*stage.to_uppercase(), *item), "{}", model.name);
            if term == LEFT_OUT {
                // One model has all that there is in a resumed handshake; the keys of each come from TH1.
                assert!(!matches!(name, "TH0" | "TH1"), "{}", model.name);
                continue;
            }
            model.assert_has(term);
            let over = before.is_none_or(|before| term.contains(before));
            assert!(over, "{}: {term} is not over {before:?}", model.name);
            before = Some(model.hash(name));
            count += 1;
        }
        most = most.max(count);
    }
    // Both offers and both MACs: parameters are left out, and chains and signatures are not there.
    assert_eq!(most, 4);
}

#[test]
fn keys() {
    let expected = labels_of(&[
        protocol::LABEL_BINDER,
        protocol::LABEL_TICKET_KEY,
        protocol::LABEL_TICKET_IV,
        protocol::LABEL_RESUMPTION,
        protocol::LABEL_NEXT_RESUMPTION,
    ]);
    let expected = [super::labels(), expected].concat();
    let mut modeled = vec![false; expected.len()];
    for model in models() {
        let rows = model.rows_of("label");
        assert_eq!(rows.len(), expected.len(), "{}", model.name);
        for ((row, (label, context)), modeled) in rows.iter().zip(&expected).zip(&mut modeled) {
            let (name, found, term, over) = match row[..] {
                [name, found, term] => (name, found, term, found),
                [name, found, term, over] if over != found => (name, found, term, over),
                _ => panic!("{}: {row:?}", model.name),
            };
            assert_eq!((name, found), (&**label, &**context), "{}", model.name);
            if term == LEFT_OUT {
                continue;
            }
            model.assert_has(term);
            if over.starts_with("TH") {
                let hash = model.hash(over);
                assert!(term.contains(hash), "{}: {term} is not over {hash}", model.name);
            }
            *modeled = true;
        }
    }
    for ((label, _), modeled) in expected.iter().zip(modeled) {
        // Messages are not sealed there, and neither are alerts and the Ticket frame.
        let is_left_out = ["derived", "log id", "key", "iv"].contains(&&**label)
            || label.starts_with("alert ")
            || label.starts_with("ticket ");
        assert_eq!(modeled, !is_left_out, "{label}");
    }
}

#[test]
fn each_is_run() {
    let script = include_str!("../../../../models/run");
    for (name, _) in MODELS {
        assert!(script.contains(&format!("\ncheck {name} \"true ")), "{name}");
    }
}
