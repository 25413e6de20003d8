//! A host that runs untrusted jobs in gVisor.
