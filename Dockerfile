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
# CUDA and cuDNN come as wheels (onnxruntime-gpu's own extras), so the base is the same slim one; the driver comes from
# the host. Intel's GPU driver is a package of Debian's, in its own images. Run with a read-only root: only /tmp and the models' volume are written to.

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

# Each target installs its dependencies first, a layer that stays while only our code changes, then the wheel of our code.
FROM install AS install-router
RUN uv sync --locked --no-dev --no-install-project --extra router --extra otel
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra router --extra otel

FROM install AS install-ocr
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra ocr --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra ocr --extra otel --extra openvino --extra "${VARIANT}"

FROM install AS install-clip
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra clip --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra clip --extra otel --extra openvino --extra "${VARIANT}"

FROM install AS install-face
ARG VARIANT=cpu
RUN uv sync --locked --no-dev --no-install-project --extra face --extra otel --extra openvino --extra "${VARIANT}"
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra face --extra otel --extra openvino --extra "${VARIANT}"

FROM install AS install-cli
RUN uv sync --locked --no-dev --no-install-project --extra cli --extra clip --extra cpu
COPY . .
RUN uv sync --locked --no-dev --no-editable --extra cli --extra clip --extra cpu

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
ENV ROUTER_METRICS_HOST=0.0.0.0 \
    ROUTER_METRICS_PORT=9464
EXPOSE 3003 8060 2283 9464
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["python", "-m", "mesh.core.healthcheck", "http://127.0.0.1:9901/ready"]
CMD ["python", "-m", "router"]

# hadolint ignore=DL3006
FROM base-${GPU} AS ocr
COPY --from=install-ocr /opt/immich-mesh /opt/immich-mesh
ENV OCR_HOST=0.0.0.0 \
    OCR_METRICS_HOST=0.0.0.0
EXPOSE 50051 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50051", "immich_mesh.ocr.v1.OcrService"]
CMD ["python", "-m", "ocr_service"]

# hadolint ignore=DL3006
FROM base-${GPU} AS clip
COPY --from=install-clip /opt/immich-mesh /opt/immich-mesh
ENV CLIP_HOST=0.0.0.0 \
    CLIP_METRICS_HOST=0.0.0.0
EXPOSE 50052 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50052", "immich_mesh.clip.v1.ClipService"]
CMD ["python", "-m", "clip_service"]

# hadolint ignore=DL3006
FROM base-${GPU} AS face
COPY --from=install-face /opt/immich-mesh /opt/immich-mesh
ENV FACE_HOST=0.0.0.0 \
    FACE_METRICS_HOST=0.0.0.0
EXPOSE 50053 9464
VOLUME /models
HEALTHCHECK --interval=15s --timeout=10s --start-period=30m CMD ["python", "-m", "mesh.core.healthcheck", "50053", "immich_mesh.face.v1.FaceService"]
CMD ["python", "-m", "face_service"]

FROM base AS cli
COPY --from=install-cli /opt/immich-mesh /opt/immich-mesh
VOLUME /models
HEALTHCHECK NONE
CMD ["immich-mesh", "--help"]

FROM base AS export
COPY --from=install-export /opt/immich-mesh /opt/immich-mesh
VOLUME /models
HEALTHCHECK NONE
CMD ["immich-mesh", "models", "export", "--help"]
