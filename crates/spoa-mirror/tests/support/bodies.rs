//! Requests with bodies.

/// A request with a body of a stated length.
pub(crate) fn with_length(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: x/y\r\nContent-Length: {length}\r\n\
         X-A: 1\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A request whose body comes in chunks of `piece` bytes.
pub(crate) fn chunked(path: &str, body: &[u8], piece: usize) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(piece) {
        request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

/// Bytes of every value, in no order, the same for the same length.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = length as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
