//! The end of what a worker wrote.

/// Keeps the last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// How much is told.
    const KEPT: usize = 4 * 1024;

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if 4 * Self::KEPT < self.bytes.len() {
            self.bytes.drain(..self.bytes.len() - Self::KEPT);
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn text(&self) -> String {
        let start = self.bytes.len().saturating_sub(Self::KEPT);
        String::from_utf8_lossy(&self.bytes[start..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        for n in 0..10_000 {
            tail.push(format!("{n}\n").as_bytes());
        }
        let text = tail.text();
        assert!(text.ends_with("9998\n9999\n") && text.len() == Tail::KEPT);
        assert!(tail.bytes.len() <= 4 * Tail::KEPT);
    }
}
