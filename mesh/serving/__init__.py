"""What the three model services share: gRPC server, batcher, sessions, model lifecycle, images."""

from mesh.core.structlog_alone import import_structlog_alone

import_structlog_alone()
