//! As much of HTTP/1.1 as clients need that send one request again and again.

/// A request with headers, a body of `body` bytes, and `headers` more headers.
#[must_use]
pub fn request(method: &str, path: &str, lines: &str, body: usize, headers: usize) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n{lines}");
    for number in 0..headers {
        text += &format!("x-header-{number}: value of header number {number}\r\n");
    }
    if body > 0 {
        text += &format!("content-length: {body}\r\n");
    }
    let mut bytes = (text + "\r\n").into_bytes();
    bytes.resize(bytes.len() + body, b'b');
    bytes
}

/// The length of the answer at the start of `bytes` whose head is there, by its Content-Length.
#[must_use]
pub fn answer_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let value = head.split("content-length:").nth(1)?.lines().next()?;
    Some(end + value.trim().parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_it_says() {
        let text =
            String::from_utf8(request("POST", "/a", "host: b\r\n", 3, 1)).expect("plain text");
        assert_eq!(
            text,
            "POST /a HTTP/1.1\r\nhost: b\r\nx-header-0: value of header number 0\r\n\
             content-length: 3\r\n\r\nbbb"
        );
    }

    #[test]
    fn an_answer_ends_where_its_content_length_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP";
        assert_eq!(answer_length(answer), Some(answer.len() - 4));
        assert_eq!(answer_length(&answer[..30]), None);
    }
}
