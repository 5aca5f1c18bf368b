//! The checked-in code for gRPC's messages is what `proto/alts_handshaker.proto` gives.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::fs;
use std::path::Path;

/// A result holds keys, which must not be printed.
const NO_DEBUG: [&str; 1] = ["grpc.gcp.HandshakerResult"];

fn generate() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = protox::compile(["alts_handshaker.proto"], [&directory]).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        // Who connects, and how, is not the generated code's business.
        .build_transport(false)
        .btree_map(".")
        .skip_debug(NO_DEBUG)
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(files)
        .unwrap();
    fs::read_to_string(out.path().join("grpc.gcp.rs")).unwrap()
}

#[test]
fn the_generated_code_fits_the_proto_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto/generated.rs");
    let generated = generate();
    if std::env::var_os("UPDATE_PROTO").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "src/proto/generated.rs is out of date: run this test with UPDATE_PROTO=1"
    );
}
