//! The bound of what comparison holds in memory, over all threads.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes that may be held, and those that are. All clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    held: AtomicUsize,
    most: AtomicUsize,
}

impl Memory {
    /// Room for `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        let inner = Inner { held: AtomicUsize::new(0), most: AtomicUsize::new(most) };
        Self { inner: Arc::new(inner) }
    }

    /// Changes the bound. What is held beyond it stays until it is let go.
    pub(super) fn set_most(&self, most: usize) {
        self.inner.most.store(most, Relaxed);
    }

    pub(super) fn most(&self) -> usize {
        self.inner.most.load(Relaxed)
    }

    pub(super) fn held(&self) -> usize {
        self.inner.held.load(Relaxed)
    }

    /// A weight of nothing.
    pub(super) fn weight(&self) -> Weight {
        Weight { bytes: 0, memory: self.clone() }
    }
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
pub(super) struct Weight {
    bytes: usize,
    memory: Memory,
}

impl Weight {
    /// Takes more, if there is room for all of it.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Memory { inner } = &self.memory;
        if inner.held.fetch_add(bytes, Relaxed).saturating_add(bytes) > self.memory.most() {
            inner.held.fetch_sub(bytes, Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Takes so many of the bytes out, or as many as there are.
    pub(super) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { bytes, memory: self.memory.clone() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.memory.inner.held.fetch_sub(self.bytes, Relaxed);
    }
}
