"""HTTP in, gRPC out: listeners ▸ routes ▸ fan-out ▸ upstream clusters."""

from mesh.core.structlog_alone import import_structlog_alone

import_structlog_alone()
