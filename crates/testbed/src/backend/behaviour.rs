//! What a backend does with a request: answers of every framing, and every way to misbehave.

use std::sync::Arc;
use std::time::Duration;

use super::Request;

/// One thing to do on a connection. After the last step of an answer the connection waits for its next
/// request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends `total` bytes of filler.
    Stream {
        /// How many bytes.
        total: u64,
    },
    /// Waits before the next step; ends early when the recorder is dropped.
    Wait(Duration),
    /// Stays silent until the peer or the recorder ends the connection; reads and throws away what comes.
    Hold,
    /// Ends the connection in order (FIN).
    Close,
    /// Ends the connection by RST.
    Reset,
}

type Answer = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

/// What a backend does. Cheap to clone; made by the functions below.
#[derive(Clone)]
pub struct Behaviour {
    pub(super) at_accept: Vec<Step>,
    pub(super) answer: Arc<Answer>,
}

impl Behaviour {
    /// Whatever `answer` says for each request.
    pub fn steps(answer: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self { at_accept: Vec::new(), answer: Arc::new(answer) }
    }

    /// Answers each request with the bytes that `answer` gives, and keeps the connection.
    pub fn custom(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::steps(move |request| vec![Step::Send(answer(request))])
    }

    /// Answers with `response`, framed as the request's method demands, and keeps the connection unless
    /// the response ends with it.
    pub fn respond(response: Response) -> Self {
        Self::steps(move |request| response.steps(request.method()))
    }

    /// Answers with exactly these bytes and keeps the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::custom(move |_| bytes.clone())
    }

    /// Waits, then does what `then` does with the request.
    pub fn delay(time: Duration, then: Self) -> Self {
        Self::steps(move |request| {
            let mut steps = vec![Step::Wait(time)];
            steps.extend((then.answer)(request));
            steps
        })
    }

    /// Reads requests and never answers.
    pub fn mute() -> Self {
        Self::steps(|_| vec![Step::Hold])
    }

    /// Reads a request, then resets the connection.
    pub fn reset() -> Self {
        Self::steps(|_| vec![Step::Reset])
    }

    /// Resets each connection as soon as it is accepted.
    pub fn reset_at_accept() -> Self {
        Self { at_accept: vec![Step::Reset], ..Self::reset() }
    }

    /// Answers with bytes that are not HTTP, then closes.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::steps(move |_| vec![Step::Send(bytes.clone()), Step::Close])
    }

    /// Sends bytes of its own as soon as a connection is accepted, before any request; then `then`.
    pub fn speaks_first(bytes: impl Into<Vec<u8>>, then: Self) -> Self {
        Self { at_accept: vec![Step::Send(bytes.into())], ..then }
    }

    /// Reads nothing from a connection for `time` after it was accepted; then `then`.
    pub fn deaf(time: Duration, then: Self) -> Self {
        Self { at_accept: vec![Step::Wait(time)], ..then }
    }

    /// Answers 200 with a body of `total` bytes, announced by Content-Length and streamed.
    pub fn huge_body(total: u64) -> Self {
        Self::steps(move |_| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {total}\r\n\r\n");
            vec![Step::Send(head.into_bytes()), Step::Stream { total }]
        })
    }

    /// Answers as if the connection would stay, then closes it.
    pub fn close_after_response(response: Response) -> Self {
        Self::close_after(1, response)
    }

    /// Answers `count` requests on each connection, closing right behind the last answer without having
    /// said `Connection: close`.
    pub fn close_after(count: usize, response: Response) -> Self {
        Self::steps(move |request| {
            let mut steps = response.steps(request.method());
            if request.index + 1 >= count {
                steps.push(Step::Close);
            }
            steps
        })
    }

    /// Answers the first `count` requests of each connection; takes one more and closes without a word:
    /// what a client meets that reuses a connection just as the server gives it up.
    pub fn close_without_answer_after(count: usize, response: Response) -> Self {
        Self::steps(move |request| {
            if request.index < count { response.steps(request.method()) } else { vec![Step::Close] }
        })
    }

    /// Reads a request, then closes (FIN) without an answer.
    pub fn close_without_answer() -> Self {
        Self::steps(|_| vec![Step::Close])
    }

    /// Sends these bytes, the beginning of an answer, and then nothing any more.
    pub fn stall(beginning: impl Into<Vec<u8>>) -> Self {
        let bytes = beginning.into();
        Self::steps(move |_| vec![Step::Send(bytes.clone()), Step::Hold])
    }

    /// Sends these bytes, the beginning of an answer, and closes (FIN).
    pub fn cut_short(beginning: impl Into<Vec<u8>>) -> Self {
        Self::garbage(beginning)
    }
}

/// How a response's body is delimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By Content-Length.
    Length,
    /// By the chunked coding, in pieces of at most this many bytes, with these trailer lines (each with
    /// CRLF; may be empty).
    Chunked {
        /// Largest chunk, in bytes; at least 1.
        piece: usize,
        /// Trailer lines, such as `x-sum: 1\r\n`.
        trailers: String,
    },
    /// By the end of the connection.
    UntilClose,
}

/// An HTTP/1.1 response in the making.
#[derive(Clone, Debug)]
pub struct Response {
    early: String,
    status: u16,
    headers: String,
    body: Vec<u8>,
    framing: Framing,
}

impl Response {
    /// A response with this status and an empty body.
    pub fn new(status: u16) -> Self {
        let (early, headers) = (String::new(), String::new());
        Self { early, status, headers, body: Vec::new(), framing: Framing::Length }
    }

    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200).body(body)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Sends an interim response (1xx) with these header lines (each with CRLF) before this one.
    #[must_use]
    pub fn after(mut self, status: u16, header_lines: &str) -> Self {
        self.early += &format!("HTTP/1.1 {status} {}\r\n{header_lines}\r\n", reason(status));
        self
    }

    /// Sets how the body is delimited; [`Framing::Length`] at first.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// The response's bytes as an answer to `method`: no body to HEAD or with 204 and 304 (HEAD and 304
    /// keep the headers that speak of it, 204 has none).
    pub fn to_bytes(&self, method: &[u8]) -> Vec<u8> {
        let mut head = self.early.clone();
        head += &format!("HTTP/1.1 {} {}\r\n{}", self.status, reason(self.status), self.headers);
        if self.status != 204 {
            match &self.framing {
                Framing::Length => head += &format!("content-length: {}\r\n", self.body.len()),
                Framing::Chunked { .. } => head += "transfer-encoding: chunked\r\n",
                Framing::UntilClose => {}
            }
        }
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        if method == b"HEAD" || matches!(self.status, 204 | 304) {
            return bytes;
        }
        match &self.framing {
            Framing::Length | Framing::UntilClose => bytes.extend_from_slice(&self.body),
            Framing::Chunked { piece, trailers } => {
                for chunk in self.body.chunks(*piece) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            }
        }
        bytes
    }

    fn steps(&self, method: &[u8]) -> Vec<Step> {
        let mut steps = vec![Step::Send(self.to_bytes(method))];
        if self.framing == Framing::UntilClose {
            steps.push(Step::Close);
        }
        steps
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        103 => "Early Hints",
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        404 => "Not Found",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
