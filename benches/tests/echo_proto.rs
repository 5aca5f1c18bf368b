//! The checked-in code for the gRPC examples is what `examples/grpc/echo.proto` gives.
//!
//! It is checked here, where the generator slows nothing else down: what tests and examples of the library need is built for all
//! of them.

use std::fs;
use std::path::Path;

fn generate(directory: &Path) -> String {
    let files = protox::compile(["echo.proto"], [directory]).expect("a correct file");
    let out = tempfile::tempdir().expect("a temporary directory");
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .codec_path("alts::tonic::SmallBufferCodec")
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(files)
        .expect("generated code");
    fs::read_to_string(out.path().join("alts.example.rs")).expect("the file is there")
}

#[test]
fn the_generated_code_fits_the_proto_file() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/grpc");
    let path = directory.join("generated.rs");
    let generated = generate(&directory);
    if std::env::var_os("UPDATE_PROTO").is_some() {
        fs::write(&path, &generated).expect("the file can be written");
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "examples/grpc/generated.rs is out of date: run this test with UPDATE_PROTO=1"
    );
}
