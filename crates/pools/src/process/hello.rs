//! Who a worker is: the first frame it sends, and the environment variable by which it knows that it is one.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

use super::codec;
use super::error::StartError;
use super::limits::Limits;

/// Changes whenever a frame's meaning does.
pub(super) const PROTOCOL: u32 = 1;
/// The environment variable that makes a process a worker.
pub(super) const VARIABLE: &str = "TIDEGATE_POOLS_WORKER";

/// What a worker says first, after the protocol's version in four bytes, which every version can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) build: String,
    pub(super) functions: Vec<String>,
}

impl Hello {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = PROTOCOL.to_le_bytes().to_vec();
        codec::append(&mut bytes, usize::MAX, self).expect("a hello is strings");
        bytes
    }

    /// Reads a hello and compares it with ours.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), StartError> {
        let (version, rest) = bytes.split_first_chunk::<4>().ok_or(StartError::NoHello)?;
        let theirs = u32::from_le_bytes(*version);
        if theirs != PROTOCOL {
            return Err(StartError::OtherProtocol { ours: PROTOCOL, theirs });
        }
        let hello: Self = codec::decode(rest).map_err(|_| StartError::NoHello)?;
        if hello.build != self.build {
            return Err(StartError::OtherBuild { ours: self.build.clone(), theirs: hello.build });
        }
        let missing: Vec<String> =
            self.functions.iter().filter(|f| !hello.functions.contains(f)).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(StartError::MissingFunctions(missing)) }
    }
}

/// The identity of the running executable: two processes agree exactly when they run the same file, unchanged.
pub(super) fn executable_identity() -> String {
    match std::fs::metadata("/proc/self/exe") {
        Ok(file) => format!(
            "{:x}-{:x}-{:x}-{:x}.{:x}",
            file.dev(),
            file.ino(),
            file.size(),
            file.mtime(),
            file.mtime_nsec()
        ),
        Err(_) => format!("version {}", env!("CARGO_PKG_VERSION")),
    }
}

/// What the parent tells a worker through the environment. It names the socket by its inode, so that a process that
/// merely inherits the variable (whatever a job starts) is not taken for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passport {
    pub(super) socket: u64,
    pub(super) max_frame: usize,
    pub(super) limits: Limits,
}

impl fmt::Display for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let Limits { memory_bytes, cpu_time, core_dumps } = self.limits;
        write!(
            f,
            "{PROTOCOL} {} {} {} {} {}",
            self.socket,
            self.max_frame,
            number(memory_bytes),
            number(cpu_time.map(|time| time.as_secs() + u64::from(0 < time.subsec_nanos()))),
            u8::from(core_dumps),
        )
    }
}

impl Passport {
    /// `None` where the text is not one of ours, or of another version of the protocol.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()?.parse::<u32>().ok()? != PROTOCOL {
            return None;
        }
        let socket = words.next()?.parse().ok()?;
        let max_frame = words.next()?.parse().ok()?;
        let mut number = || match words.next()? {
            "-" => Some(None),
            word => word.parse::<u64>().ok().map(Some),
        };
        let (memory_bytes, seconds, core) = (number()?, number()?, number()??);
        let cpu_time = seconds.map(std::time::Duration::from_secs);
        let limits = Limits { memory_bytes, cpu_time, core_dumps: core == 1 };
        words.next().is_none().then_some(Self { socket, max_frame, limits })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Hello, Limits, PROTOCOL, Passport, StartError};

    fn hello(build: &str, functions: &[&str]) -> Hello {
        let functions = functions.iter().map(|&name| name.to_owned()).collect();
        Hello { build: build.to_owned(), functions }
    }

    #[test]
    fn another_protocol_build_or_job_list_is_refused_by_name() {
        let ours = hello("a", &["fib", "sum"]);
        assert_eq!(ours.check(&ours.to_bytes()), Ok(()));
        let mut bytes = ours.to_bytes();
        bytes[0] = 99;
        assert_eq!(
            ours.check(&bytes),
            Err(StartError::OtherProtocol { ours: PROTOCOL, theirs: 99 })
        );
        assert_eq!(
            ours.check(&hello("b", &["fib", "sum"]).to_bytes()),
            Err(StartError::OtherBuild { ours: "a".to_owned(), theirs: "b".to_owned() })
        );
        assert_eq!(
            ours.check(&hello("a", &["sum"]).to_bytes()),
            Err(StartError::MissingFunctions(vec!["fib".to_owned()]))
        );
        assert_eq!(ours.check(&[1]), Err(StartError::NoHello));
    }

    #[test]
    fn a_passport_reads_back_and_anything_else_is_none() {
        let limits = Limits {
            memory_bytes: Some(1 << 30),
            cpu_time: Some(Duration::from_secs(2)),
            core_dumps: true,
        };
        for limits in [limits, Limits::default()] {
            let passport = Passport { socket: 42, max_frame: 1 << 20, limits };
            assert_eq!(Passport::parse(&passport.to_string()), Some(passport));
            assert_eq!(Passport::parse(&format!("{passport} 1")), None);
        }
        assert_eq!(Passport::parse(""), None);
        assert_eq!(Passport::parse("2 1 1 - - 0"), None);
    }
}
