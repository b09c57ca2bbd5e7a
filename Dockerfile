# syntax=docker/dockerfile:1
#
# One image per process, each with what that process imports and nothing else:
#
#   docker build --target router -t immich-mesh-router:0.1.0 .
#   docker build --target ocr -t immich-mesh-ocr:0.1.0 .                               (likewise clip, face)
#   docker build --target ocr --build-arg VARIANT=cuda -t immich-mesh-ocr:0.1.0-cuda . (likewise clip, face)
#   docker build --target ocr --build-arg GPU=intel -t immich-mesh-ocr:0.1.0-intel .   (likewise clip, face)
#   docker build --target cli -t immich-mesh-cli:0.1.0 .       the command immich-mesh: models pull, db migrate
#   docker build --target export -t immich-mesh-export:0.1.0 . the same with torch, for official cn-clip checkpoints
#
# CUDA and cuDNN come as wheels (onnxruntime-gpu's own extras), so the base is the same; the driver comes from the host.
# Intel's GPU driver is a package of Debian's, in its own images. Run with a read-only root: only /tmp and the models'
# volume are written to. Services of a variant that one builder makes one after the other share their largest layer.
#
# Where no registry is reached, any image with Debian's apt, Python 3.11 or 3.12 in /usr/local and uv can stand in:
#   buildah build --isolation chroot --build-arg PYTHON_IMAGE=localhost/python --build-arg UV_IMAGE=localhost/uv ...

ARG PYTHON_IMAGE=python:3.12-slim-bookworm
# The GPU whose driver is in the image: none (NVIDIA's comes from the host) or intel.
ARG GPU=none
ARG UV_IMAGE=ghcr.io/astral-sh/uv:0.13.9

FROM ${UV_IMAGE} AS uv

# ---- what every installation starts from ----------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS install
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/immich-mesh \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./

# ---- what is installed: dependencies first, a layer that stays while only our code changes, then the wheel of our code --
FROM install AS install-router
RUN uv sync --locked --no-dev --no-install-project --extra router --extra otel
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra router --extra otel

# What all three services have in common, runtimes and CUDA's libraries above all: one layer, however many of them run.
FROM install AS install-serving
ARG VARIANT=cpu
# hadolint ignore=DL4006
RUN uv sync --locked --no-dev --no-install-project --extra serving --extra otel --extra openvino --extra "${VARIANT}" \
    && find /opt/immich-mesh ! -type d | sort > /shared

FROM install-serving AS install-ocr
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra ocr --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra ocr --extra otel --extra openvino --extra "${VARIANT}"
# hadolint ignore=DL4006
RUN mkdir /own && find /opt/immich-mesh ! -type d | sort | comm -13 /shared - | tar c -T - | tar x -C /own

FROM install-serving AS install-clip
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra clip --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra clip --extra otel --extra openvino --extra "${VARIANT}"
# hadolint ignore=DL4006
RUN mkdir /own && find /opt/immich-mesh ! -type d | sort | comm -13 /shared - | tar c -T - | tar x -C /own

FROM install-serving AS install-face
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra face --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra face --extra otel --extra openvino --extra "${VARIANT}"
# hadolint ignore=DL4006
RUN mkdir /own && find /opt/immich-mesh ! -type d | sort | comm -13 /shared - | tar c -T - | tar x -C /own

# Symbols are for debuggers; without them it is a third smaller.
FROM install AS install-cli
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
ENV UV_COMPILE_BYTECODE=0
RUN uv sync --locked --no-dev --no-install-project --extra router
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra router
# hadolint ignore=DL3059
RUN find /opt/immich-mesh -name '*.so*' -type f -exec strip --strip-unneeded '{}' +

FROM install AS install-export
RUN uv sync --locked --no-dev --no-install-project --extra cli --extra export --extra cpu
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra cli --extra export --extra cpu

