//! The frames that the agent inside a sandbox and the runner outside exchange.
