//! The migrations are part of the binary: a changed one makes a new binary.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
