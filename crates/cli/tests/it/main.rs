//! The command as its users meet it.

mod audit;
mod commands;
mod full;
mod interrupt;
mod killed;
mod place;
mod resume;
mod run;
mod runs;
mod settings;
mod spans;
mod what_if;
