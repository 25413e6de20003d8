//! `/v1/evals/{eval}/runs…`: one file for each thing that is done with runs and their output items.

mod create;
mod end;
mod events;
mod items;
mod read;

pub(crate) use create::create;
pub(crate) use end::{cancel, cancel_by_post, delete};
pub(crate) use events::events;
pub(crate) use items::{get as get_item, list as list_items};
pub(crate) use read::{get, list};

/// What the OpenAPI document says of these routes.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    create::create,
    read::list,
    read::get,
    end::cancel_by_post,
    end::cancel,
    end::delete,
    events::events,
    items::list,
    items::get
))]
pub(crate) struct Docs;
