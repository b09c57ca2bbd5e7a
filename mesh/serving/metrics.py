"""What a model service counts and times, in Prometheus' words. Labels are bounded: methods, codes, served models."""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 240)

REQUESTS = Counter("immich_mesh_service_requests", "Calls answered, by method and gRPC code.", ["method", "code"])
REQUEST_SECONDS = Histogram(
    "immich_mesh_service_request_seconds", "Time from a call's arrival to its answer.", ["method"], buckets=_SECONDS
)
IN_FLIGHT = Gauge("immich_mesh_service_requests_in_flight", "Calls being served.", ["method"])
QUEUE_SECONDS = Histogram(
    "immich_mesh_queue_seconds",
    "Time a model input waited for its batch to start.",
    ["model", "part"],
    buckets=_SECONDS,
)
QUEUE_LENGTH = Gauge("immich_mesh_queue_length", "Model inputs waiting for a batch.", ["model", "part"])
INFERENCE_SECONDS = Histogram(
    "immich_mesh_inference_seconds",
    "Time of one run of the model, a batch at a time.",
    ["model", "part"],
    buckets=_SECONDS,
)
BATCH_SIZE = Histogram(
    "immich_mesh_batch_size",
    "Inputs in one run of the model.",
    ["model", "part"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
DROPPED = Counter(
    "immich_mesh_queue_dropped",
    "Inputs dropped before inference, by reason (full, expired, cancelled).",
    ["model", "part", "reason"],
)
MODEL_LOADED = Gauge("immich_mesh_model_loaded", "1 while the model is in memory.", ["model", "part"])
MODEL_MEMORY_BYTES = Gauge(
    "immich_mesh_model_memory_bytes", "What the weights of a loaded model take.", ["model", "part"]
)
MODEL_RUNTIME = Gauge(
    "immich_mesh_model_runtime",
    "1 for what runs a loaded model: runtime, device, precision.",
    ["model", "part", "provider"],
)
NON_FINITE_RUNS = Counter(
    "immich_mesh_non_finite_runs", "Runs whose numbers were not finite, computed again in fp32.", ["provider"]
)
INTERRUPTED_RUNS = Counter("immich_mesh_interrupted_runs", "Runs of photos that a query ended, begun anew after it.")
SHAPES_READY = Gauge(
    "immich_mesh_shapes_ready",
    "Shapes that a model is compiled for, of those that its inputs are padded to.",
    ["model", "part"],
)
MODEL_LOAD_SECONDS = Histogram(
    "immich_mesh_model_load_seconds",
    "Time to read a model into memory, download excluded.",
    ["model", "part"],
    buckets=_SECONDS,
)
MODEL_LOAD_FAILURES = Counter(
    "immich_mesh_model_load_failures", "Loads that failed after their retries.", ["model", "part"]
)
MODEL_EVICTIONS = Counter(
    "immich_mesh_model_evictions", "Models put out of memory, by reason (idle, budget, request).", ["reason"]
)
DOWNLOAD_PROGRESS = Gauge(
    "immich_mesh_model_download_ratio", "Share of a running download that is done, 0 to 1.", ["model"]
)
IMAGE_PIXELS = Histogram(
    "immich_mesh_image_pixels",
    "Pixels of the photos received.",
    ["service"],
    buckets=(1e4, 1e5, 3e5, 1e6, 2e6, 4e6, 8e6, 1.6e7, 3.2e7, 6.4e7, 1.28e8),
)
PHOTO_MEMORY_BYTES = Gauge(
    "immich_mesh_photo_memory_bytes", "Memory reserved for photos that are decoded and worked on.", ["service"]
)
DECODE_SECONDS = Histogram(
    "immich_mesh_image_decode_seconds", "Time to decode one photo.", ["service"], buckets=_SECONDS
)


def show_memory(model: str, part: str, memory_bytes: int) -> None:
    """Sets the two gauges of a model's part; 0 bytes when it is not in memory."""
    MODEL_LOADED.labels(model, part).set(int(memory_bytes > 0))
    MODEL_MEMORY_BYTES.labels(model, part).set(memory_bytes)
