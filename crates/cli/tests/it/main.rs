//! The command as its users meet it.

mod commands;
mod interrupt;
mod place;
mod run;
