//! The kernel: each of its facilities has one owner. These modules do not know the table.

pub(crate) mod cgroup;
pub(crate) mod child;
pub(crate) mod entry;
pub(crate) mod exec;
pub(crate) mod identity;
pub(crate) mod proc;
pub(crate) mod proof;
pub(crate) mod read;
pub(crate) mod signals;
pub(crate) mod spawn;
pub(crate) mod start;
pub(crate) mod terminal;
pub(crate) mod termination_log;

pub(crate) use crate::sys::child::{Change, Children, CompanionEnd, next_change};
pub(crate) use crate::sys::entry::{
    DIRECTORY, Entry, Keep, NONBLOCKING, Refusal, Step, Walk, can_change, change_directory,
    change_directory_as, change_directory_to, errno_of, fill, is_open_to_others, passage, place,
    regular_text, working_directory,
};
pub(crate) use crate::sys::exec::{Shebang, base, locate, program_of};
pub(crate) use crate::sys::identity::{Credentials, Identity, acting_as};
pub(crate) use crate::sys::proc::{ProcessStat, Status};
pub(crate) use crate::sys::read::{read_interruptible, read_opened};
pub(crate) use crate::sys::signals::{Signals, default_in_children, group_lives, send, without_ttou};
pub(crate) use crate::sys::spawn::{
    Carries, Ended, GRACE, Running, Spawn, Stop, Writers, inherited_descriptors, spawn_target,
};
pub(crate) use crate::sys::start::{Received, Request, RunAs, start_mode, start_program};
pub(crate) use crate::sys::terminal::Terminal;
