#!/bin/sh
# Makes static archives that stand for CUDA's libraries where a program is linked on a machine that has none of them (x86-64 Linux).
#
#   benches/cuda-stubs.sh DIR
#
# Each function jumps to the one of the same name in the real library, which is looked for when the program starts. Where there is no such
# library it gives an error, so the program starts on any machine. Needs a C compiler, ar, and cudarc's source, which `cargo fetch` brings.
set -eu
out=${1:?usage: benches/cuda-stubs.sh DIR}
mkdir -p "$out"
cudarc=$(cargo metadata --format-version 1 --all-features | grep -o '"manifest_path":"[^"]*/cudarc-[^"]*/Cargo.toml"' | cut -d'"' -f4 | head -n 1)
sources=$(dirname "$cudarc")/src

stubs() { # LIBRARY MODULE ERROR FILE...
    library=$1 module=$2 error=$3
    shift 3
    [ -f "$sources/$module/sys/mod.rs" ] || { echo "cudarc's source is not in $sources: run cargo fetch" >&2 && exit 1; }
    names=$(grep -o 'pub unsafe fn [A-Za-z0-9_]*' "$sources/$module/sys/mod.rs" | sed 's/.* //' | grep -E '^(cu[A-Z]|cublas|curand|nvrtc)' | sort -u)
    {
        echo '#include <dlfcn.h>'
        echo "static int missing(void) { return $error; }"
        echo "static const char *const names[] = {"
        echo "$names" | sed 's/.*/"&",/'
        echo '};'
        echo "__attribute__((visibility(\"hidden\"))) void *${library}_functions[sizeof names / sizeof *names];"
        echo '__attribute__((constructor)) static void find(void) {'
        echo 'void *library = 0;'
        for file in "$@"; do echo "if (!library) library = dlopen(\"$file\", RTLD_LAZY | RTLD_GLOBAL);"; done
        echo 'for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {'
        echo 'void *found = library ? dlsym(library, names[i]) : 0;'
        echo "${library}_functions[i] = found ? found : (void *)missing;"
        echo '}}'
        place=0
        for name in $names; do
            echo "__asm__(\".text\n.globl $name\n.type $name, @function\n$name: jmp *${library}_functions+$place(%rip)\n\");" | tr '\n' '~' | sed 's/~/\\n/g; s/\\n$//'
            echo
            place=$((place + 8))
        done
    } >"$out/$library.c"
    cc -O1 -fPIC -c "$out/$library.c" -o "$out/$library.o"
    rm -f "$out/lib$library.a"
    ar rcs "$out/lib$library.a" "$out/$library.o"
    rm "$out/$library.c" "$out/$library.o"
}

# What is missing says: no device, not initialised, not initialised, not initialised, out of memory.
stubs cuda driver 100 libcuda.so.1
stubs cublas cublas 1 libcublas.so.13 libcublas.so.12
stubs cublasLt cublaslt 1 libcublasLt.so.13 libcublasLt.so.12
stubs curand curand 203 libcurand.so.10
stubs nvrtc nvrtc 1 libnvrtc.so.13 libnvrtc.so.12
