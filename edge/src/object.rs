//! Calls to Durable Objects: JSON there, JSON back, and no longer than a limit.
//!
//! The whole exchange is one promise of JavaScript's: every promise that Rust awaits costs a turn of its own queue, and
//! nearly every request of a strict version comes by here twice.

use js_sys::Reflect;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::prelude::*;
use worker::{Env, Error, Result, console_error};

#[wasm_bindgen(module = "/src/object.js")]
extern "C" {
    #[wasm_bindgen(js_name = post, catch)]
    async fn post_text(
        namespace: &JsValue,
        name: &str,
        path: &str,
        body: &str,
        limit_ms: f64,
    ) -> std::result::Result<JsValue, JsValue>;
}

/// The reply of the object `name` to a POST; `None`, and a line in the log, if it fails or takes longer than `limit_ms`.
pub async fn post<B: Serialize, T: DeserializeOwned>(
    env: &Env,
    (binding, name): (&str, &str),
    path: &str,
    body: &B,
    limit_ms: u64,
) -> Option<T> {
    match exchange(env, (binding, name), path, body, limit_ms).await {
        Ok(Some(reply)) => Some(reply),
        Ok(None) => {
            console_error!("{binding} {name}{path}: no answer in {limit_ms} ms");
            None
        }
        Err(error) => {
            console_error!("{binding} {name}{path}: {error}");
            None
        }
    }
}

async fn exchange<B: Serialize, T: DeserializeOwned>(
    env: &Env,
    (binding, name): (&str, &str),
    path: &str,
    body: &B,
    limit_ms: u64,
) -> Result<Option<T>> {
    let namespace = Reflect::get(env, &JsValue::from_str(binding))?;
    let body = serde_json::to_string(body)?;
    let reply = post_text(&namespace, name, path, &body, limit_ms as f64).await.map_err(|thrown| {
        Error::RustError(
            thrown.as_string().unwrap_or_else(|| format!("{:?}", js_sys::Error::from(thrown).message())),
        )
    })?;
    reply.as_string().map(|text| serde_json::from_str(&text)).transpose().map_err(Error::from)
}
