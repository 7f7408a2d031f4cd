//! Compiles the CUDA kernels, where the feature `cuda` asks for them.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    compile_cuda_kernels();
}

/// To PTX, by the same tool as candle's own kernels, so for the same device.
#[cfg(feature = "cuda")]
fn compile_cuda_kernels() {
    let kernels = cudaforge::KernelBuilder::new()
        .source_dir("src/kernels/cuda")
        .watch(["src/kernels/cuda/cached.cuh", "src/kernels/cuda/warp.cuh"])
        .arg("-std=c++17")
        .arg("-O3")
        .build_ptx();
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let written = kernels.and_then(|kernels| kernels.write(std::path::Path::new(&out).join("cuda_kernels.rs")));
    written.unwrap_or_else(|error| panic!("the kernels in src/kernels/cuda can't be compiled by nvcc: {error}"));
}