# ---- what every image runs on: no uv, no pip, no compiler, no root --------------------------------------------------
FROM ${PYTHON_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Immich Mesh" \
      org.opencontainers.image.description="Immich's machine learning as a mesh of gRPC services" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# tini is process 1: it hands signals on while Python still imports, and reaps what health checks leave behind.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && mkdir --mode=0775 /models \
    && chown 65532:65532 /models
# The last three: no library reports to its maker (mesh/core/privacy.py).
ENV HOME=/tmp \
    MESH_CACHE_FOLDER=/models \
    MESH_LOG_FORMAT=json \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PATH=/opt/immich-mesh/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /tmp
USER 65532:65532
ENTRYPOINT ["tini", "--"]

# ---- what a service runs on: the base, or the base with a GPU's driver ----------------------------------------------
FROM base AS base-none

FROM base AS base-intel
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends intel-opencl-icd \
    && rm -rf /var/lib/apt/lists/*
USER 65532:65532

# ---- the images -----------------------------------------------------------------------------------------------------
FROM base AS router
COPY --from=install-router /opt/immich-mesh /opt/immich-mesh
ENV MESH_IMAGE=router \
    ROUTER_METRICS_HOST=0.0.0.0 \
    ROUTER_METRICS_PORT=9464
EXPOSE 3003 8060 2283 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "-m", "mesh.core.healthcheck", "http://127.0.0.1:9901/ready"]
CMD ["python", "-m", "router"]

# hadolint ignore=DL3006
FROM base-${GPU} AS ocr
COPY --from=install-serving /opt/immich-mesh /opt/immich-mesh
COPY --from=install-ocr /own/opt/immich-mesh /opt/immich-mesh
ENV MESH_IMAGE=ocr \
    OCR_HOST=0.0.0.0 \
    OCR_METRICS_HOST=0.0.0.0
EXPOSE 50051 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50051", "immich_mesh.ocr.v1.OcrService"]
CMD ["python", "-m", "ocr_service"]

# hadolint ignore=DL3006
FROM base-${GPU} AS clip
COPY --from=install-serving /opt/immich-mesh /opt/immich-mesh
COPY --from=install-clip /own/opt/immich-mesh /opt/immich-mesh
ENV MESH_IMAGE=clip \
    CLIP_HOST=0.0.0.0 \
    CLIP_METRICS_HOST=0.0.0.0
EXPOSE 50052 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50052", "immich_mesh.clip.v1.ClipService"]
CMD ["python", "-m", "clip_service"]

# hadolint ignore=DL3006
FROM base-${GPU} AS face
COPY --from=install-serving /opt/immich-mesh /opt/immich-mesh
COPY --from=install-face /own/opt/immich-mesh /opt/immich-mesh
ENV MESH_IMAGE=face \
    FACE_HOST=0.0.0.0 \
    FACE_METRICS_HOST=0.0.0.0
EXPOSE 50053 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50053", "immich_mesh.face.v1.FaceService"]
CMD ["python", "-m", "face_service"]

# The command's image is small enough to be fetched for one Job: of Debian and Python what runs it, and nothing that installs.
# `status.d` names the packages that the libraries are from, for those who look for holes in them.
FROM base AS cli-root
# hadolint ignore=DL3002
USER 0:0
# hadolint ignore=DL4006,SC2046,SC2086
RUN set -eu; programs="/usr/bin/dash /usr/bin/sleep /usr/bin/cat /usr/bin/env $(command -v tini)"; \
    python="$(find /usr/local/bin -name 'python3.*' -type f ! -name '*-config') $(find /usr/local/lib -path '*lib-dynload*' -name '*.so')"; \
    libraries="$({ ldd $programs $python; ldconfig -p | grep -E 'lib(stdc\+\+|gcc_s|z|rt|pthread|dl|util|resolv)\.so\.'; } \
        | grep -oE '/[^ ]+\.so[^ :)]*' | grep -v '^/usr/local/lib/python' | sort -u)"; \
    mkdir -p /cli/dev /cli/etc /cli/models /cli/proc /cli/sys /cli/tmp /cli/usr/bin /cli/usr/lib /cli/usr/lib64 \
        /cli/var/lib/dpkg/status.d; \
    ln -s usr/bin usr/lib usr/lib64 /cli/; \
    tar ch $programs $libraries /etc/os-release /etc/passwd /etc/group /etc/nsswitch.conf /etc/ld.so.conf /etc/ld.so.conf.d \
        /etc/ssl/certs/ca-certificates.crt | tar x --keep-directory-symlink -C /cli; \
    tar c --exclude='site-packages/*' --exclude=ensurepip --exclude=idlelib --exclude=tkinter --exclude=turtledemo \
        --exclude=lib2to3 --exclude=test --exclude='config-3*' --exclude=__pycache__ --exclude='*.a' --exclude='*-config' \
        /usr/local/bin/python* /usr/local/lib/python3.* | tar x -C /cli; \
    ln -s dash /cli/usr/bin/sh; \
    ldconfig -r /cli; \
    for package in $(dpkg -S $programs $libraries 2>/dev/null | cut -d: -f1 | sort -u); do \
        dpkg -s "$package" > "/cli/var/lib/dpkg/status.d/$package"; \
    done; \
    chmod 1777 /cli/tmp; chmod 0775 /cli/models; chown 65532:65532 /cli/models
COPY --from=install-cli /opt/immich-mesh /cli/opt/immich-mesh

FROM scratch AS cli
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Immich Mesh" \
      org.opencontainers.image.description="The command of Immich Mesh: models pull, db migrate" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=cli-root /cli /
ENV HOME=/tmp \
    LANG=C.UTF-8 \
    MESH_CACHE_FOLDER=/models \
    MESH_IMAGE=cli \
    MESH_LOG_FORMAT=json \
    PATH=/opt/immich-mesh/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    DO_NOT_TRACK=1 \
    HF_HUB_DISABLE_TELEMETRY=1 \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /tmp
USER 65532:65532
VOLUME /models
ENTRYPOINT ["tini", "--"]
HEALTHCHECK NONE
CMD ["immich-mesh", "--help"]

FROM base AS export
COPY --from=install-export /opt/immich-mesh /opt/immich-mesh
VOLUME /models
HEALTHCHECK NONE
CMD ["immich-mesh", "models", "export", "--help"]
