//! Builds anew when a page is added or removed; changes inside one are seen without this.

fn main() {
    println!("cargo:rerun-if-changed=web");
}
