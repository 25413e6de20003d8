//! The edge's clock and randomness: the only place that reads either.

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues, catch)]
    fn get_random_values(buffer: &mut [u8]) -> Result<JsValue, JsValue>;
}

/// Unix time in milliseconds. On Workers it moves only with I/O.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
#[must_use]
pub fn now_ms() -> u64 {
    worker::Date::now().as_millis()
}

/// Ten random bytes for an id.
///
/// # Errors
/// When the platform has no randomness to give.
pub fn random() -> Result<[u8; 10], JsValue> {
    let mut bytes = [0; 10];
    get_random_values(&mut bytes)?;
    Ok(bytes)
}
