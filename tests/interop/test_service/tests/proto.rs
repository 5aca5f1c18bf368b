//! The checked-in code is what Debian's package grpc-proto gives: the two services of the tests and their messages.

use std::fs;
use std::path::Path;

/// Where the package has its files.
const PROTO: &str = "/usr/share/grpc-proto";
/// What the tests need of `test.proto`; it has services for load balancers, too.
const SERVICES: [&str; 2] = ["TestService", "UnimplementedService"];

fn generate() -> String {
    let mut files = protox::compile(["grpc/testing/test.proto"], [PROTO]).expect("a correct file");
    for file in &mut files.file {
        file.service.retain(|service| SERVICES.contains(&service.name()));
        file.message_type.retain(|message| {
            let name = message.name();
            !["Reconnect", "LoadBalancer", "ClientConfigure"]
                .iter()
                .any(|other| name.starts_with(other))
        });
        // Whose comments would be about other messages now.
        file.source_code_info = None;
    }
    let out = tempfile::tempdir().expect("a temporary directory");
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .codec_path("alts::tonic::SmallBufferCodec")
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(files)
        .expect("generated code");
    fs::read_to_string(out.path().join("grpc.testing.rs")).expect("the file is there")
}

#[test]
fn the_generated_code_fits_the_proto_files() {
    if !Path::new(PROTO).exists() {
        println!("SKIPPED: Debian's package grpc-proto is not installed");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proto/generated.rs");
    let generated = generate();
    if std::env::var_os("UPDATE_PROTO").is_some() {
        fs::write(&path, &generated).expect("the file can be written");
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "{} is out of date: run this test with UPDATE_PROTO=1",
        path.display()
    );
}
