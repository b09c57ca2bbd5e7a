"""What each of the three services is set to. Each derives a class with its own `env_prefix` (`OCR_`, `CLIP_`, `FACE_`)
and its own defaults; built once, in its `__main__`, and handed down."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from mesh.core.settings.base import Frozen, MeshSettings, TlsSettings
from mesh.core.settings.log import LogFormat, LogLevel
from mesh.core.sockets import bare_host

DEFAULT_PHOTO_MEMORY_BYTES = 1 << 30
"""Memory of a service for photos under way: the largest photo of the default limit, decoded and turned, and no more."""

DEFAULT_CACHE_FOLDER = Path("~/.cache/immich-mesh/models")


class Device(StrEnum):
    """Where inference runs. A device that was asked for and is not there is a refusal to start, never a silent CPU."""

    AUTO = "auto"
    """A CUDA card that works, else the processor, in whichever installed runtime was measured to be the fastest."""
    CPU = "cpu"
    OPENVINO = "openvino"
    OPENVINO_GPU = "openvino:GPU"
    OPENVINO_NPU = "openvino:NPU"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    ROCM = "rocm"
    COREML = "coreml"

    @classmethod
    def _missing_(cls, value: object) -> "Device | None":
        """Spellings with other capitals, and OpenVINO's own name of its processor device."""
        name = str(value).lower()
        if name == "openvino:cpu":
            return cls.OPENVINO
        return next((device for device in cls if device.value.lower() == name), None)

    @property
    def is_processor(self) -> bool:
        """Whether runs take cores of this machine's processor (`auto` too, once it has found no card)."""
        return self in (Device.AUTO, Device.CPU, Device.OPENVINO)

    @property
    def compiles_per_shape(self) -> bool:
        """Whether each new shape of its inputs costs a compilation: seconds, or minutes."""
        return self in (Device.TENSORRT, Device.ROCM, Device.COREML, Device.OPENVINO_GPU, Device.OPENVINO_NPU)

    @property
    def compiles_for_batches(self) -> bool:
        """Whether one such compilation holds for batches of several sizes."""
        return self is Device.TENSORRT


class Precision(StrEnum):
    """What a graph is computed in."""

    AUTO = "auto"
    """The fastest that the device has and whose self-check passes."""
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
    """Of graphs that have an int8 version, on processors that multiply bytes (VNNI)."""


class BatchingSettings(Frozen):
    """How single model inputs (an image, a face crop, a text line) become batches."""

    max_batch_size: int = Field(
        0,
        ge=0,
        le=256,
        description="Largest batch; 0 lets the device decide: 1 on a CPU, where more gain nothing, 32 on a GPU.",
    )
    max_queue_delay_ms: float = Field(
        0.0, ge=0, le=1000, description="How long an idle worker waits for a batch to grow."
    )
    max_queue_size: int = Field(
        256, ge=1, description="Waiting inputs per model; one more is refused with RESOURCE_EXHAUSTED."
    )


