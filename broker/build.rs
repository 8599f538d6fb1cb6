//! Compiles the protobuf schemas without a system `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let schemas = ["proto/controller.proto", "proto/quorum.proto", "proto/raft.proto"];
    let descriptors = protox::compile(schemas, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
