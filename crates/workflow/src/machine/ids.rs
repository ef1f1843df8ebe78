//! Numbers by which the machine knows runs, tasks and all that they take.

/// A number that no two runs of a machine share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u64);

/// A task: its run, and its place in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TaskRef {
    pub(crate) run: RunId,
    pub(crate) node: u32,
}

/// Numbers of what admission knows, in the order in which it met them.
macro_rules! number {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(pub(crate) u32);

        impl $name {
            pub(crate) fn at(self) -> usize {
                self.0 as usize
            }
        }
    };
}

number!(AgentId, "An agent.");
number!(ResourceId, "A resource of which tasks take amounts.");
number!(TenantId, "Someone with whom others share by weight.");
number!(ClassId, "Tasks of one tenant and agent that take the same amounts of the same resources.");
number!(FamilyId, "Classes of one tenant and agent that take of the same resources.");

impl AgentId {
    /// Of tasks that name none.
    pub(crate) const NONE: Self = Self(0);
}

impl TenantId {
    /// Whoever says nothing of tenants.
    pub(crate) const DEFAULT: Self = Self(0);
}
