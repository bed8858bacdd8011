//! tonic's service, without a compiler for proto files.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let call = Method::builder()
        .name("call")
        .route_name("Call")
        .input_type("crate::tonic_peer::Message")
        .output_type("crate::tonic_peer::Message")
        .codec_path("tonic_prost::ProstCodec")
        .build();
    let stream = Method::builder()
        .name("stream")
        .route_name("Stream")
        .input_type("crate::tonic_peer::Message")
        .output_type("crate::tonic_peer::Message")
        .codec_path("tonic_prost::ProstCodec")
        .server_streaming()
        .build();
    let service = Service::builder().name("Echo").package("bench").method(call).method(stream).build();
    Builder::new().compile(&[service]);
}
