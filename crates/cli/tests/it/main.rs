//! The command as its users meet it.

mod audit;
mod commands;
mod interrupt;
mod place;
mod run;
