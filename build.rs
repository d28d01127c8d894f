//! Builds anew what embeds the pages when they were built anew. The folder is always there: it holds a `.gitkeep`.

fn main() {
    println!("cargo:rerun-if-changed=web/dist");
}
