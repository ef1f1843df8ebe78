//! Server-sent events, as far as chat completions use them: the data of each event, out of pieces cut anywhere.

/// Collects bytes into lines and lines into the data of events (HTML Living Standard, 9.2.6). Other fields are passed over.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a carriage return, whose line feed may follow.
    after_return: bool,
}

impl Events {
    /// Takes a piece; gives the data of each event that is complete by it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut complete = Vec::new();
        for byte in piece {
            let follows_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => complete.extend(self.end_line()),
                _ => self.line.push(*byte),
            }
        }
        complete
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return std::mem::take(&mut self.has_data).then(|| std::mem::take(&mut self.data));
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_wherever_the_pieces_are_cut() {
        let text = "data: {\"a\":1}\r\n\r\n: a comment\nevent: x\r\ndata: grün\r\ndata:two\r\n\r\nid: 3\n\ndata\n\ndata: [DONE]\n\n";
        let whole = Events::default().push(text.as_bytes());
        let expected = ["{\"a\":1}", "grün\ntwo", "[DONE]"].map(|data| data.as_bytes().to_vec());
        assert_eq!(whole, expected);
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut events = Events::default();
                let (a, b, c) =
                    (&text[..0], &text.as_bytes()[..first], &text.as_bytes()[first..second]);
                let mut data = events.push(a.as_bytes());
                data.extend(events.push(b));
                data.extend(events.push(c));
                data.extend(events.push(&text.as_bytes()[second..]));
                assert_eq!(data, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn an_event_without_its_empty_line_is_not_complete() {
        assert!(Events::default().push(b"data: half\n").is_empty());
    }
}
