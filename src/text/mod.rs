//! Text: parsing and display. These modules know nothing of the rest of the program.

pub(crate) mod choice;
pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod failure;
pub(crate) mod log;
pub(crate) mod names;
pub(crate) mod paint;
pub(crate) mod url;

pub(crate) use crate::text::choice::choice;
pub(crate) use crate::text::duration::{
    DURATION_RULE, FIRST_REPORT, PROBE_TIMEOUT, REPORT_INTERVAL, UMASK_RULE, WAIT_TIMEOUT, parse_duration,
    parse_mode, parse_umask, pause, readable,
};
pub(crate) use crate::text::escape::{Exact, MASK, WITHHELD, escaped, shell_quoted, shortened};
pub(crate) use crate::text::failure::{BUG, Failure, Kind, Result, of_errno, reason};
pub(crate) use crate::text::log::{Format, Level, Log, Message, quoted, quoted_path};
pub(crate) use crate::text::names::{
    EnvironmentName, NAME_RULE, VerbName, bytes_of, did_you_mean, is_shell_name, is_variable_name, listed,
    matches, nearest, path_of, set_of,
};
pub(crate) use crate::text::paint::{Paint, hanging, wrapped};
pub(crate) use crate::text::url::shown_value;
