//! What is still to be written to a worker. Pure, no I/O in here.

use std::collections::VecDeque;
use std::sync::Arc;

/// Small frames are joined up to this size before they are written.
const JOIN: usize = 32 * 1024;

/// Frames in their order; large ones are not copied.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Outgoing>,
    /// How much of the first piece is written.
    written: usize,
}

#[derive(Debug)]
enum Outgoing {
    Shared(Arc<Vec<u8>>),
    Joined(Vec<u8>),
}

impl Outgoing {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Joined(bytes) => bytes,
        }
    }
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn push(&mut self, bytes: &Arc<Vec<u8>>) {
        match self.pieces.back_mut() {
            Some(Outgoing::Joined(joined)) if joined.len() + bytes.len() <= JOIN => {
                joined.extend_from_slice(bytes);
            }
            Some(_) if bytes.len() <= JOIN => {
                self.pieces.push_back(Outgoing::Joined(bytes.to_vec()));
            }
            _ => self.pieces.push_back(Outgoing::Shared(Arc::clone(bytes))),
        }
    }

    /// What is to be written next.
    pub(super) fn front(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece.bytes()[self.written..])
    }

    /// So much of [`front`](Self::front) was written.
    pub(super) fn written(&mut self, len: usize) {
        self.written += len;
        if self.pieces.front().is_some_and(|piece| piece.bytes().len() <= self.written) {
            self.pieces.pop_front();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, JOIN, Outbox};

    #[test]
    fn frames_come_out_in_their_order_whatever_is_written_at_once() {
        let frames: Vec<Vec<u8>> =
            [3, 5, JOIN, JOIN + 1, 1, 2].iter().zip(1..).map(|(&len, n)| vec![n; len]).collect();
        for most in [1, 2, 7, JOIN, 3 * JOIN] {
            let mut outbox = Outbox::default();
            let mut out = Vec::new();
            for frame in &frames {
                outbox.push(&Arc::new(frame.clone()));
                let bytes = outbox.front().expect("one was pushed");
                let len = bytes.len().min(most);
                out.extend_from_slice(&bytes[..len]);
                outbox.written(len);
            }
            while let Some(bytes) = outbox.front() {
                let len = bytes.len().min(most);
                out.extend_from_slice(&bytes[..len]);
                outbox.written(len);
            }
            assert!(outbox.is_empty() && out == frames.concat(), "{most} at once");
        }
    }

    #[test]
    fn small_frames_are_joined_and_large_ones_are_not_copied() {
        let mut outbox = Outbox::default();
        let large = Arc::new(vec![7; JOIN + 1]);
        outbox.push(&large);
        (0..100).for_each(|_| outbox.push(&Arc::new(vec![1; 10])));
        assert_eq!(outbox.front().map(<[u8]>::as_ptr), Some(large.as_ptr()));
        outbox.written(large.len());
        assert_eq!(outbox.front().map(<[u8]>::len), Some(1_000));
    }
}
