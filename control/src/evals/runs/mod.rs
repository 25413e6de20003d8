//! `/v1/evals/{eval}/runs…`: one file for each thing that is done with runs and their output items.

mod create;
mod end;
mod events;
mod items;
mod read;

pub(crate) use create::create;
pub(crate) use end::{cancel, delete};
pub(crate) use events::events;
pub(crate) use items::{get as get_item, list as list_items};
pub(crate) use read::{get, list};
