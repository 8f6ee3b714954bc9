//! Compiles the contents of messages like the client does, whose parser the target `content` shares.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PROTO: &str = "../crates/sdk-core/proto";
    println!("cargo:rerun-if-changed={PROTO}");
    let files = protox::compile([format!("{PROTO}/content.proto")], [PROTO])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
