# The five programs for the CPU. Not built or run where it was written.
#
#   docker build -t solace --build-arg SOLACE_COMMIT="$(git describe --always --dirty --exclude='*' --abbrev=12)" .
#   docker run --rm solace sra demo
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -v solace-cache:/cache solace sra stats --input ESConv.json
#
# Files are read and written under /work. /cache keeps models from the hub and the index of METEOR's paraphrases.
# `sra serve`, `sra view` and `sra head2head --web` listen on loopback, which is the container's own: to reach them from outside give --address 0.0.0.0:PORT
# (--web 0.0.0.0:PORT) and publish the port to this machine only (-p 127.0.0.1:PORT:PORT). SECURITY.md says who may ask then.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /solace
# What --version says; .git stays outside.
ARG SOLACE_COMMIT=
ENV SOLACE_COMMIT=${SOLACE_COMMIT}
COPY . .
RUN cargo build --release --locked -p sra -p magic -p thtra -p persuasion -p solace

FROM debian:bookworm-slim
# persuasion reads zstd files through this program.
RUN apt-get update \
    && apt-get install -y --no-install-recommends zstd \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 solace \
    && install -d -m 1777 /cache \
    && install -d -o solace /work
COPY --from=build /solace/target/release/sra /solace/target/release/magic /solace/target/release/thtra /solace/target/release/persuasion /solace/target/release/solace /usr/local/bin/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/solace/
ENV HF_HOME=/cache/huggingface XDG_CACHE_HOME=/cache
USER solace
WORKDIR /work
CMD ["sra", "--help"]
