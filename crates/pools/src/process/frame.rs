//! The frame: how bytes on the socket become messages. Pure, no I/O in here.
//!
//! ```text
//! length of payload: u32 LE | kind: u8 | job: u64 LE | payload
//! ```

use std::fmt;

/// Bytes before the payload.
pub(super) const HEADER: usize = 13;
/// The largest buffer that is kept for the next payload.
pub(super) const KEPT: usize = 4 * 1024 * 1024;
/// What an [`Inbox`] reads at once when it knows of nothing larger.
const CHUNK: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Worker: who I am, before anything else.
    Hello = 1,
    /// Worker: why I cannot serve, in place of the hello.
    Unfit = 2,
    /// Parent: run this.
    Job = 3,
    /// Parent: the jobs that came before this and are not answered are no longer wanted.
    Cancel = 4,
    /// Worker: the function's output.
    Done = 5,
    /// Worker: the function's error.
    Failed = 6,
    /// Worker: the function panicked; the payload is its message.
    Panicked = 7,
    /// Worker: the job could not be run or answered; the payload is a `Refusal`.
    Refused = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Hello,
            2 => Self::Unfit,
            3 => Self::Job,
            4 => Self::Cancel,
            5 => Self::Done,
            6 => Self::Failed,
            7 => Self::Panicked,
            8 => Self::Refused,
            _ => return None,
        })
    }
}

/// One message. It owns the bytes that were read, so that a large payload is never copied.
#[derive(PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) job: u64,
    bytes: Vec<u8>,
    start: usize,
}

impl Frame {
    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The memory, for another use.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of job {}, {} bytes", self.kind, self.job, self.payload().len())
    }
}

/// Why the bytes are no frame; nothing after them can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameError {
    TooLarge { len: usize, max: usize },
    UnknownKind(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { len, max } => {
                write!(f, "a frame of {len} bytes, where at most {max} are allowed")
            }
            Self::UnknownKind(byte) => write!(f, "a frame of the unknown kind {byte}"),
        }
    }
}

/// Begins a frame at the end of `bytes`, to which a payload is appended before [`finish`] is told where it began.
pub(super) fn begin(bytes: &mut Vec<u8>, kind: Kind, job: u64) -> usize {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.push(kind as u8);
    bytes.extend_from_slice(&job.to_le_bytes());
    start
}

/// Writes the length of the payload, which is all that came after the header, into the header.
pub(super) fn finish(bytes: &mut [u8], start: usize) {
    let len = bytes.len() - start - HEADER;
    let len = u32::try_from(len).expect("a payload is bounded by max_frame");
    bytes[start..start + 4].copy_from_slice(&len.to_le_bytes());
}

/// Puts the number of the job into a frame that was made before its number was known.
pub(super) fn address(bytes: &mut [u8], job: u64) {
    bytes[5..HEADER].copy_from_slice(&job.to_le_bytes());
}

/// A whole frame around a payload.
pub(super) fn frame(kind: Kind, job: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    let start = begin(&mut bytes, kind, job);
    bytes.extend_from_slice(payload);
    finish(&mut bytes, start);
    bytes
}

/// Kind and job of the frame that starts here, when its header is whole.
fn peek(bytes: &[u8]) -> Option<(Kind, u64)> {
    let header = bytes.get(..HEADER)?;
    Some((Kind::from_byte(header[4])?, u64::from_le_bytes(header[5..].try_into().ok()?)))
}

/// How many cancellations there are among these frames, the last of which may be cut anywhere.
pub(super) fn cancellations(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() {
        count += usize::from(header[4] == Kind::Cancel as u8);
        let [a, b, c, d, ..] = *header;
        bytes = rest.get(u32::from_le_bytes([a, b, c, d]) as usize..).unwrap_or_default();
    }
    count
}

/// Collects bytes and gives frames.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    max: usize,
}

impl Inbox {
    /// An inbox that refuses payloads above `max` bytes before it makes room for them.
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), taken: 0, max }
    }

    /// The buffer to append to, with room for the rest of the frame that has begun.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        if 0 < self.taken {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let have = self.bytes.len();
        let whole = self.length(0).map_or(0, |len| len.min(self.max) + HEADER);
        // A large frame gets exactly its room, so that the read ends where it ends and it can be handed on whole.
        self.bytes.reserve_exact(if CHUNK < whole.saturating_sub(have) {
            whole - have
        } else {
            CHUNK
        });
        &mut self.bytes
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(len) = self.length(self.taken) else { return Ok(None) };
        if self.max < len {
            return Err(FrameError::TooLarge { len, max: self.max });
        }
        let kind = self.bytes[self.taken + 4];
        let Some((kind, job)) = peek(&self.bytes[self.taken..]) else {
            return Err(FrameError::UnknownKind(kind));
        };
        let end = self.taken + HEADER + len;
        if self.bytes.len() < end {
            return Ok(None);
        }
        if self.taken == 0 && end == self.bytes.len() && CHUNK < end {
            let bytes = std::mem::take(&mut self.bytes);
            return Ok(Some(Frame { kind, job, bytes, start: HEADER }));
        }
        let bytes = self.bytes[self.taken + HEADER..end].to_vec();
        self.taken = end;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        Ok(Some(Frame { kind, job, bytes, start: 0 }))
    }

    /// Whether the next large frame needs fresh memory.
    pub(super) fn is_bare(&self) -> bool {
        self.bytes.capacity() == 0
    }

    /// Takes memory for the next frames, if it is more than there is and not very much.
    pub(super) fn reuse(&mut self, mut buffer: Vec<u8>) {
        let more = self.bytes.capacity() < buffer.capacity();
        if self.bytes.is_empty() && more && buffer.capacity() <= KEPT {
            buffer.clear();
            self.bytes = buffer;
        }
    }

    /// How many cancellations have come and were not yet given.
    pub(super) fn cancellations(&self) -> usize {
        cancellations(&self.bytes[self.taken..])
    }

    /// How many bytes of a frame have come that is not whole.
    pub(super) fn partial(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn length(&self, at: usize) -> Option<usize> {
        let header = self.bytes.get(at..at + HEADER)?;
        Some(u32::from_le_bytes(header[..4].try_into().ok()?) as usize)
    }
}

#[cfg(test)]
mod tests;
