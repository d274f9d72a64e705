//! Makes the seeds in `corpus/` from the recorded streams of spop-proto's tests: `cargo run
//! --example seeds`.
//!
//! - `frame`: each recorded frame of up to 1 KiB, of both directions.
//! - `connection`: the recorded streams from HAProxy of up to 2 KiB, and the first 6 KiB of those
//!   with fragments, with and without their HELLO, under changing settings and cuttings.
//! - `header_block`: each recorded `arg_hdrs`.
//! - `json_body`: documents with each kind of token, and with the names that its rules are about.
//! - `configuration`: the examples of docs/CONFIGURATION.md.
//! - `haproxy_config`: the examples of README.md and docs/COMPARISON.md, and lines with each rule of HAProxy's.
//!
//! Of inputs that differ only in names and values that the decoder does not look into, one is kept:
//! for it the kinds, flags and rough lengths of frames make the difference.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use spop_proto::{Frame, FrameType, Messages, Value, decode_frame};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let streams = streams(&root.join("../crates/spop-proto/tests/data/captures"))?;
    let mut seeds = Seeds::new(root.join("corpus"));
    for (number, stream) in streams.iter().enumerate() {
        let frames = frames(stream);
        for (frame, bytes) in frames.iter().filter(|(_, bytes)| bytes.len() <= 1024) {
            seeds.add("frame", &shape(&[*frame]), bytes)?;
        }
        for block in frames.iter().filter_map(|(frame, _)| header_block(frame)) {
            seeds.add("header_block", &format!("{}", block.len()), block)?;
        }
        let fragments = frames.iter().any(|(frame, _)| frame.kind == FrameType::Unset);
        let from_haproxy = frames.first().is_some_and(|(f, _)| f.kind == FrameType::HaproxyHello);
        if from_haproxy && (fragments || stream.len() <= 2048) {
            let shape = shape(&frames.iter().map(|(frame, _)| *frame).collect::<Vec<_>>());
            let (choice, lengths) = choices(number);
            let stream = &stream[..stream.len().min(6 * 1024)];
            seeds.add("connection", &shape, &[&[choice], lengths, stream].concat())?;
            let behind_hello = &stream[frames[0].1.len()..];
            if !behind_hello.is_empty() {
                let seed = [&[0x80 | choice], lengths, behind_hello].concat();
                seeds.add("connection", &format!("behind {shape}"), &seed)?;
            }
        }
    }
    for document in DOCUMENTS {
        seeds.add("json_body", document, document.as_bytes())?;
    }
    let documentation = fs::read_to_string(root.join("../docs/CONFIGURATION.md"))?;
    for block in documentation.split("```toml\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        seeds.add("configuration", block, block.as_bytes())?;
    }
    for (fence, choice) in [("```haproxy\n", 2), ("```spoe\n", 3)] {
        for document in ["../README.md", "../docs/COMPARISON.md"] {
            let text = fs::read_to_string(root.join(document))?;
            for block in text.split(fence).skip(1) {
                let block = block.split("```").next().unwrap_or_default();
                seeds.add("haproxy_config", block, &[&[choice], block.as_bytes()].concat())?;
            }
        }
    }
    for text in CONFIGURATIONS {
        seeds.add("haproxy_config", text, text.as_bytes())?;
    }
    println!("{} seeds, {} bytes", seeds.count, seeds.bytes);
    Ok(())
}

/// See [`spoa_mirror_fuzz::json_body`] for the rules that they are altered by.
const DOCUMENTS: &[&str] = &[
    "{}",
    "[1, -2.50, 3e+7, true, false, null]",
    "{\"set\":1,\"a\":{\"gone\":{\"b\":[]}}}",
    "{ \"gone\" : 1 , \"gone\":2,\n\"b\":3 ,\"gone\": 4 }",
    "[{\"Password\":\"a\"},{\"pass_word\":[1]},{\"p\\u0061ssword\":{\"password\":1}}]",
    "{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\ud83d\\ude00 \u{e4}\"}",
    "{\"a\":[{\"set\":{}},[[]],\"\"],\"gone\":[{\"gone\":1}]}",
    "{\"a\":1",
];

/// See [`spoa_mirror_fuzz::haproxy_config`] for what the first byte, and a variable with an even name, mean.
const CONFIGURATIONS: &[&str] = &[
    "\x02global\n log \"${EVEN}:${ODD}:${ODD-b}${EVEN[*]}\" a\\ b\\x41\\#'c d' # e\n log \"$.LINE${.FILE}\"\r\n",
    "\x02.if defined(EVEN) && !feature(A) || (version_atleast(3.2.1))\nglobal\n.elif 0x1\n.else\n.endif\n.notice \"a\"\n",
    "\x00.if streq(a,b)\n.if -1\n.endif\nfrontend a\n.endif\n.if version_before(3)\nfrontend b\n.foo\n",
    "\x02defaults a\ndefaults b from a\n mode http\ndefaults from b\nfrontend f from b\nlisten l\nbackend c from d\n",
    "\x02global\n \"\n '\n \"${\"\n \"$1\"\n \"${A[1]}\"\n \\x4\n a\0b\n",
    "\x01[a]\nspoe-agent a\n messages m\nspoe-message m\n args a=concat(b, c),d e \"f=g(h i)\"\n[]\n[b] #\nspoe-group g\n",
];

/// All recorded streams, shortest first.
fn streams(root: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut streams = BTreeSet::new();
    for capture in folders(root)? {
        for connection in folders(&capture)? {
            for name in ["haproxy-to-agent.bin", "agent-to-haproxy.bin"] {
                let stream = fs::read(connection.join(name))?;
                streams.insert((stream.len(), stream));
            }
        }
    }
    Ok(streams.into_iter().map(|(_, stream)| stream).collect())
}

fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

fn frames(stream: &[u8]) -> Vec<(Frame<'_>, &[u8])> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while let Ok(Some(frame)) = decode_frame(rest, u32::MAX) {
        let (bytes, behind) = rest.split_at(frame.wire_len());
        frames.push((frame, bytes));
        rest = behind;
    }
    frames
}

fn header_block<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    let message = Messages::new(frame.payload, 0).next()?.ok()?;
    match message.get(b"arg_hdrs")? {
        Value::Binary(block) => Some(block),
        _ => None,
    }
}

/// What makes a difference to the decoder.
fn shape(frames: &[Frame<'_>]) -> String {
    frames
        .iter()
        .map(|f| format!("{} {:x} {} ", f.kind, f.flags.0, f.payload.len().div_ceil(64)))
        .collect()
}

/// Settings, and lengths of pieces with their number before them.
fn choices(number: usize) -> (u8, &'static [u8]) {
    let lengths: [&[u8]; 4] = [&[0], &[1, 1], &[3, 1, 7, 60], &[2, 255, 4]];
    ([0, 0, 2, 4, 6, 8, 24, 1][number % 8], lengths[number % lengths.len()])
}

struct Seeds {
    root: PathBuf,
    known: BTreeSet<(String, String)>,
    count: usize,
    bytes: usize,
}

impl Seeds {
    fn new(root: PathBuf) -> Self {
        Self { root, known: BTreeSet::new(), count: 0, bytes: 0 }
    }

    fn add(&mut self, target: &str, shape: &str, seed: &[u8]) -> io::Result<()> {
        if !self.known.insert((target.to_owned(), shape.to_owned())) {
            return Ok(());
        }
        let folder = self.root.join(target);
        fs::create_dir_all(&folder)?;
        let name: String = Sha1::digest(seed).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.join(name), seed)?;
        self.count += 1;
        self.bytes += seed.len();
        Ok(())
    }
}
