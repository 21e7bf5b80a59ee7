//! What pages, the REST API and the CLI read.