class ServiceSettings(MeshSettings):
    """What OCR, CLIP and face service have in common."""

    shared_names: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "cache_folder": ("MESH_CACHE_FOLDER", "MACHINE_LEARNING_CACHE_FOLDER"),
        "auth_token": ("MESH_AUTH_TOKEN",),
        "auth_token_file": ("MESH_AUTH_TOKEN_FILE",),
        "device": ("MESH_DEVICE", "DEVICE"),
        "device_id": ("MESH_DEVICE_ID", "DEVICE_ID", "MACHINE_LEARNING_DEVICE_ID", "MACHINE_LEARNING_DEVICE_IDS"),
        "hf_endpoint": ("HF_ENDPOINT",),
        "precision": ("MACHINE_LEARNING_OPENVINO_PRECISION",),
        "hf_token": ("HF_TOKEN",),
        "log_format": ("MESH_LOG_FORMAT",),
        "log_level": ("MESH_LOG_LEVEL", "IMMICH_LOG_LEVEL", "LOG_LEVEL"),
        "model_revision": ("MACHINE_LEARNING_MODEL_REVISION",),
        "model_ttl_seconds": ("MACHINE_LEARNING_MODEL_TTL", "SERVER_RESTART_TIME"),
        "offline": ("MESH_OFFLINE", "HF_HUB_OFFLINE"),
        "threads": ("MACHINE_LEARNING_MODEL_INTRA_OP_THREADS",),
    }

    host: str = Field("127.0.0.1", description="Address the gRPC server listens on; 0.0.0.0 in a container.")
    port: int = Field(0, ge=0, le=65535, description="Port of the gRPC server; 0 takes any free one.")
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint; 0.0.0.0 in a container.")
    metrics_port: int | None = Field(
        9464, ge=0, le=65535, description="Port of the Prometheus endpoint; empty for none."
    )
    tls: TlsSettings = Field(TlsSettings(), description="TLS of the gRPC server; ca_file demands client certificates.")
    auth_token: SecretStr | None = Field(None, description="Bearer token every call must carry; empty for none.")
    auth_token_file: Path | None = Field(
        None, description="File of that token, read again when it changes. Of several lines each is accepted."
    )
    drain_seconds: float = Field(30.0, ge=0, description="How long calls in flight may take after SIGTERM.")

    model_name: str = Field("", description="Model that answers when a request names none.")
    preload: Annotated[list[str], NoDecode] = Field(
        [], description="Models loaded at start, comma separated; the default model is always among them unless lazy."
    )
    lazy: bool = Field(False, description="Load the default model on first use instead of at start.")
    cache_folder: Path = Field(DEFAULT_CACHE_FOLDER, description="Folder of model files, in Immich ML's layout.")
    offline: bool = Field(False, description="Never download a model.")
    hf_endpoint: str = Field(
        "https://huggingface.co", description="Hub, or mirror of it, that models are fetched from."
    )
    hf_token: SecretStr | None = Field(None, description="Token that this hub, and nobody else, is shown.")
    model_revision: str = Field(
        "main",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Revision of Immich's models that is preferred, and its folder in the cache.",
    )
    model_ttl_seconds: float = Field(
        300.0, ge=0, description="Idle time after which a model leaves memory; 0 for never."
    )
    memory_budget_bytes: int = Field(
        0, ge=0, description="Memory for the weights of loaded models, least recently used out first; 0: no limit."
    )

    device: Device = Field(
        Device.AUTO,
        description="auto, cpu (onnxruntime), openvino, openvino:GPU, openvino:NPU, cuda, tensorrt, rocm or coreml. "
        "auto takes a CUDA card that works, else what was measured to be the fastest on the processor.",
    )
    precision: Precision = Field(
        Precision.AUTO,
        description="auto, fp32, bf16, fp16 or int8, of OpenVINO's devices. Less than fp32 is used only for graphs "
        "whose self-check passes when they are loaded.",
    )
    device_id: int = Field(0, ge=0, description="Number of the GPU.")
    gpu_memory_limit_bytes: int = Field(
        0,
        ge=0,
        description="Memory of the card for this process's arenas, in equal parts for the graphs of model_name and "
        "preload; 0 for no limit.",
    )
    fp16: bool = Field(False, description="Prefer half-precision model files where the cache has them (GPU).")
    threads: int = Field(0, ge=0, description="Cores to use for inference; 0 for all that this process may use.")
    low_latency_sessions: bool = Field(
        True,
        description="On a CPU, keep a second session of each model where it answers a request that comes alone sooner, "
        "on all cores.",
    )
    batching: BatchingSettings = BatchingSettings()

    max_image_pixels: int = Field(178_956_970, ge=1, description="Larger photos are refused before they are decoded.")
    photo_memory_bytes: int = Field(
        DEFAULT_PHOTO_MEMORY_BYTES,
        ge=1 << 20,
        description="Memory for photos that are decoded and worked on. One whose header shows that it needs more is "
        "refused; several that need more together wait for each other. Keep it well below the container's limit.",
    )
    log_level: LogLevel = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(LogFormat.PRETTY, description="pretty or json.")

    @field_validator("preload", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("device_id", mode="before")
    @classmethod
    def _first(cls, value: Any) -> Any:
        """Immich ML's list of GPUs is one for each of its workers: a service has one."""
        return value.split(",")[0] if isinstance(value, str) else value

    @field_validator("device", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        """`CUDA` as Immich and the predecessor write it; what follows a colon is the runtime's own word."""
        if not isinstance(value, str) or isinstance(value, Device):
            return value
        kind, colon, unit = value.partition(":")
        return f"{kind.lower()}{colon}{unit.upper()}"

    @field_validator("precision", mode="before")
    @classmethod
    def _lower_precision(cls, value: Any) -> Any:
        """`FP16` as Immich ML writes it."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("model_ttl_seconds", mode="before")
    @classmethod
    def _never(cls, value: Any) -> Any:
        """Immich ML takes -1, and whatever is not above 0, for never."""
        return "0" if isinstance(value, str) and value.strip().startswith("-") else value

    @field_validator("host", "metrics_host")
    @classmethod
    def _bare(cls, value: str) -> str:
        return bare_host(value)

    @field_validator("cache_folder")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser()
